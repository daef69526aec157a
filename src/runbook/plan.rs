//! A plan: a runbook with everything resolved, so that what was shown is what runs.

pub mod drill;
pub mod files;
pub mod image;
pub mod mysql;
pub mod postgres;
pub mod releases;
mod space;
pub mod tasks;
pub mod together;
mod upgrade;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::drill::{DrillAct, DrillProbe};
use self::files::{FilesAct, FilesProbe};
use self::mysql::{MysqlAct, MysqlProbe};
use self::postgres::{PostgresAct, Question};
use self::tasks::TasksAct;
use self::together::Turn;
use super::spec::Risk;
use crate::domain::time::Timestamp;

pub use space::OpenFile;
pub use upgrade::{UpgradeAct, UpgradeProbe};

/// The layout of [`Plan`] as it is kept in journals.
pub const SCHEMA: u32 = 1;

/// Everything that will be done, where, as whom, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it was made.
    pub made: Timestamp,
    /// The runbook's id.
    pub runbook: String,
    /// Its title, parameters filled in.
    pub title: String,
    /// What it does to the world.
    pub risk: Risk,
    /// The machine.
    pub host: HostCard,
    /// The user it runs as: `root`, `pretix`.
    pub user: String,
    /// The site it acts on; `None`: the host.
    pub site: Option<String>,
    /// What nobody else may act on meanwhile: the name of its lock.
    pub target: String,
    /// By what else it is known: nobody who knows it by one of these may act on it either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What the operator chose.
    pub parameters: BTreeMap<String, String>,
    /// What must still be so when it begins.
    pub facts: Vec<Fact>,
    /// The steps.
    pub steps: Vec<PlannedStep>,
    /// What is lost or interrupted by it, in sentences.
    pub costs: Vec<String>,
    /// What of it changes by the second: tasks that are under way now, where a branch stands. No part of what is approved.
    pub at_risk: Vec<String>,
    /// The way back, in a sentence.
    pub way_back: String,
    /// What has to be typed to approve it.
    pub confirm: Confirm,
    /// How long such runs took, newest last, in milliseconds; at most 10.
    pub past_ms: Vec<u64>,
}

/// The machine a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCard {
    /// Its name.
    pub name: String,
    /// `/etc/machine-id`.
    pub machine: String,
    /// The boot: `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

/// What a plan found and counts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is of.
    pub of: Subject,
    /// What it was.
    pub was: String,
}

/// What can be looked at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A service of the site, by name: its state, main process, and when that began.
    Service(String),
    /// A process, by number: when it began and its program.
    Process(u32),
    /// A file, by path: which one, its size and when it was changed.
    File(String),
    /// What a run takes something from, by path: compared when it begins, and by the step that reads it.
    Source(String),
    /// A file or directory, by path: which one, and whose. What is in it may change.
    Place(String),
    /// What a link says, by its path.
    Link(String),
    /// What a process holds open, by process and number: where it points, which file.
    Descriptor(u32, u32),
    /// A session of the site's database, by number: when it began and as whom.
    Session(i64),
    /// A database of the site's server, by name: which server, which database.
    Database(String),
    /// The migrations that the site's database has seen.
    Schema,
    /// Tasks that were put aside, by what with: how many.
    Parked(String),
}

/// A step with everything resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its name, unique in the plan.
    pub name: String,
    /// What it does.
    pub act: Act,
    /// Whether it may be done again when nobody knows whether it was done.
    pub repeatable: bool,
    /// What must hold after it, tried until it does or the time is over.
    pub verify: Option<Probe>,
    /// If this holds, there is nothing to do.
    pub unless: Option<Probe>,
    /// What undoes it.
    pub revert: Option<Act>,
    /// How long it may take, its verification included.
    pub timeout_ms: u64,
    /// How often it is tried in all.
    pub max_attempts: u32,
    /// What becomes of the run when it fails.
    pub on_failure: OnFailure,
    /// How long it should take.
    pub estimate_ms: Option<u64>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Runs a program.
    Command(Command),
    /// Something must hold.
    Probe(Probe),
    /// Waits until it holds.
    Wait(Probe),
    /// Asks the operator; the run goes on when they say so.
    Ask(String),
    /// Says something.
    Note(String),
    /// Something should be seen here and can't be, for this reason: that is said, and nothing is verified.
    Unseen(String),
    /// Ends a process: TERM, and after so many milliseconds KILL, if that is allowed.
    End {
        /// Its number.
        pid: u32,
        /// How long it may take to end by itself.
        patience_ms: u64,
        /// Whether it is killed then.
        kill: bool,
    },
    /// Ends what a session of the database does (or, second, the session itself).
    Session {
        /// Its number.
        pid: i64,
        /// What it was.
        was: String,
        /// Whether the session is ended, not only its statement.
        terminate: bool,
    },
    /// Does something to a PostgreSQL server.
    Postgres(Box<PostgresAct>),
    /// Does something to a MySQL or MariaDB server.
    Mysql(Box<MysqlAct>),
    /// Removes the keys of the site's cache that begin so.
    Forget(String),
    /// Something with the tasks that wait in the broker.
    Tasks(TasksAct),
    /// A part of an upgrade.
    Upgrade(UpgradeAct),
    /// Something with files.
    Files(FilesAct),
    /// A part of a drill.
    Drill(Box<DrillAct>),
    /// Empties a deleted file that is held open.
    Empty(OpenFile),
    /// Ends whatever runs as this service by then, which is a plain process: the way back of its start.
    Halt(String),
    /// Does each of these, or none.
    Together(Vec<Turn>),
    /// Does one after the other.
    InTurn(Vec<Self>),
}

