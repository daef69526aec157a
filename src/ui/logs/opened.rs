//! One line, whole, with the lines of its source before and after it.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, Piece, piece, split_top};
use super::super::clock::Clock;
use super::super::detail::facts;
use super::super::format;
use super::super::text;
use super::super::theme::Role;
use super::{severity, text_role};
use crate::app::model::Model;
use crate::domain::log::{Line, LogReading};

/// Draws it.
pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    area: Rect,
    (model, logs): (&Model, &LogReading),
    line: &Line,
    around: &[&Arc<Line>],
    clock: &Clock,
) {
    let rest = facts(canvas, area, &said(logs, line, clock));
    let width = usize::from(rest.width);
    let at = around.iter().position(|l| l.id == line.id).unwrap_or(0);
    let mut rows: Vec<(Vec<Piece>, bool)> = around.iter().take(at).map(|l| (brief(l, clock), false)).collect();
    let before = rows.len();
    for row in text::wrap(&line.text, width) {
        rows.push((vec![piece(text_role(line.level), row)], true));
    }
    for row in line.more.lines() {
        rows.extend(
            wrapped(row, width).into_iter().map(|row| (vec![piece(below_role(row.as_str(), line), row)], false)),
        );
    }
    rows.extend(around.iter().skip(at + 1).map(|l| (brief(l, clock), false)));
    // The opened line stands a little below the top, what came before it above.
    let height = usize::from(rest.height);
    let top = before.saturating_sub(height / 4).saturating_add(model.log_view.scroll);
    let top = top.min(rows.len().saturating_sub(height));
    let mut below = rest;
    for (row, own) in rows.iter().skip(top).take(height) {
        let (line, rest) = split_top(below, 1);
        below = rest;
        canvas.pieces(line, row);
        if *own {
            canvas.paint(line, Role::Selected);
        }
    }
}

fn said(logs: &LogReading, line: &Line, clock: &Clock) -> Vec<Piece> {
    let place = logs.sources.get(usize::from(line.source)).map_or("", |s| s.place.as_str());
    let when = if line.dated { "written" } else { "read (it says no time)" };
    let mut said = vec![
        severity(line.level),
        piece(Role::Muted, [when, " ", &format::ago(line.at, clock.now)].concat()),
        piece(Role::Muted, place),
    ];
    if let Some(group) = line.group.and_then(|id| logs.groups.iter().find(|g| g.id == id)) {
        let since = clock.when(group.tally.first);
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let count = format::count(group.tally.count as f64);
        said.push(piece(Role::Accent, format!("{count} like it since {since}")));
    }
    said
}

/// A line of the surroundings.
fn brief(line: &Line, clock: &Clock) -> Vec<Piece> {
    let time = format::clock(line.at, &clock.zone);
    let more = if line.more.is_empty() { "" } else { "  ⏎" };
    let text = if line.level.is_grouped() {
        [severity(line.level).text.as_str(), " ", &line.text, more].concat()
    } else {
        [&*line.text, more].concat()
    };
    vec![piece(Role::Muted, [&time, " "].concat()), piece(dimmed(line), text)]
}

const fn dimmed(line: &Line) -> Role {
    if line.level.is_grouped() { text_role(line.level) } else { Role::Muted }
}

/// The exception stands out of its traceback.
fn below_role(row: &str, line: &Line) -> Role {
    if line.exception().is_some_and(|exception| exception.starts_with(row)) { Role::Accent } else { Role::Text }
}

/// A row in lines of at most `width` columns, its indent kept on each.
fn wrapped(row: &str, width: usize) -> Vec<String> {
    let indent = (row.len() - row.trim_start_matches(' ').len()).min(width / 3);
    let blanks = " ".repeat(indent);
    let rows = text::wrap(row.trim_start_matches(' '), width.saturating_sub(indent));
    if rows.is_empty() {
        return vec![String::new()];
    }
    rows.into_iter().map(|row| [blanks.as_str(), &row].concat()).collect()
}
