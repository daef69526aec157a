//! The terminal: taken, drawn on, given back, whatever happens.
//!
//! Not `ratatui::init`: its restore, its panic hook and the terminal's own drop all print when they fail, which on a
//! terminal that is gone panics inside a panic and aborts. Here nothing is printed, and a lost terminal is forgotten.

use std::io::{self, Stdout, Write};

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{QueueableCommand, cursor, execute};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

/// Terminals drop OSC 52 sequences beyond about this many bytes.
const COPY_MAX: usize = 74_000;

/// The terminal, in raw mode and on its alternate screen.
#[derive(Debug)]
pub struct Terminal {
    inner: Option<ratatui::Terminal<CrosstermBackend<Stdout>>>,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard output is no terminal, or does not take what is written. It is left as it was.
    pub fn enter() -> io::Result<Self> {
        take()?;
        match ratatui::Terminal::new(CrosstermBackend::new(io::stdout())) {
            Ok(inner) => Ok(Self { inner: Some(inner) }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn size() -> io::Result<(u16, u16)> {
        crossterm::terminal::size()
    }

    /// Draws one frame; only what differs from the last is written.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        match &mut self.inner {
            Some(inner) => inner.draw(draw).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Clears it, so that the next frame is written in full.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn clear(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Some(inner) => inner.clear(),
            None => Ok(()),
        }
    }

    /// Puts text on the clipboard of the terminal (OSC 52), which over SSH is that of the operator's own machine.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let cut = text.char_indices().map(|(i, _)| i).take_while(|i| *i <= COPY_MAX * 3 / 4).last().unwrap_or(0);
        let text = if text.len() > COPY_MAX * 3 / 4 { text.get(..cut).unwrap_or_default() } else { text };
        execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))
    }

    /// Gives the terminal back, stops the whole process group as Ctrl-Z does in any program, and takes it again when
    /// the process is continued.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        take()?;
        self.clear()
    }

    /// Gives the terminal back.
    pub fn leave(mut self) {
        give_back();
        // Its drop would show the cursor once more, and print when that fails.
        std::mem::forget(self.inner.take());
    }

    /// Lets go of a terminal that is gone.
    pub fn abandon(mut self) {
        give_back();
        std::mem::forget(self.inner.take());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            give_back();
            std::mem::forget(inner);
        }
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    let taken = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide);
    if taken.is_err() {
        give_back();
    }
    taken
}

/// Undoes everything [`Terminal::enter`] did, as far as the terminal still takes it. Never prints, never panics.
pub fn give_back() {
    let mut out = io::stdout();
    let written = out
        .queue(DisableBracketedPaste)
        .and_then(|out| out.queue(LeaveAlternateScreen))
        .and_then(|out| out.queue(cursor::Show))
        .map(|_| ());
    written.and_then(|()| out.flush()).ok();
    disable_raw_mode().ok();
}
