//! The lock of a target: who holds it is the only one that acts on it.
//!
//! It is the kernel's (flock(2)) on a file that everybody may read and nobody but root may change, so that users who share
//! nothing else exclude each other. It belongs to the open file, which programs inherit: it is held until the last of
//! them has ended, whatever became of who took it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, major, minor, openat};
use rustix::io::Errno;
use rustix::process::geteuid;
use sha2::{Digest as _, Sha256};

use super::signal;
use crate::backends::process_id;
use crate::domain::text::plain;
use crate::runbook::run::ProcessId;

/// Where the locks are that hold for everybody on the machine.
pub const DIR: &str = "/run/midwatch";
/// Lock files. They are there beforehand, for who may lock them may not make them; targets share them, which costs
/// nothing but a wait.
const SLOTS: u8 = 64;

/// The right to act on a target; given back when it and all descriptors given out are closed.
#[derive(Debug)]
pub struct TargetLock {
    file: File,
    path: PathBuf,
}

/// Why a target's lock can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockTrouble {
    /// Somebody has it.
    #[error("{target} is being acted on, or something that shares its lock: {}; wait for it, or see `midwatch runbook log`", .holders.join(", "))]
    Held {
        /// The target.
        target: String,
        /// Who, in words.
        holders: Vec<String>,
        /// Their numbers, as far as they can be told.
        pids: Vec<u32>,
        /// The lock's file, for [`orphans`].
        file: PathBuf,
    },
    /// There is no place where it could hold for everybody.
    #[error("no lock to be had, so nothing is done: {0}")]
    Nowhere(String),
}

impl TargetLock {
    /// Takes the lock of `target` in `dir` ([`DIR`] but for tests), if it is free.
    ///
    /// # Errors
    /// When it is held, or nowhere to be had.
    pub fn take(dir: &Path, target: &str) -> Result<Self, LockTrouble> {
        let nowhere = |why: String| LockTrouble::Nowhere(why);
        prepare(dir).map_err(nowhere)?;
        let path = dir.join(slot(target));
        let file = open(dir, &slot(target)).map_err(nowhere)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(held(target, path)),
            Err(error) => return Err(nowhere(format!("{} can't be locked: {error}", path.display()))),
        }
        // One that was taken away meanwhile locks nobody out.
        let same = |found: Metadata, own: Metadata| (found.dev(), found.ino()) == (own.dev(), own.ino());
        match std::fs::symlink_metadata(&path).and_then(|found| Ok(same(found, file.metadata()?))) {
            Ok(true) => Ok(Self { file, path }),
            Ok(false) | Err(_) => Err(nowhere(format!("{} was replaced just now; try again", path.display()))),
        }
    }

    /// The lock's file, for [`orphans`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A descriptor that holds the same lock, to be inherited by what is started.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }
}

/// The file of a target's lock.
fn slot(target: &str) -> String {
    let digest = Sha256::digest(target.as_bytes());
    format!("lock-{:02x}", digest.first().copied().unwrap_or(0) % SLOTS)
}

fn flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or(0)
}

/// Makes the directory and the files, as far as they are missing and this user may.
///
/// # Errors
/// A sentence.
pub fn prepare(dir: &Path) -> Result<(), String> {
    let fail = |error: io::Error| format!("{} can't be made: {error}; root makes it with its first run", dir.display());
    match DirBuilder::new().mode(0o755).create(dir) {
        Ok(()) => std::fs::set_permissions(dir, Permissions::from_mode(0o755)).map_err(fail)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fail(error)),
    }
    let found = std::fs::symlink_metadata(dir).map_err(fail)?;
    fit(dir, &found, dir)?;
    if found.uid() != geteuid().as_raw() {
        return Ok(());
    }
    for slot in 0..SLOTS {
        let path = dir.join(format!("lock-{slot:02x}"));
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .custom_flags(flags(OFlags::NOFOLLOW))
            .open(&path);
        match opened.and_then(|file| file.set_permissions(Permissions::from_mode(0o644))) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(format!("{} can't be made: {error}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Whether nobody but root can change it: the directory, or a file in it.
fn fit(dir: &Path, found: &Metadata, path: &Path) -> Result<(), String> {
    let (path, owner, mode) = (path.display(), found.uid(), found.mode() & 0o7777);
    // A directory that was named for a test is its owner's.
    let own = dir != Path::new(DIR) && owner == geteuid().as_raw();
    if !found.is_dir() && !found.is_file() {
        return Err(format!("{path} is a link or something else; move it away"));
    }
    if owner != 0 && !own {
        return Err(format!(
            "{path} belongs to uid {owner}, who could make others think they have the lock; remove it"
        ));
    }
    if mode & 0o022 != 0 {
        return Err(format!("{path} can be written by others (mode {mode:04o}); `chmod go-w {path}`"));
    }
    Ok(())
}

fn open(dir: &Path, name: &str) -> Result<File, String> {
    let fail = |error: io::Error| {
        format!("{} can't be opened: {error}; root makes it with its first run", dir.join(name).display())
    };
    let directory = OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECTORY | OFlags::NOFOLLOW)).open(dir);
    let directory = directory.map_err(fail)?;
    fit(dir, &directory.metadata().map_err(fail)?, dir)?;
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&directory, name, how, Mode::empty()).map_err(|error| fail(error.into()))?);
    let found = file.metadata().map_err(fail)?;
    fit(dir, &found, &dir.join(name))?;
    if found.is_file() { Ok(file) } else { Err(format!("{} is no plain file; remove it", dir.join(name).display())) }
}

