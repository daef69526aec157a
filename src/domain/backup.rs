//! Backups: what there is of them, how far each is proven, and which belong together.
//!
//! The database and the files are separate subjects with separate policies. A backup is worth what was proven of it, not
//! what its name or its age says ([`proof`]).

pub mod header;
pub mod kind;
pub mod name;
pub mod points;
pub mod proof;
pub mod seal;
pub mod standing;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use header::Header;
use kind::{Kind, Subject};
use proof::Proof;
use seal::Seal;

/// Most backups that one reading holds; the rest is counted.
pub const MOST: usize = 240;
/// A database or files not saved for so long is late, in seconds: a nightly job and two hours of slack.
pub const MAX_AGE_S: u64 = 26 * 3600;

/// What one look at a site's backups brought.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BackupsReading {
    /// The backups, the newest first; at most [`MOST`].
    pub backups: Vec<Backup>,
    /// Every place that was looked at, with what lies there.
    pub places: Vec<Place>,
    /// Cron lines and timers that make backups.
    pub jobs: Vec<Job>,
    /// What has to be saved.
    pub needs: Needs,
    /// Dumps that lie about in a code checkout.
    pub strays: Vec<Stray>,
    /// What could not be looked at, with what would open it.
    pub unseen: Vec<String>,
    /// What is being read from end to end at this moment.
    pub checking: Option<Checking>,
    /// How many are still to be read.
    pub waiting: u32,
}

/// What a site has that must be saved, and how often.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Needs {
    /// The database, in a word: `PostgreSQL pretix`; `None`: there is none, or it is not known.
    pub database: Option<String>,
    /// The directory with the uploaded files and the secret; `None`: there is none, or it is not known.
    pub files: Option<String>,
    /// How old the newest database backup may be, in seconds.
    pub database_max_age_s: u64,
    /// How old the newest backup of the files may be, in seconds.
    pub files_max_age_s: u64,
    /// Whether the data directory holds a `.secret` that the configuration does not have (`None`: can't be seen).
    pub secret_file: Option<bool>,
    /// Whether the data directory holds uploaded media (`None`: can't be seen).
    pub media: Option<bool>,
    /// A practice site: what it lacks is no alarm.
    pub practice: bool,
}

/// One backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Where it lies: a path, or a repository with the snapshot's name.
    pub path: String,
    /// Of what.
    pub subject: Subject,
    /// What it is.
    pub kind: Kind,
    /// When what it holds was true: told by itself, else by its time of change.
    pub made: Timestamp,
    /// When its file was last changed.
    pub changed: Timestamp,
    /// The date in its name, seconds since 1970 as local time would have it; only a hint.
    pub named: Option<Timestamp>,
    /// Its size; a directory's: the sum of its files. `None`: not told.
    pub bytes: Option<u64>,
    /// How far it is proven.
    pub proof: Proof,
    /// What it says of itself.
    pub header: Option<Header>,
    /// What an archive or a folder holds, once it was read.
    pub contents: Option<Contents>,
    /// SHA-256 of the whole file in hexadecimal, once it was read.
    pub digest: Option<String>,
    /// What of it has checksums, once it was read.
    #[serde(default)]
    pub seal: Option<Seal>,
    /// Permission bits and owner, where there is a file.
    pub owner: Option<Ownership>,
    /// Who else can read it, one sentence each.
    pub exposed: Vec<String>,
    /// The code checkout or web root it lies in.
    pub stray_in: Option<String>,
    /// Whether it lies on the file system of what it saves (`None`: can't be told).
    pub same_disk: Option<bool>,
    /// Whether it lies on another host.
    pub off_host: bool,
    /// Index of its place in [`BackupsReading::places`].
    pub place: u32,
}

/// Permissions of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The permission bits: 0o640.
    pub mode: u32,
    /// The owner's name, or number.
    pub user: String,
    /// The group's name, or number.
    pub group: String,
}

