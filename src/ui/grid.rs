//! A table of which only the visible rows are built: columns drop out by priority when the terminal is narrow.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_left, split_top};
use super::text;
use super::theme::Role;

/// How a cell stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// At the left; cut at its end.
    Left,
    /// At the left; cut at its beginning (dotted names).
    LeftTail,
    /// At the right.
    Right,
    /// At the right, and only the last columns where there are too many: past values, the newest last.
    Newest,
}

/// A column of rows of type `R`.
#[derive(Debug)]
pub(super) struct Column<R> {
    /// Its title.
    pub(super) title: &'static str,
    /// Its width, at least.
    pub(super) width: u16,
    /// Its width at most; what is left over goes to columns that can use it, the first first.
    pub(super) most: u16,
    /// How cells stand.
    pub(super) align: Align,
    /// Columns with a higher number drop out first; 0 never does.
    pub(super) rank: u8,
    /// The index among the screen's sorts, if it can be sorted by this.
    pub(super) sort: Option<usize>,
    /// The text of a row's cell, and its role.
    pub(super) cell: fn(&R) -> Piece,
}

/// A column: its title, its least and greatest width, how cells stand, when it drops out, its sort, its cells.
pub(super) const fn column<R>(
    title: &'static str,
    (width, most): (u16, u16),
    align: Align,
    rank: u8,
    sort: Option<usize>,
    cell: fn(&R) -> Piece,
) -> Column<R> {
    Column { title, width, most, align, rank, sort, cell }
}

/// Which rows are visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// The first one.
    pub(super) first: usize,
    /// How many.
    pub(super) len: usize,
}

impl Window {
    /// The rows to show of `rows` in `height`: near `offset`, and always with row `selected`.
    pub(super) fn around(offset: usize, selected: usize, height: usize, rows: usize) -> Self {
        let last_start = rows.saturating_sub(height);
        let lowest = (selected + 1).saturating_sub(height);
        let first = offset.max(lowest).min(selected).min(last_start);
        Self { first, len: height.min(rows - first.min(rows)) }
    }

    /// `3–20 of 312`, when not all are visible.
    pub(super) fn label(self, rows: usize) -> Option<String> {
        (self.len < rows && self.len > 0).then(|| format!("{}–{} of {rows}", self.first + 1, self.first + self.len))
    }
}

/// How a table is sorted: by which of its sorts, and whether the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sorted {
    /// Index among the screen's sorts.
    pub(super) by: usize,
    /// The other way round.
    pub(super) reversed: bool,
}

/// Draws titles and visible rows into `area`; `selected` is the index of the selected row.
pub(super) fn draw<R>(
    canvas: &mut Canvas<'_>,
    area: Rect,
    grid: &[Column<R>],
    rows: &[&R],
    window: Window,
    selected: Option<usize>,
    sorted: Option<Sorted>,
) {
    let widths = fit(grid, area.width);
    let (head, mut body) = split_top(area, 1);
    let mut at = head;
    for (column, width) in grid.iter().zip(&widths).filter(|(_, width)| **width > 0) {
        let mark = sorted.filter(|s| column.sort == Some(s.by)).map_or("", |s| if s.reversed { "↑" } else { "↓" });
        let role = if mark.is_empty() { Role::Column } else { Role::Key };
        cell(canvas, at, *width, column.align, &piece(role, [column.title, mark].concat()));
        at = split_left(at, *width, GAP).1;
    }
    for (index, row) in rows.iter().copied().enumerate().skip(window.first).take(window.len) {
        let (line, rest) = split_top(body, 1);
        body = rest;
        let mut at = line;
        for (column, width) in grid.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            cell(canvas, at, *width, column.align, &(column.cell)(row));
            at = split_left(at, *width, GAP).1;
        }
        if selected == Some(index) {
            canvas.paint(line, Role::Selected);
        }
    }
}

const GAP: u16 = 2;

fn cell(canvas: &mut Canvas<'_>, at: Rect, width: u16, align: Align, what: &Piece) {
    let (area, _) = split_left(at, width, 0);
    let shown = match align {
        Align::Left | Align::Right => text::cut(&what.text, width.into()),
        Align::LeftTail => text::cut_start(&what.text, width.into()),
        Align::Newest => {
            let surplus = what.text.chars().count().saturating_sub(width.into());
            what.text.chars().skip(surplus).collect()
        }
    };
    let indent = match align {
        Align::Left | Align::LeftTail => 0,
        Align::Right | Align::Newest => width.saturating_sub(columns(text::width(&shown))),
    };
    canvas.put(split_left(area, indent, 0).1, &shown, what.role);
}

/// The width of each column in `width`; 0 for those that drop out.
fn fit<R>(grid: &[Column<R>], width: u16) -> Vec<u16> {
    let mut ranks: Vec<u8> = grid.iter().map(|c| c.rank).collect();
    ranks.sort_unstable();
    let needs = |limit: u8| {
        let kept = grid.iter().filter(|c| c.rank <= limit);
        let (sum, n) = kept.fold((0_u16, 0_u16), |(sum, n), c| (sum.saturating_add(c.width), n + 1));
        sum.saturating_add(GAP * n.saturating_sub(1))
    };
    let limit = ranks.into_iter().rev().find(|rank| needs(*rank) <= width).unwrap_or(0);
    let mut spare = width.saturating_sub(needs(limit));
    let fitted = grid.iter().map(|column| {
        if column.rank > limit {
            return 0;
        }
        let more = column.most.saturating_sub(column.width).min(spare);
        spare -= more;
        column.width + more
    });
    fitted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_always_visible() {
        for rows in 0..30 {
            for height in 0..12 {
                for (offset, selected) in (0..35).flat_map(|o| (0..rows.max(1)).map(move |s| (o, s))) {
                    let window = Window::around(offset, selected, height, rows);
                    assert!(window.first + window.len <= rows);
                    let seen = (window.first..window.first + window.len).contains(&selected);
                    assert!(seen || height == 0 || rows == 0, "{offset} {selected} {height} {rows} {window:?}");
                }
            }
        }
    }

    #[test]
    fn columns_drop_out_by_rank_and_spare_room_is_used() {
        let column = |width, most, rank| Column::<()> {
            title: "",
            width,
            most,
            align: Align::Left,
            rank,
            sort: None,
            cell: |()| piece(Role::Text, ""),
        };
        let grid = [column(10, 40, 0), column(6, 6, 2), column(6, 6, 1)];
        assert_eq!(fit(&grid, 100), [40, 6, 6]);
        assert_eq!(fit(&grid, 26), [10, 6, 6]);
        assert_eq!(fit(&grid, 20), [12, 0, 6]);
        assert_eq!(fit(&grid, 5), [10, 0, 0]);
    }
}
