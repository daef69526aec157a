//! Facts of a server, one per line, with a label; those that matter least go first where there is no room.

use ratatui::layout::Rect;

use crate::ui::canvas::{Canvas, Piece, columns, piece, split_top};
use crate::ui::format;
use crate::ui::glyphs;
use crate::ui::text;
use crate::ui::theme::Role;

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
    /// May take several rows where there is room for all.
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
            out.push(piece(Role::Muted, " · "));
        }
        out.push(value);
    }
    out
}

/// A bar with its share, and what it is of.
pub(super) fn bar(width: u16, share: Option<f64>, text: impl Into<String>) -> Vec<Piece> {
    let room = if width < 70 { BARS.0 } else { BARS.1 };
    let (full, rest) = glyphs::bar(share.unwrap_or(0.0), room);
    let bad = share.is_some_and(|share| share >= BAR_BAD);
    let mark = if bad { " ▲ " } else { " " };
    vec![
        piece(if bad { Role::BarBad } else { Role::Bar }, full),
        piece(Role::Border, rest),
        piece(if bad { Role::Critical } else { Role::Accent }, [mark, &format::share_or_none(share)].concat()),
        piece(Role::Muted, ["  ", &text.into()].concat()),
    ]
}

/// Draws as many of the facts as there is room for, in their order; what is no longer current is drawn as past. The
/// rest of the area.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, facts: &[Fact], current: bool) -> Rect {
    let height = usize::from(area.height);
    let mut ranks: Vec<u8> = facts.iter().map(|fact| fact.rank).collect();
    ranks.sort_unstable();
    let limit = match ranks.get(height) {
        // The first rank that does not fit as a whole goes as a whole, unless it is the one that always stays.
        Some(rank) => ranks.iter().rev().find(|r| *r < rank).copied().unwrap_or(0),
        None => u8::MAX,
    };
    let kept: Vec<&Fact> = facts.iter().filter(|fact| fact.rank <= limit).collect();
    let mut spare = height.saturating_sub(kept.len());
    let mut rest = area;
    for fact in kept {
        let rows = fact.rows(area.width).min(spare + 1);
        spare = spare.saturating_sub(rows.saturating_sub(1));
        let (row, below) = split_top(rest, columns(rows));
        fact.draw(canvas, row, current);
        rest = below;
    }
    rest
}

impl Fact {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn rows(&self, width: u16) -> usize {
        let room = usize::from(width).saturating_sub(LABEL + 1).max(1);
        let wrapped = || self.pieces.iter().map(|piece| text::wrap(&piece.text, room).len()).sum::<usize>();
        if self.wraps { wrapped().max(1) } else { 1 }
    }

    fn draw(&self, canvas: &mut Canvas<'_>, area: Rect, current: bool) {
        let (label, body) = crate::ui::canvas::split_left(area, columns(LABEL), 1);
        canvas.put(label, &self.label, Role::Muted);
        let past = |piece: &Piece| {
            let role = if current || piece.role == Role::Border { piece.role } else { Role::Stale };
            Piece { role, text: piece.text.clone() }
        };
        let pieces: Vec<Piece> = self.pieces.iter().map(past).collect();
        match pieces.as_slice() {
            [only] if self.wraps => {
                canvas.paragraph(body, &only.text, only.role);
            }
            pieces => {
                canvas.pieces(body, pieces);
            }
        }
    }
}
