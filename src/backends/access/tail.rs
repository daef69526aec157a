//! One growing file, read from near its end onwards: by inode and offset, through rotation and truncation.
//!
//! Invariants: a round reads a bounded number of bytes; no line longer than [`LINE`] is kept; what is not a regular file is
//! not opened.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Read of a file that is seen for the first time.
pub(super) const FIRST: u64 = 1 << 20;
/// Read in one round; of what is more, only the last [`FIRST`] bytes.
const ROUND: u64 = 4 << 20;
/// The longest line.
const LINE: usize = 16 * 1024;
/// Read at once.
const CHUNK: usize = 64 * 1024;

/// Follows one path.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    open: Option<Open>,
    begun: bool,
    skipped: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    id: (u64, u64),
    offset: u64,
    /// The beginning of a line whose end has not come; `None`: what comes is the rest of a line that is passed over.
    partial: Option<Vec<u8>>,
}

impl Tail {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, open: None, begun: false, skipped: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes passed over because more came than is read.
    pub(super) const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Gives every line that has come since the last round to `take`. The first time it begins near the end, with the end
    /// of the file that was rotated away last where this one is short.
    pub(super) fn read(&mut self, mut take: impl FnMut(&str)) -> io::Result<()> {
        // A file that was renamed is read to its end before the new one.
        if let Some(open) = &mut self.open {
            self.skipped += open.advance(&mut take)?;
        }
        let found = regular(&self.path)?;
        let id = (found.dev(), found.ino());
        if self.open.as_ref().is_some_and(|open| open.id == id) {
            return Ok(());
        }
        let first = !std::mem::replace(&mut self.begun, true);
        if first && found.len() < FIRST {
            let mut rotated = self.path.clone().into_os_string();
            rotated.push(".1");
            let rotated = PathBuf::from(rotated);
            if let Ok(before) = regular(&rotated)
                && let Ok(mut open) = Open::at(&rotated, before.len().saturating_sub(FIRST))
            {
                open.advance(&mut take).ok();
            }
        }
        let mut open = Open::at(&self.path, if first { found.len().saturating_sub(FIRST) } else { 0 })?;
        self.skipped += open.advance(&mut take)?;
        self.open = Some(open);
        Ok(())
    }
}

/// A regular file, or why not: a pipe would block whoever opens it.
fn regular(path: &Path) -> io::Result<Metadata> {
    let found = std::fs::metadata(path)?;
    if found.is_file() { Ok(found) } else { Err(io::Error::other("it is no regular file")) }
}

impl Open {
    fn at(path: &Path, offset: u64) -> io::Result<Self> {
        let file = crate::backends::plain::open(path)?;
        let found = file.metadata()?;
        let id = (found.dev(), found.ino());
        Ok(Self { file, id, offset, partial: (offset == 0).then(Vec::new) })
    }

    /// Reads what is there; the bytes passed over.
    fn advance(&mut self, take: &mut impl FnMut(&str)) -> io::Result<u64> {
        let end = self.file.metadata()?.len();
        let mut skipped = 0;
        if end < self.offset {
            // Truncated in place (logrotate's copytruncate): what is there now is new.
            (self.offset, self.partial) = (0, Some(Vec::new()));
        }
        if end - self.offset > ROUND {
            skipped = end - FIRST - self.offset;
            (self.offset, self.partial) = (end - FIRST, None);
        }
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut chunk = vec![0_u8; CHUNK];
        // No further than the end that was seen: a writer that never rests doesn't keep the round from ending.
        while self.offset < end {
            let room = usize::try_from(end - self.offset).unwrap_or(CHUNK).min(CHUNK);
            let read = self.file.read(chunk.get_mut(..room).unwrap_or_default())?;
            if read == 0 {
                break;
            }
            self.offset += u64::try_from(read).unwrap_or(0);
            self.lines(chunk.get(..read).unwrap_or_default(), take);
        }
        Ok(skipped)
    }

    fn lines(&mut self, mut bytes: &[u8], take: &mut impl FnMut(&str)) {
        while let Some(at) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(at);
            if let Some(partial) = &mut self.partial {
                if partial.is_empty() {
                    take(&String::from_utf8_lossy(line));
                } else {
                    partial.extend_from_slice(line);
                    take(&String::from_utf8_lossy(partial));
                }
            }
            match &mut self.partial {
                Some(partial) => partial.clear(),
                none @ None => *none = Some(Vec::new()),
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        match &mut self.partial {
            Some(partial) if partial.len() + bytes.len() <= LINE => partial.extend_from_slice(bytes),
            Some(_) => self.partial = None,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::{FIRST, LINE, Tail};

    fn lines(tail: &mut Tail) -> Vec<String> {
        let mut out = Vec::new();
        tail.read(|line| out.push(line.to_owned())).unwrap();
        out
    }

    fn append(path: &std::path::Path, text: &str) {
        fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn only_whole_lines_come_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        append(&path, "a\nb\nhal");
        let mut tail = Tail::new(path.clone());
        assert_eq!(lines(&mut tail), ["a", "b"]);
        append(&path, "f\n");
        assert_eq!(lines(&mut tail), ["half"]);
        assert_eq!(lines(&mut tail), [""; 0]);
    }

    #[test]
    fn rotation_loses_nothing_and_truncation_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        append(&path, "a\n");
        let mut tail = Tail::new(path.clone());
        assert_eq!(lines(&mut tail), ["a"]);
        append(&path, "late\n");
        fs::rename(&path, dir.path().join("access.log.1")).unwrap();
        append(&path, "new\n");
        assert_eq!(lines(&mut tail), ["late", "new"]);
        fs::write(&path, "x\n").unwrap();
        assert_eq!(lines(&mut tail), ["x"]);
    }

    #[test]
    fn the_first_look_takes_the_end_and_what_was_rotated_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        append(&dir.path().join("access.log.1"), "old\n");
        append(&path, "new\n");
        assert_eq!(lines(&mut Tail::new(path.clone())), ["old", "new"]);
        append(&path, &"0123456789abcde\n".repeat(200_000));
        let lines = lines(&mut Tail::new(path));
        assert_eq!(lines.len(), usize::try_from(FIRST).unwrap() / 16 - 1 + 1 - 1);
        assert!(lines.iter().all(|line| line == "0123456789abcde"));
    }

    #[test]
    fn a_flood_is_passed_over_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        append(&path, "a\n");
        let mut tail = Tail::new(path.clone());
        lines(&mut tail);
        append(&path, &"0123456789abcde\n".repeat(600_000));
        assert!(lines(&mut tail).len() < 70_000);
        assert!(tail.skipped() > 8_000_000);
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        append(&path, &"x".repeat(LINE * 10));
        append(&path, "\nb\n");
        assert_eq!(lines(&mut Tail::new(path)), ["b"]);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        assert!(Tail::new("/dev/zero".into()).read(|_| {}).is_err());
    }
}
