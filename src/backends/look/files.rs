//! Files and directories that a plan is about: which they are, what is held, who has them open.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::NOT_THERE;
use crate::backends::process_id;
use crate::config::SiteConfig;
use crate::domain::database::Engine;
use crate::domain::time::Timestamp;
use crate::runbook::plan::files::FilesProbe;

/// What stands between a name and the moment it was displaced.
pub const HELD: &str = ".held-";
/// How that moment is written, in UTC.
pub const STAMP: &str = "%Y%m%d-%H%M%S";
/// What SQLite keeps beside a database.
pub const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Most entries of a directory that are looked at.
const MOST: usize = 20_000;

/// Which file or directory is at a path: device and number. `None`: there is none.
pub fn inode(path: &str) -> Option<String> {
    std::fs::symlink_metadata(path).ok().map(|meta| format!("{}:{}", meta.dev(), meta.ino()))
}

/// Which plain file is at a path, its size, and when it was changed. It has no other name.
///
/// # Errors
/// Why it is none.
pub fn plain_file(path: &str) -> Result<String, String> {
    let meta = std::fs::symlink_metadata(path).map_err(|error| format!("{path}: {error}"))?;
    if meta.is_symlink() {
        return Err(format!("{path} is a link"));
    }
    if !meta.is_file() {
        return Err(format!("{path} is no single file"));
    }
    if meta.nlink() != 1 {
        return Err(format!("{path} has other names, too: another backup holds the same file"));
    }
    let changed = (meta.mtime(), meta.mtime_nsec());
    Ok(format!("{}:{} · {} bytes · changed {}.{:09}", meta.dev(), meta.ino(), meta.len(), changed.0, changed.1))
}

/// Which file a process holds open under a number, if it is a deleted one: device and number of the file.
///
/// # Errors
/// A sentence, where it is none.
pub fn opened(pid: u32, fd: u32) -> Result<String, String> {
    let meta = std::fs::metadata(format!("/proc/{pid}/fd/{fd}"));
    deleted(&meta.map_err(|error| format!("descriptor {fd} of process {pid} can't be seen: {error}"))?)
}

/// Which file this is, if it is a deleted one: device and number.
///
/// # Errors
/// A sentence, where it is none.
pub fn deleted(meta: &std::fs::Metadata) -> Result<String, String> {
    match (meta.is_file(), meta.nlink()) {
        (true, 0) => Ok(format!("{}:{}", meta.dev(), meta.ino())),
        (true, _) => Err("the file is not deleted: it has a name".to_owned()),
        (false, _) => Err("it is no plain file".to_owned()),
    }
}

/// Which file or directory, and whose: what is in it does not matter.
pub(super) fn place(path: &str) -> String {
    match std::fs::metadata(path) {
        Ok(meta) => {
            format!("inode {}:{} · of {} · mode {:o}", meta.dev(), meta.ino(), meta.uid(), meta.mode() & 0o7777)
        }
        Err(_) => NOT_THERE.to_owned(),
    }
}

pub(super) fn holds(probe: &FilesProbe) -> Result<String, String> {
    match probe {
        FilesProbe::There(path) => match inode(path) {
            Some(_) => Ok(format!("{path} is there")),
            None => Err(format!("{path} is not there")),
        },
        FilesProbe::Gone(path) => match inode(path) {
            None => Ok(format!("{path} is gone")),
            Some(_) => Err(format!("{path} is still there")),
        },
        FilesProbe::Exchanged(x) => match (inode(&x.live), inode(&x.held)) {
            (Some(live), Some(held)) if held == x.was && live != x.was => Ok(format!("held as {}", x.held)),
            (Some(live), _) if live == x.was => Err(format!("{} is what it was", x.live)),
            (_, _) => Err(format!("what was {} is not held as {} yet", x.live, x.held)),
        },
    }
}

/// Something displaced that midwatch holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Where it lies.
    pub path: String,
    /// What it was displaced from.
    pub live: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether it was the site's database.
    pub database: bool,
}

