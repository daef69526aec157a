//! Database and Redis.

use ratatui::layout::Rect;

use super::canvas::{Canvas, piece, split_top};
use super::clock::Clock;
use super::source::Source;
use super::theme::Role;
use crate::app::model::Model;
use crate::app::view;
use crate::domain::id::SourceKind;

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let Some(site) = model.site() else {
        canvas.paragraph(area, "no site is watched", Role::Muted);
        return;
    };
    let source = Source::at(site, SourceKind::Database);
    let mut rest = source.heading(canvas, area, &[piece(Role::Title, "database")], clock);
    for row in view::data::rows(model) {
        let (line, below) = split_top(rest, 1);
        canvas.put(line, &row, Role::Text);
        rest = below;
    }
}
