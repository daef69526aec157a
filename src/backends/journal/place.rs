//! Where a journal stands, who made it, and who could have changed it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, symlink_metadata};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::JournalError;

pub(super) const NAME: &str = "journal.sqlite";
/// Written anew beside a journal whenever one of its runs has ended.
const ENDED: &str = "ended";
/// Users whose runs are looked for.
const USERS: usize = 1_000;
/// What SQLite takes for part of a database that stands beside it.
const SIDES: [&str; 3] = ["-journal", "-wal", "-shm"];
/// Written by the group, or by everybody.
const OTHERS_WRITE: u32 = 0o022;
/// Who may write a directory may not take away what others own in it.
const STICKY: u32 = 0o1000;

/// The directory of all users' journals.
pub(super) fn shelf(state_dir: &Path) -> PathBuf {
    state_dir.join("runs")
}

/// A user's journal: `STATE/runs/UID/journal.sqlite`.
pub fn path(state_dir: &Path, uid: u32) -> PathBuf {
    shelf(state_dir).join(uid.to_string()).join(NAME)
}

/// Leaves a sign beside a journal, in the directory `own`, that this run has ended.
///
/// # Errors
/// When it can't be written.
pub fn sign_end(own: &Path, run: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o640).custom_flags(flags(OFlags::NOFOLLOW));
    options.open(own.join(ENDED))?.write_all(run.as_bytes())
}

/// A sign, and when it was left: seconds and nanoseconds.
pub type End = (PathBuf, i64, i64);

/// The signs of all users: they differ from those before as soon as another run has ended.
pub fn ends(state_dir: &Path) -> Vec<End> {
    let users = std::fs::read_dir(shelf(state_dir)).into_iter().flatten().flatten().take(USERS);
    let sign = |path: PathBuf| {
        let meta = symlink_metadata(&path).ok()?;
        Some((path, meta.mtime(), meta.mtime_nsec()))
    };
    let mut out: Vec<End> = users.filter_map(|user| sign(user.path().join(ENDED))).collect();
    out.sort();
    out
}

/// Makes a user's journal, empty, and the directories on the way, where they are not there.
///
/// # Errors
/// When that fails, or what is there could be written by others.
pub(super) fn prepare(state_dir: &Path, uid: u32) -> Result<PathBuf, JournalError> {
    let shelf = shelf(state_dir);
    let path = path(state_dir, uid);
    let own = path.parent().unwrap_or(&shelf);
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |error| JournalError::File { path, error }
    };
    let state = std::fs::metadata(state_dir).map_err(fail(state_dir))?;
    // As everything in the state directory: what its group may write is the group's, also under a narrow umask.
    let shared = state.mode() & 0o020 != 0;
    // Sticky: each member of the group makes a directory there, and none takes another's away.
    directory(&shelf, if shared { 0o3770 } else { 0o750 }).map_err(fail(&shelf))?;
    if state.uid() == 0 && geteuid().is_root() {
        File::options()
            .read(true)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::DIRECTORY))
            .open(&shelf)
            .and_then(|dir| std::os::unix::fs::fchown(dir, Some(0), None))
            .map_err(fail(&shelf))?;
    }
    directory(own, if shared { 0o2750 } else { 0o750 }).map_err(fail(own))?;
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .custom_flags(flags(OFlags::NOFOLLOW))
        .open(&path)
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o640)))
        .and_then(|()| File::open(own)?.sync_all());
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(fail(&path)(error)),
        Ok(()) | Err(_) => {}
    }
    let mine = |meta: &Metadata| meta.uid() == geteuid().as_raw();
    guarded(own, mine).and_then(|()| files(&path, mine)).map_err(JournalError::Untrusted)?;
    Ok(path)
}

fn flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or(0)
}

fn directory(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode & 0o777).create(path) {
        // The umask may have taken the group's right away; and mkdir(2) gives no set-group-id bit.
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = symlink_metadata(path)?;
            if found.is_dir() { Ok(()) } else { Err(io::Error::other("is no directory; move it away")) }
        }
        Err(error) => Err(error),
    }
}

