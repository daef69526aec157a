//! Equal messages together: how often, since when, how fast, and the last of them.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, columns, piece, split_top};
use super::super::clock::Clock;
use super::super::detail::{empty, facts};
use super::super::format;
use super::super::grid::{self, Align, Column, Sorted, Window, column};
use super::super::theme::Role;
use super::{severity, text_role};
use crate::app::model::Model;
use crate::app::view;
use crate::domain::log::{Group, LogReading, Severity};
use crate::domain::time::Timestamp;

/// A group as it is shown.
struct Row {
    level: Severity,
    count: String,
    first: String,
    last: String,
    rate: String,
    source: String,
    text: String,
    new: bool,
}

const COLUMNS: &[Column<Row>] = &[
    column("level", (10, 10), Align::Left, 0, Some(3), |r| severity(r.level)),
    column("count", (6, 6), Align::Right, 0, Some(1), |r| piece(Role::Accent, r.count.as_str())),
    column("/min", (5, 5), Align::Right, 3, None, |r| piece(Role::Text, r.rate.as_str())),
    column("first", (8, 11), Align::Right, 2, Some(2), |r| {
        piece(if r.new { Role::Warning } else { Role::Muted }, r.first.as_str())
    }),
    column("last", (8, 11), Align::Right, 1, Some(0), |r| piece(Role::Text, r.last.as_str())),
    column("source", (11, 16), Align::Left, 4, None, |r| piece(Role::Muted, r.source.as_str())),
    column("the last of them", (24, u16::MAX), Align::Left, 0, None, |r| piece(text_role(r.level), r.text.as_str())),
];

/// Draws the groups.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, logs: &LogReading, clock: &Clock) {
    let groups = view::logs::groups(model);
    let table = &model.log_groups;
    let at = table.selected.as_deref().and_then(|id| groups.iter().position(|g| g.id.to_string() == id));
    let selected = at.unwrap_or(0);
    let height = usize::from(area.height.saturating_sub(2));
    let window = Window::around(table.offset, selected, height, groups.len());
    let label = window.label(groups.len()).unwrap_or_else(|| format::plural(groups.len(), "group"));
    let mut said = vec![piece(Role::Muted, label)];
    if model.log_view.at_least > Severity::Warning {
        said.push(piece(Role::Filter, ["from ", model.log_view.at_least.word()].concat()));
    }
    said.push(piece(Role::Muted, "▲ first: was not in the log before · v lines"));
    let rest = facts(canvas, area, &said);
    if groups.is_empty() {
        let text = if logs.groups.is_empty() {
            "No warning or error was written as far as was read."
        } else {
            "No group has these words and is that bad; Esc clears the filter, L shows other levels."
        };
        empty(canvas, rest, text);
        return;
    }
    // Only what is visible is put into words.
    let shown: Vec<Row> =
        groups.iter().skip(window.first).take(window.len).map(|group| row(group, logs, clock)).collect();
    let shown: Vec<&Row> = shown.iter().collect();
    let sorted = Sorted { by: table.sort, reversed: table.reversed };
    let visible = Window { first: 0, len: shown.len() };
    grid::draw(canvas, rest, COLUMNS, &shown, visible, Some(selected - window.first), Some(sorted));
    if let Some(group) = groups.get(selected) {
        let below = split_top(rest, columns(window.len).saturating_add(2)).1;
        preview(canvas, below, group);
    }
}

fn row(group: &Group, logs: &LogReading, clock: &Clock) -> Row {
    let tally = &group.tally;
    let mark = if group.new { "▲ " } else { "" };
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let count = format::count(tally.count as f64);
    Row {
        level: group.level,
        count,
        first: [mark, &when(clock, tally.first)].concat(),
        last: when(clock, tally.last),
        rate: format::rate(tally.per_minute(clock.now)),
        source: logs.source(&group.example).to_owned(),
        text: group.example.summary(),
        new: group.new,
    }
}

/// A time in few columns: of a day long past the date, without its year.
fn when(clock: &Clock, at: Timestamp) -> String {
    let text = clock.when(at);
    text.split_once('-').map_or(text.as_str(), |(_, rest)| rest).to_owned()
}

/// The selected one in full, where a table leaves room for it.
fn preview(canvas: &mut Canvas<'_>, area: Rect, group: &Group) {
    if area.height < 4 {
        return;
    }
    canvas.heading(area, &[piece(Role::Title, "the last of them")], &[piece(Role::Muted, "selected")]);
    let mut rest = split_top(area, 1).1;
    let used = canvas.paragraph(rest, &group.example.text, text_role(group.level));
    rest = split_top(rest, used).1;
    let rows: Vec<&str> = group.example.more.lines().collect();
    let surplus = rows.len().saturating_sub(rest.height.into());
    for row in rows.into_iter().skip(surplus) {
        let (line, below) = split_top(rest, 1);
        canvas.put(line, row, Role::Text);
        rest = below;
    }
}
