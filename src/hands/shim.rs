//! The shim between the runner and a program it starts: it notes durably which process it is, and becomes the program.
//! So there is no moment in which the program runs and nobody could find it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_setfd};

use super::lock;
use crate::backends::process_id;
use crate::runbook::run::ProcessId;

/// There is no such program.
pub const NOT_FOUND: u8 = 127;
/// It can't be started.
pub const NOT_STARTED: u8 = 126;

/// Becomes the program; comes back only where that failed, with an exit code and a sentence.
///
/// Through standard input come the lock's descriptors; the program gets them as some that it never looks at, unless it
/// `leaves` others running, which must not hold the lock. Standard input of the program is `input`, or empty.
pub fn become_program(record: &Path, leaves: bool, input: Option<&Path>, argv: &[OsString]) -> (u8, String) {
    let Some((program, arguments)) = argv.split_first() else {
        return (NOT_STARTED, "no program was given".to_owned());
    };
    let noted = process_id::here().and_then(|me| note(record, &me));
    if let Err(error) = noted {
        return (NOT_STARTED, format!("{} can't be written: {error}; nothing was started", record.display()));
    }
    if let Err(error) = hand_over(leaves) {
        return fail(record, NOT_STARTED, format!("the lock can't be handed over: {error}"));
    }
    if let Some(input) = input
        && let Err(error) = read_from(input)
    {
        return fail(record, NOT_STARTED, format!("{} can't be read: {error}", input.display()));
    }
    let error = Command::new(program).args(arguments).exec();
    let code = if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED };
    fail(record, code, format!("{} can't be started: {error}", program.to_string_lossy()))
}

/// The file that says why the program was not started, beside the record.
pub(super) fn failure(record: &Path) -> PathBuf {
    record.with_extension("failed")
}

fn fail(record: &Path, code: u8, why: String) -> (u8, String) {
    // Without it the code still says it, only not as surely.
    write_new(&failure(record), why.as_bytes()).ok();
    (code, why)
}

/// The process that a record names; `None`: there is no whole one yet.
pub fn recorded(record: &Path) -> Option<ProcessId> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(record).ok()?;
    file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    serde_json::from_reader(io::Read::take(file, 4096)).ok()
}

/// Writes the record so that it is whole and on the disk when it is there.
fn note(record: &Path, process: &ProcessId) -> io::Result<()> {
    let new = record.with_extension("new");
    write_new(&new, &serde_json::to_vec(process)?)?;
    std::fs::rename(&new, record)?;
    let dir = record.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a shim that was cut off has left.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A regular file, read as who starts the program, who may be somebody else than who runs it.
fn read_from(path: &Path) -> io::Result<()> {
    let file = crate::backends::plain::open(path)?;
    rustix::stdio::dup2_stdin(file)?;
    Ok(())
}

fn hand_over(leaves: bool) -> io::Result<()> {
    if !leaves {
        for lock in lock::received(io::stdin())? {
            fcntl_setfd(&lock, FdFlags::empty())?;
            // It is the program's from here on.
            let _number = lock.into_raw_fd();
        }
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(())
}
