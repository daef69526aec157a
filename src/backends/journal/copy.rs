//! A journal read from a copy: where only its writer could take back what was left half, or where it matters that what is
//! read is what was asked about.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_lock, openat};
use rustix::io::Errno;
use tempfile::TempDir;
use tokio::time::sleep;

use super::{JournalError, place};

/// Bytes of a journal that is copied.
const MOST: u64 = 512 * 1024 * 1024;
/// What SQLite keeps beside a database to take back what was left half.
const HALF: &str = "journal.sqlite-journal";
/// What nothing of ours makes, and SQLite would take for part of the database.
const STRANGE: &str = "journal.sqlite-wal";
/// A file system in memory, for where the disk is full.
const MEMORY: &str = "/dev/shm";
/// How often a journal that is being written is tried again, and after how long.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// The journal with what is to be taken back, in a directory of one's own.
///
/// # Errors
/// When it can't be copied, or is being written.
pub(super) fn of(path: &Path) -> io::Result<TempDir> {
    let open = |path: &Path| {
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        OpenOptions::new().read(true).custom_flags(flags).open(path)
    };
    let half = match open(&path.with_file_name(HALF)) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        opened => Some(opened?),
    };
    // Who only looks may write in the state directory alone, others perhaps not there.
    copy(open(path)?, half, path.ancestors().nth(3).unwrap_or(path))
}

fn copy(mut db: File, mut half: Option<File>, state_dir: &Path) -> io::Result<TempDir> {
    let stamp = |file: &File| file.metadata().map(|meta| (meta.len(), meta.mtime(), meta.mtime_nsec()));
    let stamps = |db: &File, half: Option<&File>| Ok::<_, io::Error>((stamp(db)?, half.map(stamp).transpose()?));
    let before = stamps(&db, half.as_ref())?;
    if before.0.0.saturating_add(before.1.map_or(0, |stamp| stamp.0)) > MOST {
        return Err(io::Error::other("it is too large to be read from a copy"));
    }
    let builder = || tempfile::Builder::new().prefix(".copy-").to_owned();
    let mut fill = |dir: TempDir| {
        db.rewind()?;
        io::copy(&mut db, &mut File::create(dir.path().join(place::NAME))?)?;
        if let Some(half) = &mut half {
            half.rewind()?;
            io::copy(half, &mut File::create(dir.path().join(HALF))?)?;
        }
        Ok::<_, io::Error>(dir)
    };
    let filled = builder().tempdir_in(state_dir).or_else(|_denied| builder().tempdir()).and_then(&mut fill);
    let dir = match filled {
        // It is read, and gone again: memory will do.
        Err(error) if error.kind() == ErrorKind::StorageFull => fill(builder().tempdir_in(MEMORY)?)?,
        filled => filled?,
    };
    if stamps(&db, half.as_ref())? == before {
        Ok(dir)
    } else {
        Err(io::Error::new(ErrorKind::WouldBlock, "it is being written; try again"))
    }
}

/// A copy of this user's journal, of files that nobody else can have written: each is asked about after it was opened.
///
/// # Errors
/// When others could have written one, or it can't be copied.
pub(super) async fn trusted(state_dir: &Path, uid: u32) -> Result<TempDir, JournalError> {
    let path = place::path(state_dir, uid);
    let mut tries = 0;
    loop {
        match quiet(state_dir, uid, &path) {
            Err(JournalError::File { error, .. }) if error.kind() == ErrorKind::WouldBlock && tries < TRIES => {
                tries += 1;
                sleep(PAUSE).await;
            }
            copied => return copied,
        }
    }
}

fn quiet(state_dir: &Path, uid: u32, path: &Path) -> Result<TempDir, JournalError> {
    let fail = |error: io::Error| JournalError::File { path: path.to_owned(), error };
    let own = path.parent().unwrap_or(path);
    let shelf = place::shelf(state_dir);
    let linked = |path: &Path, error: Errno| match error {
        Errno::LOOP | Errno::NOTDIR => JournalError::Untrusted(format!(
            "{} is a link or something else: nothing is done on its word; move it away",
            path.display()
        )),
        error => fail(error.into()),
    };
    let directory = |at: &File, name: &str, path: &Path| {
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(at, name, how, Mode::empty()).map(File::from).map_err(|error| linked(path, error))
    };
    let state = File::open(state_dir).map_err(fail)?;
    let shelf_file = directory(&state, "runs", &shelf)?;
    place::fit_shelf(&shelf, &shelf_file.metadata().map_err(fail)?).map_err(JournalError::Untrusted)?;
    let own_file = directory(&shelf_file, &uid.to_string(), own)?;
    let mine = place::mine_or_roots;
    place::fit_directory(own, &own_file.metadata().map_err(fail)?, mine).map_err(JournalError::Untrusted)?;
    let part = |name: &str| {
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let path = own.join(name);
        let file = match openat(&own_file, name, how, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => File::from(opened.map_err(|error| linked(&path, error))?),
        };
        place::fit_file(&path, &file.metadata().map_err(fail)?, mine).map_err(JournalError::Untrusted)?;
        Ok(Some(file))
    };
    let db = part(place::NAME)?.ok_or_else(|| fail(io::Error::from(ErrorKind::NotFound)))?;
    if part(STRANGE)?.is_some() {
        return Err(JournalError::Untrusted(format!(
            "{} is not midwatch's; look who made it",
            own.join(STRANGE).display()
        )));
    }
    // As SQLite itself: nobody writes meanwhile.
    match fcntl_lock(&db, FlockOperation::NonBlockingLockShared) {
        Err(Errno::ACCESS | Errno::AGAIN) => return Err(fail(io::Error::from(ErrorKind::WouldBlock))),
        locked => locked.map_err(|error| fail(error.into()))?,
    }
    let half = part(HALF)?;
    copy(db, half, state_dir).map_err(fail)
}
