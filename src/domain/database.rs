//! What is seen of a database by one cheap, read-only session.

use serde::{Deserialize, Serialize};

/// The kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The sessions at the root of lock chains: they block others and wait for nobody.
    pub blockers: Vec<Blocker>,
}

/// A session that blocks others and itself waits for nobody (`pg_blocking_pids`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blocker {
    /// Process id of the session in the server.
    pub pid: i64,
    /// The application name it gave.
    pub application: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// Seconds since its transaction began.
    pub transaction_s: f64,
    /// How many sessions wait for it, directly or behind others.
    pub blocks: u32,
}