/// Whether nobody but this user and root can have written this journal: it, what SQLite keeps beside it, its directory, and
/// the one of all journals. No link is followed. Who may write the state directory can still put others in the place of all
/// of that, but none that would be trusted; so what is acted on is read with [`super::read_trusted`], which asks what it has
/// opened.
///
/// # Errors
/// A sentence that says who could.
pub fn trusted(path: &Path) -> Result<(), String> {
    let directory = path.parent().ok_or_else(|| format!("{} is no file", path.display()))?;
    let shelf = directory.parent().ok_or_else(|| format!("{} is no directory of a journal", directory.display()))?;
    fit_shelf(shelf, &look(shelf)?)?;
    guarded(directory, mine_or_roots)?;
    files(path, mine_or_roots)
}

/// Whose word is taken: this user's and root's.
pub(super) fn mine_or_roots(meta: &Metadata) -> bool {
    meta.uid() == geteuid().as_raw() || meta.uid() == 0
}

fn look(path: &Path) -> Result<Metadata, String> {
    symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The directory of all journals: who may write it may add to it, and take away nothing of another's.
pub(super) fn fit_shelf(path: &Path, meta: &Metadata) -> Result<(), String> {
    if !meta.is_dir() {
        return Err(format!("{} is a link or no directory: nothing is done on its word; move it away", path.display()));
    }
    owned(path, meta, mine_or_roots)?;
    let open = meta.mode() & OTHERS_WRITE != 0 && meta.mode() & STICKY == 0;
    if open { Err(others(path, meta, "+t")) } else { Ok(()) }
}

fn owned(path: &Path, meta: &Metadata, mine: impl Fn(&Metadata) -> bool) -> Result<(), String> {
    if mine(meta) {
        return Ok(());
    }
    let (path, owner) = (path.display(), meta.uid());
    Err(format!("{path} belongs to uid {owner}, who could write anything there: nothing is done on its word"))
}

fn others(path: &Path, meta: &Metadata, mend: &str) -> String {
    let (path, mode) = (path.display(), meta.mode() & 0o7777);
    format!(
        "{path} can be written by others (mode {mode:04o}): nothing is done on its word; `chmod {mend}` and look who did"
    )
}

/// The directory itself: nobody else may so much as add a file.
fn guarded(dir: &Path, mine: impl Fn(&Metadata) -> bool) -> Result<(), String> {
    fit_directory(dir, &look(dir)?, mine)
}

pub(super) fn fit_directory(dir: &Path, meta: &Metadata, mine: impl Fn(&Metadata) -> bool) -> Result<(), String> {
    if !meta.is_dir() {
        return Err(format!("{} is a link or no directory: nothing is done on its word; move it away", dir.display()));
    }
    owned(dir, meta, mine)?;
    if meta.mode() & OTHERS_WRITE != 0 { Err(others(dir, meta, "go-w")) } else { Ok(()) }
}

/// The database and what SQLite keeps beside it.
fn files(path: &Path, mine: impl Fn(&Metadata) -> bool + Copy) -> Result<(), String> {
    plain_file(path, mine)?;
    for side in SIDES {
        let mut name = path.as_os_str().to_owned();
        name.push(side);
        let side = Path::new(&name);
        match plain_file(side, mine) {
            Err(_) if symlink_metadata(side).is_err_and(|error| error.kind() == ErrorKind::NotFound) => {}
            found => found?,
        }
    }
    Ok(())
}

/// Whether it is a plain file that nobody else writes and that has no other name.
pub(super) fn plain_file(path: &Path, mine: impl Fn(&Metadata) -> bool) -> Result<(), String> {
    fit_file(path, &look(path)?, mine)
}

pub(super) fn fit_file(path: &Path, meta: &Metadata, mine: impl Fn(&Metadata) -> bool) -> Result<(), String> {
    if !meta.is_file() || meta.nlink() != 1 {
        return Err(format!(
            "{} is a link or no plain file: nothing is done on its word; move it away",
            path.display()
        ));
    }
    owned(path, meta, mine)?;
    if meta.mode() & OTHERS_WRITE != 0 { Err(others(path, meta, "go-w")) } else { Ok(()) }
}
