//! midwatch's own log: a file in the state directory, never the screen. Bounded: two files of 2 MB.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
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

/// Starts the log in `state`; without one nothing is logged. `MIDWATCH_LOG` sets what is logged (default `info`).
pub fn start(state: Option<&Path>) {
    let Some(dir) = state else { return };
    let path = dir.join("midwatch.log");
    // A log that can't be written is no reason not to watch.
    let Ok(file) = open(&path) else { return };
    PATH.set(path.clone()).ok();
    let size = file.metadata().map_or(0, |m| m.len());
    let log = LogFile(Mutex::new(Inner { path, file, size }));
    let filter = EnvFilter::try_from_env("MIDWATCH_LOG").unwrap_or_else(|_| EnvFilter::new("warn,midwatch=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(log).try_init().ok();
}

fn open(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    OpenOptions::new().create(true).append(true).mode(0o640).custom_flags(no_follow).open(path)
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    size: u64,
}

#[derive(Debug)]
struct LogFile(Mutex<Inner>);

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.size > MAX {
            let old = log.path.with_extension("log.old");
            if std::fs::rename(&log.path, old).is_ok() {
                log.file = open(&log.path)?;
            }
            log.size = 0;
        }
        log.file.write_all(line)?;
        log.size += u64::try_from(line.len()).unwrap_or(0);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
