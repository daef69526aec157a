//! One file, read from its end: the last part first, then what is added, through rotation by rename or by truncation.

#![expect(clippy::wildcard_enum_match_arm, reason = "all that is not named is told alike")]

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::zone;
use crate::domain::log::assemble::{Assembler, Entry, Zone};
use crate::domain::time::Timestamp;

/// Bytes that are read of its end when it is first seen.
pub const FIRST: u64 = 256 * 1024;
/// Most bytes that are read of it per look; what it grew beyond that is passed over.
pub const ROUND: u64 = 512 * 1024;
/// A row longer than this is cut.
const ROW_MAX: usize = 64 * 1024;
/// Bytes before the place reading goes on at, to see that it is still the same file.
const MARK: usize = 64;
/// Nothing was written for so long, in milliseconds: the last entry is complete.
const SETTLED_MS: u64 = 300;

/// What one look at a file brought.
#[derive(Debug, Default)]
pub struct Round {
    /// Entries, in the order of the file.
    pub entries: Vec<Entry>,
    /// Bytes that were passed over.
    pub skipped: u64,
    /// Bytes it grew by, as far as that is known.
    pub grown: u64,
    /// Whether it was read from its very beginning.
    pub whole: bool,
    /// Why it can't be read, and what would open it.
    pub why: Option<String>,
}

/// A file and how far it was read.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    assembler: Assembler,
    open: Option<Open>,
    /// Whether it was ever looked at.
    begun: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: (u64, u64),
    offset: u64,
    /// The last bytes before `offset`.
    mark: Vec<u8>,
    /// The beginning of a row whose end is still to be written.
    partial: Vec<u8>,
    /// The rest of a row whose beginning was passed over is to be passed over too.
    within: bool,
}

impl Tail {
    /// A file that nothing was read of yet; times without a zone are this host's local ones until it is known better.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, assembler: Assembler::new(Zone::Local(zone::local)), open: None, begun: false }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what was added. Blocks as long as the file system does.
    pub fn round(&mut self, now: Timestamp) -> Round {
        let mut round = Round::default();
        if let Err(error) = self.look(now, &mut round) {
            round.why = Some(trouble(&self.path, &error));
        }
        self.begun = true;
        round
    }

    fn look(&mut self, now: Timestamp, round: &mut Round) -> io::Result<()> {
        // What is still written to the file of before a rotation comes first.
        if let Some(open) = &mut self.open {
            let about = open.file.metadata()?;
            open.read(&about, &mut self.assembler, now, false, round)?;
            let there = std::fs::metadata(&self.path);
            let same = there.as_ref().is_ok_and(|there| identity(there) == open.id);
            // A deleted file is let go: held open, it would fill the disk.
            if !same && (there.is_ok() || about.nlink() == 0) {
                round.entries.extend(self.assembler.flush());
                self.open = None;
            }
        }
        if self.open.is_none() {
            let first = !self.begun;
            match self.reopen(first)? {
                Some((mut open, about)) => {
                    round.whole = open.offset == 0;
                    open.read(&about, &mut self.assembler, now, first, round)?;
                    self.open = Some(open);
                }
                None => return Err(ErrorKind::NotFound.into()),
            }
        }
        Ok(())
    }

