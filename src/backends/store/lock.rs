//! The lock that makes one midwatch the poller of a scope. The kernel frees it when its holder ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::{StoreError, lock_file};
use crate::domain::id::Scope;

/// The right to poll a scope and to write its files; given back when it is dropped.
#[derive(Debug)]
pub struct PollLock {
    _file: File,
}

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
        let mut file = match open(true) {
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
        // For people, and for the others' screens; the lock itself is the kernel's. A full disk is no reason to stop.
        let noted = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::debug!(%error, "the lock's holder could not be noted");
        }
        Ok(Some(Self { _file: file }))
    }
}

/// The process id the lock's holder noted.
pub fn holder(dir: &Path, scope: &Scope) -> Option<u32> {
    let mut text = String::new();
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(lock_file(dir, scope)).ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
