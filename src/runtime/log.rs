//! midwatch's own log: a file in the state directory, never the screen. Bounded: two files of 2 MiB, however many
//! midwatches write to it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A longer log becomes the old one, and a new one begins.
const MAX: u64 = 2 * 1024 * 1024;

static PATH: OnceLock<PathBuf> = OnceLock::new();

/// Where the log is, if there is one.
pub fn path() -> Option<&'static Path> {
    PATH.get().map(PathBuf::as_path)
}

/// Starts the log in `state`; without one nothing is logged. `MIDWATCH_LOG` sets what is logged (default: warnings,
/// and midwatch's own information).
pub fn start(state: Option<&Path>) {
    // A log that can't be written is no reason not to watch.
    let Some(log) = state.and_then(|dir| LogFile::open(dir.join("midwatch.log")).ok()) else { return };
    let path = log.path.clone();
    let filter = EnvFilter::try_from_env("MIDWATCH_LOG").unwrap_or_else(|_| EnvFilter::new("warn,midwatch=info"));
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).log_internal_errors(false).with_writer(log);
    if subscriber.try_init().is_ok() {
        PATH.set(path).ok();
    }
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = Mutex::new(open(&path)?);
        Ok(Self { path, file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    OpenOptions::new().create(true).append(true).mode(0o660).custom_flags(no_follow).open(path)
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = file.metadata()?;
        if mine.len() > MAX {
            // Another midwatch may have put this file aside already; then only the new one is opened.
            if std::fs::symlink_metadata(&self.path).is_ok_and(|named| named.ino() == mine.ino()) {
                std::fs::rename(&self.path, self.path.with_extension("log.old"))?;
            }
            *file = open(&self.path)?;
        }
        file.write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn two_writers_share_one_log_of_bounded_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("midwatch.log");
        let (a, b) = (LogFile::open(path.clone()).unwrap(), LogFile::open(path.clone()).unwrap());
        let line = [b'x'; 1024];
        for _ in 0..3 * MAX / 1024 {
            (&a).write_all(&line).unwrap();
            (&b).write_all(&line).unwrap();
        }
        let sizes: Vec<u64> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|size| *size <= MAX + 4 * 1024), "{sizes:?}");
        assert!(fs::metadata(&path).unwrap().len() > 0);
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("precious"), dir.path().join("midwatch.log"));
        fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(LogFile::open(path).is_err());
        assert_eq!(fs::read_to_string(target).unwrap(), "kept");
    }
}
