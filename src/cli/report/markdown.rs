//! The report in Markdown, under the headings of a post-mortem. What people must find out themselves stays blank.

use jiff::tz::TimeZone;

use super::Setting;
use crate::domain::level::Level;
use crate::domain::record::incident::Incident;
use crate::domain::record::report::{Counted, Line, Report, Stood, Todo};
use crate::domain::text::span;
use crate::domain::time::Timestamp;

/// For people to fill in.
const BLANK: &str = "_(for people to fill in)_";

/// The report.
pub fn render(report: &Report, setting: &Setting) -> String {
    let mut out = vec![format!("# {}", title(report, setting)), String::new()];
    let mut section = |heading: &str, lines: Vec<String>| {
        out.extend([format!("## {heading}"), String::new()]);
        out.extend(lines);
        out.push(String::new());
    };
    section("Overview", overview(report, setting));
    section("What happened", happened(report, setting));
    section("Contributing factors", vec![BLANK.to_owned()]);
    section("Resolution", resolution(report, setting));
    section("Impact", impact(report));
    section("Responders", responders(report));
    section("Timeline", timeline(report, setting));
    section("What went well", vec![BLANK.to_owned()]);
    section("What went badly", vec![BLANK.to_owned()]);
    section("Action items", todos(&report.todos, setting));
    section("About this report", about(report, setting));
    out.join("\n")
}

fn title(report: &Report, setting: &Setting) -> String {
    match &report.incident {
        Some(incident) => format!("Incident {}", headline(incident, setting)),
        None => {
            format!("Record of {} from {} to {}", setting.host, both(report.from, setting), both(report.to, setting))
        }
    }
}

/// `20261121-0257: SEV-2 on shop, web1, 12m00s`.
pub(super) fn headline(incident: &Incident, setting: &Setting) -> String {
    let severity = match (incident.severity, incident.confirmed) {
        (Some(n), true) => format!("SEV-{n}"),
        (Some(n), false) => format!("suspected SEV-{n}"),
        (None, _) => "no severity".to_owned(),
    };
    let names: Vec<&str> =
        incident.scopes.iter().map(|scope| crate::domain::record::report::name(Some(scope))).collect();
    let on = if names.is_empty() { String::new() } else { format!(" on {}", clean(&names.join(", "))) };
    let lasted = span(incident.until(setting.now).millis_since(incident.from));
    let going = if incident.to.is_none() { ", goes on" } else { "" };
    format!("{}: {severity}{on}, {lasted}{going}", incident.id)
}

fn overview(report: &Report, setting: &Setting) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(incident) = &report.incident {
        out.push(format!("- Began: {}", both(incident.from, setting)));
        out.push(match incident.to {
            Some(to) => format!("- Ended: {}, after {}", both(to, setting), span(to.millis_since(incident.from))),
            None => format!("- Goes on, for {} now", span(setting.now.millis_since(incident.from))),
        });
        out.push(match (incident.severity, incident.confirmed) {
            (Some(n), true) => format!("- Severity: SEV-{n}, set by a person"),
            (Some(n), false) => format!("- Severity: SEV-{n}, suspected by midwatch; nobody has confirmed it"),
            (None, _) => "- Severity: none was set".to_owned(),
        });
    }
    let of = if report.of.is_empty() { "none".to_owned() } else { clean(&report.of.join(", ")) };
    out.push(format!("- Sites and hosts: {of}"));
    out.extend([String::new(), "In two sentences, for someone who was not there:".to_owned(), String::new()]);
    out.push(BLANK.to_owned());
    out
}

fn happened(report: &Report, setting: &Setting) -> Vec<String> {
    let roots: Vec<&Stood> = report.findings.iter().filter(|f| is_root(f, &report.findings)).collect();
    if roots.is_empty() {
        return vec!["midwatch saw nothing wrong.".to_owned(), String::new(), BLANK.to_owned()];
    }
    let mut out = vec!["What midwatch saw, causes with what followed from them:".to_owned(), String::new()];
    for root in roots {
        out.push(format!("- {}", finding(root, setting)));
        let under = report.findings.iter().filter(|f| f.under.as_deref() == Some(root.id.as_str()));
        out.extend(under.map(|f| format!("  - {}", finding(f, setting))));
    }
    out.extend([String::new(), BLANK.to_owned()]);
    out
}

