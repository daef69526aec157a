//! Every line, in the order of time.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, Piece, columns, piece, split_left, split_top};
use super::super::clock::Clock;
use super::super::detail::{empty, facts};
use super::super::format;
use super::super::grid::Window;
use super::super::text;
use super::super::theme::Role;
use super::{severity, text_role};
use crate::app::model::Model;
use crate::app::view;
use crate::domain::log::{Line, LogReading, Severity};

/// Columns of a level: glyph and the longest word.
const LEVEL: u16 = 10;
/// Columns of a level where there is little room.
const SHORT: u16 = 6;
/// Most columns of a source.
const SOURCE: u16 = 16;

/// Draws the lines.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, logs: &LogReading, clock: &Clock) {
    let rows = view::logs::lines(model);
    let selected = selected(model, &rows);
    let height = usize::from(area.height.saturating_sub(1));
    let follows = model.logs.selected.is_none();
    let offset = if follows { rows.len() } else { model.logs.offset };
    let window = Window::around(offset, selected, height, rows.len());
    let rest = facts(canvas, area, &said(model, logs, window, rows.len(), follows));
    if rows.is_empty() {
        let text = if logs.window.lines().is_empty() {
            "Nothing was written to these logs yet."
        } else {
            "No line has these words and is that bad; Esc clears the filter, L shows other levels."
        };
        empty(canvas, rest, text);
        return;
    }
    let widths = Widths::of(rest.width, logs);
    let mut below = rest;
    for (index, line) in rows.iter().enumerate().skip(window.first).take(window.len) {
        let (row, rest) = split_top(below, 1);
        below = rest;
        one(canvas, row, logs, line, &widths, model.log_view.shift, clock);
        if index == selected {
            canvas.paint(row, Role::Selected);
        }
    }
}

/// The place of the selected line.
fn selected(model: &Model, rows: &[&std::sync::Arc<Line>]) -> usize {
    match model.logs.selected.as_deref().map(str::parse::<u64>) {
        None => rows.len().saturating_sub(1),
        Some(id) => id.ok().and_then(|id| rows.iter().position(|line| line.id == id)).unwrap_or(0),
    }
}

fn said(model: &Model, logs: &LogReading, window: Window, rows: usize, follows: bool) -> Vec<Piece> {
    let mut said = Vec::new();
    let place = window.label(rows).unwrap_or_else(|| format::plural(rows, "line"));
    said.push(piece(Role::Muted, place));
    if follows {
        said.push(piece(Role::Ok, "following"));
    } else {
        said.push(piece(Role::Paused, "G follows"));
    }
    if model.log_view.at_least > Severity::Debug {
        said.push(piece(Role::Filter, ["from ", model.log_view.at_least.word()].concat()));
    }
    if model.log_view.shift > 0 {
        said.push(piece(Role::Filter, format!("from column {}", model.log_view.shift + 1)));
    }
    let skipped: u64 = logs.sources.iter().map(|s| s.skipped).sum();
    if skipped > 0 {
        said.push(piece(Role::Warning, ["▲ ", &format::bytes(skipped), " passed over"].concat()));
    }
    said.push(piece(Role::Muted, "e next error · v groups · L level"));
    said
}

/// The columns of one terminal.
#[derive(Debug)]
struct Widths {
    /// Of the source; 0 where there is no room for it.
    source: u16,
    /// Of the level.
    level: u16,
}

impl Widths {
    fn of(width: u16, logs: &LogReading) -> Self {
        let longest = logs.sources.iter().map(|s| text::width(&s.name)).max().unwrap_or(0);
        let source = columns(longest).min(SOURCE);
        match width {
            0..70 => Self { source: source.min(8), level: SHORT },
            70..110 => Self { source: source.min(12), level: SHORT },
            _ => Self { source, level: LEVEL },
        }
    }
}

fn one(canvas: &mut Canvas<'_>, row: Rect, logs: &LogReading, line: &Line, widths: &Widths, shift: u16, clock: &Clock) {
    let time = format::clock(line.at, &clock.zone);
    // A time that is only that of reading is marked.
    let mark = if line.dated { " " } else { "~" };
    let role = if line.dated { Role::Muted } else { Role::Unknown };
    canvas.put(row, &[mark, &time].concat(), role);
    let (_, rest) = split_left(row, 9, 1);
    let (at, rest) = split_left(rest, widths.source, 1);
    canvas.put(at, logs.source(line), Role::Muted);
    let (at, rest) = split_left(rest, widths.level, 1);
    let level = severity(line.level);
    if widths.level < LEVEL {
        canvas.put(at, short(line.level), level.role);
    } else {
        canvas.put(at, &level.text, level.role);
    }
    let shown = told(line);
    let shown = if shift == 0 { shown } else { shown.chars().skip(shift.into()).collect::<String>() };
    canvas.put(rest, &shown, text_role(line.level));
}

/// Glyph and word, where there is little room.
const fn short(level: Severity) -> &'static str {
    match level {
        Severity::Critical => "✖ crit",
        Severity::Error => "✖ err",
        Severity::Warning => "▲ warn",
        Severity::Notice => "· note",
        Severity::Info => "  info",
        Severity::Debug => "  dbg",
    }
}

/// The line with the name of the exception below it, which says more than most first rows.
fn told(line: &Line) -> String {
    match line.exception() {
        Some(exception) => [&*line.text, "  ⏎ ", exception].concat(),
        None if !line.more.is_empty() => [&*line.text, "  ⏎"].concat(),
        None => line.text.to_string(),
    }
}
