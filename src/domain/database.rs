//! What is seen of a database by one cheap, read-only session.

pub mod says;
mod session;
pub mod statement;
mod upkeep;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

pub use session::{Blocker, Crowd, Session};
pub use upkeep::{
    Archiver, Dead, Holder, KeyKind, KeySpace, KeyTypes, Replica, Room, Slot, SqliteFile, TableState, TxidAge, Upkeep,
    Wal,
};

/// The kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL.
    #[default]
    Postgresql,
    /// MySQL or MariaDB.
    Mysql,
    /// SQLite.
    Sqlite,
}

impl Engine {
    /// Its proper name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Sqlite => "SQLite",
        }
    }
}

/// One look at the database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DatabaseReading {
    /// Which kind.
    pub engine: Engine,
    /// The server's version, as it says it: `15.18`, `10.11.6-MariaDB`.
    pub version: String,
    /// Milliseconds for `SELECT 1` in the session that is kept.
    pub latency_ms: f64,
    /// Client sessions now.
    pub sessions: Option<u32>,
    /// Sessions an ordinary role can have (`max_connections` less the reserved ones).
    pub usable_sessions: Option<u32>,
    /// Sessions that wait for a lock.
    pub waiting: Option<u32>,
    /// Whether writes are refused (a standby, or `read_only`).
    pub read_only: bool,
    /// The sessions at the root of lock chains: they block others and wait for nobody. Each has those behind it.
    pub blockers: Vec<Blocker>,
    /// How long the session that waits longest for a lock has waited, in seconds; 0 when none does.
    #[serde(default)]
    pub longest_wait_s: f64,
    /// How many of [`Self::waiting`] wait for an advisory lock, which only the application gives a meaning to.
    #[serde(default)]
    pub advisory_waiters: Option<u32>,
    /// Client sessions by application and state, the largest group first.
    #[serde(default)]
    pub crowd: Vec<Crowd>,
    /// Transactions open for long, the oldest first, midwatch's own left out.
    #[serde(default)]
    pub transactions: Vec<Session>,
    /// Which server this is, whatever its name and address.
    #[serde(default)]
    pub identity: Identity,
    /// The server's clock less midwatch's own, in milliseconds; exact to half of [`Self::latency_ms`].
    #[serde(default)]
    pub clock_offset_ms: Option<i64>,
    /// The write-ahead log and who holds it.
    #[serde(default)]
    pub wal: Option<Box<Wal>>,
    /// What is looked at every few minutes only.
    #[serde(default)]
    pub upkeep: Option<Box<Upkeep>>,
    /// The application's heartbeat: what the site is for.
    #[serde(default)]
    pub pulse: Option<Pulse>,
    /// Mail that the application keeps in the database until it is sent.
    #[serde(default)]
    pub mail: Option<MailQueue>,
    /// The migrations applied, by part of the application; `None`: there is no such table, or it can't be read whole.
    #[serde(default)]
    pub migrations: Option<Vec<Migrated>>,
    /// What is beside a SQLite file.
    #[serde(default)]
    pub file: Option<SqliteFile>,
    /// What could not be seen, with the grant that would open it, in sentences.
    #[serde(default)]
    pub unseen: Vec<String>,
}

impl DatabaseReading {
    /// That a server answers, and nothing more.
    pub fn new(engine: Engine, version: impl Into<String>, latency_ms: f64) -> Self {
        Self { engine, version: version.into(), latency_ms, ..Self::default() }
    }
}

/// Which server, and in which role.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster's own number, the same on its standbys (`pg_control_system`); `MySQL`: the server's UUID.
    pub system: Option<String>,
    /// When the server process started.
    pub started: Option<Timestamp>,
    /// Whether it is a standby that replays another server's changes.
    pub in_recovery: bool,
    /// For a standby: seconds since the last change it replayed was made.
    pub replay_lag_s: Option<f64>,
}

/// What the site is for, as its database shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pulse {
    /// Of what: `paid order`, `submission`.
    pub what: String,
    /// When the newest came; `None`: there was none yet.
    pub newest: Option<Timestamp>,
    /// How many came in the last hour.
    pub last_hour: u32,
    /// How many came per minute over the last day, as far as was looked.
    pub usual_per_minute: Option<f64>,
    /// When this was looked at.
    pub at: Timestamp,
}

/// Mail in the database that is not sent yet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MailQueue {
    /// By the application's own word for the state (`queued`, `inflight`, `awaiting_retry`, `failed`): how many, and
    /// since when the oldest is so.
    pub states: Vec<MailState>,
    /// The newest error of one that is not sent, redacted.
    pub error: Option<String>,
    /// When this was looked at.
    pub at: Timestamp,
}

/// Mails in one state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MailState {
    /// The state.
    pub state: String,
    /// How many.
    pub count: u32,
    /// When the oldest of them was written, or for `inflight` taken up.
    pub oldest: Option<Timestamp>,
}

/// Most names of [`Migrated::names`].
pub const MOST_MIGRATIONS: usize = 80;

/// The migrations of one part of the application that the schema has seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Migrated {
    /// The part: `pretixbase`.
    pub app: String,
    /// Their names, the one that sorts last first: `0301_auto_20260801`; at most [`MOST_MIGRATIONS`].
    pub names: Vec<String>,
    /// When the last one was applied.
    pub at: Option<Timestamp>,
    /// How many were applied.
    pub count: u32,
}

impl Migrated {
    /// The newest one: of the greatest number, and of one number the last.
    pub fn head(&self) -> &str {
        self.names.iter().map(String::as_str).max_by_key(|name| (number(name), *name)).unwrap_or_default()
    }
}

/// The number a migration's name begins with: 8 of `008_remove_scheduled_mails`.
pub fn number(migration: &str) -> Option<u32> {
    let end = migration.find(|c: char| !c.is_ascii_digit()).unwrap_or(migration.len());
    migration.get(..end)?.parse().ok()
}
