//! Every source with what it says in short and how old that is: was everything really seen?

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, piece, split_left, split_top};
use super::clock::Clock;
use super::format;
use super::source::{Source, State};
use super::strips::health_word;
use super::theme::Role;
use crate::app::model::Model;
use crate::domain::health::HealthCheck;
use crate::domain::id::SourceKind;

/// The sources of the shown site and host.
pub(super) fn of(model: &Model) -> Vec<Source<'_>> {
    let mut sources: Vec<Source<'_>> = model.site().map(|site| Source::all(site).collect()).unwrap_or_default();
    sources.extend(model.host().into_iter().flat_map(Source::hosts));
    sources
}

/// One row per source; the rows used.
pub(super) fn panel(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) -> u16 {
    canvas.heading(area, &[piece(Role::Title, "sources")], &[]);
    let (_, mut rest) = split_top(area, 1);
    for source in of(model) {
        let (row, below) = split_top(rest, 1);
        rest = below;
        let (name, text) = split_left(row, 9, 1);
        canvas.put(name, source.kind.name(), Role::Text);
        canvas.row(text, &summary(model, &source, clock), &[source.age(clock)]);
    }
    area.height - rest.height
}

/// All sources in one line.
pub(super) fn line(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let mut pieces = Vec::new();
    for (at, source) in of(model).iter().enumerate() {
        let gap = if at > 0 { "  " } else { "" };
        let age = source.age(clock);
        let short = match source.state {
            _ if source.unanswered(clock.now).is_some() => piece(Role::Stale, "silent"),
            State::Fresh(_) => Piece { text: age.text.replace(" ago", ""), role: age.role },
            State::Stale(..) => piece(Role::Stale, "stale"),
            State::Failed(..) => piece(Role::Stale, "fails"),
            State::Waiting => piece(Role::Unknown, "?"),
            State::Unseen(_) => piece(Role::Unknown, "unseen"),
        };
        pieces.extend([piece(Role::Text, [gap, source.kind.name(), " "].concat()), short]);
    }
    canvas.pieces(area, &pieces);
}

fn summary(model: &Model, source: &Source<'_>, clock: &Clock) -> Vec<Piece> {
    match source.state {
        State::Waiting => return Vec::new(),
        State::Failed(_, why) | State::Unseen(why) => {
            return vec![piece(Role::Unknown, ["? ", why].concat())];
        }
        State::Stale(_, _, why) => return vec![piece(Role::Stale, ["▲ ", why].concat())],
        State::Fresh(_) => {}
    }
    match source.kind {
        SourceKind::Health => model.site().map(|s| check(source, s.health.value(), clock)),
        SourceKind::Direct => model.site().map(|s| check(source, s.direct.value(), clock)),
        SourceKind::Traffic => traffic(model),
        SourceKind::Database => database(model),
        SourceKind::Redis => redis(model),
        SourceKind::Host => host(model),
        SourceKind::Logs => logs(model),
        SourceKind::Services
        | SourceKind::Access
        | SourceKind::Backups
        | SourceKind::App
        | SourceKind::Changes
        | SourceKind::Schedule
        | SourceKind::Updates
        | SourceKind::People => None,
    }
    .unwrap_or_default()
}

fn check(source: &Source<'_>, check: Option<&HealthCheck>, clock: &Clock) -> Vec<Piece> {
    let Some(check) = check else { return Vec::new() };
    vec![
        source.value(Some(health_word(check)), clock.now),
        piece(Role::Muted, [" · ", &format::latency(check.latency_ms / 1000.0)].concat()),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn traffic(model: &Model) -> Option<Vec<Piece>> {
    let page = &model.site()?.traffic.value()?.page;
    let mut pieces = vec![piece(Role::Text, format::count(page.samples as f64) + " samples")];
    if page.bad_lines > 0 {
        pieces.push(piece(Role::Warning, format!(", {} bad lines", page.bad_lines)));
    }
    pieces.extend(page.cut.as_ref().map(|why| piece(Role::Warning, [", cut: ", why].concat())));
    Some(pieces)
}

fn logs(model: &Model) -> Option<Vec<Piece>> {
    let logs = model.site()?.logs.value()?;
    let open = logs.sources.iter().filter(|s| s.why.is_none()).count();
    let errors = logs.window.lines().iter().filter(|line| line.level.is_error()).count();
    let role = if open < logs.sources.len() { Role::Unknown } else { Role::Text };
    let mut pieces = vec![piece(role, format!("{open} of {} read", logs.sources.len()))];
    if errors > 0 {
        pieces.push(piece(Role::Muted, [" · ", &format::plural(errors, "error")].concat()));
    }
    Some(pieces)
}

fn database(model: &Model) -> Option<Vec<Piece>> {
    let db = model.site()?.database.value()?;
    let latency = format::latency(db.latency_ms / 1000.0);
    let mut pieces = vec![piece(Role::Text, [db.engine.name(), " ", &db.version, " · ", &latency].concat())];
    if db.read_only {
        pieces.push(piece(Role::Warning, " · refuses writes"));
    }
    Some(pieces)
}

fn redis(model: &Model) -> Option<Vec<Piece>> {
    let redis = model.site()?.redis.value()?;
    let memory = redis.server.used_memory.map(|used| [" · ", &format::bytes(used)].concat()).unwrap_or_default();
    let latency = format::latency(redis.latency_ms / 1000.0);
    let mut pieces = vec![piece(Role::Text, [redis.server.version.as_str(), " · ", &latency, &memory].concat())];
    pieces.extend(redis.refuses_writes.as_ref().map(|why| piece(Role::Critical, [" · no writes: ", why].concat())));
    Some(pieces)
}

fn host(model: &Model) -> Option<Vec<Piece>> {
    let reading = model.host()?.reading.value()?;
    let cores = format::plural(reading.cores.len(), "core");
    Some(vec![piece(Role::Text, [&cores, " · up ", &format::span(reading.uptime_s)].concat())])
}
