//! What comes from the terminal, in the program's own words.

use std::io;
use std::thread;
use std::time::Duration;

use crossterm::event::{Event as Term, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures_util::stream::{self, Stream};
use tokio::sync::mpsc;

use super::terminal::Terminal;
use crate::app::event::Event;
use crate::app::key::{Chord, Key};

/// A longer paste (bytes) is cut: nothing here takes more than a line.
const PASTE_MAX: usize = 64 * 1024;

/// How long the thread that reads is waited for; a terminal that is gone may hold it.
const LISTENS: Duration = Duration::from_millis(500);

/// So many inputs wait for the event loop; the next one waits in the terminal.
const WAITING: usize = 64;

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
///
/// Read on a thread of its own, and not by crossterm's own stream: that reads in whoever polls it, waits there for the
/// rest of a key of which only the beginning has come, and on a terminal that is gone it turns round for ever (or
/// panics, if it went before). Here only the thread does, and ends with the process.
///
/// # Errors
/// When there is no terminal to read from.
pub fn inputs() -> io::Result<impl Stream<Item = io::Result<Input>>> {
    if !rustix::termios::isatty(io::stdin()) {
        std::fs::File::open("/dev/tty")?;
    }
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let (ready, listens) = std::sync::mpsc::channel::<()>();
    thread::Builder::new().name("keys".to_owned()).spawn(move || {
        // From the first question on crossterm hears of new sizes.
        crossterm::event::poll(Duration::ZERO).ok();
        drop(ready);
        loop {
            let read = crossterm::event::read();
            let lost = read.is_err();
            let sent = read.map(understood).transpose().map(|input| sender.blocking_send(input));
            if lost || sent.is_some_and(|sent| sent.is_err()) {
                return;
            }
        }
    })?;
    // A size that changes there and back before anybody listens would leave what the terminal lost undrawn.
    listens.recv_timeout(LISTENS).ok();
    Ok(stream::poll_fn(move |context| receiver.poll_recv(context)))
}

fn understood(event: Term) -> Option<Input> {
    match event {
        Term::Key(key) => chord(key).map(Input::Key),
        Term::Paste(mut text) => {
            text.truncate(text.floor_char_boundary(PASTE_MAX));
            Some(Input::Paste(text))
        }
        // What the drawing takes it for, which may differ from what the terminal says.
        Term::Resize(..) => Terminal::size().ok().map(|(columns, rows)| Input::Resized(columns, rows)),
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
        // What the Backspace key of many terminals sends.
        KeyCode::Char('h') if ctrl && !alt => return Some(Chord::plain(Key::Backspace)),
        KeyCode::Char(c) if c.is_control() => return None,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(code: KeyCode, modifiers: KeyModifiers) -> Option<String> {
        chord(KeyEvent::new(code, modifiers)).map(|chord| chord.to_string())
    }

    #[test]
    fn keys_are_read_as_people_write_them() {
        let (none, shift, ctrl, alt) =
            (KeyModifiers::NONE, KeyModifiers::SHIFT, KeyModifiers::CONTROL, KeyModifiers::ALT);
        for (code, modifiers, expected) in [
            (KeyCode::Char('q'), none, Some("q")),
            (KeyCode::Char('R'), shift, Some("R")),
            (KeyCode::Char('?'), shift, Some("?")),
            (KeyCode::Char('é'), none, Some("é")),
            (KeyCode::Char('c'), ctrl, Some("Ctrl-C")),
            (KeyCode::Char(' '), ctrl, Some("Ctrl-Space")),
            (KeyCode::Char('4'), ctrl, Some("Ctrl-4")),
            (KeyCode::Char('x'), alt, Some("Alt-x")),
            (KeyCode::Char('h'), ctrl, Some("Backspace")),
            (KeyCode::Backspace, none, Some("Backspace")),
            (KeyCode::Tab, shift, Some("Shift-Tab")),
            (KeyCode::BackTab, shift, Some("Shift-Tab")),
            (KeyCode::PageDown, none, Some("PgDn")),
            (KeyCode::F(5), none, Some("F5")),
            (KeyCode::Char('\u{9b}'), none, None),
            (KeyCode::Insert, none, None),
            (KeyCode::CapsLock, none, None),
        ] {
            assert_eq!(typed(code, modifiers).as_deref(), expected, "{code:?} {modifiers:?}");
        }
    }

    #[test]
    fn releases_are_no_keys_and_repeats_are() {
        let key = |kind| chord(KeyEvent::new_with_kind(KeyCode::Down, KeyModifiers::NONE, kind));
        assert_eq!(key(KeyEventKind::Release), None);
        assert_eq!(key(KeyEventKind::Repeat), Some(Chord::plain(Key::Down)));
    }

    #[test]
    fn a_huge_paste_is_cut_between_characters() {
        let pasted = understood(Term::Paste("€".repeat(PASTE_MAX)));
        assert_eq!(pasted, Some(Input::Paste("€".repeat(PASTE_MAX / 3))));
    }
}
