//! Reads a file once from its beginning to its end: counted, digested, stoppable, and without pushing what others need
//! out of the page cache.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};

/// After so many bytes the kernel is told that they are not needed again.
const FORGET_EVERY: u64 = 8 << 20;

/// What a check under way can be told and asked from other threads.
#[derive(Debug, Clone, Default)]
pub struct Control(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stop: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
}

impl Control {
    /// Ends the check as soon as it notices.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it shall end.
    pub fn stopped(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// Bytes read, and bytes in all.
    pub fn progress(&self) -> (u64, u64) {
        (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed))
    }

    /// Begins anew with so many bytes to read.
    pub(super) fn begin(&self, total: u64) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Why reading ended before the end of the file.
#[derive(Debug)]
pub(super) enum Halt {
    /// It was told to.
    Stopped,
    /// The disk, or the right to read.
    Failed(String),
}

/// A file that is read once.
pub(super) struct Metered {
    file: File,
    hash: Sha256,
    read: u64,
    forgotten: u64,
    control: Control,
    halt: Option<Halt>,
}

impl Metered {
    /// Opens a regular file; anything else (a pipe would block) is refused.
    pub(super) fn open(path: &Path, control: &Control) -> io::Result<Self> {
        let file = crate::backends::plain::open(path)?;
        Ok(Self { file, hash: Sha256::new(), read: 0, forgotten: 0, control: control.clone(), halt: None })
    }

    /// Size and time of change of the open file, as nanoseconds.
    pub(super) fn state(&self) -> io::Result<(u64, i64)> {
        use std::os::unix::fs::MetadataExt as _;
        let meta = self.file.metadata()?;
        Ok((meta.len(), meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())))
    }

    /// Bytes read so far.
    pub(super) const fn count(&self) -> u64 {
        self.read
    }

    /// Reads what is left.
    pub(super) fn drain(&mut self) {
        let mut buffer = vec![0; 1 << 16];
        while matches!(self.read(&mut buffer), Ok(1..)) {}
    }

    /// Why reading ended early, if it did.
    pub(super) const fn halted(&mut self) -> Option<Halt> {
        self.halt.take()
    }

    /// The digest of all that was read, in hexadecimal.
    pub(super) fn digest(self) -> String {
        hexadecimal(&self.hash.finalize())
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.control.stopped() {
            self.halt = Some(Halt::Stopped);
            return Err(io::Error::other("stopped"));
        }
        let n = match self.file.read(buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.halt = Some(Halt::Failed(error.to_string()));
                return Err(error);
            }
        };
        self.hash.update(buffer.get(..n).unwrap_or_default());
        let bytes = u64::try_from(n).unwrap_or(0);
        self.read += bytes;
        self.control.add(bytes);
        if let Some(length) = NonZeroU64::new(self.read - self.forgotten)
            && length.get() >= FORGET_EVERY
        {
            fadvise(&self.file, self.forgotten, Some(length), Advice::DontNeed).ok();
            self.forgotten = self.read;
        }
        Ok(n)
    }
}

/// Bytes in hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}
