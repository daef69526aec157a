//! What the application's metrics say (FIELD INC-06, INC-35, T-09).

use super::{Claim, Rule, SiteFacts, Thresholds};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::{Route, Traffic, Window, share};

/// A share of errors among fewer requests or tasks than this says nothing.
pub const ENOUGH: f64 = 20.0;

/// A share over a shorter time (seconds) swings with every request.
pub const LONG_ENOUGH_S: f64 = 28.0;

/// So many of the requests must be slow: what the 95th percentile shows.
const SLOW_SHARE: f64 = 0.05;

/// The rules about shares of the last minute.
pub const SHARES: [&str; 4] = ["requests-fail", "requests-slow", "tasks-fail", "gateway-errors"];

/// For so long after an outage the shares still hold its errors: the window of a minute, and two looks.
pub const ECHO_MS: u64 = 95_000;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "requests-fail",
        incidents: &["INC-06", "INC-07"],
        reads: &[SourceKind::Traffic, SourceKind::Access],
        thresholds: &["request_errors_warning", "request_errors_critical"],
        meaning: "A share of the requests of the last minute was answered 5xx.",
        mend: "Look which route fails and what its log says; mend what it stands on first.",
        danger: "A restart loses the evidence and mends only what memory held.",
        runbook: None,
    },
    Rule {
        id: "requests-slow",
        incidents: &["INC-06", "INC-23"],
        reads: &[SourceKind::Traffic, SourceKind::Access],
        thresholds: &["requests_slow_s"],
        meaning: "One request in twenty took longer than visitors wait.",
        mend: "See what they wait for: a lock, the database, Redis, a service outside; then the route itself.",
        danger: "A restart empties the queue for a minute and loses the evidence.",
        runbook: None,
    },
    Rule {
        id: "tasks-fail",
        incidents: &["INC-35"],
        reads: &[SourceKind::Traffic],
        thresholds: &["task_errors_warning"],
        meaning: "A share of the tasks ended in an error that their code did not foresee.",
        mend: "Look which task fails and on which worker; take the bad worker out.",
        danger: "Restarting all workers at once hides which one is bad.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "worker-silent",
        incidents: &["INC-03"],
        reads: &[SourceKind::Traffic],
        thresholds: &[],
        meaning: "Tasks wait and none was finished: no worker seems to be alive.",
        mend: "Restart the worker: TERM first, KILL only with a count of the tasks that would be lost.",
        danger: "KILL loses the running task.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "metrics-blind",
        incidents: &[],
        reads: &[SourceKind::Traffic],
        thresholds: &[],
        meaning: "The metrics page can not be read, so nothing is known of requests and tasks.",
        mend: "Mend what the page stands on: it needs the database and Redis itself.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "metrics-cut",
        incidents: &[],
        reads: &[SourceKind::Traffic],
        thresholds: &[],
        meaning: "The metrics page is larger than is read; what is behind is not counted.",
        mend: "See which label has so many values.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "metrics-broken-lines",
        incidents: &[],
        reads: &[SourceKind::Traffic],
        thresholds: &[],
        meaning: "Lines of the metrics page could not be understood; the rest is used.",
        mend: "Tell the authors of the exporter.",
        danger: "",
        runbook: None,
    },
];

/// What the metrics claim.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    match facts.traffic {
        Reading::Fresh { value, at, .. } => {
            out.extend(requests(value, SourceKind::Traffic, *at, limits));
            out.extend(slow(value, SourceKind::Traffic, *at, limits));
            tasks(value, *at, limits, &mut out);
            if facts.redis.fresh().is_none_or(|r| r.broker.is_none()) {
                out.extend(silent_worker(value, *at));
            }
            page(value, *at, &mut out);
        }
        Reading::Stale { failed_since, why, .. } | Reading::Failed { failed_since, why } => {
            out.push(claim(
                "metrics-blind",
                Level::Unknown,
                "The metrics can't be read".to_owned(),
                why.clone(),
                *failed_since,
            ));
        }
        Reading::Never | Reading::Unseen { .. } => {}
    }
    out
}

fn claim(rule: &'static str, level: Level, title: String, evidence: String, at: Timestamp) -> Claim {
    Claim::new(rule, level, title, evidence, SourceKind::Traffic, at)
}

/// A worker that does nothing, where the broker itself can't be seen: tasks wait and none was done for this long.
const SILENT_S: f64 = 25.0;

