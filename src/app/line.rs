//! A line that is typed: its text and the place of the cursor.

use serde::{Deserialize, Serialize};

use super::key::{Chord, Key};

/// A line being typed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Line {
    text: Vec<char>,
    cursor: usize,
}

impl Line {
    /// A line with this text, the cursor at its end.
    pub fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        Self { cursor: text.len(), text }
    }

    /// What was typed.
    pub fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// What stands before the cursor, and what from it on.
    pub fn parts(&self) -> (String, String) {
        let (before, after) = self.text.split_at(self.cursor.min(self.text.len()));
        (before.iter().collect(), after.iter().collect())
    }

    /// Whether nothing was typed.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Puts text in at the cursor, as far as the line then has at most `most` characters; control characters become blanks.
    pub fn insert(&mut self, text: &str, most: usize) {
        for c in text.chars() {
            if self.text.len() >= most {
                return;
            }
            self.text.insert(self.cursor, if c.is_control() { ' ' } else { c });
            self.cursor += 1;
        }
    }

    /// Does what a key does in a line of at most `most` characters; `false`: it means nothing here.
    pub fn key(&mut self, chord: Chord, most: usize) -> bool {
        match (chord.key, chord.ctrl) {
            (Key::Char('a'), true) | (Key::Home, _) => self.cursor = 0,
            (Key::Char('e'), true) | (Key::End, _) => self.cursor = self.text.len(),
            (Key::Char('u'), true) => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            (Key::Char('k'), true) => self.text.truncate(self.cursor),
            (Key::Char('w'), true) => {
                let before = self.text.get(..self.cursor).unwrap_or_default();
                let word = before.iter().rposition(|c| *c != ' ').map_or(0, |end| end + 1);
                let start =
                    before.get(..word).unwrap_or_default().iter().rposition(|c| *c == ' ').map_or(0, |at| at + 1);
                self.text.drain(start..self.cursor);
                self.cursor = start;
            }
            (Key::Left, _) => self.cursor = self.cursor.saturating_sub(1),
            (Key::Right, _) => self.cursor = (self.cursor + 1).min(self.text.len()),
            (Key::Backspace, _) => {
                if self.cursor > 0 {
                    self.cursor -= 1;
                    self.text.remove(self.cursor);
                }
            }
            (Key::Delete, _) => {
                if self.cursor < self.text.len() {
                    self.text.remove(self.cursor);
                }
            }
            (Key::Char(c), false) if !chord.alt => self.insert(c.encode_utf8(&mut [0; 4]), most),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &mut Line, keys: &[Chord]) -> (String, String) {
        for key in keys {
            line.key(*key, 20);
        }
        line.parts()
    }

    #[test]
    fn it_is_edited_where_the_cursor_is() {
        let mut line = Line::new("free dsk");
        let (left, right) = (Chord::plain(Key::Left), Chord::plain(Key::Right));
        let parts = typed(&mut line, &[left, left, Chord::char('i'), right]);
        assert_eq!(parts, ("free dis".to_owned(), "k".to_owned()));
        assert_eq!(typed(&mut line, &[Chord::ctrl('w')]), ("free ".to_owned(), "k".to_owned()));
        assert_eq!(typed(&mut line, &[Chord::plain(Key::Delete), Chord::ctrl('u')]), (String::new(), String::new()));
        assert_eq!(typed(&mut line, &[Chord::plain(Key::Backspace), left, Chord::ctrl('w')]).0, "");
    }

    #[test]
    fn it_has_an_end_and_no_control_characters() {
        let mut line = Line::default();
        line.insert("ö\n\u{1b}[2J and a text that is far too long", 20);
        assert_eq!(line.text(), "ö  [2J and a text th");
        assert!(line.key(Chord::char('x'), 20) && line.text().chars().count() == 20);
    }
}
