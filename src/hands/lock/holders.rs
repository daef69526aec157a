//! Who holds a lock, by what the kernel says of open files.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{major, minor};

use crate::backends::process_id;
use crate::hands::signal;
use crate::runbook::run::ProcessId;

/// Who holds a lock.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// Who took it, whether or not they are still there.
    pub(super) takers: Vec<u32>,
    /// Who holds it, as far as other processes' descriptors may be looked at.
    pub(super) holders: Vec<ProcessId>,
}

impl Holding {
    pub(super) fn of(files: &[PathBuf]) -> Self {
        let known: Vec<Known> = files.iter().filter_map(|file| Known::of(file)).collect();
        // Who has it is looked at before who took it: whoever takes it in between is then known to care for it.
        let holders: Vec<u32> = process_id::all().filter(|pid| holds(*pid, &known)).collect();
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let all: Vec<Line> = locks.lines().filter_map(lock_line).collect();
        let mut takers: Vec<u32> = known.iter().flat_map(|file| file.takers(&all)).collect();
        takers.sort_unstable();
        takers.dedup();
        Self { takers, holders: holders.into_iter().filter_map(|pid| process_id::of(pid).ok()).collect() }
    }
}

/// A lock's file as the kernel's lists have it.
struct Known {
    name: String,
    /// As stat(2) has it.
    dev: u64,
    /// The same as the lists have it.
    device: (u32, u32),
    inode: u64,
}

impl Known {
    fn of(file: &Path) -> Option<Self> {
        let meta = std::fs::symlink_metadata(file).ok()?;
        let name = file.file_name()?.to_string_lossy().into_owned();
        Some(Self { name, dev: meta.dev(), device: (major(meta.dev()), minor(meta.dev())), inode: meta.ino() })
    }

    fn takers(&self, all: &[Line]) -> Vec<u32> {
        let lines: Vec<&Line> = all.iter().filter(|line| line.inode == self.inode).collect();
        // Some file systems have another device here than in stat(2).
        let exact = lines.iter().any(|line| line.device == self.device);
        lines.into_iter().filter(|line| !exact || line.device == self.device).map(|line| line.pid).collect()
    }
}

/// A lock as `/proc/locks` and `/proc/PID/fdinfo` have it.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    pid: u32,
    device: (u32, u32),
    inode: u64,
}

/// `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; who waits for one (`1: -> FLOCK …`) holds none.
fn lock_line(line: &str) -> Option<Line> {
    let mut words = line.strip_prefix("lock:").unwrap_or(line).split_ascii_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    let mut place = words.next()?.split(':');
    let mut device = || u32::from_str_radix(place.next()?, 16).ok();
    let device = (device()?, device()?);
    Some(Line { pid, device, inode: place.next()?.parse().ok()? })
}

/// Whether one of the process's descriptors holds one of these. To have the file open is not enough: who tries to take the
/// lock has.
fn holds(pid: u32, files: &[Known]) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut candidates = descriptors.filter(|fd| {
        let target = std::fs::read_link(fd.path()).unwrap_or_default();
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // In a container lies another file of this name, with perhaps the same number: what it locks is nobody else's.
        let same = |file: &Known| {
            std::fs::metadata(fd.path()).is_ok_and(|meta| (meta.dev(), meta.ino()) == (file.dev, file.inode))
        };
        files.iter().any(|file| name.starts_with(&file.name) && same(file))
    });
    candidates.any(|fd| {
        let info = Path::new("/proc").join(pid.to_string()).join("fdinfo").join(fd.file_name());
        let info = std::fs::read_to_string(info).unwrap_or_default();
        let mut locks = info.lines().filter(|line| line.starts_with("lock:")).filter_map(lock_line);
        locks.any(|line| files.iter().any(|file| file.inode == line.inode))
    })
}

/// Who holds a lock (or a part of it) that its taker, a runner that has ended, has left to them, or that this process has
/// given to them: what a run left running. None where the taker lives and is another process: then they are in its care.
pub fn orphans(files: &[PathBuf]) -> Vec<ProcessId> {
    let me = std::process::id();
    let found = Holding::of(files);
    let cared = |pid: &u32| *pid != me && found.holders.iter().any(|process| process.pid == *pid);
    if found.takers.iter().any(cared) {
        return Vec::new();
    }
    found.holders.into_iter().filter(|process| process.pid != me).collect()
}

/// Ends the [`orphans`] of a lock: TERM, after `grace` KILL. What was ended, in sentences.
pub async fn end_orphans(files: &[PathBuf], grace: Duration) -> Vec<String> {
    signal::end_all(|| orphans(files), grace).await
}

#[cfg(test)]
mod tests {
    use super::{Line, lock_line};

    #[test]
    fn a_lock_is_read_in_both_its_forms() {
        let line = || Line { pid: 1234, device: (0, 0x1a), inode: 5678 };
        assert_eq!(lock_line("1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF"), Some(line()));
        assert_eq!(lock_line("lock:\t1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF"), Some(line()));
        assert_eq!(lock_line("1: -> FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF"), None);
        assert_eq!(lock_line("1: POSIX  ADVISORY  WRITE 1234 00:1a:5678 0 EOF"), None);
        assert_eq!(lock_line("1: FLOCK  ADVISORY  WRITE -1 00:1a:5678 0 EOF"), None);
        assert_eq!(lock_line(""), None);
    }
}