fn silent_worker(traffic: &Traffic, at: Timestamp) -> Option<Claim> {
    let Window::Seconds(window) = traffic.window else { return None };
    let done: f64 = traffic.tasks.iter().map(crate::domain::traffic::Task::all_in_window).sum();
    let waiting = traffic.waiting().filter(|n| *n >= 3)?;
    if window < SILENT_S || done > 0.0 || traffic.tasks.is_empty() {
        return None;
    }
    let title = format!("{} and none was done for {window:.0} s: the worker does nothing", text::tasks_wait(waiting));
    Some(claim("worker-silent", Level::Critical, title, "as the application's own metrics say".to_owned(), at))
}

fn long_enough(traffic: &Traffic) -> Option<f64> {
    match traffic.window {
        Window::Seconds(window) if window >= LONG_ENOUGH_S => Some(window),
        Window::Seconds(_) | Window::SinceStart => None,
    }
}

/// `GET presale:event.index 12 of 40` for the worst of them.
pub(super) fn requests(traffic: &Traffic, source: SourceKind, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let window = long_enough(traffic)?;
    let all: f64 = traffic.routes.iter().map(crate::domain::traffic::Route::all_in_window).sum();
    let part = traffic.error_share().filter(|_| all >= ENOUGH)?;
    let level = failing(part, limits)?;
    let worst = traffic.routes.iter().max_by(|a, b| a.in_window(5).total_cmp(&b.in_window(5)));
    let worst = worst
        .map(|r| format!("most at {} {}: {:.0} of {:.0}", r.method, r.url_name, r.in_window(5), r.all_in_window()));
    let title = format!("{} of requests end in a server error", text::percent(part));
    let evidence = format!("{} (last {window:.0} s)", worst.unwrap_or_default());
    Some(Claim::new("requests-fail", level, title, evidence, source, at))
}

/// How bad a share of requests that end in a server error is.
pub(super) fn failing(part: f64, limits: &Thresholds) -> Option<Level> {
    match part {
        part if part >= limits.request_errors_critical => Some(Level::Critical),
        part => (part >= limits.request_errors_warning).then_some(Level::Warning),
    }
}

/// One request in twenty takes longer than a visitor waits.
pub(super) fn slow(traffic: &Traffic, source: SourceKind, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let window = long_enough(traffic)?;
    let above = |route: &Route| {
        let slow = route.latency.buckets.iter().filter(|b| b.le_s.is_none_or(|le| le > limits.requests_slow_s));
        slow.map(|b| b.count).sum::<f64>()
    };
    let all: f64 = traffic.routes.iter().flat_map(|r| &r.latency.buckets).map(|b| b.count).sum();
    let slow: f64 = traffic.routes.iter().map(above).sum();
    let part = share(slow, all).filter(|part| all >= ENOUGH && *part >= SLOW_SHARE)?;
    let worst = traffic.routes.iter().max_by(|a, b| above(a).total_cmp(&above(b)))?;
    let title = format!("{} of requests take longer than {:.0} s", text::percent(part), limits.requests_slow_s);
    let evidence = format!(
        "most at {} {}: {:.0} of {:.0} (last {window:.0} s); gunicorn ends what takes 30 s",
        worst.method,
        worst.url_name,
        above(worst),
        worst.all_in_window()
    );
    Some(Claim::new("requests-slow", Level::Warning, title, evidence, source, at))
}

fn tasks(traffic: &Traffic, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let Some(window) = long_enough(traffic) else { return };
    let all: f64 = traffic.tasks.iter().map(crate::domain::traffic::Task::all_in_window).sum();
    let Some(part) = traffic.task_error_share().filter(|s| all >= ENOUGH && *s >= limits.task_errors_warning) else {
        return;
    };
    let worst = traffic.tasks.iter().max_by(|a, b| a.error.in_window.total_cmp(&b.error.in_window));
    let worst = worst.map(|t| format!("most in {}: {:.0} of {:.0}", t.name, t.error.in_window, t.all_in_window()));
    let title = format!("{} of background tasks fail unexpectedly", text::percent(part));
    out.push(claim(
        "tasks-fail",
        Level::Warning,
        title,
        format!("{} (last {window:.0} s)", worst.unwrap_or_default()),
        at,
    ));
}

fn page(traffic: &Traffic, at: Timestamp, out: &mut Vec<Claim>) {
    if let Some(cut) = &traffic.page.cut {
        out.push(claim(
            "metrics-cut",
            Level::Note,
            "The metrics page was not read to its end".to_owned(),
            cut.clone(),
            at,
        ));
    }
    if traffic.page.bad_lines > 0 {
        let title = format!("The metrics page has {}", text::count(traffic.page.bad_lines, "broken line"));
        out.push(claim(
            "metrics-broken-lines",
            Level::Note,
            title,
            traffic.page.first_bad.clone().unwrap_or_default(),
            at,
        ));
    }
}
