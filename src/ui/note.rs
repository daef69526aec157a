//! The line in which a note for the incident record is typed.

use ratatui::layout::Rect;

use super::canvas::{Canvas, piece, split_left, split_top};
use super::overlay::frame;
use super::text;
use super::theme::Role;
use crate::app::line::Line;
use crate::app::model::Model;
use crate::domain::record::About;

/// What can be typed, besides a note.
const HINT: &str = "TODO: … is listed apart · DONE 12 · SEV-2 … · RESOLVED … · secrets are redacted";
const ACK_HINT: &str = "ACK 30m: … says that you know, for so long · without ACK it is a note";

/// Draws the line in the middle of `area`.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, line: &Line, about: Option<&About>) {
    let hint = if about.is_some() { ACK_HINT } else { HINT };
    let title = if about.is_some() { "acknowledge" } else { "note for the incident record" };
    let trouble = u16::from(model.timeline.trouble.is_some());
    let size = (area.width.min(92), 4 + trouble + u16::from(about.is_some()));
    let mut rest = frame(canvas, area, size, title, "Enter saves · Esc leaves");
    if let Some(about) = about {
        let (row, below) = split_top(rest, 1);
        canvas.put(row, &about.title, Role::Accent);
        rest = below;
    }
    let (row, mut rest) = split_top(rest, 1);
    let (before, after) = line.parts();
    let room = usize::from(row.width).saturating_sub(1);
    // What stands before the cursor stays visible, and as much as fits of what stands after it.
    let shown = text::cut_start(&before, room);
    let used = canvas.put(row, &shown, Role::Text);
    let (_, tail) = split_left(row, used, 0);
    if after.is_empty() {
        canvas.put(tail, " ", Role::Text);
    } else {
        canvas.put(tail, &after, Role::Text);
    }
    canvas.paint(split_left(tail, 1, 0).0, Role::Selected);
    if let Some(why) = &model.timeline.trouble {
        let (row, below) = split_top(rest, 1);
        canvas.pieces(row, &[piece(Role::Warning, "▲ warning "), piece(Role::Text, why.clone())]);
        rest = below;
    }
    canvas.put(rest, hint, Role::Muted);
}