/// Whether nothing in the report is the cause of a finding.
fn is_root(finding: &Stood, all: &[Stood]) -> bool {
    finding.under.as_ref().is_none_or(|id| !all.iter().any(|other| other.id == *id && other.under.is_none()))
}

fn finding(f: &Stood, setting: &Setting) -> String {
    let from = if f.from_seen { "from" } else { "from before" };
    let until = match f.to {
        Some(to) => format!("to {} ({})", time(to, &TimeZone::UTC), span(to.millis_since(f.from))),
        None => format!("and still ({} now)", span(setting.now.millis_since(f.from))),
    };
    let evidence = if f.evidence.is_empty() { String::new() } else { format!(": {}", clean(&f.evidence)) };
    let at = time(f.from, &TimeZone::UTC);
    let by = if f.from_by.is_empty() { String::new() } else { format!(" ({})", clean(&f.from_by)) };
    format!("**{}** {}{evidence}; {from} {at}{by} {until}", f.level.word(), clean(&f.title))
}

fn resolution(report: &Report, setting: &Setting) -> Vec<String> {
    let mut out = Vec::new();
    let gone = report.findings.iter().filter(|f| f.level == Level::Critical && is_root(f, &report.findings));
    for f in gone {
        out.push(match f.to {
            Some(to) => format!("- Gone at {}: {} (observed by midwatch)", both(to, setting), clean(&f.title)),
            None => format!("- Still stands: {} (observed by midwatch)", clean(&f.title)),
        });
    }
    let ended = report
        .timeline
        .iter()
        .filter(|l| l.kind == "severity" && l.said_by.is_some() && l.text.starts_with("resolved"));
    out.extend(ended.map(|l| format!("- {}: {} ({})", both(l.at, setting), clean(&l.text), by(l))));
    out.extend([String::new(), BLANK.to_owned()]);
    out
}

fn impact(report: &Report) -> Vec<String> {
    let impact = &report.impact;
    let mut out =
        vec![format!("- Something critical stood for {} of {}", span(impact.critical_ms), span(impact.lasted_ms))];
    for (severity, ms) in &impact.at_severity {
        let name = if *severity == 0 { "no severity set".to_owned() } else { format!("SEV-{severity}") };
        #[expect(clippy::cast_precision_loss, reason = "minutes with one digit")]
        let minutes = *ms as f64 / 60_000.0;
        out.push(format!("- {name}: {minutes:.1} min"));
    }
    if impact.unwatched_ms > 0 {
        out.push(format!("- Nobody watched for {} of it", span(impact.unwatched_ms)));
    }
    let counts: Vec<String> = impact.counted.iter().flat_map(|(site, counted)| counts(site, counted)).collect();
    if impact.counted.values().all(|c| *c == Counted::default()) {
        out.push("- Requests, errors and tasks were not counted: there are no metrics of that time".to_owned());
    } else if counts.is_empty() {
        out.push("- No request and no background task was counted meanwhile".to_owned());
    }
    out.extend(counts);
    out.extend([String::new(), "Orders, people and money:".to_owned(), String::new(), BLANK.to_owned()]);
    out
}

fn counts(site: &str, counted: &Counted) -> Vec<String> {
    let site = clean(site);
    let mut out = Vec::new();
    // Of nothing there is no share: who counted none may have seen none.
    let some = |all: Option<f64>| all.filter(|all| *all > 0.0);
    if let (Some(all), Some(errors)) = (some(counted.requests), counted.request_errors) {
        out.push(format!("- {site}: at least {errors:.0} of {all:.0} requests answered 5xx"));
    }
    if let (Some(all), Some(errors)) = (some(counted.tasks), counted.task_errors) {
        out.push(format!("- {site}: at least {errors:.0} of {all:.0} background tasks failed"));
    }
    if let (Some(pause), Some(lost)) = (counted.pulse_pause_ms, counted.pulse_lost) {
        out.push(format!("- {site}: nothing came in for {}, in which {lost:.0} usually do", span(pause)));
    }
    out
}

