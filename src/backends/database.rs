//! The database, seen through one read-only session that is kept open.
//!
//! Invariants: at most one session, whatever happens; statements only read; no sentence holds a password.

mod agenda;
mod cells;
pub mod held;
mod life;
pub mod mysql;
mod postgres;
pub mod psql;
pub mod reach;
pub(crate) mod session;
mod sqlite;

use std::time::{Duration, Instant};

use crate::config::DatabaseConfig;
use crate::domain::database::{DatabaseReading, Engine};
use crate::domain::reading::Seen;
use crate::ports::Observe;

use super::session::KeptSession;

/// How long one look may take.
const LIMIT: Duration = Duration::from_secs(3);
/// What midwatch calls itself in the server's list of sessions.
const APPLICATION: &str = "midwatch";
/// Most sessions waiting for a lock that are asked for their blockers, the longest waiting first: each such question
/// briefly holds the server's lock table.
const WAITERS: usize = 60;
/// Most root blockers that are told.
const BLOCKERS: usize = 20;
/// A transaction open for so many seconds is told.
const LONG_S: u32 = 10;

/// Looks at one database.
pub struct DatabaseProbe {
    source: Source,
}

enum Source {
    Postgres(Box<KeptSession<postgres::Postgres>>),
    Mysql(Box<KeptSession<mysql::Mysql>>),
    Sqlite(Box<KeptSession<sqlite::Sqlite>>),
}

impl DatabaseProbe {
    /// A probe that opens its session at the first look.
    pub fn new(config: &DatabaseConfig) -> Self {
        let source = match config.engine {
            Engine::Postgresql => Source::Postgres(Box::new(KeptSession::new(postgres::Postgres::new(config), LIMIT))),
            Engine::Mysql => Source::Mysql(Box::new(KeptSession::new(mysql::Mysql::new(config), LIMIT))),
            Engine::Sqlite => Source::Sqlite(Box::new(KeptSession::new(sqlite::Sqlite::new(&config.name), LIMIT))),
        };
        Self { source }
    }
}

impl Observe for DatabaseProbe {
    type Value = DatabaseReading;

    async fn observe(&mut self) -> Seen<DatabaseReading> {
        let answer = match &mut self.source {
            Source::Postgres(session) => session.look().await,
            Source::Mysql(session) => session.look().await,
            Source::Sqlite(session) => session.look().await,
        };
        match answer {
            Ok(reading) => Seen::Value(reading),
            Err(sentence) => Seen::Failed(sentence),
        }
    }
}

fn millis_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
