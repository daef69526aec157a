//! What comes from the terminal, in the program's own words.

use std::io;

use crossterm::event::{Event as Term, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::{Stream, StreamExt};

use crate::app::event::Event;
use crate::app::key::{Chord, Key};

/// A longer paste is cut: nothing here takes more than a line.
const PASTE_MAX: usize = 64 * 1024;

/// Something that came from the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Chord),
    /// Pasted text.
    Paste(String),
    /// A new size: columns, rows.
    Resized(u16, u16),
}

impl Input {
    /// As an event of the program.
    pub fn into_event(self) -> Event {
        match self {
            Self::Key(chord) => Event::Key(chord),
            Self::Paste(text) => Event::Paste(text),
            Self::Resized(columns, rows) => Event::Resized(columns, rows),
        }
    }
}

/// Everything that comes from the terminal, until it is gone.
pub fn inputs() -> impl Stream<Item = io::Result<Input>> {
    EventStream::new().filter_map(|event| async { event.map(understood).transpose() })
}

fn understood(event: Term) -> Option<Input> {
    match event {
        Term::Key(key) => chord(key).map(Input::Key),
        Term::Paste(text) => Some(Input::Paste(text.chars().take(PASTE_MAX).collect())),
        Term::Resize(columns, rows) => Some(Input::Resized(columns, rows)),
        Term::FocusGained | Term::FocusLost | Term::Mouse(_) => None,
    }
}

/// The chord of a key event; releases and keys we have no name for are none.
#[expect(clippy::wildcard_enum_match_arm, reason = "media and modifier keys mean nothing here")]
pub fn chord(event: KeyEvent) -> Option<Chord> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let alt = event.modifiers.contains(KeyModifiers::ALT);
    let key = match event.code {
        KeyCode::Char(c) if ctrl => Key::Char(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::F(n) => Key::F(n),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab if event.modifiers.contains(KeyModifiers::SHIFT) => Key::BackTab,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => return None,
    };
    Some(Chord { key, ctrl, alt })
}
