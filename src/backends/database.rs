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
use crate::domain::database::{DatabaseReading, Engine, Migrated};
use crate::domain::reading::Seen;
use crate::ports::Observe;

use super::session::KeptSession;

/// How long the one question of [`migrations`] may take.
const PATIENT: Duration = Duration::from_secs(20);
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

/// The migrations the database has seen, asked for now and in a session of its own: a look puts such questions off where
/// the server or the machine is slow. `None`: it holds none, or can't be asked without harm.
///
/// # Errors
///
/// A sentence, where the database does not answer within 20 s, or refuses.
pub async fn migrations(config: &DatabaseConfig) -> Result<Option<Vec<Migrated>>, String> {
    let asked = async {
        match config.engine {
            Engine::Postgresql => postgres::Postgres::new(config).migrations().await,
            Engine::Mysql => mysql::Mysql::new(config).migrations().await,
            Engine::Sqlite => sqlite::Sqlite::new(&config.name).migrations().await,
        }
    };
    match tokio::time::timeout(PATIENT, asked).await {
        Ok(answer) => answer.map_err(|trouble| trouble.sentence),
        Err(_) => Err(format!("the database has not said within {} s which migrations it has seen", PATIENT.as_secs())),
    }
}

fn millis_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}
