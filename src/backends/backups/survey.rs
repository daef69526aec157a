//! Looks through a place for files that could be backups: names first, their state only where the name is right, however
//! many others lie there.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::domain::backup::header::Civil;
use crate::domain::backup::kind::{self, Kind, Subject};
use crate::domain::backup::name;

/// Directories below a place that are looked into, and how deep.
const MOST_DIRECTORIES: usize = 1_000;
const DEEPEST: usize = 3;
/// Entries of one place that are looked at in all.
const MOST_ENTRIES: u64 = 1_000_000;
/// How long the state of candidates is asked for; the newest by their names come first.
const STATE_BUDGET: Duration = Duration::from_millis(400);
/// So many are asked for however long that takes.
const STATE_LEAST: usize = 500;
/// The newest that are kept of a place.
pub(super) const KEPT: usize = 120;

/// A file or directory that could be a backup.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Where.
    pub(super) path: PathBuf,
    /// Its last part.
    pub(super) name: String,
    /// Its state.
    pub(super) meta: Metadata,
    /// What its name, or what is in the directory, lets expect.
    pub(super) expected: Kind,
    /// The date in its name.
    pub(super) named: Option<Civil>,
}

/// What lies in a place.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// The newest candidates, the newest first.
    pub(super) found: Vec<Candidate>,
    /// Candidates in all.
    pub(super) candidates: u64,
    /// Entries in all.
    pub(super) entries: u64,
    /// Bytes of the candidates whose state was asked for.
    pub(super) bytes: u64,
    /// Repositories of tools, which have to be asked through these.
    pub(super) repositories: Vec<(PathBuf, Kind)>,
    /// The first thing that could not be read.
    pub(super) trouble: Option<(PathBuf, io::Error)>,
}

/// Looks through `root`, which may be a file, for names that fit `pattern`, or for those of backups. `spared` is never
/// looked into: the live data. At most `most` are kept.
pub(super) fn look(
    root: &Path,
    pattern: Option<&str>,
    told: Option<Subject>,
    spared: &[PathBuf],
    most: usize,
) -> Looked {
    let mut out = Looked::default();
    let mut names: Vec<(PathBuf, String, Kind, Option<Civil>)> = Vec::new();
    match fs::metadata(root) {
        Ok(meta) if meta.is_file() => {
            let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let expected = kind::of_name(&name).unwrap_or(Kind::Unknown);
            names.push((root.to_owned(), name.clone(), expected, name::date(&name)));
            out.entries = 1;
        }
        Ok(_) => {
            if let Some(kind) = whole(root) {
                if matches!(kind, Kind::Restic | Kind::Borg) {
                    out.repositories.push((root.to_owned(), kind));
                    return out;
                }
                let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if kind == Kind::PgDirectory || told == Some(Subject::Files) {
                    let date = name::date(&name);
                    names.push((root.to_owned(), name, kind, date));
                }
            }
            if names.is_empty() {
                walk(root, pattern, spared, &mut out, &mut names);
            }
        }
        Err(error) => out.trouble = Some((root.to_owned(), error)),
    }
    out.candidates = u64::try_from(names.len()).unwrap_or(0);
    // Without a date in the name only its state tells the age; those come first.
    names.sort_by(|a, b| b.3.is_none().cmp(&a.3.is_none()).then(b.3.cmp(&a.3)).then_with(|| b.1.cmp(&a.1)));
    let begun = Instant::now();
    for (at, (path, name, expected, named)) in names.into_iter().enumerate() {
        if at >= STATE_LEAST && begun.elapsed() > STATE_BUDGET {
            break;
        }
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() || meta.is_dir() => {
                out.bytes = out.bytes.saturating_add(if meta.is_file() { meta.len() } else { 0 });
                out.found.push(Candidate { path, name, meta, expected, named });
            }
            Ok(_) => out.candidates -= 1,
            // Rotated away between the two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => out.candidates -= 1,
            Err(error) => out.trouble = out.trouble.take().or(Some((path, error))),
        }
    }
    out.found.sort_by_key(|c| std::cmp::Reverse(c.meta.modified().ok()));
    let mut seen = std::collections::BTreeSet::new();
    // `latest.dump -> pretix-20261121.dump` is the same backup.
    out.found.sort_by_key(|c| c.path.is_symlink());
    out.found.retain(|c| {
        use std::os::unix::fs::MetadataExt as _;
        seen.insert((c.meta.dev(), c.meta.ino()))
    });
    out.found.sort_by_key(|c| std::cmp::Reverse(c.meta.modified().ok()));
    out.found.truncate(most);
    out
}

