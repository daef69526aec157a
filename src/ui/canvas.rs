//! Drawing into a buffer, clipped: nothing here can leave the buffer or panic, whatever the area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::Look;
use super::text;
use super::theme::Role;
use crate::domain::text::escaped;

/// A piece of a line: text of one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// What it says.
    pub(super) text: String,
    /// What it is.
    pub(super) role: Role,
}

/// A piece of a line.
pub(super) fn piece(role: Role, text: impl Into<String>) -> Piece {
    Piece { text: text.into(), role }
}

/// The columns pieces take together.
pub(super) fn width_of(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| text::width(&piece.text)).sum()
}

/// Columns as the terminal counts them; what is wider than any terminal is cut.
pub(super) fn columns(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// The first `rows` rows of an area, and the rest.
pub(super) const fn split_top(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = if rows > area.height { area.height } else { rows };
    let rest = Rect { y: area.y.saturating_add(rows), height: area.height - rows, ..area };
    (Rect { height: rows, ..area }, rest)
}

/// The first `columns` columns of an area, and the rest after a gap.
pub(super) const fn split_left(area: Rect, columns: u16, gap: u16) -> (Rect, Rect) {
    let columns = if columns > area.width { area.width } else { columns };
    let used = columns.saturating_add(gap);
    let used = if used > area.width { area.width } else { used };
    let rest = Rect { x: area.x.saturating_add(used), width: area.width - used, ..area };
    (Rect { width: columns, ..area }, rest)
}

/// An area without a column at either side.
pub(super) const fn inset(area: Rect) -> Rect {
    Rect { x: area.x.saturating_add(1), width: area.width.saturating_sub(2), ..area }
}

/// A buffer and the look of things.
#[derive(Debug)]
pub(super) struct Canvas<'a> {
    /// What is drawn into.
    buffer: &'a mut Buffer,
    /// How things look.
    pub(super) look: &'a Look,
}

impl<'a> Canvas<'a> {
    /// A canvas over a buffer.
    pub(super) const fn new(buffer: &'a mut Buffer, look: &'a Look) -> Self {
        Self { buffer, look }
    }

    /// The style of a role.
    pub(super) fn style(&self, role: Role) -> Style {
        self.look.theme.style(role)
    }

    /// Writes `text` into the first row of `area`, cut with `…`; the columns it took.
    pub(super) fn put(&mut self, area: Rect, text: &str, role: Role) -> u16 {
        let area = area.intersection(self.buffer.area);
        if area.is_empty() {
            return 0;
        }
        let text = escaped(text);
        let (text, style) = (text::cut(&text, area.width.into()), self.style(role));
        let (end, _) = self.buffer.set_stringn(area.x, area.y, text, area.width.into(), style);
        end.saturating_sub(area.x)
    }

    /// Writes pieces one after the other into the first row of `area`, cut with `…`; the columns they took.
    pub(super) fn pieces(&mut self, area: Rect, pieces: &[Piece]) -> u16 {
        let mut used = 0;
        for piece in pieces {
            let (_, rest) = split_left(area, used, 0);
            if rest.width == 0 {
                break;
            }
            used = used.saturating_add(self.put(rest, &piece.text, piece.role));
        }
        used
    }

    /// A row with something at its left and something at its right; the left is cut first, the right has at most two
    /// thirds.
    pub(super) fn row(&mut self, area: Rect, left: &[Piece], right: &[Piece]) {
        let wanted = columns(width_of(right));
        let most = columns(usize::from(area.width) * 2 / 3);
        let right_width = wanted.min(most.max(area.width.saturating_sub(columns(width_of(left)).saturating_add(1))));
        let gap = u16::from(right_width > 0);
        let (left_area, right_area) = split_left(area, area.width.saturating_sub(right_width + gap), gap);
        self.pieces(left_area, left);
        self.pieces(right_area, right);
    }

    /// Gives every cell of an area a style, on top of what it has; dim text would be lost on a filled ground.
    pub(super) fn paint(&mut self, area: Rect, role: Role) {
        let style = Style::new().remove_modifier(Modifier::DIM).patch(self.style(role));
        self.buffer.set_style(area.intersection(self.buffer.area), style);
    }

    /// Blanks an area, and a wide glyph that would reach into it from the left.
    pub(super) fn clear(&mut self, area: Rect) {
        let (area, style) = (area.intersection(self.buffer.area), self.style(Role::Text));
        for y in area.y..area.bottom() {
            let before = area.x.checked_sub(1).and_then(|x| self.buffer.cell_mut((x, y)));
            if let Some(cell) = before.filter(|cell| text::width(cell.symbol()) > 1) {
                cell.set_symbol(" ");
            }
        }
        for position in area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    /// A title with a rule after it up to what stands at the right.
    pub(super) fn heading(&mut self, area: Rect, title: &[Piece], right: &[Piece]) {
        let (row, _) = split_top(area, 1);
        let (taken, right_width) = (width_of(title), width_of(right));
        let rule = usize::from(row.width).saturating_sub(taken + right_width + 2);
        let mut left = title.to_vec();
        if rule > 1 {
            left.push(piece(Role::Border, [" ", &"─".repeat(rule)].concat()));
        }
        self.row(row, &left, right);
    }

    /// Text wrapped into an area; the rows it took.
    pub(super) fn paragraph(&mut self, area: Rect, text: &str, role: Role) -> u16 {
        let lines = text::wrap(text, area.width.into());
        let height = usize::from(area.height);
        for (at, line) in lines.iter().take(height).enumerate() {
            let (_, rest) = split_top(area, columns(at));
            let more = at + 1 == height && lines.len() > height;
            let line = if more { [line.as_str(), " …"].concat() } else { line.clone() };
            self.put(rest, &line, role);
        }
        columns(lines.len()).min(area.height)
    }

    /// Draws what takes up to `rows` rows and says how many; of those the ones from `top` on stand in `area`, and which
    /// they are in its corner, where not all fit.
    pub(super) fn scrolled(
        &mut self,
        area: Rect,
        rows: u16,
        top: usize,
        draw: impl FnOnce(&mut Canvas<'_>, Rect) -> u16,
    ) {
        let whole = Rect { x: 0, y: 0, height: rows.max(area.height), ..area };
        let mut buffer = Buffer::empty(whole);
        let mut beside = Canvas::new(&mut buffer, self.look);
        beside.clear(whole);
        let used = draw(&mut beside, whole).min(whole.height);
        let top = columns(top).min(used.saturating_sub(area.height));
        for at in area.intersection(self.buffer.area).positions() {
            let from = buffer.cell((at.x - area.x, at.y - area.y + top));
            if let (Some(from), Some(cell)) = (from, self.buffer.cell_mut(at)) {
                cell.clone_from(from);
            }
        }
        if used > area.height {
            let label = format!(" {}–{} of {used} ", top + 1, top + area.height);
            let (_, row) = split_top(area, area.height.saturating_sub(1));
            let (_, corner) = split_left(row, row.width.saturating_sub(columns(text::width(&label))), 0);
            self.clear(corner);
            self.put(corner, &label, Role::Key);
        }
    }
}
