//! Goes round the places once: from files, repositories and jobs to a reading, with what is known of each backup.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;

use super::access::{self, Names, Ways};
use super::heads::directory_bytes;
use super::heads::{Head, Heads};
use super::plan::Plan;
use super::program::Tools;
use super::proofs::Proofs;
use super::repository::{self, Kept, Silent};
use super::survey::{self, Candidate};
use super::turn::unread;
use super::writers::Writers;
use super::{moment, strays, timers};
use crate::config::backups::{BackupPlace, Trust};
use crate::domain::backup::kind::{self, Kind, Subject};
use crate::domain::backup::proof::{Flaw, Proof};
use crate::domain::backup::{Backup, BackupsReading, Contents, MOST, Place};
use crate::domain::database::Engine;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// A file changed within this time may still be written.
pub(super) const RESTING_MS: u64 = 60_000;
/// A file called unfinished that has not been changed for so long was given up.
const GIVEN_UP_MS: u64 = 3_600_000;
/// A running dump is believed to be the one that changed a file within this time.
const RECENT_MS: u64 = 600_000;
/// File systems of other hosts: NFS, CIFS, SMB2, Ceph.
const ELSEWHERE: [u64; 4] = [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x00c3_6400];

/// What is known of backups by all who look at them in this process.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Verdicts on disk.
    pub(super) proofs: Proofs,
    /// Files of which nothing could be found out: the time of change, and why.
    pub(super) unproven: BTreeMap<String, (i64, String)>,
    /// Files that changed while they were read: their time of change then.
    pub(super) growing: BTreeMap<String, i64>,
}

/// What is known, shared by the round and the check beside it.
pub(super) type Shared = Arc<Mutex<Known>>;

/// Locked, whatever became of who held it before.
pub(super) fn locked(shared: &Shared) -> std::sync::MutexGuard<'_, Known> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Goes round again and again; remembers what need not be looked at twice.
#[derive(Debug)]
pub(super) struct Surveyor {
    plan: Plan,
    tools: Tools,
    shared: Shared,
    heads: Heads,
    sizes: BTreeMap<PathBuf, u64>,
    lists: repository::Lists,
}

/// A file of a reading that can be checked.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// Where.
    pub(super) path: PathBuf,
    /// Its size when it was seen.
    pub(super) bytes: u64,
    /// Its time of change when it was seen.
    pub(super) changed_ns: i64,
    /// What it is.
    pub(super) kind: Kind,
}

/// What one round brought.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// The reading, without what is being checked.
    pub(super) reading: BackupsReading,
    /// Files that are worth a check, the most important first.
    pub(super) unread: Vec<File>,
    /// Every file that can be checked, the newest first.
    pub(super) files: Vec<File>,
}

/// What holds for all files of a round.
struct Around {
    now: Timestamp,
    zone: TimeZone,
    writers: Writers,
    names: Names,
    ways: Ways,
    published: Vec<PathBuf>,
    database_disks: Vec<u64>,
    files_disk: Option<u64>,
}

