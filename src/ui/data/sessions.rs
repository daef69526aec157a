//! Sessions of the database: those that block others as a tree with the root first, then long transactions.

use ratatui::layout::Rect;

use crate::app::model::Model;
use crate::app::view::data::{self, Row};
use crate::ui::canvas::{Canvas, Piece, columns, piece, split_top};
use crate::ui::format;
use crate::ui::grid::{self, Align, Column, Window};
use crate::ui::theme::Role;

const fn column<'m>(
    title: &'static str,
    (width, most): (u16, u16),
    align: Align,
    rank: u8,
    cell: fn(&Row<'m>) -> Piece,
) -> Column<Row<'m>> {
    Column { title, width, most, align, rank, sort: None, cell }
}

const fn grid_of<'m>() -> [Column<Row<'m>>; 8] {
    [
        column("session", (11, 16), Align::Left, 0, name),
        column("blocks", (6, 6), Align::Right, 0, |r| match r.session.blocks {
            0 => piece(Role::Muted, format::NONE),
            n => piece(Role::Critical, n.to_string()),
        }),
        column("open", (7, 8), Align::Right, 0, |r| piece(Role::Text, format::latency(r.session.transaction_s))),
        column("state", (19, 19), Align::Left, 1, |r| piece(Role::Text, r.session.state.as_str())),
        column("waits for", (13, 18), Align::Left, 4, |r| {
            let role = if r.session.wait.starts_with("Lock") { Role::Warning } else { Role::Muted };
            piece(role, r.session.wait.as_str())
        }),
        column("application", (12, 20), Align::Left, 2, |r| piece(Role::Muted, r.session.application.as_str())),
        column("page", (14, 26), Align::LeftTail, 3, |r| piece(Role::Text, r.session.page.as_str())),
        column("statement", (24, 120), Align::Left, 5, |r| piece(Role::Muted, r.session.query.as_str())),
    ]
}

/// A session's number, set in below the one it waits for.
fn name(row: &Row<'_>) -> Piece {
    let number = data::id(row.session);
    if row.depth == 0 {
        let role = if row.blocks { Role::Critical } else { Role::Accent };
        let mark = if row.blocks { "✖ " } else { "" };
        return piece(role, [mark, &number].concat());
    }
    piece(Role::Accent, [&"  ".repeat(row.depth.min(4) - 1), "└ ", &number].concat())
}

/// The rows they would take.
pub(super) fn height(model: &Model) -> u16 {
    match data::sessions(model).len() {
        0 => 0,
        n => columns(n).saturating_add(2),
    }
}

/// Draws them; the rest of the area.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, current: bool) -> Rect {
    let rows = data::sessions(model);
    if rows.is_empty() || area.height < 3 {
        if !model.data.filter.is_empty() {
            canvas.put(area, "no session has these words; Esc clears the filter", Role::Muted);
            return split_top(area, 1).1;
        }
        return area;
    }
    let selected = model.data.position(&data::rows(model));
    let window = Window::around(model.data.offset, selected, usize::from(area.height.saturating_sub(2)), rows.len());
    let blocked = rows.iter().any(|row| row.blocks);
    let title = match (blocked, current) {
        (true, true) => vec![piece(Role::Critical, "✖ who blocks whom"), piece(Role::Muted, ", the root first")],
        (true, false) => vec![piece(Role::Stale, "who blocked whom")],
        (false, _) => vec![piece(Role::Title, "open transactions")],
    };
    let label = window.label(rows.len()).unwrap_or_default();
    canvas.heading(area, &title, &[piece(Role::Muted, label)]);
    let shown: Vec<&Row<'_>> = rows.iter().collect();
    grid::draw(canvas, split_top(area, 1).1, &grid_of(), &shown, window, Some(selected), None);
    split_top(area, columns(window.len).saturating_add(2)).1
}

/// One session, opened: everything that is known of it.
pub(super) fn one(canvas: &mut Canvas<'_>, area: Rect, rows: &[Row<'_>], at: usize, clock: &crate::ui::clock::Clock) {
    let Some(row) = rows.get(at) else { return };
    let session = row.session;
    let number = |s: &crate::domain::database::Session| {
        let app = if s.application.is_empty() { String::new() } else { [" (", &s.application, ")"].concat() };
        data::id(s) + &app
    };
    let ahead: Vec<String> = data::ahead(rows, at).into_iter().map(number).collect();
    let behind: Vec<String> = session.behind.iter().map(number).collect();
    let since = |s: f64| [" for ", &format::latency(s)].concat();
    let blocked_by = match (row.blocks, ahead.is_empty()) {
        (_, false) => ahead.join(" ← "),
        (true, true) => "nobody: it is the root; ending it frees those behind it".to_owned(),
        (false, true) => "nobody".to_owned(),
    };
    let blocks = match session.blocks {
        0 => "nobody".to_owned(),
        n if behind.is_empty() => format::plural(n as usize, "session"),
        n => format!("{}; first {}", format::plural(n as usize, "session"), behind.join(", ")),
    };
    let lines = [
        ("state", Role::Text, session.state.clone() + &since(session.since_s)),
        ("transaction", Role::Text, "open".to_owned() + &since(session.transaction_s)),
        ("waits for", Role::Text, session.wait.clone()),
        ("blocked by", if ahead.is_empty() { Role::Text } else { Role::Warning }, blocked_by),
        ("blocks", if session.blocks > 0 { Role::Critical } else { Role::Text }, blocks),
        ("application", Role::Text, session.application.clone()),
        ("user", Role::Text, session.user.clone()),
        ("from", Role::Text, if session.client.is_empty() { "this host".to_owned() } else { session.client.clone() }),
        ("connected", Role::Text, session.started.map(|at| clock.when(at)).unwrap_or_default()),
        ("page", Role::Text, session.page.clone()),
        ("statement", Role::Accent, session.query.clone()),
    ];
    let mut rest = area;
    for (name, role, value) in lines {
        let (role, value) = if value.is_empty() { (Role::Muted, format::NONE.to_owned()) } else { (role, value) };
        let (label, body) = crate::ui::canvas::split_left(rest, 12, 1);
        canvas.put(label, name, Role::Muted);
        let used = canvas.paragraph(body, &value, role).max(1);
        rest = split_top(rest, used).1;
    }
}