fn responders(report: &Report) -> Vec<String> {
    if report.responders.is_empty() {
        return vec!["Nobody has written into the record.".to_owned()];
    }
    report.responders.iter().map(|who| format!("- {}", clean(&who.whole()))).collect()
}

fn timeline(report: &Report, setting: &Setting) -> Vec<String> {
    if report.timeline.is_empty() {
        return vec!["Nothing is on record for that time.".to_owned()];
    }
    let zone = time_zone(report.from, setting);
    let mut out = vec![format!("Times are UTC, then local ({zone}). Observed and said are told apart."), String::new()];
    let mut day = String::new();
    for line in &report.timeline {
        let date = super::written(line.at, &TimeZone::UTC, "%Y-%m-%d").unwrap_or_default();
        if date != day {
            out.extend([format!("**{date}**"), String::new()]);
            day = date;
        }
        let of = if line.of.is_empty() { String::new() } else { format!("{}: ", clean(&line.of)) };
        let (utc, local) = (time(line.at, &TimeZone::UTC), time(line.at, &setting.zone));
        out.push(format!("- {utc} ({local}) **{}** {of}{} — {}", line.level.word(), clean(&line.text), by(line)));
        out.extend(line.details.iter().map(|detail| format!("  - `{}`", detail.replace('`', "'"))));
    }
    out
}

/// A list of what is to be done.
pub(super) fn todos(todos: &[Todo], setting: &Setting) -> Vec<String> {
    if todos.is_empty() {
        return vec![BLANK.to_owned()];
    }
    let line = |todo: &Todo| {
        let mark = if todo.done.is_some() { "x" } else { " " };
        let done =
            todo.done.as_ref().map(|(who, at)| format!(", done by {} at {}", clean(who), time(*at, &TimeZone::UTC)));
        let (by, at) = (clean(&todo.by), both(todo.at, setting));
        format!("- [{mark}] {} (said by {by}, {at}, #{}{})", clean(&todo.text), todo.id, done.unwrap_or_default())
    };
    todos.iter().map(line).collect()
}

fn about(report: &Report, setting: &Setting) -> Vec<String> {
    vec![
        format!(
            "- Written {} on {} by midwatch {}",
            both(setting.now, setting),
            clean(&setting.host),
            env!("CARGO_PKG_VERSION")
        ),
        format!(
            "- From the record {}, {} to {}",
            setting.path.display(),
            both(report.from, setting),
            both(report.to, setting)
        ),
        "- Secrets are redacted; names are those of the logins".to_owned(),
    ]
}

/// Who says a line.
pub(super) fn by(line: &Line) -> String {
    match &line.said_by {
        None => "observed by midwatch".to_owned(),
        Some(who) => format!("said by {}", clean(&who.user)),
    }
}

fn time(at: Timestamp, zone: &TimeZone) -> String {
    super::written(at, zone, "%H:%M:%S").unwrap_or_default()
}

/// `2026-11-21 02:57:00 UTC (03:57 local)`.
pub(super) fn both(at: Timestamp, setting: &Setting) -> String {
    let utc = super::written(at, &TimeZone::UTC, "%Y-%m-%d %H:%M:%S").unwrap_or_default();
    let local = super::written(at, &setting.zone, "%H:%M").unwrap_or_default();
    format!("{utc} UTC ({local} local)")
}

fn time_zone(at: Timestamp, setting: &Setting) -> String {
    super::written(at, &setting.zone, "%Z, UTC%:z").unwrap_or_default()
}

/// Text that can't become markup.
pub(super) fn clean(text: &str) -> String {
    text.replace('<', "&lt;").replace("](", "]\u{200b}(")
}
