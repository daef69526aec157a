//! Keys, as the program knows them: independent of the terminal library, and written as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A key without modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// A character, as typed (so `R` is a capital R, with or without Shift reported).
    Char(char),
    /// A function key.
    F(u8),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
}

/// A key with modifiers. Shift is part of the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Chord {
    /// The key.
    pub key: Key,
    /// With Ctrl held.
    pub ctrl: bool,
    /// With Alt held.
    pub alt: bool,
}

impl Chord {
    /// A key alone.
    pub const fn plain(key: Key) -> Self {
        Self { key, ctrl: false, alt: false }
    }

    /// A character alone.
    pub const fn char(c: char) -> Self {
        Self::plain(Key::Char(c))
    }

    /// A character with Ctrl.
    pub const fn ctrl(c: char) -> Self {
        Self { key: Key::Char(c), ctrl: true, alt: false }
    }
}

const NAMED: &[(Key, &str)] = &[
    (Key::Char(' '), "Space"),
    (Key::Enter, "Enter"),
    (Key::Esc, "Esc"),
    (Key::Tab, "Tab"),
    (Key::BackTab, "Shift-Tab"),
    (Key::Backspace, "Backspace"),
    (Key::Delete, "Delete"),
    (Key::Up, "Up"),
    (Key::Down, "Down"),
    (Key::Left, "Left"),
    (Key::Right, "Right"),
    (Key::Home, "Home"),
    (Key::End, "End"),
    (Key::PageUp, "PgUp"),
    (Key::PageDown, "PgDn"),
];

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            f.write_str("Ctrl-")?;
        }
        if self.alt {
            f.write_str("Alt-")?;
        }
        if let Some((_, name)) = NAMED.iter().find(|(key, _)| *key == self.key) {
            return f.write_str(name);
        }
        match self.key {
            Key::Char(c) if self.ctrl => write!(f, "{}", c.to_ascii_uppercase()),
            Key::Char(c) => write!(f, "{c}"),
            Key::F(n) => write!(f, "F{n}"),
            Key::Enter
            | Key::Esc
            | Key::Tab
            | Key::BackTab
            | Key::Backspace
            | Key::Delete
            | Key::Up
            | Key::Down
            | Key::Left
            | Key::Right
            | Key::Home
            | Key::End
            | Key::PageUp
            | Key::PageDown => Ok(()),
        }
    }
}

/// A chord that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no key: write for example `q`, `R`, `Ctrl-R`, `Alt-x`, `F5`, `Space`, `PgDn`")]
pub struct ChordError(pub String);

impl FromStr for Chord {
    type Err = ChordError;

    fn from_str(text: &str) -> Result<Self, ChordError> {
        let (mut rest, mut ctrl, mut alt) = (text, false, false);
        if let Some((_, key)) = find_named(text) {
            return Ok(Self::plain(key));
        }
        loop {
            match rest.split_once('-') {
                Some((m, tail)) if m.eq_ignore_ascii_case("ctrl") && !tail.is_empty() => (ctrl, rest) = (true, tail),
                Some((m, tail)) if m.eq_ignore_ascii_case("alt") && !tail.is_empty() => (alt, rest) = (true, tail),
                Some(_) | None => break,
            }
        }
        let mut chars = rest.chars();
        let key = match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => Key::Char(if ctrl { c.to_ascii_lowercase() } else { c }),
            (Some('F' | 'f'), Some(_)) => {
                let n = rest.get(1..).and_then(|n| n.parse().ok()).filter(|n| (1..=24).contains(n));
                Key::F(n.ok_or_else(|| ChordError(text.to_owned()))?)
            }
            _ => find_named(rest).map(|(_, key)| key).ok_or_else(|| ChordError(text.to_owned()))?,
        };
        Ok(Self { key, ctrl, alt })
    }
}

fn find_named(text: &str) -> Option<(&'static str, Key)> {
    NAMED.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(key, name)| (*name, *key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in
            ["q", "R", "Ctrl-R", "Alt-x", "F5", "F12", "Space", "PgDn", "Shift-Tab", "Ctrl-Alt-k", "-", "+", "?"]
        {
            assert_eq!(text.parse::<Chord>().map(|c| c.to_string().to_lowercase()), Ok(text.to_lowercase()));
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        for text in ["", "Ctrl-", "F0", "F99", "Hyper-x", "ab"] {
            assert!(text.parse::<Chord>().is_err(), "{text}");
        }
    }
}
