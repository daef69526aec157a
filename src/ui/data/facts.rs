//! Facts of a server, one per line, with a label; those that matter least go first where there is no room.

use ratatui::layout::Rect;

use crate::ui::canvas::{Canvas, Piece, columns, piece, split_left, split_top};
use crate::ui::format;
use crate::ui::glyphs;
use crate::ui::text;
use crate::ui::theme::Role;

/// What stands between two values.
const SEPARATOR: &str = " · ";
/// Columns of a label.
const LABEL: usize = 10;
/// Columns of a bar: in a narrow half, in a wide one.
const BARS: (usize, usize) = (10, 20);
/// From this share on a bar is marked.
const BAR_BAD: f64 = 0.9;

/// One fact.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fact {
    /// Facts with a higher number are left out first.
    rank: u8,
    label: String,
    pieces: Vec<Piece>,
    /// Is one sentence, which may be broken anywhere.
    wraps: bool,
}

/// A fact of these pieces.
pub(super) fn fact(rank: u8, label: &str, pieces: Vec<Piece>) -> Fact {
    Fact { rank, label: label.to_owned(), pieces, wraps: false }
}

/// A fact that is a sentence.
pub(super) fn sentence(rank: u8, label: &str, role: Role, text: &str) -> Fact {
    Fact { rank, label: label.to_owned(), pieces: vec![piece(role, text)], wraps: true }
}

/// Values joined with dots, those that say nothing left out.
pub(super) fn dotted(values: impl IntoIterator<Item = Option<Piece>>) -> Vec<Piece> {
    let mut out = Vec::new();
    for value in values.into_iter().flatten().filter(|value| !value.text.is_empty()) {
        if !out.is_empty() {
            out.push(piece(Role::Muted, SEPARATOR));
        }
        out.push(value);
    }
    out
}

/// A bar with its share, and what it is of.
pub(super) fn bar(width: u16, share: Option<f64>, values: [Option<Piece>; 2]) -> Vec<Piece> {
    let room = if width < 70 { BARS.0 } else { BARS.1 };
    let (full, rest) = glyphs::bar(share.unwrap_or(0.0), room);
    let bad = share.is_some_and(|share| share >= BAR_BAD);
    let mark = if bad { " ▲ " } else { " " };
    let mut pieces = vec![
        piece(if bad { Role::BarBad } else { Role::Bar }, full),
        piece(Role::Border, rest),
        piece(if bad { Role::Critical } else { Role::Accent }, [mark, &format::share_or_none(share)].concat()),
        piece(Role::Muted, "  "),
    ];
    pieces.extend(dotted(values));
    pieces
}

/// Draws as many of the facts as there is room for, in their order; what is no longer current is drawn as past. The
/// rest of the area.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, facts: &[Fact], current: bool) -> Rect {
    let height = usize::from(area.height);
    let mut order: Vec<usize> = (0..facts.len()).collect();
    order.sort_by_key(|at| facts.get(*at).map(|fact| fact.rank));
    let left_out = order.get(height..).unwrap_or_default();
    let kept: Vec<&Fact> = facts.iter().enumerate().filter(|(at, _)| !left_out.contains(at)).map(|(_, f)| f).collect();
    let mut spare = height.saturating_sub(kept.len());
    let mut rest = area;
    for fact in kept {
        let lines = fact.lines(area.width, current);
        let rows = lines.len().clamp(1, spare + 1);
        spare = spare.saturating_sub(rows - 1);
        let (row, below) = split_top(rest, columns(rows));
        fact.draw(canvas, row, current, &lines);
        rest = below;
    }
    rest
}

impl Fact {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Its pieces, line by line where they need several: a line is broken between values, never within one.
    fn lines(&self, width: u16, current: bool) -> Vec<Vec<Piece>> {
        let room = usize::from(width).saturating_sub(LABEL + 1).max(1);
        if let ([only], true) = (self.pieces.as_slice(), self.wraps) {
            let said = past(only, current);
            return text::wrap(&said.text, room).into_iter().map(|line| vec![piece(said.role, line)]).collect();
        }
        let mut lines = vec![Vec::new()];
        let mut used = 0;
        for next in self.pieces.iter().map(|piece| past(piece, current)) {
            let columns = text::width(&next.text);
            let apart = next.text == SEPARATOR;
            if used + columns > room && used > 0 && !apart {
                let full = lines.last_mut();
                if let Some(line) = full
                    && line.last().is_some_and(|last: &Piece| last.text == SEPARATOR)
                {
                    line.pop();
                    lines.push(Vec::new());
                    used = 0;
                }
            }
            used += columns;
            if let Some(line) = lines.last_mut() {
                line.push(next);
            }
        }
        lines
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, current: bool, lines: &[Vec<Piece>]) {
        let (label, body) = split_left(area, columns(LABEL), 1);
        canvas.put(label, &self.label, Role::Muted);
        if lines.len() <= usize::from(body.height) {
            let mut rest = body;
            for line in lines {
                let (row, below) = split_top(rest, 1);
                canvas.pieces(row, line);
                rest = below;
            }
        } else if let ([only], true) = (self.pieces.as_slice(), self.wraps) {
            let said = past(only, current);
            canvas.paragraph(body, &said.text, said.role);
        } else {
            // Not all of it fits: its beginning, cut.
            let all: Vec<Piece> = self.pieces.iter().map(|piece| past(piece, current)).collect();
            canvas.pieces(body, &all);
        }
    }
}

/// A piece as it may be shown: what is no longer current is never shown as fine.
fn past(said: &Piece, current: bool) -> Piece {
    if current || said.role == Role::Border {
        return said.clone();
    }
    piece(Role::Stale, said.text.replace("✔ ", "was "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_values_only() {
        let values = ["snapshot 3m32s ago", "431 changes since", "no append-only file"];
        let fact = fact(0, "saved", dotted(values.map(|text| Some(piece(Role::Text, text)))));
        let shown = |width| {
            let lines = fact.lines(width, true);
            lines.iter().map(|line| line.iter().map(|p| p.text.as_str()).collect::<String>()).collect::<Vec<_>>()
        };
        assert_eq!(shown(90), ["snapshot 3m32s ago · 431 changes since · no append-only file"]);
        assert_eq!(shown(58), ["snapshot 3m32s ago · 431 changes since", "no append-only file"]);
        assert_eq!(shown(20), values);
        assert_eq!(shown(0), values);
    }

    #[test]
    fn what_is_past_is_not_fine() {
        assert_eq!(past(&piece(Role::Ok, "✔ ok"), false), piece(Role::Stale, "was ok"));
    }
}
