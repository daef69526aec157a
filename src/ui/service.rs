//! One service, opened: everything its manager says of it, what is wrong with it, and its last log lines.

use ratatui::layout::Rect;

use super::canvas::{Canvas, columns, piece, split_left, split_top};
use super::clock::Clock;
use super::findings;
use super::format;
use super::services::{memory, state};
use super::source::Source;
use super::theme::Role;
use crate::app::model::{Model, Site};
use crate::domain::id::SourceKind;
use crate::domain::log::{LogReading, Severity};
use crate::domain::service::{FailedUnit, Service};
use crate::triage::Finding;

/// Columns of the names.
const NAMES: u16 = 15;

/// Draws a service.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, site: &Site, service: &Service, clock: &Clock) {
    let source = Source::at(site, SourceKind::Services);
    let title = [
        piece(Role::Title, service.name.as_str()),
        piece(Role::Muted, format!("  {}  ", service.role.word())),
        state(service),
    ];
    let mut rest = source.heading(canvas, area, &title, clock);
    let subject = [service.role.word(), " ", &service.name].concat();
    for finding in about(&model.findings, &site.id.0, &subject).into_iter().take(3) {
        let left = [findings::level(finding), piece(Role::Text, [" ", &finding.title].concat())];
        canvas.row(split_top(rest, 1).0, &left, &[]);
        rest = split_top(rest, 1).1;
    }
    let lines = log_lines(site, service);
    let kept = if lines.is_empty() { 0 } else { columns(lines.len() + 1).min(rest.height / 3) };
    let (upper, lower) = split_top(rest, rest.height - kept);
    let mut upper = upper;
    for (name, value) in properties(service, clock) {
        if value.is_empty() {
            continue;
        }
        let (label, text) = split_left(upper, NAMES, 1);
        canvas.put(label, &name, Role::Muted);
        let used = canvas.paragraph(text, &value, Role::Text);
        upper = split_top(upper, used.max(1)).1;
        if upper.height == 0 {
            break;
        }
    }
    logs(canvas, lower, &lines, clock);
}

fn properties(service: &Service, clock: &Clock) -> Vec<(String, String)> {
    let when = |at| format!("{} ({})", clock.when(at), format::ago(at, clock.now));
    let main = |pid: u32| match service.children {
        Some(1) => format!("{pid}, 1 process below it"),
        Some(children) => format!("{pid}, {children} processes below it"),
        None => pid.to_string(),
    };
    let crashes = service.crashes(clock.now);
    let seen = if crashes > 0 { format!(", {crashes} in the last 5 minutes") } else { String::new() };
    let stuck = service.stuck.map(|stuck| {
        let how = match stuck.how {
            crate::domain::service::StuckHow::Stopped => "stopped by a signal",
            crate::domain::service::StuckHow::DiskSleep => "waiting in the kernel",
            crate::domain::service::StuckHow::Zombie => "dead, not collected",
            crate::domain::service::StuckHow::Paused => "paused",
        };
        format!("{} of {} {how} since {}", stuck.processes, stuck.of, clock.when(stuck.since))
    });
    let told = [
        ("kept by", Some(format!("{} as {}", service.manager.word(), service.place))),
        ("says", Some(service.said.clone())),
        ("since", service.since.map(when)),
        ("ended last", service.exit.clone()),
        ("stuck", stuck),
        ("restarts", service.restarts.map(|n| format!("{n}{seen}"))),
        ("started", service.started.map(when)),
        ("main process", service.pid.map(main)),
        ("memory", service.memory.map(|_| memory(service))),
        ("killed (OOM)", service.oom.map(when)),
        ("command", Some(service.command.clone())),
        ("found by", Some(service.found.clone())),
    ];
    let told = told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    told.chain(service.facts.iter().cloned()).collect()
}

/// Findings about this subject, as causes or below one.
fn about<'m>(findings: &'m [Finding], site: &str, subject: &str) -> Vec<&'m Finding> {
    findings
        .iter()
        .flat_map(|f| {
            let own = (f.site == site && f.subject == subject).then_some(f);
            own.into_iter().chain(about(&f.symptoms, site, subject))
        })
        .collect()
}

/// The last lines of the logs that are this service's, the oldest first.
fn log_lines<'a>(site: &'a Site, service: &Service) -> Vec<(Severity, crate::domain::time::Timestamp, &'a str)> {
    let Some(logs) = site.logs.value() else { return Vec::new() };
    let mine = sources(logs, service);
    let of_mine = logs.window.lines().iter().rev().filter(|line| mine.contains(&usize::from(line.source)));
    let mut lines: Vec<_> = of_mine.take(12).map(|line| (line.level, line.at, &*line.text)).collect();
    lines.reverse();
    lines
}

fn sources(logs: &LogReading, service: &Service) -> Vec<usize> {
    let stem = service.place.rsplit_once('.').map_or(service.place.as_str(), |(stem, _)| stem);
    let is = |text: &str| text == service.place || text == service.name || text == stem;
    let all = logs.sources.iter().enumerate();
    all.filter(|(_, source)| is(&source.name) || is(&source.place)).map(|(at, _)| at).collect()
}

fn logs(
    canvas: &mut Canvas<'_>,
    area: Rect,
    lines: &[(Severity, crate::domain::time::Timestamp, &str)],
    clock: &Clock,
) {
    if area.height < 2 {
        return;
    }
    canvas.heading(area, &[piece(Role::Title, "its last log lines")], &[]);
    let mut rest = split_top(area, 1).1;
    let surplus = lines.len().saturating_sub(usize::from(rest.height));
    for (severity, at, text) in lines.iter().skip(surplus) {
        let role = match severity {
            Severity::Critical | Severity::Error => Role::Critical,
            Severity::Warning => Role::Warning,
            Severity::Notice | Severity::Info | Severity::Debug => Role::Text,
        };
        let first = text.lines().next().unwrap_or_default();
        canvas.pieces(split_top(rest, 1).0, &[piece(Role::Muted, clock.when(*at) + "  "), piece(role, first)]);
        rest = split_top(rest, 1).1;
    }
}

/// Draws a failed unit of the machine.
pub(super) fn failed(canvas: &mut Canvas<'_>, area: Rect, model: &Model, unit: &FailedUnit, clock: &Clock) {
    let age = model.host().map(|host| Source::of(SourceKind::Services, &host.units, None).age(clock));
    let title = [piece(Role::Title, unit.unit.as_str()), piece(Role::Warning, "  ▲ failed")];
    canvas.heading(area, &title, &age.into_iter().collect::<Vec<_>>());
    let mut rest = split_top(area, 1).1;
    let since = unit.since.map(|at| format!("{} ({})", clock.when(at), format::ago(at, clock.now)));
    let manager = if unit.user { "systemd, this user's" } else { "systemd" };
    for (name, value) in [
        ("kept by", manager.to_owned()),
        ("what it is", unit.description.clone()),
        ("ended", unit.exit.clone()),
        ("since", since.unwrap_or_else(|| format::NONE.to_owned())),
    ] {
        let (label, text) = split_left(rest, NAMES, 1);
        canvas.put(label, name, Role::Muted);
        let used = canvas.paragraph(text, &value, Role::Text);
        rest = split_top(rest, used.max(1)).1;
    }
}
