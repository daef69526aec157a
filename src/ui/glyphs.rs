//! The glyphs of the screen, and what stands for them where the terminal has only ASCII.
//!
//! Everything is drawn in Unicode; [`Glyphs::Ascii`] is one last pass over the finished buffer. So nothing that was
//! forgotten, and no text from outside, can slip through.

use ratatui::buffer::Buffer;

use super::theme::Role;
use crate::domain::level::Level;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// UTF-8.
    #[default]
    Unicode,
    /// Only ASCII: the locale isn't UTF-8, or the operator asked for it.
    Ascii,
}

/// Seven heights, the lowest first. The full block is none of them: strips above one another would run together.
pub(super) const RAMP: [&str; 7] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇"];

const ASCII: &[(&str, &str)] = &[
    ("✖", "X"),
    ("▲", "!"),
    ("✔", "+"),
    ("·", "-"),
    ("▁", "_"),
    ("▂", "."),
    ("▃", ":"),
    ("▄", "-"),
    ("▅", "="),
    ("▆", "+"),
    ("▇", "*"),
    ("■", "#"),
    ("─", "-"),
    ("│", "|"),
    ("├", "|"),
    ("└", "`"),
    ("┌", "+"),
    ("┐", "+"),
    ("┘", "+"),
    ("…", "~"),
    ("—", "-"),
    ("–", "-"),
    ("≥", ">"),
    ("≤", "<"),
    ("→", ">"),
    ("↑", "^"),
    ("↓", "v"),
    ("▏", "_"),
    ("“", "\""),
    ("”", "\""),
    ("’", "'"),
    ("×", "x"),
    ("µ", "u"),
];

/// The glyph of a level; its word always stands beside it.
pub(super) const fn level(level: Level) -> &'static str {
    match level {
        Level::Critical => "✖",
        Level::Warning => "▲",
        Level::Unknown => "?",
        Level::Note => "·",
        Level::Ok => "✔",
    }
}

/// The role of a level.
pub(super) const fn role(level: Level) -> Role {
    match level {
        Level::Critical => Role::Critical,
        Level::Warning => Role::Warning,
        Level::Unknown => Role::Unknown,
        Level::Note => Role::Note,
        Level::Ok => Role::Ok,
    }
}

/// The glyph for a share (0 to 1) of the full height.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=6 before")]
pub(super) fn height(share: f64) -> &'static str {
    let step = (share * 6.0).round().clamp(0.0, 6.0) as usize;
    RAMP.get(step).copied().unwrap_or("▁")
}

/// A bar of `columns` cells of which `share` (0 to 1) are full: the full part and the rest. Anything above 0 shows.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "columns of a terminal, clamped to its width"
)]
pub(super) fn bar(share: f64, columns: usize) -> (String, String) {
    let full = (share.clamp(0.0, 1.0) * columns as f64).round() as usize;
    let full = if share > 0.0 { full.max(1) } else { 0 }.min(columns);
    ("■".repeat(full), "·".repeat(columns - full))
}

impl Glyphs {
    /// Replaces every cell this terminal can't show.
    pub(super) fn settle(self, buffer: &mut Buffer) {
        match self {
            Self::Unicode => {}
            Self::Ascii => {
                for cell in buffer.content.iter_mut().filter(|cell| !cell.symbol().is_ascii()) {
                    let known = ASCII.iter().find(|(glyph, _)| *glyph == cell.symbol());
                    cell.set_symbol(known.map_or("?", |(_, ascii)| ascii));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_the_least_and_never_overflows() {
        assert_eq!(bar(0.0, 4), (String::new(), "····".into()));
        assert_eq!(bar(0.001, 4).0, "■");
        assert_eq!(bar(7.0, 4), ("■■■■".into(), String::new()));
        assert_eq!(bar(f64::NAN, 4).0, "");
        assert_eq!(height(f64::NAN), "▁");
        assert_eq!((height(0.0), height(1.0), height(9.0)), ("▁", "▇", "▇"));
    }

    #[test]
    fn every_glyph_of_ours_has_an_ascii_one_of_its_level() {
        let words = [Level::Critical, Level::Warning, Level::Unknown, Level::Note, Level::Ok].map(level);
        let mut buffer = Buffer::with_lines([words.concat() + &RAMP.concat() + "日é"]);
        Glyphs::Ascii.settle(&mut buffer);
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "X!?-+_.:-=+*? ?");
    }
}
