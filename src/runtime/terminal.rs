//! The terminal: taken, drawn on, given back, whatever happens.
//!
//! Not `ratatui::init`: its restore, its panic hook and the terminal's own drop all print when they fail, which on a
//! terminal that is gone panics inside a panic and aborts. Here nothing is printed, and ratatui's drop never runs.
//!
//! Nor ratatui's `clear`: it asks the terminal where the cursor is and waits for the answer, which the reader of keys
//! gets. Nothing is ever asked of the terminal here.

use std::fs::File;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use crossterm::{cursor, execute};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{TerminalOptions, Viewport};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// What a drawing draws on. The rest of the runtime knows no more of the drawing library than this.
pub use ratatui::Frame;

/// Terminals drop OSC 52 sequences beyond about 74 kB, of which base64 leaves three quarters.
const COPY_MAX: usize = 55_000;
/// What a terminal that does not know its size (a serial line) is taken for.
const UNKNOWN_SIZE: (u16, u16) = (80, 24);
/// No screen is larger; a larger number is a mistake that would only cost memory.
const LARGEST: (u16, u16) = (1_000, 500);
/// How long a stop signal may take to reach this thread by way of another one.
const STOP_DELAY: Duration = Duration::from_millis(250);
/// How long to wait before writing again to a terminal that somebody has set to non-blocking.
const RETRY: Duration = Duration::from_millis(5);

/// Whether there is something to give back.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, in raw mode and on its alternate screen. Dropping it gives it back; when it is gone, nothing happens.
#[derive(Debug)]
pub struct Terminal {
    inner: ManuallyDrop<ratatui::Terminal<CrosstermBackend<Frames>>>,
    frames: Frames,
    area: Rect,
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard output is no terminal, or does not take what is written. It is left as it was.
    pub fn enter() -> io::Result<Self> {
        let area = area()?;
        take()?;
        // A fixed viewport is moved by `draw` alone; ratatui would ask /dev/tty or even `tput` for the size.
        let options = TerminalOptions { viewport: Viewport::Fixed(area) };
        let frames = Frames::default();
        match ratatui::Terminal::with_options(CrosstermBackend::new(frames.clone()), options) {
            Ok(inner) => Ok(Self { inner: ManuallyDrop::new(inner), frames, area }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Columns and rows, at most 1,000 by 500; 80 by 24 where the terminal does not know.
    ///
    /// # Errors
    /// When standard output is no terminal, or the terminal is gone.
    pub fn size() -> io::Result<(u16, u16)> {
        let told = rustix::termios::tcgetwinsize(io::stdout())?;
        Ok(match (told.ws_col, told.ws_row) {
            (0, _) | (_, 0) => UNKNOWN_SIZE,
            (columns, rows) => (columns.min(LARGEST.0), rows.min(LARGEST.1)),
        })
    }

    /// Draws one frame: the bytes that make of the last one this, to be written before any other.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<Vec<u8>> {
        let area = area()?;
        if area != self.area {
            self.area = area;
            self.inner.resize(area)?;
        }
        self.inner.draw(draw)?;
        Ok(self.frames.take())
    }

    /// Writes bytes of [`Terminal::draw`], for as long as the terminal takes.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn write(bytes: &[u8]) -> io::Result<()> {
        // After a panic elsewhere the terminal is the shell's again.
        if TAKEN.load(Ordering::SeqCst) { write_all(bytes) } else { Ok(()) }
    }

    /// Clears it, so that the next frame is written in full; and sets its modes anew, for whoever had it meanwhile (a
    /// shell, while this process was stopped) has set its own.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn clear(&mut self) -> io::Result<()> {
        disable_raw_mode()?;
        enable_raw_mode()?;
        let mut out = Output::default();
        execute!(out, EnableBracketedPaste, cursor::Hide)?;
        self.inner.resize(self.area)
    }

    /// Puts text on the clipboard of the terminal (OSC 52), which over SSH is that of the operator's own machine.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let (text, _) = text.split_at(text.floor_char_boundary(COPY_MAX));
        let mut out = Output::default();
        execute!(out, CopyToClipboard::to_clipboard_from(text))
    }

    /// Gives the terminal back, stops the whole process group as Ctrl-Z does in any program, and takes it again when
    /// the process is continued. Where nobody could continue it, it is not stopped.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        // The kernel may hand the signal to another thread first; taken too early, the terminal would be in our modes
        // under the shell's prompt. Once stopped, this wait is over by the time the process goes on.
        std::thread::sleep(STOP_DELAY);
        take()?;
        self.clear()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn area() -> io::Result<Rect> {
    Terminal::size().map(|(columns, rows)| Rect::new(0, 0, columns, rows))
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    let mut out = Output::default();
    let taken =
        enable_raw_mode().and_then(|()| execute!(out, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide));
    if taken.is_err() {
        give_back();
    }
    taken
}

/// Undoes everything [`Terminal::enter`] did, as far as the terminal still takes it; nothing if it is not taken. Never
/// prints, never panics.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = Output::default();
        execute!(out, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show).ok();
        disable_raw_mode().ok();
    }
}

/// Undoes of it what needs no output: line editing, echo and the keys that signal. For a terminal that takes none, where
/// [`give_back`] would wait for ever.
pub fn cook() {
    disable_raw_mode().ok();
}

/// What is drawn, until it is taken to be written.
#[derive(Debug, Clone, Default)]
struct Frames(Arc<Mutex<Vec<u8>>>);

impl Frames {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal, opened once more so that nobody waits who writes to it: to make standard output itself so would make it so
/// for the shell too, which has the same open file.
#[derive(Debug)]
pub struct Door(File);

impl Door {
    /// `None` where it may not be opened: after `su` it is still its first user's.
    pub fn open() -> Option<Self> {
        let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits()).ok()?;
        let file =
            File::options().write(true).custom_flags(flags).open(std::fs::read_link("/proc/self/fd/1").ok()?).ok()?;
        let same = rustix::fs::fstat(&file).ok()?.st_rdev == rustix::fs::fstat(io::stdout()).ok()?.st_rdev;
        (same && rustix::termios::isatty(&file)).then_some(Self(file))
    }

    /// Writes what the terminal takes at once: so many bytes.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        if !TAKEN.load(Ordering::SeqCst) {
            return Ok(bytes.len());
        }
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&self.0, rest) {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(more) => written += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }
}

/// Standard output, for what is said to the terminal besides frames: collected until flushed, then written past the standard library's buffer and
/// its lock, which a thread that waits for a stalled terminal would hold.
#[derive(Debug, Default)]
struct Output(Vec<u8>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = write_all(&self.0);
        self.0.clear();
        written
    }
}

fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    let out = io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(&out, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Another program on the same terminal can cause this; it is not gone.
            Err(Errno::AGAIN) => std::thread::sleep(RETRY),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
