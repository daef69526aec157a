//! A program in a real pseudo-terminal, and the screen a person would see there.
//!
//! Everything waits on conditions: output is read while it is waited for, never slept upon.
#![cfg(test)]

use std::ffi::OsStr;
use std::num::NonZeroU16;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use pty_process::{Command, Pty, Size};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout_at};

/// How long a condition is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the program asked of the terminal, besides drawing.
#[derive(Debug, Default)]
struct Asked {
    clipboard: Vec<String>,
    /// Cursor position, device attributes and the like: answers get between the operator's keys.
    questions: usize,
}

impl vt100::Callbacks for Asked {
    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], data: &[u8]) {
        self.clipboard.push(String::from_utf8_lossy(data).into_owned());
    }

    fn unhandled_csi(&mut self, _: &mut vt100::Screen, _: Option<u8>, _: Option<u8>, _: &[&[u16]], last: char) {
        self.questions += usize::from(matches!(last, 'n' | 'c'));
    }
}

/// A program on a terminal of its own. It is killed with its guard.
pub(crate) struct Session {
    runtime: Runtime,
    pty: Option<Pty>,
    child: Child,
    parser: vt100::Parser<Asked>,
    raw: Vec<u8>,
}

/// A home directory, and a configuration that watches nothing but this host.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("midwatch-pty-").tempdir().unwrap();
        std::fs::write(dir.path().join("midwatch.toml"), "discover = false\n").unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where midwatch keeps its state.
    pub(crate) fn state(&self) -> String {
        self.path().join("state").display().to_string()
    }

    /// How midwatch is called here.
    pub(crate) fn midwatch(&self) -> [String; 5] {
        let config = self.path().join("midwatch.toml").display().to_string();
        let program = env!("CARGO_BIN_EXE_midwatch").to_owned();
        [program, "-c".to_owned(), config, "--state-dir".to_owned(), self.state()]
    }

    /// midwatch, on a terminal of so many columns and rows.
    pub(crate) fn open(&self, args: &[&str], columns: u16, rows: u16) -> Session {
        let call = self.midwatch();
        let call: Vec<&str> = call.iter().map(String::as_str).chain(args.iter().copied()).collect();
        self.run(&call, &[], columns, rows)
    }

    /// Any program, in an environment of its own.
    pub(crate) fn run(&self, call: &[&str], env: &[(&str, &OsStr)], columns: u16, rows: u16) -> Session {
        let (program, args) = call.split_first().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let command = Command::new(program)
            .args(args)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path())
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .envs(env.iter().copied())
            .current_dir(self.path())
            .kill_on_drop(true);
        Session::start(command, columns, rows)
    }
}

impl Session {
    fn start(command: Command, columns: u16, rows: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (pty, child) = runtime.block_on(async {
            let (pty, pts) = pty_process::open().unwrap();
            pty.resize(Size::new(rows, columns)).unwrap();
            let child = command.spawn(pts).unwrap();
            (pty, child)
        });
        let (rows, columns) = (at_least_one(rows), at_least_one(columns));
        let parser = vt100::Parser::new_with_callbacks(rows, columns, 0, Asked::default());
        Self { runtime, pty: Some(pty), child, parser, raw: Vec::new() }
    }

    /// The program's process id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    /// What is on the screen.
    pub(crate) fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Whether the program has begun to draw on the alternate screen.
    pub(crate) fn begun(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    /// What the program has put on the clipboard, in base64.
    pub(crate) fn clipboard(&self) -> &[String] {
        &self.parser.callbacks().clipboard
    }

    /// How often the program has asked the terminal something.
    pub(crate) fn questions(&self) -> usize {
        self.parser.callbacks().questions
    }

    /// Types this.
    pub(crate) fn keys(&mut self, keys: &str) {
        let pty = self.pty.as_mut().unwrap();
        self.runtime.block_on(pty.write_all(keys.as_bytes())).unwrap();
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Wipes what a person sees, without the program knowing.
    pub(crate) fn wipe(&mut self) {
        self.parser.process(b"\x1b[2J");
    }

    /// Gives the terminal another size. A screen larger than any real one is only announced.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.pty.as_ref().unwrap().resize(Size::new(rows, columns)).unwrap();
        if columns <= 500 {
            self.parser.screen_mut().set_size(at_least_one(rows), at_least_one(columns));
        }
    }

    /// Reads what the program writes until the screen is as it shall be.
    pub(crate) fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(self.read(deadline), "{what} did not come; the screen shows:\n{}", self.text());
        }
    }

    /// Waits until this is on the screen.
    pub(crate) fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |session| session.text().contains(text));
    }

    /// Reads what there is; `false` when nothing more can come.
    fn read(&mut self, deadline: Instant) -> bool {
        let mut bytes = [0; 16 * 1024];
        let Some(pty) = self.pty.as_mut() else { return false };
        let read = self.runtime.block_on(async { timeout_at(deadline, pty.read(&mut bytes)).await });
        // The other side closed is EIO on Linux.
        let Ok(Ok(count @ 1..)) = read else { return false };
        self.parser.process(&bytes[..count]);
        self.raw.extend_from_slice(&bytes[..count]);
        true
    }

    /// Takes the terminal away, as a dropped SSH connection does.
    pub(crate) fn close(&mut self) {
        let _context = self.runtime.enter();
        drop(self.pty.take());
    }

    /// Waits until the program ends, and reads all it has written till then.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while self.read(deadline) {}
        let status = self.runtime.block_on(async { timeout_at(deadline, self.child.wait()).await });
        status.unwrap_or_else(|_| panic!("still running; the screen shows:\n{}", self.text())).unwrap()
    }

    /// Whether the terminal echoes and edits lines, as a shell needs it.
    pub(crate) fn cooked(&self) -> bool {
        let modes = tcgetattr(self.pty.as_ref().unwrap()).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Alternate screen, hidden cursor, bracketed paste; and whether the line is cooked.
    pub(crate) fn modes(&self) -> [bool; 4] {
        let screen = self.parser.screen();
        [screen.alternate_screen(), screen.hide_cursor(), screen.bracketed_paste(), self.cooked()]
    }

    /// Whether the program has the whole screen.
    pub(crate) fn taken(&self) -> bool {
        self.modes() == [true, true, true, false]
    }

    /// Whether everything is as the program found it.
    pub(crate) fn given_back(&self) -> bool {
        self.modes() == [false, false, false, true]
    }

    /// State and CPU time (user and system, in ticks) of the program, as the kernel tells them.
    pub(crate) fn stat(&self) -> (char, u64) {
        stat(self.pid())
    }
}

impl Session {
    /// Everything the program has written so far.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Waits until the program ends, without reading anything it still writes.
    pub(crate) fn ended_unread(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = self.runtime.block_on(async { timeout_at(deadline, self.child.wait()).await });
        status.expect("it still runs while nobody reads").unwrap()
    }
}

/// State and CPU time (user and system, in ticks) of a process.
pub(crate) fn stat(pid: Pid) -> (char, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<u64>().unwrap();
    (fields[0].chars().next().unwrap(), ticks(11) + ticks(12))
}

/// The exit code as a shell tells it: 128 plus the signal for one that was killed.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
}

fn at_least_one(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}
