//! For people: the verdict, the findings, then each source with its age.

use super::{Number, Row, View, WHOLE};
use crate::app::model::Site;
use crate::app::sight::{self, Sight};
use crate::domain::id::SourceKind;
use crate::domain::reading::Reading;
use crate::domain::record::SourceState;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::{Route, Task};
use crate::triage::{Finding, SinceSource};

/// Lines of a finding's details that are printed; the screens and the JSON have all.
const DETAILS: usize = 8;

/// The report in lines of plain text.
pub fn render(view: &View<'_>) -> String {
    let model = view.model;
    let mut lines = vec![format!("{}: {}", view.level.word().to_uppercase(), view.summary)];
    for finding in &view.findings {
        push(&mut lines, finding, model.now, 1, model.sites.len() > 1);
    }
    if view.name != WHOLE {
        lines.extend(view.rows.iter().map(|row| part(row, model.now)));
        lines.push(String::new());
        return lines.join("\n");
    }
    if let Some((severity, suspected)) = model.timeline.severity() {
        let id = model.timeline.incident.as_ref().map(|i| i.id.as_str()).unwrap_or_default();
        lines.push(format!("incident {id}: {}SEV-{severity}", if suspected { "suspected " } else { "" }));
    }
    for site in &model.sites {
        lines.push(format!("{} · {} · {}", site.id, site.app, site.url));
        lines.extend(site_lines(site, model.now));
    }
    for host in &model.hosts {
        lines.push(format!("{} (host)", host.id));
        lines.push(line("host", &host.reading, model.now, |h| {
            let cpu = h.cpu.map_or_else(|| "cpu not known yet".to_owned(), |c| format!("cpu {}", text::percent(c)));
            let fullest = h.disks.iter().filter_map(|d| Some((d, d.space.as_ref().ok()?)));
            let fullest = fullest.max_by(|a, b| a.1.used_share().total_cmp(&b.1.used_share()));
            let disk = fullest.map(|(d, s)| format!(" · {} {} full", d.mount, text::percent(s.used_share())));
            let memory =
                format!("{} of {} memory available", text::bytes(h.memory_available), text::bytes(h.memory_total));
            format!("{cpu} · {memory}{}", disk.unwrap_or_default())
        }));
        for sight in sight::of_host(host) {
            let lines_of_it = says(&sight, model.now);
            // The host's own line is above.
            lines.extend(lines_of_it.into_iter().skip(usize::from(sight.kind == SourceKind::Host)));
        }
    }
    if let Some(why) = &model.no_site {
        lines.push(format!("No application found: {why}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn push(lines: &mut Vec<String>, f: &Finding, now: Timestamp, depth: usize, several: bool) {
    let age = now.millis_since(f.since.at);
    let held = match (f.since.seen, age) {
        // Whoever looks for the first time can't know since when.
        (false, ..1_000) => "seen just now".to_owned(),
        (false, _) => format!("for ≥ {}", text::span(age)),
        (true, _) => format!("for {}", text::span(age)),
    };
    let from = match f.since.from {
        SinceSource::Watched => String::new(),
        SinceSource::Source(_) | SinceSource::History => format!(", {}", f.since.word()),
    };
    let indent = "  ".repeat(depth);
    let of = if several && depth == 1 { [&f.site, ": "].concat() } else { String::new() };
    lines.push(format!("{indent}{}: {of}{} ({held}{from}) [{}]", f.level.word(), f.title, f.rule));
    if !f.evidence.is_empty() {
        lines.push(format!("{indent}  {}", f.evidence));
    }
    lines.extend(f.details.iter().take(DETAILS).map(|detail| format!("{indent}    {detail}")));
    if let Some(more) = f.details.len().checked_sub(DETAILS).filter(|more| *more > 0) {
        lines.push(format!("{indent}    and {more} more"));
    }
    for symptom in &f.symptoms {
        push(lines, symptom, now, depth + 1, several);
    }
}

/// One reading of a part.
fn part(row: &Row, now: Timestamp) -> String {
    let value = match &row.value {
        Number::Value(value) => format!("{value} {}", row.unit).trim_end().to_owned(),
        Number::Word(word) => word.clone(),
        Number::None => row.error.clone().unwrap_or_else(|| "not known".to_owned()),
    };
    let age = row.observed_at.map(|at| format!(" · {} ago", text::span(now.millis_since(at)))).unwrap_or_default();
    format!("  {} {} {}: {value}{age}", row.of, row.source.name(), row.name)
}

fn site_lines(site: &Site, now: Timestamp) -> Vec<String> {
    let asking = |kind| {
        let since = site.asking_since(kind).filter(|since| now.secs_since(*since) >= 2)?;
        Some(format!("  {:<9} no answer for {}", kind.name(), text::span(now.millis_since(since))))
    };
    let health = line("health", &site.health, now, |c| {
        format!("{} · {} · {}", c.state.word(), text::latency(c.latency_ms), c.detail)
    });
    let mut lines = vec![asking(SourceKind::Health).unwrap_or(health)];
    let has = |kind| site.sources.contains(&kind);
    if has(SourceKind::Direct) {
        lines.push(line("direct", &site.direct, now, |c| format!("{} · {}", c.state.word(), c.detail)));
    }
    if has(SourceKind::Traffic) {
        lines.push(traffic(site, now));
    }
    if has(SourceKind::Database) {
        lines.push(database(site, now));
    }
    if has(SourceKind::Redis) {
        lines.push(redis(site, now));
    }
    let more = [SourceKind::Access, SourceKind::Services, SourceKind::Logs, SourceKind::Backups, SourceKind::App];
    for sight in sight::of_site(site).iter().filter(|sight| more.contains(&sight.kind)) {
        lines.extend(says(sight, now));
    }
    let blind =
        sight::of_site(site).into_iter().filter(|sight| !more.contains(&sight.kind)).flat_map(|sight| sight.blind);
    lines.extend(blind.map(|why| format!("            not seen: {why}")));
    lines
}

/// A source that says more on its own screen: what it sees in short, and what it can't see.
fn says(sight: &Sight, now: Timestamp) -> Vec<String> {
    let age = sight.at.map(|at| format!(" · {} ago", text::span(now.millis_since(at)))).unwrap_or_default();
    let said = match sight.state {
        None => "no answer yet".to_owned(),
        Some(SourceState::Seen) => format!("{}{age}", sight.says),
        Some(SourceState::Failed) => format!("failed: {}", sight.says),
        Some(SourceState::Unseen) => format!("not seen: {}", sight.says),
    };
    let mut lines = vec![format!("  {:<9} {said}", sight.kind.name())];
    lines.extend(sight.blind.iter().map(|why| format!("            not seen: {why}")));
    lines
}

fn traffic(site: &Site, now: Timestamp) -> String {
    line("metrics", &site.traffic, now, |t| {
        let errors = t.error_share().map(|s| format!(", {} errors", text::percent(s))).unwrap_or_default();
        match (t.request_rate(), t.task_rate()) {
            (None, None) => {
                let requests: f64 = t.routes.iter().map(Route::total).fold(0.0, |a, b| a + b);
                let tasks: f64 = t.tasks.iter().map(Task::total).fold(0.0, |a, b| a + b);
                format!("{requests:.0} requests, {tasks:.0} tasks since the counters began{errors}; no rates yet")
            }
            (requests, tasks) => {
                let (requests, tasks) = (requests.unwrap_or(0.0), tasks.unwrap_or(0.0));
                format!("{requests:.2} requests/s{errors} · {tasks:.2} tasks/s")
            }
        }
    })
}

fn database(site: &Site, now: Timestamp) -> String {
    line("database", &site.database, now, |d| {
        let sessions = d.sessions.map(|n| format!(" · {}", text::count(n.into(), "session"))).unwrap_or_default();
        let waiting = d.waiting.filter(|n| *n > 0).map(|n| format!(", {n} waiting for a lock")).unwrap_or_default();
        format!("{} {} · {}{sessions}{waiting}", d.engine.name(), d.version, text::latency(d.latency_ms))
    })
}

fn redis(site: &Site, now: Timestamp) -> String {
    line("redis", &site.redis, now, |r| {
        let broker = r.broker.as_ref().map(|b| {
            let workers = b.consumers.map(|n| text::count(n.into(), "worker"));
            let workers = workers.unwrap_or_else(|| "workers unknown".to_owned());
            format!(" · {workers} · {} tasks waiting", b.waiting())
        });
        format!("Redis {} · {}{}", r.server.version, text::latency(r.latency_ms), broker.unwrap_or_default())
    })
}

/// One source: its value with its age, or why there is none.
fn line<T>(name: &str, reading: &Reading<T>, now: Timestamp, show: impl Fn(&T) -> String) -> String {
    let age = |at: Timestamp| text::span(now.millis_since(at));
    let said = match reading {
        Reading::Never => "no answer yet".to_owned(),
        Reading::Fresh { value, at, .. } => format!("{} · {} ago", show(value), age(*at)),
        Reading::Stale { value, at, why, .. } => format!("STALE, {} ago: {} — {why}", age(*at), show(value)),
        Reading::Failed { failed_since, why } => format!("failed for {}: {why}", age(*failed_since)),
        Reading::Unseen { why } => format!("not seen: {why}"),
    };
    format!("  {name:<9} {said}")
}
