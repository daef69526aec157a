//! All logs merged, equal messages together, and one line with what stands around it.

#![expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is told alike")]

mod groups;
mod lines;
mod opened;

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, piece, split_top};
use super::clock::Clock;
use super::detail::empty;
use super::format;
use super::source::Source;
use super::theme::Role;
use crate::app::model::{Model, Site};
use crate::app::view;
use crate::domain::id::SourceKind;
use crate::domain::log::{LogReading, Severity};

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let Some(site) = model.site() else {
        empty(
            canvas,
            area,
            "No application is watched, so there are no logs to show. Now (1) says why none was found.",
        );
        return;
    };
    let source = Source::at(site, SourceKind::Logs);
    let Some(logs) = site.logs.value() else {
        source.heading(canvas, area, &[piece(Role::Title, "logs")], clock);
        return;
    };
    if let Some((line, around)) = view::logs::opened(model) {
        let (name, at) = (logs.source(line), clock.when(line.at));
        let title = [piece(Role::Title, name), piece(Role::Muted, ["  ", &at].concat())];
        let rest = source.heading(canvas, area, &title, clock);
        opened::draw(canvas, rest, (model, logs), line, &around, clock);
        return;
    }
    let title = if model.log_view.grouped { "logs, equal messages together " } else { "logs " };
    let mut title = vec![piece(Role::Title, title)];
    title.extend(counts(logs));
    let rest = source.heading(canvas, area, &title, clock);
    let rest = unread(canvas, rest, site, logs);
    if model.log_view.grouped {
        groups::draw(canvas, rest, model, logs, clock);
    } else {
        lines::draw(canvas, rest, model, logs, clock);
    }
}

/// How many errors and warnings there are in the window.
fn counts(logs: &LogReading) -> Vec<Piece> {
    let count = |hit: fn(Severity) -> bool| logs.window.lines().iter().filter(|line| hit(line.level)).count();
    let errors = count(Severity::is_error);
    let warnings = count(|level| level == Severity::Warning);
    let role = |n: usize, role| if n > 0 { role } else { Role::Muted };
    vec![
        piece(role(errors, Role::Critical), format::plural(errors, "error")),
        piece(Role::Muted, " · "),
        piece(role(warnings, Role::Warning), format::plural(warnings, "warning")),
        piece(Role::Muted, [" of ", &format::plural(logs.window.lines().len(), "line")].concat()),
    ]
}

/// Says which logs can't be read and what would open them: one row, more where there is room.
fn unread(canvas: &mut Canvas<'_>, area: Rect, site: &Site, logs: &LogReading) -> Rect {
    let closed: Vec<String> =
        logs.sources.iter().filter_map(|s| s.why.as_ref().map(|why| format!("{} {why}", s.place))).collect();
    let Some(first) = closed.first().filter(|_| site.logs.fresh().is_some()) else { return area };
    let more = if closed.len() > 1 { format!(" (and {} more)", closed.len() - 1) } else { String::new() };
    let most = if area.height > 20 { 2 } else { 1 };
    let used = canvas.paragraph(split_top(area, most).0, &format!("? {first}{more}"), Role::Unknown);
    split_top(area, used).1
}

/// A severity as glyph and word, and its role.
fn severity(level: Severity) -> Piece {
    let (glyph, role) = match level {
        Severity::Critical | Severity::Error => ("✖", Role::Critical),
        Severity::Warning => ("▲", Role::Warning),
        Severity::Notice => ("·", Role::Note),
        Severity::Info | Severity::Debug => (" ", Role::Muted),
    };
    let word = match level {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        other => other.word(),
    };
    piece(role, [glyph, " ", word].concat())
}

/// The role of a line's text.
const fn text_role(level: Severity) -> Role {
    match level {
        Severity::Critical | Severity::Error => Role::Critical,
        Severity::Warning => Role::Warning,
        Severity::Notice | Severity::Info => Role::Text,
        Severity::Debug => Role::Muted,
    }
}
