//! Sessions of the database that block others, the root first; and one of them, opened.

use ratatui::layout::Rect;

use crate::app::model::Model;
use crate::app::view;
use crate::domain::database::Blocker;
use crate::ui::canvas::{Canvas, Piece, columns, piece, split_top};
use crate::ui::format;
use crate::ui::grid::{self, Align, Column, Window};
use crate::ui::theme::Role;

const fn column(
    title: &'static str,
    (width, most): (u16, u16),
    align: Align,
    rank: u8,
    cell: fn(&Blocker) -> Piece,
) -> Column<Blocker> {
    Column { title, width, most, align, rank, sort: None, cell }
}

const COLUMNS: &[Column<Blocker>] = &[
    column("session", (8, 10), Align::Right, 0, |b| piece(Role::Accent, b.pid.to_string())),
    column("blocks", (6, 6), Align::Right, 0, |b| piece(Role::Critical, b.blocks.to_string())),
    column("for", (7, 8), Align::Right, 0, |b| piece(Role::Text, format::latency(b.transaction_s))),
    column("state", (19, 24), Align::Left, 1, |b| piece(Role::Text, b.state.as_str())),
    column("application", (12, 40), Align::Left, 2, |b| piece(Role::Muted, b.application.as_str())),
];

/// The rows they would take.
pub(super) fn height(model: &Model) -> u16 {
    match view::data::blockers(model).len() {
        0 => 0,
        n => columns(n).saturating_add(2),
    }
}

/// Draws them; the rest of the area.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, current: bool) -> Rect {
    let rows = view::data::blockers(model);
    if rows.is_empty() || area.height < 2 {
        if !model.data.filter.is_empty() {
            canvas.put(area, "no session has these words; Esc clears the filter", Role::Muted);
            return split_top(area, 1).1;
        }
        return area;
    }
    let selected = model.data.position(&view::data::rows(model));
    let window = Window::around(model.data.offset, selected, usize::from(area.height.saturating_sub(2)), rows.len());
    let role = if current { Role::Critical } else { Role::Stale };
    let title = [piece(role, "✖ blocked by"), piece(Role::Muted, " (ending the root frees those behind it)")];
    let label = window.label(rows.len()).unwrap_or_default();
    canvas.heading(area, &title, &[piece(Role::Muted, label)]);
    grid::draw(canvas, split_top(area, 1).1, COLUMNS, &rows, window, Some(selected), None);
    split_top(area, columns(window.len).saturating_add(2)).1
}

/// One session, opened.
pub(super) fn one(canvas: &mut Canvas<'_>, area: Rect, session: &Blocker) {
    let lines = [
        ("state", session.state.clone()),
        ("application", session.application.clone()),
        ("transaction", ["open for ", &format::latency(session.transaction_s)].concat()),
        ("blocks", format::plural(session.blocks as usize, "session")),
        ("blocked by", "nobody: it is the root".to_owned()),
    ];
    let mut rest = area;
    for (name, value) in lines {
        let (row, below) = split_top(rest, 1);
        canvas.pieces(row, &[piece(Role::Muted, format!("{name:<13}")), piece(Role::Text, value)]);
        rest = below;
    }
}