/// A program with its arguments; no shell is between.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The user it runs as; `None`: the run's own.
    pub user: Option<String>,
    /// Where its output is written besides the journal.
    pub save: Option<String>,
    /// Exit codes that are no failure, besides 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<i32>,
    /// Whether what it leaves running shall live on (a daemon it starts).
    pub leaves: bool,
    /// What it finds in its environment besides the usual. Never a secret: it is shown, and kept in journals.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The directory it runs in; `None`: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
}

/// Something that can be looked at, and holds or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// The service runs.
    Runs(String),
    /// The service has run for so long without a break.
    Steady {
        /// The service.
        service: String,
        /// How long.
        seconds: u64,
    },
    /// The service runs, and not as it did when the plan was made: it was started since.
    Restarted {
        /// The service.
        service: String,
        /// What it was.
        was: String,
    },
    /// The service does not run.
    Stopped(String),
    /// Its manager has not given the service up.
    Forgiven(String),
    /// The healthcheck answers well.
    Healthy,
    /// A worker listens for tasks.
    WorkerListens,
    /// The process has ended.
    Gone {
        /// Its number.
        pid: u32,
        /// What it was.
        was: String,
    },
    /// The session of the database has ended, or does something else.
    SessionGone {
        /// Its number.
        pid: i64,
        /// What it was.
        was: String,
    },
    /// The program ends with 0. It must only look.
    Succeeds(Command),
    /// What the process holds open under this number has no bytes any more, or is closed.
    Freed {
        /// The process.
        pid: u32,
        /// The descriptor's number.
        fd: u32,
    },
    /// A PostgreSQL server answers so.
    Postgres(Box<Question>),
    /// Something about the schemas of a MySQL or MariaDB server.
    Mysql(Box<MysqlProbe>),
    /// Something that an upgrade brings about.
    Upgrade(UpgradeProbe),
    /// Something about files.
    Files(FilesProbe),
    /// A drill has been remembered.
    Drill(DrillProbe),
    /// Each of these holds.
    All(Vec<Self>),
}

/// What becomes of a run when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It stops there; the operator chooses how it goes on.
    #[default]
    Stop,
    /// It goes on.
    Continue,
}

/// What has to be typed to approve a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// Nothing: it only looks.
    Nothing,
    /// `y`.
    Yes,
    /// This text.
    Type(String),
}

impl Confirm {
    /// The exact text; empty where nothing has to be typed.
    pub fn text(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Yes => "y",
            Self::Type(text) => text,
        }
    }
}

impl Plan {
    /// What the plan says, as one number: 64 hexadecimal digits. Two plans with the same digest do the same to the same,
    /// and were made at the same moment. What past runs took and what is at risk just now are not part of it.
    pub fn digest(&self) -> String {
        let bare = Self { past_ms: Vec::new(), at_risk: Vec::new(), ..self.clone() };
        let text = serde_json::to_vec(&bare).unwrap_or_default();
        Sha256::digest(&text).iter().fold(String::with_capacity(64), |mut out, byte| {
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
            out
        })
    }

    /// The token `plan` prints and `run --confirm` takes: when it was made, and the beginning of its digest.
    pub fn token(&self) -> String {
        let digest = self.digest();
        format!("{}-{}", self.made.as_millis(), digest.get(..16).unwrap_or(&digest))
    }

    /// When the plan of a token was made; `None`: it is no token.
    pub fn made_of(token: &str) -> Option<Timestamp> {
        let (made, digest) = token.split_once('-')?;
        (digest.len() == 16).then_some(Timestamp::from_millis(made.parse().ok()?))
    }

    /// Every name of what nobody else may act on meanwhile.
    pub fn names(&self) -> Vec<&str> {
        std::iter::once(&self.target).chain(&self.also).map(String::as_str).collect()
    }

    /// Whether two plans act on the same, by whatever name.
    pub fn shares(&self, other: &Self) -> bool {
        self.names().iter().any(|name| other.names().contains(name))
    }

    /// The median of what such runs took, or the sum of what its steps should take, in milliseconds.
    pub fn expected_ms(&self) -> Option<u64> {
        let mut past = self.past_ms.clone();
        past.sort_unstable();
        let steps = || self.steps.iter().map(|step| step.estimate_ms).sum::<Option<u64>>();
        past.get(past.len() / 2).copied().or_else(steps)
    }
}

/// What something is, in words.
pub fn subject(of: &Subject) -> String {
    match of {
        Subject::Service(name) => format!("service {name}"),
        Subject::Process(pid) => format!("process {pid}"),
        Subject::File(path) => format!("file {path}"),
        Subject::Source(path) => path.clone(),
        Subject::Place(path) => format!("what is at {path}"),
        Subject::Link(path) => format!("the link {path}"),
        Subject::Descriptor(pid, fd) => format!("descriptor {fd} of process {pid}"),
        Subject::Session(pid) => format!("session {pid} of the database"),
        Subject::Database(name) => format!("database {name}"),
        Subject::Schema => "the migrations of the database".to_owned(),
        Subject::Parked(with) => format!("what is put aside with {with}"),
    }
}
