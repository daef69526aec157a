//! The lock that makes one midwatch the poller of a scope. The kernel frees it when its holder ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::{StoreError, lock_file, shared};
use crate::domain::id::Scope;
use crate::domain::text::plain;

/// The right to poll a scope and to write its files; given back when it is dropped.
#[derive(Debug)]
pub struct PollLock {
    file: File,
}

/// Bytes of the lock file: written when it is made, so that a full disk still takes what must be said.
const SIZE: usize = 1024;
/// Characters of a trouble that is noted.
const TROUBLE_MAX: usize = 200;

impl PollLock {
    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// When the lock file can't be opened, or is no plain file.
    pub fn try_take(dir: &Path, scope: &Scope) -> Result<Option<Self>, StoreError> {
        let path = lock_file(dir, scope);
        let fail = |error| StoreError::File { path: path.clone(), error };
        // No link is followed: a lock file that points elsewhere is not ours to lock or to write.
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let open = |write| {
            OpenOptions::new().read(true).write(write).create(write).mode(0o660).custom_flags(flags).open(&path)
        };
        shared::prepare(&path).or_else(|error| if error.is_denied() { Ok(()) } else { Err(error) })?;
        let file = match open(true) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => open(false).map_err(fail)?,
            opened => opened.map_err(fail)?,
        };
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(fail(std::io::Error::new(std::io::ErrorKind::InvalidInput, "is no plain file; move it away")));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(fail(error.into())),
        }
        let lock = Self { file };
        lock.tell(None);
        Ok(Some(lock))
    }

    /// Notes who holds the lock, and why others get no readings, for people and for the others' screens; the lock itself
    /// is the kernel's. A full disk is no reason to stop.
    pub fn tell(&self, trouble: Option<&str>) {
        let says = format!("{}\n{}\n", std::process::id(), plain(trouble.unwrap_or_default(), TROUBLE_MAX));
        let mut bytes = says.into_bytes();
        bytes.resize(SIZE, b'\n');
        if let Err(error) = self.file.write_all_at(&bytes, 0) {
            tracing::debug!(%error, "the lock's holder could not be noted");
        }
    }
}

fn noted(dir: &Path, scope: &Scope) -> Option<String> {
    let mut text = Vec::new();
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(lock_file(dir, scope)).ok()?;
    file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    file.take(u64::try_from(SIZE).ok()?).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The process id the lock's holder noted.
pub fn holder(dir: &Path, scope: &Scope) -> Option<u32> {
    noted(dir, scope)?.lines().next()?.trim().parse().ok()
}

/// Why the lock's holder can't publish what it sees, if it said so.
pub fn trouble(dir: &Path, scope: &Scope) -> Option<String> {
    let noted = noted(dir, scope)?;
    let says = noted.lines().nth(1).map(|line| plain(line, TROUBLE_MAX))?;
    (!says.is_empty()).then_some(says)
}
