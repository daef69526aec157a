//! What was found out about backups, remembered in the state directory, so that each file is read once.
//!
//! One JSON document, `proofs.json`, written whole beside itself and renamed, under a lock of its own, so that several
//! midwatches and a drill can add to it. It holds no content of backups: paths, sizes, digests, verdicts. A file is known
//! again by path, size and time of change; a drill's record holds for every copy with the same digest.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::domain::backup::Contents;
use crate::domain::backup::header::Header;
use crate::domain::backup::kind::Kind;
use crate::domain::backup::proof::{Flaw, Proof};
use crate::domain::backup::seal::Seal;
use crate::domain::time::Timestamp;

/// Verdicts kept; the longest ago are forgotten.
const MOST: usize = 2_000;
/// Drills kept.
const MOST_DRILLS: usize = 500;
/// A larger file was not written by us.
const LARGEST: u64 = 16 << 20;
const SCHEMA: u32 = 1;

/// A verdict on one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Where it lay.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub changed_ns: i64,
    /// SHA-256 in hexadecimal, where it was read to its end.
    pub digest: Option<String>,
    /// Whole, or broken in which way.
    pub flaw: Option<Flaw>,
    /// Why it is broken.
    pub why: Option<String>,
    /// When that was found out.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it is.
    pub kind: Option<Kind>,
    /// What it says of itself.
    pub header: Option<Header>,
    /// What it holds.
    pub contents: Option<Contents>,
    /// What of it has checksums.
    #[serde(default)]
    pub seal: Option<Seal>,
}

/// A drill: a backup that was restored somewhere and looked at. Written by whoever runs the drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// SHA-256 of the backup, in hexadecimal: whatever has the same is proven too.
    pub digest: String,
    /// Where it lay.
    pub path: String,
    /// When the drill ended.
    pub at: Timestamp,
    /// How long restoring took, in milliseconds.
    pub took_ms: u64,
    /// Who ran it.
    pub by: String,
    /// Whether all that was restored was found right.
    pub passed: bool,
    /// What was found: rows, migration head, or what failed.
    pub found: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    proofs: Vec<Record>,
    #[serde(default)]
    drills: Vec<Drill>,
}

/// The remembered verdicts.
#[derive(Debug, Default)]
pub struct Proofs {
    dir: Option<PathBuf>,
    kept: Document,
    /// Size and time of the file these were read from.
    read: Option<(u64, std::time::SystemTime)>,
}

impl Proofs {
    /// Those of a state directory; without one they last as long as the program.
    pub fn open(dir: Option<&Path>) -> Self {
        let mut out = Self { dir: dir.map(Path::to_owned), ..Self::default() };
        out.refresh();
        out
    }

    /// Takes in what others have written since.
    pub fn refresh(&mut self) {
        let Some(path) = self.file() else { return };
        let Ok(meta) = fs::metadata(&path) else { return };
        let state = meta.modified().ok().map(|at| (meta.len(), at));
        if state == self.read {
            return;
        }
        if let Some(document) = load(&path) {
            self.kept = document;
            self.read = state;
        }
    }

    /// What is known of a file.
    pub fn find(&self, path: &str, bytes: u64, changed_ns: i64) -> Option<&Record> {
        self.kept.proofs.iter().find(|r| r.bytes == bytes && r.changed_ns == changed_ns && r.path == path)
    }

    /// When a file was read that had the same size and time of change then, and another content; `None`: none was.
    pub fn differed(&self, path: &Path, digest: &str) -> Option<Timestamp> {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let record = self.find(path.to_str()?, meta.len(), super::moment::changed_ns(&meta))?;
        record.digest.as_ref().filter(|known| *known != digest).map(|_| record.at)
    }

    /// The last drill with a backup of this digest that passed.
    pub fn drill(&self, digest: &str) -> Option<&Drill> {
        self.kept.drills.iter().filter(|d| d.passed && d.digest == digest).max_by_key(|d| d.at)
    }

    /// Keeps a verdict.
    ///
    /// # Errors
    /// When the file can't be written; it is remembered for the life of the program all the same.
    pub fn keep(&mut self, record: Record) -> io::Result<()> {
        self.change(|document| {
            document.proofs.retain(|r| r.path != record.path);
            document.proofs.push(record);
            let surplus = document.proofs.len().saturating_sub(MOST);
            document.proofs.drain(..surplus);
        })
    }

    /// Keeps the record of a drill.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn keep_drill(&mut self, drill: Drill) -> io::Result<()> {
        self.change(|document| {
            document.drills.push(drill);
            let surplus = document.drills.len().saturating_sub(MOST_DRILLS);
            document.drills.drain(..surplus);
        })
    }

    fn file(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join("proofs.json"))
    }

    fn change(&mut self, change: impl FnOnce(&mut Document)) -> io::Result<()> {
        let (Some(dir), Some(path)) = (self.dir.clone(), self.file()) else {
            change(&mut self.kept);
            return Ok(());
        };
        let locked = lock(&dir.join("proofs.lock"));
        if let Some(document) = load(&path) {
            self.kept = document;
        }
        change(&mut self.kept);
        self.kept.schema_version = SCHEMA;
        let _held = locked?;
        let text = serde_json::to_vec(&self.kept)?;
        write(&dir, &path, &text)?;
        self.read = None;
        Ok(())
    }
}