/// What an archive or a copied folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contents {
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the newest of them was changed.
    pub newest: Option<Timestamp>,
    /// Whether `.secret` is among them.
    pub secret: bool,
    /// Files below `media/`.
    pub media: u64,
    /// A database dump or an SQLite file among them.
    pub database: bool,
    /// For a copied folder: files of the live one that it lacks.
    pub missing: Option<u64>,
    /// A few names.
    pub sample: Vec<String>,
}

/// A place where backups lie or should lie.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Place {
    /// The directory, or the repository.
    pub path: String,
    /// How it was found: `configuration`, `cron …`, `usual place`.
    pub found_by: String,
    /// What is saved there, if that is told.
    pub subject: Option<Subject>,
    /// How many backups of this site lie there.
    pub backups: u64,
    /// Files and directories seen there in all.
    pub entries: u64,
    /// The bytes of those that were measured.
    pub bytes: u64,
    /// When the oldest was made.
    pub oldest: Option<Timestamp>,
    /// Whether it is on another host, as the configuration says.
    pub off_host: Option<bool>,
    /// Whether somebody named it: its emptiness is news.
    pub named: bool,
    /// Days after which a job removes what lies there, where the job's own words say so.
    pub kept_days: Option<u32>,
    /// Why it can't be seen, and what would open it.
    pub unseen: Option<String>,
    /// Why asking failed.
    pub failed: Option<String>,
}

/// A dump that lies about in a code checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// Where.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// When it was last changed.
    pub changed: Timestamp,
    /// The checkout.
    pub checkout: String,
}

/// A cron line or a timer that makes backups.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Job {
    /// Its name: `cron /etc/cron.d/backup`, `timer pretix-backup.timer`.
    pub name: String,
    /// What it saves, by the tools it names.
    pub subject: Option<Subject>,
    /// When it runs, in its own notation.
    pub schedule: String,
    /// The command, without secrets.
    pub command: String,
    /// Who runs it.
    pub user: Option<String>,
    /// When it last ran.
    pub last: Option<Timestamp>,
    /// When it runs next.
    pub next: Option<Timestamp>,
    /// Why its last run failed.
    pub failure: Option<String>,
    /// Whether it runs now.
    pub running: bool,
}

/// A check under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checking {
    /// Which backup.
    pub path: String,
    /// Bytes read.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Since when.
    pub since: Timestamp,
}

impl Backup {
    /// Whether it is of this subject.
    pub const fn saves(&self, subject: Subject) -> bool {
        self.subject.covers(subject)
    }

    /// Whether something could be restored from it, as far as is known: not broken, and not still being written.
    pub const fn usable(&self) -> bool {
        matches!(self.proof, Proof::Listed { .. } | Proof::Complete { .. } | Proof::Restored { .. })
    }

    /// Whether it was read from end to end, or restored.
    pub const fn proven(&self) -> bool {
        matches!(self.proof, Proof::Complete { .. } | Proof::Restored { .. })
    }

    /// Whether it was read and holds a schema without a single row.
    pub fn rowless(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.rows == Some(false))
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        self.path.trim_end_matches('/').rsplit('/').next().unwrap_or(&self.path)
    }
}

/// A policy as people say it: `26 h`, `7 d`.
pub fn policy(secs: u64) -> String {
    match secs {
        _ if secs >= 3 * 86_400 && secs.is_multiple_of(86_400) => format!("{} d", secs / 86_400),
        _ if secs >= 3600 && secs.is_multiple_of(3600) => format!("{} h", secs / 3600),
        _ => super::text::span(secs.saturating_mul(1000)),
    }
}

impl Needs {
    /// How old the newest backup of this subject may be, in seconds.
    pub const fn max_age_s(&self, subject: Subject) -> u64 {
        match subject {
            Subject::Database | Subject::Both => self.database_max_age_s,
            Subject::Files => self.files_max_age_s,
        }
    }

    /// What has to be saved of this subject, if anything.
    pub fn of(&self, subject: Subject) -> Option<&str> {
        match subject {
            Subject::Database | Subject::Both => self.database.as_deref(),
            Subject::Files => self.files.as_deref(),
        }
    }
}