    fn reopen(&self, first: bool) -> io::Result<Option<(Open, Metadata)>> {
        // Opening a pipe would wait for its writer.
        match std::fs::metadata(&self.path) {
            Ok(about) if about.is_file() => {}
            Ok(_) => return Err(io::Error::other("is no regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let file = File::open(&self.path)?;
        let about = file.metadata()?;
        let offset = if first { about.len().saturating_sub(FIRST) } else { 0 };
        let (id, mark, partial) = (identity(&about), Vec::new(), Vec::new());
        Ok(Some((Open { file, id, offset, mark, partial, within: offset > 0 }, about)))
    }
}

impl Open {
    fn read(
        &mut self,
        about: &Metadata,
        assembler: &mut Assembler,
        now: Timestamp,
        first: bool,
        round: &mut Round,
    ) -> io::Result<()> {
        let length = about.len();
        if length < self.offset || (length > self.offset && !self.is_the_same()?) {
            // Truncated in its place: it begins anew.
            round.entries.extend(assembler.flush());
            (self.offset, self.within) = (0, false);
            self.partial.clear();
            self.mark.clear();
        }
        let written = modified(about);
        let settled = now.millis_since(written) > SETTLED_MS;
        let grown = length - self.offset;
        if !first {
            round.grown += grown;
        }
        let most = if first { FIRST } else { ROUND };
        if grown > most {
            round.entries.extend(assembler.flush());
            round.skipped += grown - most;
            self.offset = length - most;
            self.within = true;
            self.partial.clear();
        }
        let bytes = self.take(length)?;
        if !bytes.is_empty() {
            let text = String::from_utf8_lossy(&bytes);
            // The last row that says a time tells how such times are meant: it was written just now.
            for row in text.lines().rev().take(50) {
                if assembler.calibrate(row, written.min(now)).is_some() {
                    break;
                }
            }
            let undated = written.min(now);
            for row in text.split_terminator('\n') {
                round.entries.extend(assembler.row(row, undated, now, None));
            }
        }
        if settled || (bytes.is_empty() && self.offset == length) {
            round.entries.extend(assembler.flush());
        }
        Ok(())
    }

    /// Whole rows up to `length`, with what was left of the last look before them.
    fn take(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let wanted = usize::try_from(length - self.offset).unwrap_or(0);
        let mut bytes = vec![0; wanted];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, self.offset + read as u64) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        self.offset += read as u64;
        self.mark.extend(bytes.iter().skip(bytes.len().saturating_sub(MARK)));
        let surplus = self.mark.len().saturating_sub(MARK);
        self.mark.drain(..surplus);
        if self.within {
            match memchr::memchr(b'\n', &bytes) {
                Some(end) => {
                    bytes.drain(..=end);
                    self.within = false;
                }
                None => bytes.clear(),
            }
        }
        let end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        let rest = bytes.split_off(end);
        let mut whole = if end > 0 { std::mem::take(&mut self.partial) } else { Vec::new() };
        whole.append(&mut bytes);
        self.partial.extend(rest);
        if self.partial.len() > ROW_MAX {
            // A row without an end: its beginning is worth having, the rest is not.
            whole.append(&mut self.partial);
            whole.truncate(whole.len().min(ROW_MAX * 16));
            whole.push(b'\n');
            self.within = true;
        }
        Ok(whole)
    }

    /// Whether the bytes before the place are those that were read there: a file truncated and filled again beyond
    /// that place between two looks is another one.
    fn is_the_same(&self) -> io::Result<bool> {
        let mut now = vec![0; self.mark.len()];
        match self.file.read_exact_at(&mut now, self.offset.saturating_sub(self.mark.len() as u64)) {
            Ok(()) => Ok(now == self.mark),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn identity(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

fn modified(about: &Metadata) -> Timestamp {
    Timestamp::from_millis(about.mtime().saturating_mul(1000).saturating_add(about.mtime_nsec() / 1_000_000))
}

/// Why a file can't be read, and what would open it.
fn trouble(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "is not there (yet)".to_owned(),
        ErrorKind::PermissionDenied => {
            let group = std::fs::metadata(path).ok().map(|about| (about.gid(), about.mode()));
            match group {
                Some((gid, mode)) if mode & 0o040 != 0 => {
                    format!("may not be read by this user: members of group {gid} may, and root")
                }
                Some(_) => "may be read by its owner and root only: setfacl -m u:USER:r on it would open it".to_owned(),
                None => "lies in a directory this user may not enter; root may".to_owned(),
            }
        }
        _ => format!("can't be read: {error}"),
    }
}

#[cfg(test)]
mod tests;