/// What is in the file, unless it is too large, damaged, or a newer midwatch's.
fn load(path: &Path) -> Option<Document> {
    let mut text = Vec::new();
    crate::backends::plain::open(path).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice::<Document>(&text).ok().filter(|d| d.schema_version <= SCHEMA)
}

/// The mode that the directory's own lets expect: for the group where it is a group's, else for the owner alone.
fn mode(dir: &Path) -> u32 {
    let shared = fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o2020 == 0o2020);
    if shared { 0o660 } else { 0o600 }
}

fn lock(path: &Path) -> io::Result<File> {
    let mode = path.parent().map_or(0o600, mode);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(mode).custom_flags(untricked());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("the lock of the proofs is no regular file"));
    }
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// Neither through a link nor into a pipe: others may write into a shared state directory.
fn untricked() -> i32 {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    i32::try_from(flags.bits()).unwrap_or(0)
}

fn write(dir: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = dir.join(format!(".proofs.{}.tmp", std::process::id()));
    let done = (|| {
        // One that a killed midwatch of the same number left behind.
        fs::remove_file(&beside).ok();
        let mut options = File::options();
        let mut file = options.write(true).create_new(true).mode(mode(dir)).custom_flags(untricked()).open(&beside)?;
        // The mask may have taken the group's bits.
        file.set_permissions(fs::Permissions::from_mode(mode(dir)))?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if done.is_err() {
        fs::remove_file(&beside).ok();
    }
    done
}

impl Record {
    /// The proof it stands for.
    pub fn proof(&self, proofs: &Proofs) -> Proof {
        match (self.flaw, self.digest.as_deref().and_then(|digest| proofs.drill(digest))) {
            (Some(flaw), _) => {
                let why = self.why.clone().unwrap_or_else(|| "it is broken".to_owned());
                Proof::Broken { flaw, why, at: self.at }
            }
            (None, Some(drill)) => Proof::Restored { at: drill.at, took_ms: drill.took_ms },
            (None, None) => Proof::Complete { at: self.at, took_ms: self.took_ms },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str, flaw: Option<Flaw>) -> Record {
        Record {
            path: path.to_owned(),
            bytes: 10,
            changed_ns: 5,
            digest: Some("ab".to_owned()),
            flaw,
            why: flaw.map(|_| "cut off".to_owned()),
            at: Timestamp::from_millis(1_000),
            took_ms: 20,
            kind: Some(Kind::PgCustom),
            header: None,
            contents: None,
            seal: None,
        }
    }

    #[test]
    fn a_verdict_is_found_again_by_path_size_and_time_of_change() {
        let dir = tempfile::tempdir().unwrap();
        Proofs::open(Some(dir.path())).keep(record("/b/a.dump", None)).unwrap();
        let again = Proofs::open(Some(dir.path()));
        let found = again.find("/b/a.dump", 10, 5).unwrap();
        assert_eq!(found.proof(&again).word(), "complete");
        assert_eq!(again.find("/b/a.dump", 11, 5), None);
        assert_eq!(again.find("/b/a.dump", 10, 6), None);
        let mode = fs::metadata(dir.path().join("proofs.json")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn two_programs_add_to_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, mut two) = (Proofs::open(Some(dir.path())), Proofs::open(Some(dir.path())));
        one.keep(record("/a", None)).unwrap();
        two.keep(record("/b", Some(Flaw::Truncated))).unwrap();
        one.refresh();
        assert!(one.find("/a", 10, 5).is_some() && one.find("/b", 10, 5).is_some());
        let broken = one.find("/b", 10, 5).unwrap().proof(&one);
        assert_eq!((broken.word(), broken.why()), ("broken", Some("cut off")));
    }

    #[test]
    fn a_drill_that_passed_lifts_every_copy_of_the_same_content() {
        let dir = tempfile::tempdir().unwrap();
        let mut proofs = Proofs::open(Some(dir.path()));
        proofs.keep(record("/a", None)).unwrap();
        let drill = |passed| Drill {
            digest: "ab".to_owned(),
            path: "/elsewhere".to_owned(),
            at: Timestamp::from_millis(9_000),
            took_ms: 77,
            by: "root".to_owned(),
            passed,
            found: "300 orders".to_owned(),
        };
        proofs.keep_drill(drill(false)).unwrap();
        assert_eq!(proofs.find("/a", 10, 5).unwrap().proof(&proofs).word(), "complete");
        proofs.keep_drill(drill(true)).unwrap();
        assert_eq!(proofs.find("/a", 10, 5).unwrap().proof(&proofs).word(), "restored");
    }

    #[test]
    fn a_damaged_file_costs_the_memory_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("proofs.json"), "{\"proofs\": [").unwrap();
        let mut proofs = Proofs::open(Some(dir.path()));
        assert_eq!(proofs.find("/a", 10, 5), None);
        proofs.keep(record("/a", None)).unwrap();
        assert!(Proofs::open(Some(dir.path())).find("/a", 10, 5).is_some());
    }

    #[test]
    fn without_a_directory_it_lasts_as_long_as_the_program() {
        let mut proofs = Proofs::open(None);
        proofs.keep(record("/a", None)).unwrap();
        assert!(proofs.find("/a", 10, 5).is_some());
    }
}