type Names = Vec<(PathBuf, String, Kind, Option<Civil>)>;

fn walk(root: &Path, pattern: Option<&str>, spared: &[PathBuf], out: &mut Looked, names: &mut Names) {
    let mut waiting = vec![(root.to_owned(), 0)];
    let mut directories = 0;
    while let Some((dir, depth)) = waiting.pop() {
        directories += 1;
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                out.trouble = out.trouble.take().or(Some((dir, error)));
                continue;
            }
        };
        for entry in entries {
            let Ok(entry) = entry else { break };
            out.entries += 1;
            if out.entries > MOST_ENTRIES {
                return;
            }
            let Some(below) = one(&entry, pattern, out, names) else { continue };
            let deeper = depth < DEEPEST && directories + waiting.len() < MOST_DIRECTORIES;
            if deeper && !spared.contains(&below) {
                waiting.push((below, depth + 1));
            }
        }
    }
}

/// Takes note of an entry; a directory that is no backup by itself is returned.
fn one(entry: &DirEntry, pattern: Option<&str>, out: &mut Looked, names: &mut Names) -> Option<PathBuf> {
    let file_name = entry.file_name();
    let name = file_name.to_string_lossy();
    let kind = entry.file_type().ok()?;
    if kind.is_dir() {
        let path = entry.path();
        match whole(&path) {
            Some(kind @ (Kind::Restic | Kind::Borg)) => out.repositories.push((path, kind)),
            Some(kind) if pattern.is_none_or(|p| name::fits(p, &name)) => {
                names.push((path, name.clone().into_owned(), kind, name::date(&name)));
            }
            Some(_) => {}
            None if name.starts_with('.') || name == "node_modules" => {}
            None => return Some(path),
        }
        return None;
    }
    if !kind.is_file() && !kind.is_symlink() {
        return None;
    }
    let expected = match pattern {
        Some(pattern) if name::fits(pattern, &name) => kind::of_name(&name).unwrap_or(Kind::Unknown),
        Some(_) => return None,
        None => kind::of_name(&name)?,
    };
    names.push((entry.path(), name.clone().into_owned(), expected, name::date(&name)));
    None
}

/// What a directory as a whole is, if it is a backup by itself.
pub(super) fn whole(dir: &Path) -> Option<Kind> {
    let has = |name: &str| dir.join(name).symlink_metadata().is_ok();
    if has("toc.dat") {
        Some(Kind::PgDirectory)
    } else if has("snapshots") && has("keys") && has("config") && has("data") {
        Some(Kind::Restic)
    } else if has("README") && has("config") && has("data") && borg(dir) {
        Some(Kind::Borg)
    } else if has(".secret") || (has("media") && dir.join("media").is_dir()) {
        Some(Kind::Folder)
    } else {
        None
    }
}

fn borg(dir: &Path) -> bool {
    super::directory::head(&dir.join("README")).is_some_and(|head| head.starts_with(b"This is a Borg"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn backups_are_found_among_others_however_they_lie() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a/pretix.dump", "a/notes.txt", "b/c/d/data.tar.gz", "dpkg.status.0", "fd/toc.dat", "live/x.sql"] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "x").unwrap();
        }
        fs::create_dir_all(at("copy/media")).unwrap();
        std::os::unix::fs::symlink(at("a/pretix.dump"), at("latest.dump")).unwrap();
        let looked = look(dir.path(), None, None, &[at("live")], KEPT);
        let mut found: Vec<(String, Kind)> = looked.found.iter().map(|c| (c.name.clone(), c.expected)).collect();
        found.sort();
        let expected = [
            ("copy", Kind::Folder),
            ("data.tar.gz", Kind::Tar),
            ("fd", Kind::PgDirectory),
            ("pretix.dump", Kind::PgCustom),
        ];
        assert_eq!(found, expected.map(|(n, k)| (n.to_owned(), k)));
        assert!(look(dir.path(), Some("*.txt"), None, &[], KEPT).found.iter().all(|c| c.name == "notes.txt"));
        assert!(look(&at("gone"), None, None, &[], KEPT).trouble.is_some());
    }

    #[test]
    fn the_newest_are_kept_and_the_others_counted() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..KEPT + 30 {
            fs::write(dir.path().join(format!("pretix-{n:04}.sql")), "x").unwrap();
        }
        let looked = look(dir.path(), None, None, &[], KEPT);
        assert_eq!((looked.found.len(), looked.candidates), (KEPT, u64::try_from(KEPT + 30).unwrap()));
        assert!(looked.found.is_sorted_by_key(|c| std::cmp::Reverse(c.meta.modified().unwrap())));
    }
}
