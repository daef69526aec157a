//! Two directories exchanged in one step of the kernel: whoever looks sees the one or the other, never a mixture.
//!
//! Run as a program of its own, as the user whose directories they are, so that nobody's links lead a greater power astray.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::domain::repository;

/// What tells two directories apart.
#[derive(Debug, Clone, Copy)]
pub struct Marks<'a> {
    /// What the one beside holds.
    pub mark: &'a str,
    /// What the one in place holds.
    pub before: &'a str,
    /// What the one beside holds besides, and the other does not: where both hold `mark`.
    pub with: Option<&'a str>,
    /// What the one beside does not hold, and the other does: where both hold `mark`.
    pub without: Option<&'a str>,
}

/// Exchanges `live` and `beside`, of which the latter holds `mark` and the former `before`, each a directory that the other
/// does not hold, unless something else tells the two apart. Where `live` holds `mark` already there is nothing to do, so it
/// may be asked twice. What says when that was installed is set to now.
///
/// # Errors
/// A sentence; nothing was exchanged then.
pub fn exchange(live: &Path, beside: &Path, marks: Marks<'_>) -> Result<&'static str, String> {
    let Marks { mark, before, with, without } = marks;
    let has = |dir: &Path| {
        dir.join(mark).join("RECORD").is_file()
            && with.is_none_or(|name| dir.join(name).is_dir())
            && without.is_none_or(|name| !dir.join(name).exists())
    };
    for dir in [live, beside] {
        let real = std::fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir());
        if !(real || (dir == beside && has(live))) {
            return Err(format!("{} is no directory: nothing was exchanged", dir.display()));
        }
    }
    match (has(live), has(beside)) {
        (true, false) => return Ok("it is in place already"),
        (false, true) if !live.join(before).exists() => {
            return Err(format!("{} holds no {before} any more: nothing was exchanged", live.display()));
        }
        (false, true) => {}
        (true, true) => return Err(format!("both hold {mark}: nothing was exchanged")),
        (false, false) => return Err(format!("{} holds no {mark}: nothing was exchanged", beside.display())),
    }
    let fail = |what: &Path, error: std::io::Error| format!("{}: {error}; nothing was exchanged", what.display());
    // Processes are told old from new by this time.
    let record = beside.join(mark).join("RECORD");
    let touched = File::options().append(true).open(&record).and_then(|file| {
        file.set_modified(SystemTime::now())?;
        file.sync_all()
    });
    touched.map_err(|error| fail(&record, error))?;
    for commit in commits(beside, mark) {
        // Not older than what it speaks of, or it would be of another installation.
        let touched = File::open(&commit).and_then(|dir| dir.set_modified(SystemTime::now()));
        touched.map_err(|error| fail(&commit, error))?;
    }
    renameat_with(CWD, beside, CWD, live, RenameFlags::EXCHANGE).map_err(|error| fail(live, error.into()))?;
    for parent in [live, beside].into_iter().filter_map(Path::parent) {
        let synced = File::open(parent).and_then(|dir| dir.sync_all());
        synced.map_err(|error| format!("exchanged, but {} can't be synced: {error}", parent.display()))?;
    }
    Ok("exchanged")
}

/// What says from which commit this was built.
fn commits(dir: &Path, mark: &str) -> Vec<PathBuf> {
    let version = mark.strip_suffix(".dist-info").and_then(|name| name.split_once('-'));
    let Some((package, version)) = version else { return Vec::new() };
    let begins = repository::marks(package, version);
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let of_it = |entry: &std::fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with(&begins) && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    entries.filter(of_it).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Marks;

    fn exchange(live: &Path, beside: &Path, mark: &str, before: &str) -> Result<&'static str, String> {
        super::exchange(live, beside, Marks { mark, before, with: None, without: None })
    }

    #[test]
    fn two_of_the_same_version_are_told_apart_by_the_commit() {
        let dir = tempfile::tempdir().unwrap();
        let (live, beside) = (dir.path().join("live"), dir.path().join("beside"));
        let mark = "a-1.0.dist-info";
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        for (at, commit) in [(&live, "a-1.0.commit-1"), (&beside, "a-1.0.commit-2")] {
            fs::create_dir_all(at.join(mark)).unwrap();
            fs::write(at.join(mark).join("RECORD"), "").unwrap();
            fs::create_dir(at.join(commit)).unwrap();
            fs::File::open(at.join(commit)).unwrap().set_modified(long_ago).unwrap();
        }
        let second = Some("a-1.0.commit-2");
        let there = || super::exchange(&live, &beside, Marks { mark, before: mark, with: second, without: None });
        let back = || super::exchange(&live, &beside, Marks { mark, before: mark, with: None, without: second });
        assert!(exchange(&live, &beside, mark, mark).unwrap_err().contains("both hold"), "nothing tells them apart");
        assert_eq!((there(), there()), (Ok("exchanged"), Ok("it is in place already")));
        assert!(live.join("a-1.0.commit-2").exists() && beside.join("a-1.0.commit-1").exists());
        let time = |path: &str| fs::metadata(live.join(path)).unwrap().modified().unwrap();
        assert!(time("a-1.0.commit-2") >= time("a-1.0.dist-info/RECORD"));
        assert_eq!((back(), back()), (Ok("exchanged"), Ok("it is in place already")));
        assert!(live.join("a-1.0.commit-1").exists() && beside.join("a-1.0.commit-2").exists());
        assert!(time("a-1.0.commit-1") >= time("a-1.0.dist-info/RECORD"));
    }

    #[test]
    fn it_is_exchanged_once_however_often_it_is_asked_and_back_again() {
        let dir = tempfile::tempdir().unwrap();
        let (live, beside) = (dir.path().join("live"), dir.path().join("beside"));
        for (at, mark) in [(&live, "old"), (&beside, "new")] {
            fs::create_dir_all(at.join(mark)).unwrap();
            fs::write(at.join(mark).join("RECORD"), mark).unwrap();
        }
        assert_eq!(exchange(&live, &beside, "new", "old"), Ok("exchanged"));
        assert!(live.join("new").exists() && beside.join("old").exists());
        assert_eq!(exchange(&live, &beside, "new", "old"), Ok("it is in place already"));
        assert_eq!(exchange(&live, &beside, "old", "new"), Ok("exchanged"));
        assert_eq!(exchange(&live, &beside, "old", "new"), Ok("it is in place already"));
        assert!(live.join("old").exists() && beside.join("new").exists());
    }

    #[test]
    fn what_is_not_clear_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (live, beside) = (dir.path().join("live"), dir.path().join("beside"));
        fs::create_dir_all(live.join("old")).unwrap();
        assert!(exchange(&live, &beside, "new", "old").unwrap_err().contains("is no directory"));
        fs::create_dir_all(beside.join("new")).unwrap();
        assert!(
            exchange(&live, &beside, "new", "old").unwrap_err().contains("holds no new"),
            "it was not installed whole"
        );
        fs::write(beside.join("new/RECORD"), "").unwrap();
        assert!(exchange(&live, &beside, "new", "other").unwrap_err().contains("no other any more"));
        fs::create_dir_all(live.join("new")).unwrap();
        fs::write(live.join("new/RECORD"), "").unwrap();
        assert!(exchange(&live, &beside, "new", "old").unwrap_err().contains("both hold new"));
        assert!(live.join("old").exists(), "nothing was moved");
        fs::rename(&live, dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), &live).unwrap();
        fs::remove_dir_all(live.join("new")).unwrap();
        assert!(
            exchange(&live, &beside, "new", "old").unwrap_err().contains("is no directory"),
            "a link is not followed"
        );
    }
}