impl Surveyor {
    pub(super) fn new(plan: Plan, tools: Tools, shared: Shared) -> Self {
        Self {
            plan,
            tools,
            shared,
            heads: Heads::default(),
            sizes: BTreeMap::new(),
            lists: repository::Lists::default(),
        }
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Goes round once.
    pub(super) fn round(&mut self, now: Timestamp) -> Round {
        locked(&self.shared).proofs.refresh();
        let data = self.plan.data_dir.clone();
        let writers = Writers::look();
        let mut around = Around {
            now,
            zone: TimeZone::system(),
            database_disks: self.database_disks(&writers),
            writers,
            names: Names::read(),
            ways: Ways::default(),
            published: data.iter().map(|dir| dir.join("media")).collect(),
            files_disk: data.as_deref().and_then(access::device),
        };
        let mut reading = BackupsReading { needs: self.plan.needs(), ..BackupsReading::default() };
        let mut files: BTreeMap<String, File> = BTreeMap::new();
        let mut taken = std::collections::BTreeSet::new();
        let places = self.plan.config.places.clone();
        for place in &places {
            let index = u32::try_from(reading.places.len()).unwrap_or(u32::MAX);
            let (mut told, found) = if place.repository.is_some() {
                self.repository(place, index)
            } else {
                self.folder(place, index, &mut around, &mut files, &mut taken)
            };
            // A usual place where nothing of ours lies is no place of ours.
            if place.trust == Trust::Usual && found.is_empty() && told.unseen.is_none() {
                continue;
            }
            told.backups = told.backups.max(u64::try_from(found.len()).unwrap_or(0));
            told.oldest = found.iter().map(|b| b.made).min();
            reading.places.push(told);
            reading.backups.extend(found);
        }
        reading.backups.sort_by(|a, b| b.made.cmp(&a.made).then_with(|| a.path.cmp(&b.path)));
        if !self.plan.bare {
            reading.backups.truncate(MOST);
        }
        reading.strays = strays::look(&self.plan, &mut around.ways, &reading.backups);
        let backups = &reading.backups;
        let saved = |dir: &Path| {
            let below = |b: &&Backup| Path::new(&b.path).starts_with(dir) && b.usable();
            backups.iter().filter(below).map(|b| b.changed).max()
        };
        reading.jobs = timers::jobs(&self.plan.config.jobs, &saved);
        reading.unseen.clone_from(&self.plan.config.unseen);
        let unread = unread(&reading, &files, now);
        let files = reading.backups.iter().filter_map(|b| files.remove(&b.path)).collect();
        Round { reading, unread, files }
    }

    /// The file systems the database's files lie on, where they are on this host and can be told.
    fn database_disks(&self, writers: &Writers) -> Vec<u64> {
        let Some((engine, name, local)) = &self.plan.database else { return Vec::new() };
        let mut dirs = match engine {
            Engine::Sqlite => vec![PathBuf::from(name)],
            Engine::Postgresql | Engine::Mysql if *local => writers.data_directories(*engine),
            Engine::Postgresql | Engine::Mysql => Vec::new(),
        };
        if dirs.is_empty() && *local && *engine == Engine::Mysql {
            dirs.push(PathBuf::from("/var/lib/mysql"));
        }
        dirs.iter().filter_map(|dir| access::device(dir)).collect()
    }

    fn repository(&mut self, place: &BackupPlace, index: u32) -> (Place, Vec<Backup>) {
        let Some(asked) = &place.repository else { return (Place::default(), Vec::new()) };
        let off_host = place.off_host.or_else(|| repository::is_elsewhere(asked));
        let shown = [asked.repo.as_str(), asked.name.as_deref().unwrap_or_default()].join(" ");
        let shown = plain(&crate::domain::redact::redact(shown.trim()), 160);
        let shown = if shown.is_empty() { asked.tool.program().to_owned() } else { shown };
        let mut told = Place {
            path: shown.clone(),
            found_by: place.found_by.clone(),
            subject: place.subject,
            off_host,
            named: true,
            ..Place::default()
        };
        let patience = if self.plan.patient { repository::PATIENCE } else { repository::GLANCE };
        let list = self.lists.get(&shown, asked, &self.tools, self.plan.read_only, patience);
        let kept = match list {
            Ok(kept) => kept,
            Err(Silent::Unseen(why)) => {
                told.unseen = Some(why);
                return (told, Vec::new());
            }
            Err(Silent::Failed(why)) => {
                told.failed = Some(why);
                return (told, Vec::new());
            }
        };
        told.backups = u64::try_from(kept.len()).unwrap_or(0);
        told.entries = told.backups;
        let mut newest = kept;
        newest.sort_by_key(|k| std::cmp::Reverse(k.made));
        newest.truncate(survey::KEPT);
        let local = Path::new(&asked.repo);
        let disk = local.is_absolute().then(|| access::device(local)).flatten();
        let files_disk = self.plan.data_dir.as_deref().and_then(access::device);
        let backup = |kept: Kept| Backup {
            path: [shown.as_str(), "::", kept.name.as_str()].concat(),
            subject: place.subject.unwrap_or_else(|| kept.kind.subject()),
            kind: kept.kind,
            made: kept.made,
            changed: kept.made,
            named: None,
            bytes: kept.bytes,
            proof: kept.proof,
            header: None,
            contents: (!kept.paths.is_empty()).then(|| Contents { sample: kept.paths, ..Contents::default() }),
            digest: None,
            seal: None,
            owner: None,
            exposed: Vec::new(),
            stray_in: None,
            same_disk: if off_host == Some(true) { Some(false) } else { disk.zip(files_disk).map(|(a, b)| a == b) },
            off_host: off_host == Some(true),
            place: index,
        };
        (told, newest.into_iter().map(backup).collect())
    }

    fn folder(
        &mut self,
        place: &BackupPlace,
        index: u32,
        around: &mut Around,
        files: &mut BTreeMap<String, File>,
        taken: &mut std::collections::BTreeSet<(u64, u64)>,
    ) -> (Place, Vec<Backup>) {
        let spared: Vec<PathBuf> = self.plan.data_dir.iter().filter(|dir| **dir != place.path).cloned().collect();
        let looked = survey::look(
            &place.path,
            place.pattern.as_deref(),
            place.subject,
            &spared,
            if self.plan.bare { usize::MAX } else { survey::KEPT },
        );
        let elsewhere = rustix::fs::statfs(&place.path)
            .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| ELSEWHERE.contains(&(kind & 0xffff_ffff))));
        let off_host = place.off_host.or(elsewhere.then_some(true));
        let mut told = Place {
            path: plain(&place.path.to_string_lossy(), 160),
            found_by: place.found_by.clone(),
            subject: place.subject,
            entries: looked.entries,
            bytes: looked.bytes,
            off_host,
            named: place.trust == Trust::Told,
            kept_days: place.kept_days,
            ..Place::default()
        };
        if let Some((path, error)) = &looked.trouble {
            let gone = error.kind() == std::io::ErrorKind::NotFound;
            // A usual place that can't be entered may hold nothing of ours.
            if gone && path == &place.path {
                told.failed = Some(format!("{} is not there", told.path));
            } else if place.trust > Trust::Usual || path == &place.path {
                told.unseen = Some(access::unreadable(path, error));
            }
        }
        if let Some((path, kind)) = looked.repositories.first() {
            let path = plain(&path.to_string_lossy(), 120);
            told.unseen.get_or_insert_with(|| {
                let tool = kind.word();
                format!(
                    "{path} is a {tool} repository: add [[sites.NAME.backups]] with tool = \"{tool}\", repo = \"{path}\" and password_file to have it listed"
                )
            });
        }
        let mut out = Vec::new();
        let (seen, kept) = (looked.found.len(), looked.candidates);
        for candidate in looked.found {
            if !taken.insert((candidate.meta.dev(), candidate.meta.ino())) {
                continue;
            }
            let known = self.heads.get(&candidate);
            let path = candidate.path.to_string_lossy().into_owned();
            if !self.plan.owns(&path, known.kind, known.header.as_ref(), place.trust) {
                continue;
            }
            let (backup, file) = self.backup(&candidate, known, place, off_host, index, around);
            if matches!(
                backup.proof,
                Proof::Listed { .. } | Proof::Complete { .. } | Proof::Restored { .. } | Proof::Broken { .. }
            ) {
                files.insert(backup.path.clone(), file);
            }
            out.push(backup);
        }
        // Those that were not looked at are ours as those that were.
        let others = if out.len() == seen { kept.saturating_sub(u64::try_from(seen).unwrap_or(0)) } else { 0 };
        told.backups = u64::try_from(out.len()).unwrap_or(0) + others;
        (told, out)
    }

    fn backup(
        &mut self,
        candidate: &Candidate,
        known: Head,
        place: &BackupPlace,
        off_host: Option<bool>,
        index: u32,
        around: &mut Around,
    ) -> (Backup, File) {
        let meta = &candidate.meta;
        let path = candidate.path.to_string_lossy().into_owned();
        let changed_at = known.touched.unwrap_or_else(|| moment::changed(meta));
        let changed_ns = if candidate.expected == Kind::Folder { changed_at.as_millis() } else { known.changed_ns };
        let bytes = match (&known.contents, meta.is_dir()) {
            (Some(contents), true) => contents.bytes,
            (None, true) => directory_bytes(&candidate.path),
            (_, false) => meta.len(),
        };
        let (device, fresh) = (meta.dev(), around.now.millis_since(changed_at));
        let state = State { bytes, changed_ns, changed: changed_at, age_ms: fresh };
        let (proof, record) = self.proof(candidate, &path, &state, around);
        let kind = record.as_ref().and_then(|r| r.kind).filter(|k| *k != Kind::Unknown).unwrap_or(known.kind);
        let contents = record.as_ref().and_then(|r| r.contents.clone()).or(known.contents);
        let header = record.as_ref().and_then(|r| r.header.clone()).or(known.header);
        let subject = place.subject.unwrap_or_else(|| match &contents {
            Some(c) if kind == Kind::Tar && c.database && (c.secret || c.media > 0) => Subject::Both,
            Some(c) if kind == Kind::Tar && c.database => Subject::Database,
            Some(_) | None => kind.subject(),
        });
        let made = moment::made(header.as_ref().and_then(|h| h.created), changed_at, &around.zone);
        // A copy that lacks nothing is as new as the look at it.
        let in_step = kind == Kind::Folder && contents.as_ref().is_some_and(|c| c.missing == Some(0));
        let made = record.as_ref().filter(|_| in_step).map_or(made, |r| r.at.max(made));
        let disks: Vec<u64> = Subject::EACH
            .into_iter()
            .filter(|one| subject.covers(*one))
            .flat_map(|one| match one {
                Subject::Files => around.files_disk.into_iter().collect(),
                Subject::Database | Subject::Both => around.database_disks.clone(),
            })
            .collect();
        let same_disk =
            if off_host == Some(true) { Some(false) } else { (!disks.is_empty()).then(|| disks.contains(&device)) };
        let dir = candidate.path.parent().unwrap_or(&candidate.path);
        let backup = Backup {
            exposed: around.ways.exposure(&candidate.path, meta, &around.published),
            stray_in: around.ways.checkout(dir).map(|root| plain(&root.to_string_lossy(), 160)),
            path: plain(&path, 400),
            subject,
            kind,
            made,
            changed: changed_at,
            named: candidate.named.and_then(|civil| moment::at(civil, &around.zone)),
            bytes: Some(bytes),
            proof,
            header,
            contents,
            seal: record.as_ref().and_then(|r| r.seal),
            digest: record.and_then(|r| r.digest),
            owner: Some(around.names.ownership(meta)),
            same_disk,
            off_host: off_host == Some(true),
            place: index,
        };
        let file = File { path: candidate.path.clone(), bytes, changed_ns, kind };
        (backup, file)
    }

    /// What is known of a file in this state.
    fn proof(
        &mut self,
        candidate: &Candidate,
        path: &str,
        state: &State,
        around: &Around,
    ) -> (Proof, Option<super::proofs::Record>) {
        let meta: &Metadata = &candidate.meta;
        let grew = self.sizes.insert(candidate.path.clone(), state.bytes).is_some_and(|before| before < state.bytes);
        if self.sizes.len() > 4 * MOST {
            self.sizes.clear();
        }
        let running = |why: &str| (Proof::Running { why: why.to_owned() }, None);
        if let Some(why) = around.writers.of(meta.dev(), meta.ino(), state.changed, state.age_ms < RECENT_MS) {
            return running(&why);
        }
        if kind::unfinished(&candidate.name) {
            if state.age_ms < GIVEN_UP_MS {
                return running("its name says that it is not finished");
            }
            let why = "a job began it and never finished it: its name still says so".to_owned();
            return (Proof::Broken { flaw: Flaw::Unfinished, why, at: state.changed }, None);
        }
        if grew && meta.is_file() {
            return running("it has grown since the last look");
        }
        let known = locked(&self.shared);
        if known.growing.get(path) == Some(&state.changed_ns) && state.age_ms < RESTING_MS {
            return running("it changed while it was being read");
        }
        if let Some(record) = known.proofs.find(path, state.bytes, state.changed_ns) {
            return (record.proof(&known.proofs), Some(record.clone()));
        }
        if state.age_ms < RESTING_MS && !self.plan.bare {
            let why = "written less than a minute ago: it is read once it rests".to_owned();
            return (Proof::Listed { why: Some(why) }, None);
        }
        if state.bytes == 0 && meta.is_file() {
            let why = "it is empty: 0 bytes".to_owned();
            return (Proof::Broken { flaw: Flaw::Empty, why, at: state.changed }, None);
        }
        match known.unproven.get(path) {
            Some((changed_ns, why)) if *changed_ns == state.changed_ns => {
                (Proof::Listed { why: Some(why.clone()) }, None)
            }
            Some(_) | None => (Proof::UNREAD, None),
        }
    }
}

/// The state a file was seen in.
struct State {
    bytes: u64,
    changed_ns: i64,
    changed: Timestamp,
    age_ms: u64,
}
