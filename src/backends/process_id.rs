//! Which process is which: a number alone names another one after a while.
//!
//! A [`ProcessId`] is the number with the boot and the moment the process began; two processes never share all three,
//! but for a number that comes round within one clock tick.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

use super::command_line;
use super::store::who;
use crate::domain::text::plain;
use crate::runbook::plan::HostCard;
use crate::runbook::run::ProcessId;

/// Bytes of a command line that are read.
const LINE: u64 = 16 * 1024;

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z`, …
    pub state: char,
    /// Its parent.
    pub parent: u32,
    /// Its process group.
    pub group: i32,
    /// Its session: the number of the process that began that, which nothing else gets while one of it lives.
    pub session: u32,
    /// When it began, in clock ticks since the boot.
    pub started: u64,
}

impl Stat {
    /// Whether it still does anything: one that has ended and waits to be noticed does not.
    pub const fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// This boot's name.
///
/// # Errors
/// When `/proc` can't be read.
pub fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// This process.
///
/// # Errors
/// When `/proc` can't be read.
pub fn here() -> io::Result<ProcessId> {
    of(std::process::id())
}

/// The process that has this number now.
///
/// # Errors
/// When there is none, or `/proc` can't be read.
pub fn of(pid: u32) -> io::Result<ProcessId> {
    Ok(ProcessId { pid, boot: boot()?, started: stat(pid)?.started })
}

/// What `/proc` says of the process that has this number now.
///
/// # Errors
/// When there is none, or `/proc` can't be read.
pub fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse(&String::from_utf8_lossy(&text)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat does not read as the kernel writes it"))
    })
}

fn parse(stat: &str) -> Option<Stat> {
    // The name in parentheses may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let started = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, parent, group, session, started })
}

/// Whether it is still there, and has not ended.
pub fn lives(process: &ProcessId) -> bool {
    let same = |stat: Stat| stat.started == process.started && stat.lives();
    boot().is_ok_and(|boot| boot == process.boot) && stat(process.pid).is_ok_and(same)
}

/// Every process's number, as far as they are shown to this user.
pub fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The process as it may be shown: its command line, credentials masked, or else its name; whose it is; its number.
pub fn told(pid: u32) -> String {
    let Ok(about) = fs::metadata(format!("/proc/{pid}")) else { return format!("pid {pid}, which has ended") };
    let user = who::named(about.uid()).unwrap_or_else(|| format!("uid {}", about.uid()));
    let name = || fs::read_to_string(format!("/proc/{pid}/comm")).map(|name| plain(&name, 32)).unwrap_or_default();
    let words = words(pid);
    let command = if words.is_empty() { name() } else { plain(&command_line::shown(&words), 80) };
    format!("pid {pid} (`{command}`, {user})")
}

/// Whether it looks like a midwatch that runs a plan. Who wants to can look so: nothing rests on it but a sentence.
pub fn is_midwatch(pid: u32) -> bool {
    let words = words(pid);
    let name = words.first().and_then(|program| program.rsplit('/').next());
    matches!(name, Some("midwatch" | "exe")) && words.iter().any(|word| word == "runner")
}

fn words(pid: u32) -> Vec<String> {
    let mut line = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/cmdline")).and_then(|file| file.take(LINE).read_to_end(&mut line));
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    read.map(|_| words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()).unwrap_or_default()
}

/// This machine, as it calls itself.
pub fn host(name: &str) -> HostCard {
    let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    HostCard { name: name.to_owned(), machine: line("/etc/machine-id"), boot: boot().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::{Stat, here, lives, of, parse, told};

    #[test]
    fn a_name_may_hold_anything() {
        let stat =
            "7 (a) R 1 (b) S 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 20 18446744073709551615 1 1 0";
        assert_eq!(parse(stat), Some(Stat { state: 'S', parent: 3, group: 4, session: 5, started: 98_765 }));
        assert_eq!(parse("7 (a"), None);
        assert_eq!(parse("7 (a) S 3 4"), None);
    }

    #[test]
    fn this_process_lives_and_its_predecessors_do_not() {
        let me = here().unwrap();
        assert!(lives(&me));
        let mut before = me.clone();
        before.started -= 1;
        assert!(!lives(&before));
        let elsewhere = crate::runbook::run::ProcessId { boot: "another".to_owned(), ..me.clone() };
        assert!(!lives(&elsewhere));
        assert_eq!(of(me.pid).unwrap(), me);
        assert!(told(me.pid).starts_with(&format!("pid {} (`", me.pid)));
        assert_eq!(told(u32::MAX), format!("pid {}, which has ended", u32::MAX));
    }
}