/// What is held of a site, the newest first: beside its database, beside and in its data directory.
pub fn held(site: &SiteConfig) -> Vec<Held> {
    let database = site.database.as_ref().ok().filter(|database| database.engine == Engine::Sqlite);
    let database = database.and_then(|database| std::fs::canonicalize(&database.name).ok());
    let data = site.data_dir.as_ref().and_then(|dir| std::fs::canonicalize(dir).ok());
    let mut out: Vec<Held> = Vec::new();
    let mut places: Vec<PathBuf> =
        database.iter().chain(&data).filter_map(|path| path.parent().map(Path::to_owned)).collect();
    places.extend(data.clone());
    for place in places {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten().take(MOST) {
            let path = entry.path();
            let Some((live, since)) = path.to_str().and_then(taken_apart) else { continue };
            let own = Some(live.as_path()) == database.as_deref();
            let ours = own || data.as_ref().is_some_and(|data| live.starts_with(data));
            let known = out.iter().any(|held| Path::new(&held.path) == path);
            if ours && !known && inode(&path.display().to_string()).is_some() {
                let (path, live) = (path.display().to_string(), live.display().to_string());
                out.push(Held { path, live, since, database: own });
            }
        }
    }
    out.sort_by_key(|held| std::cmp::Reverse(held.since));
    out
}

/// What it was displaced from and when, by its name.
fn taken_apart(path: &str) -> Option<(PathBuf, Timestamp)> {
    let (live, stamp) = path.rsplit_once(HELD)?;
    let at = DateTime::strptime(STAMP, stamp).ok()?.to_zoned(TimeZone::UTC).ok()?;
    let live = PathBuf::from(live);
    live.file_name()?;
    Some((live, Timestamp::from_millis(at.timestamp().as_millisecond())))
}

/// A moment as it stands in names.
pub fn stamp(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    at.strftime(STAMP).to_string()
}

/// Who has one of these files open, by number and name. Other users' processes are seen by root alone.
pub fn openers(paths: &[String]) -> Vec<String> {
    let wanted: Vec<(u64, u64)> =
        paths.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|meta| (meta.dev(), meta.ino())).collect();
    let opens = |pid: &u32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut open = open.filter_map(|entry| std::fs::metadata(entry.path()).ok());
        open.any(|meta| wanted.contains(&(meta.dev(), meta.ino())))
    };
    process_id::all().filter(opens).map(process_id::told).collect()
}

/// Bytes free for this user where a path lies.
///
/// # Errors
/// A sentence, where that can't be seen.
pub fn free(path: &Path) -> Result<u64, String> {
    let space =
        rustix::fs::statvfs(path).map_err(|error| format!("the space at {} can't be seen: {error}", path.display()))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::{holds, inode, stamp, taken_apart};
    use crate::domain::time::Timestamp;
    use crate::runbook::plan::files::{Exchange, FilesProbe};

    #[test]
    fn a_held_name_says_of_what_and_since_when() {
        let at = Timestamp::from_millis(1_795_285_200_000);
        let (live, since) = taken_apart(&format!("/srv/db.sqlite3.held-{}", stamp(at))).unwrap();
        assert_eq!((live.to_str().unwrap(), since), ("/srv/db.sqlite3", at));
        assert!(taken_apart("/srv/db.sqlite3.held-yesterday").is_none());
        assert!(taken_apart("/srv/db.sqlite3").is_none());
    }

    #[test]
    fn an_exchange_holds_once_the_old_one_is_held_and_another_is_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(path("live"), "old").unwrap();
        let (live, ready, held) = (path("live"), path("ready"), path("held"));
        let x = Exchange { was: inode(&live).unwrap(), live, ready, held, database: false };
        let probe = FilesProbe::Exchanged(x.clone());
        assert!(holds(&probe).is_err());
        std::fs::rename(&x.live, &x.held).unwrap();
        assert!(holds(&probe).is_err(), "nothing is in its place");
        std::fs::write(&x.live, "new").unwrap();
        assert!(holds(&probe).is_ok());
    }
}
