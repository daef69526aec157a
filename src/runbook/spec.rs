//! A runbook as it is written: TOML, checked when it is read, so that a mistake is found in daylight.

mod file;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::OnFailure;
use crate::domain::service::Role;

pub use file::{Mistake, parse};

/// What a runbook does to the world. Required: there is no usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Looks only.
    Observe,
    /// Can be undone, and interrupts nobody.
    Reversible,
    /// Interrupts users.
    Interrupts,
    /// Destroys data.
    Destructive,
}

impl Risk {
    /// Words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observe => "looks only",
            Self::Reversible => "reversible",
            Self::Interrupts => "interrupts users",
            Self::Destructive => "destroys data",
        }
    }
}

/// A runbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runbook {
    /// Its id: the name of its file without `.toml`.
    pub id: String,
    /// What it does, in a few words.
    pub title: String,
    /// What it does and when it helps, in a sentence or two.
    pub summary: String,
    /// What it does to the world.
    pub risk: Risk,
    /// Whether it acts on the host, not on a site.
    pub host: bool,
    /// The rules whose findings it treats.
    pub treats: Vec<String>,
    /// What is lost or interrupted, as templates.
    pub costs: Vec<String>,
    /// The way back, as a template.
    pub way_back: String,
    /// What has to be known.
    pub parameters: Vec<Parameter>,
    /// What is done.
    pub steps: Vec<Step>,
    /// Whether it ships with midwatch.
    pub built_in: bool,
}

/// Something that has to be known before a plan can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in templates.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// What can be given.
    pub kind: Kind,
    /// What is taken where nothing is given.
    pub default: Option<String>,
}

/// What can be given for a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A service of the site in one of these roles (any, if there is none); `all` for every one of them.
    Service(Vec<Role>),
    /// A session of the site's database that others wait for, by its number.
    Session,
    /// A deleted log that a process still holds open, as `PID:FD`.
    DeletedLog,
    /// A backup, by its path.
    Backup,
    /// A database of the site that midwatch holds, by its name.
    HeldDatabase,
    /// A directory that is there, by its path.
    Directory,
    /// A directory for backups, by its path; usually where the newest good one lies.
    BackupPlace,
    /// Something displaced that midwatch holds, by its path.
    Held,
    /// Tasks that midwatch has put aside, by what they were put aside with.
    Parked,
    /// The name of a database.
    Database,
    /// A version: digits, letters, `.`, `-`, `+`, `_`.
    Version,
    /// One of these.
    Choice(Vec<String>),
    /// One line of text.
    Text,
}

impl Kind {
    /// Its name in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Service(_) => "service",
            Self::Session => "session",
            Self::DeletedLog => "deleted_log",
            Self::Backup => "backup",
            Self::HeldDatabase => "held_database",
            Self::Directory => "directory",
            Self::BackupPlace => "backup_place",
            Self::Held => "held",
            Self::Parked => "parked",
            Self::Database => "database",
            Self::Version => "version",
            Self::Choice(_) => "choice",
            Self::Text => "text",
        }
    }

    /// The names it brings besides its own: `service.place`.
    pub const fn parts(&self) -> &'static [&'static str] {
        match self {
            Self::Service(_) => &["role", "place", "manager"],
            Self::Session => &["user", "query"],
            Self::DeletedLog => &["pid", "fd", "path", "command"],
            Self::Held => &["live", "since"],
            Self::Backup
            | Self::HeldDatabase
            | Self::Parked
            | Self::Directory
            | Self::BackupPlace
            | Self::Database
            | Self::Version
            | Self::Choice(_)
            | Self::Text => &[],
        }
    }
}

/// Names every runbook can use: the site, its title, the host, and a directory for what this run writes.
pub const GIVEN: [&str; 4] = ["site", "title", "host", "dir"];

/// A step as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name, unique in the runbook.
    pub name: String,
    /// What it does.
    pub does: Does,
    /// The user its program runs as.
    pub user: Option<String>,
    /// Where its program's output is written besides the journal.
    pub save: Option<String>,
    /// Exit codes of its program that are no failure, besides 0.
    pub exits: Vec<i32>,
    /// Whether what its program leaves running shall live on.
    pub leaves: bool,
    /// Whether it may be done again when nobody knows whether it was done.
    pub repeatable: bool,
    /// What must hold after it.
    pub verify: Option<Holds>,
    /// If this holds, there is nothing to do.
    pub unless: Option<Holds>,
    /// The program that undoes it.
    pub revert: Option<Vec<String>>,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// How often it is tried in all.
    pub max_attempts: u32,
    /// What becomes of the run when it fails.
    pub on_failure: OnFailure,
    /// How long it should take, in milliseconds.
    pub estimate_ms: Option<u64>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// Runs a program.
    Run(Vec<String>),
    /// Something must hold.
    Probe(Holds),
    /// Waits until it holds.
    Wait(Holds),
    /// Asks the operator.
    Ask(String),
    /// Says something.
    Note(String),
    /// Restarts a service in its manager's own way.
    Restart(String),
    /// Starts one.
    Start(String),
    /// Forgets that its manager gave it up.
    Reset(String),
    /// Stops one; the way back starts it.
    Stop(String),
    /// Cancels what a session of the database does.
    Cancel(String),
    /// Ends a session of the database.
    Terminate(String),
    /// Something of midwatch's own ([`OWN`]), which may become several steps: its name, and what it is given.
    Own(String, BTreeMap<String, String>),
}

/// What midwatch does by code of its own, by name, with what each has to be given.
pub const OWN: [(&str, &[&str]); 21] = [
    ("restore-database", &["backup", "older"]),
    ("restore-in-place", &["backup", "directory"]),
    ("prove-backup", &["backup"]),
    ("swap-back", &["held"]),
    ("release-held", &["held"]),
    ("upgrade", &["version", "wheels"]),
    ("upgrade-from-git", &["commit", "repository"]),
    ("undo-upgrade", &[]),
    ("undo-upgrade-and-restore", &["backup"]),
    ("restore-files", &["backup", "directory"]),
    ("take-backup", &["directory"]),
    ("rotate-backups", &["directory"]),
    ("restore-point", &["backup", "files", "directory"]),
    ("swap-back-point", &["held"]),
    ("swap-back-file", &["held"]),
    ("release-held-file", &["held"]),
    ("give-back-tasks", &["parked"]),
    ("drop-tasks", &["parked"]),
    ("empty-log", &["log"]),
    ("service-log", &["service", "file"]),
    ("service-stays-up", &["service"]),
];

/// Something that holds or does not, as a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// The service runs.
    Runs(String),
    /// The service does not run.
    Stopped(String),
    /// The site is healthy.
    Healthy,
    /// A worker listens for tasks.
    WorkerListens,
    /// The session is gone, or does something else.
    SessionGone(String),
    /// The deleted log has no bytes any more.
    Freed(String),
    /// The program ends with 0.
    Succeeds(Vec<String>),
}