fn held(target: &str, file: PathBuf) -> LockTrouble {
    let found = Holding::of(&file);
    let mut pids: Vec<u32> = found.holders.iter().map(|process| process.pid).chain(found.takers).collect();
    pids.sort_unstable();
    pids.dedup();
    let mut holders: Vec<String> = pids.iter().map(|pid| process_id::told(*pid)).collect();
    if holders.is_empty() {
        holders.push("by whom can't be seen by this user".to_owned());
    }
    LockTrouble::Held { target: plain(target, 80), holders, pids, file }
}

/// Who holds a lock.
#[derive(Debug, Default)]
struct Holding {
    /// Who took it, whether or not they are still there.
    takers: Vec<u32>,
    /// Who holds it, as far as other processes' descriptors may be looked at.
    holders: Vec<ProcessId>,
}

impl Holding {
    fn of(file: &Path) -> Self {
        let Ok(meta) = std::fs::symlink_metadata(file) else { return Self::default() };
        let device = (major(meta.dev()), minor(meta.dev()));
        // Who has it is looked at before who took it: whoever takes it in between is then known to care for it.
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let holders: Vec<u32> = process_id::all().filter(|pid| holds(*pid, &name, meta.ino())).collect();
        let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
        let all: Vec<Line> = locks.lines().filter_map(lock_line).filter(|line| line.inode == meta.ino()).collect();
        // Some file systems have another device here than in stat(2).
        let exact = all.iter().any(|line| line.device == device);
        let takers = all.iter().filter(|line| !exact || line.device == device).map(|line| line.pid).collect();
        Self { takers, holders: holders.into_iter().filter_map(|pid| process_id::of(pid).ok()).collect() }
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

/// Whether one of the process's descriptors holds the lock. To have the file open is not enough: who tries to take it has.
fn holds(pid: u32, name: &str, inode: u64) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut candidates = descriptors.filter(|fd| {
        let target = std::fs::read_link(fd.path()).unwrap_or_default();
        target.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
    });
    candidates.any(|fd| {
        let info = Path::new("/proc").join(pid.to_string()).join("fdinfo").join(fd.file_name());
        let info = std::fs::read_to_string(info).unwrap_or_default();
        info.lines().filter(|line| line.starts_with("lock:")).filter_map(lock_line).any(|line| line.inode == inode)
    })
}

/// Who holds a lock that its taker, a runner that has ended, has left to them, or that this process has given to them: what
/// a run left running. None where the taker lives and is another process: then they are in its care.
pub fn orphans(file: &Path) -> Vec<ProcessId> {
    let me = std::process::id();
    let found = Holding::of(file);
    let cared = |pid: &u32| *pid != me && found.holders.iter().any(|process| process.pid == *pid);
    if found.takers.iter().any(cared) {
        return Vec::new();
    }
    found.holders.into_iter().filter(|process| process.pid != me).collect()
}

/// Ends the [`orphans`] of a lock: TERM, after `grace` KILL. What was ended, in sentences.
pub async fn end_orphans(file: &Path, grace: Duration) -> Vec<String> {
    signal::end_all(|| orphans(file), grace).await
}

#[cfg(test)]
mod tests {
    use super::{Line, lock_line, slot};

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

    #[test]
    fn a_target_has_one_slot_for_ever() {
        assert_eq!(slot("site:shop"), slot("site:shop"));
        assert_eq!(slot(""), "lock-23");
    }
}
