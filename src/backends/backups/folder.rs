//! Compares a folder that was copied file by file (rsync) with the live one: such a copy has no end mark, only what it
//! lacks.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::check::{Outcome, Verdict};
use super::meter::Control;
use crate::domain::backup::Contents;
use crate::domain::backup::kind::Kind;
use crate::domain::backup::proof::Flaw;
use crate::domain::text::{count, plain};
use crate::domain::time::Timestamp;

/// Files looked at in each of the two.
const MOST: u64 = 500_000;
/// What was changed so shortly before the copy ended may have come after its turn, in seconds.
const SLACK_S: i64 = 3600;
/// What an application makes again by itself.
const REGENERABLE: [&str; 5] = ["logs", "cache", "static", "static.dist", "tmp"];

/// What a copy holds, and when it was last touched.
pub(super) fn contents(copy: &Path, control: &Control) -> (Contents, Option<Timestamp>) {
    let (mut out, mut touched) = (Contents::default(), None);
    each(copy, control, &mut |path, meta| {
        out.files += 1;
        out.bytes = out.bytes.saturating_add(meta.len());
        out.newest = out.newest.max(Some(changed(meta)));
        // rsync keeps the time of change; when it wrote, only the inode tells.
        let at = Timestamp::from_millis(meta.ctime().saturating_mul(1000));
        touched = touched.max(Some(at));
        let relative = path.strip_prefix(copy).unwrap_or(path);
        out.secret |= relative.file_name().is_some_and(|name| name == ".secret");
        out.media += u64::from(relative.components().any(|part| part.as_os_str() == "media"));
        if out.sample.len() < 12 {
            out.sample.push(plain(&relative.to_string_lossy(), 100));
        }
    });
    (out, touched)
}

/// Compares a copy with the live folder.
pub(super) fn check(copy: &Path, live: Option<&Path>, control: &Control) -> Verdict {
    let (mut contents, touched) = contents(copy, control);
    let Some(touched) = touched else {
        return Verdict {
            outcome: Outcome::Broken(Flaw::Empty, "it is a folder without a single file".to_owned()),
            kind: Some(Kind::Folder),
            contents: Some(contents),
            ..Verdict::default()
        };
    };
    let outcome = match live {
        None => Outcome::Unproven("there is no live folder to compare it with".to_owned()),
        Some(live) => {
            let (mut missing, mut differing, mut first) = (0, 0, None);
            each(live, control, &mut |path, meta| {
                let Ok(relative) = path.strip_prefix(live) else { return };
                let made_again =
                    relative.components().next().is_some_and(|c| REGENERABLE.iter().any(|r| c.as_os_str() == *r));
                // What came after the copy can't be in it.
                if made_again || changed(meta).plus_secs(SLACK_S) > touched || live_database(relative) {
                    return;
                }
                match fs::symlink_metadata(copy.join(relative)) {
                    Ok(copied) if copied.len() == meta.len() || !copied.is_file() => return,
                    Ok(_) => differing += 1,
                    Err(_) => missing += 1,
                }
                first.get_or_insert_with(|| plain(&relative.to_string_lossy(), 80));
            });
            contents.missing = Some(missing + differing);
            match first {
                None => Outcome::Whole,
                Some(first) => {
                    let (lacks, other) = (count(missing, "file"), count(differing, "file"));
                    let why =
                        format!("it lacks {lacks} of the live folder and has {other} of another size: {first}, …");
                    Outcome::Broken(Flaw::Truncated, why)
                }
            }
        }
    };
    let outcome = if control.stopped() { Outcome::Stopped } else { outcome };
    Verdict { outcome, kind: Some(Kind::Folder), contents: Some(contents), ..Verdict::default() }
}

/// A live SQLite database is saved otherwise.
fn live_database(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".sqlite3", ".db", "-wal", "-shm", "-journal"].iter().any(|ending| name.ends_with(ending))
}

fn changed(meta: &fs::Metadata) -> Timestamp {
    Timestamp::from_millis(meta.mtime().saturating_mul(1000))
}

fn each(root: &Path, control: &Control, with: &mut dyn FnMut(&Path, &fs::Metadata)) {
    let (mut waiting, mut seen) = (vec![root.to_owned()], 0_u64);
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MOST || control.stopped() {
                return;
            }
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                waiting.push(entry.path());
            } else if meta.is_file() {
                with(&entry.path(), &meta);
            }
        }
    }
}
