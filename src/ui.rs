//! The drawing side: [`render`] is total and pure, from a model and a look to the cells of a frame.
//!
//! Invariants: nothing is drawn outside the frame and nothing panics, at any size and for any model; no number stands
//! without its age; a level is always a glyph and a word; only visible rows of a table are built. Nothing here reads a
//! clock, a file or the environment.

mod backups;
mod canvas;
mod changes;
mod clock;
mod data;
mod detail;
mod disks;
mod finding;
mod findings;
pub mod format;
mod glyphs;
mod grid;
mod header;
mod host;
mod hostdepth;
mod hoststrips;
mod logs;
mod note;
mod now;
mod overlay;
mod requests;
mod runbooks;
mod service;
mod services;
mod source;
mod sources;
mod strip;
mod strips;
mod tasks;
mod text;
pub mod theme;
mod timeline;
mod verdict;
mod workers;

use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use self::canvas::{Canvas, inset, split_top};
use self::clock::Clock;
pub use self::glyphs::Glyphs;
use self::theme::{Role, Theme};
use crate::app::model::{Model, Screen};

/// How things look on this terminal.
#[derive(Debug, Clone)]
pub struct Look {
    /// The styles.
    pub theme: Theme,
    /// What the terminal can show.
    pub glyphs: Glyphs,
    /// The operator's own time zone.
    pub zone: TimeZone,
}

/// The smallest terminal that can be drawn on: columns, rows.
pub const SMALLEST: (u16, u16) = (40, 10);

/// Draws the model.
pub fn render(model: &Model, look: &Look, frame: &mut Frame<'_>) {
    draw(model, look, frame.buffer_mut());
}

/// Draws the model into a buffer.
pub fn draw(model: &Model, look: &Look, buffer: &mut Buffer) {
    let area = buffer.area;
    let mut canvas = Canvas::new(buffer, look);
    canvas.clear(area);
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        too_small(&mut canvas, area);
    } else {
        everything(&mut canvas, area, model);
    }
    look.glyphs.settle(buffer);
}

/// The screen as plain text of `width` columns and `height` rows, without white space at the ends of lines.
pub fn plain(model: &Model, look: &Look, width: u16, height: u16) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(model, look, &mut buffer);
    let mut out = String::new();
    for row in buffer.area.rows() {
        let mut line = String::new();
        let mut skip = 0;
        for cell in row.columns().filter_map(|at| buffer.cell((at.x, at.y))) {
            // The cells behind a wide glyph hold a blank that is not shown.
            if skip == 0 {
                line.push_str(cell.symbol());
                skip = text::width(cell.symbol()).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn too_small(canvas: &mut Canvas<'_>, area: Rect) {
    let (need_w, need_h) = SMALLEST;
    let text = format!("terminal too small: {}×{}, needs {need_w}×{need_h}", area.width, area.height);
    let rows = canvas::columns(text::wrap(&text, area.width.into()).len());
    let (_, below) = split_top(area, area.height.saturating_sub(rows) / 2);
    canvas.paragraph(below, &text, Role::Text);
}

fn everything(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let clock = Clock::of(model, canvas.look);
    let (top, rest) = split_top(area, 3);
    header::top(canvas, top, model, &clock);
    let notes = header::notes(model, &clock);
    let foot_rows = 1 + u16::from(!notes.is_empty());
    let (body, foot) = split_top(rest, rest.height.saturating_sub(foot_rows));
    // A breath of air below the verdict, where there is room for it.
    let body = if area.height >= 20 { split_top(body, 1).1 } else { body };
    let body = inset(body);
    match model.screen {
        Screen::Now => now::draw(canvas, body, model, &clock),
        Screen::Requests => requests::draw(canvas, body, model, &clock),
        Screen::Tasks => tasks::draw(canvas, body, model, &clock),
        Screen::Host => host::draw(canvas, body, model, &clock),
        Screen::Data => data::draw(canvas, body, model, &clock),
        Screen::Services => services::draw(canvas, body, model, &clock),
        Screen::Logs => logs::draw(canvas, body, model, &clock),
        Screen::Backups => backups::draw(canvas, body, model, &clock),
        Screen::Runbooks => runbooks::draw(canvas, body, model, &clock),
    }
    header::foot(canvas, foot, model, &notes);
    overlay::draw(canvas, area, model, &clock);
}
