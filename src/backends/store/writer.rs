//! The poller's side: readings, history, questions under way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqlStr};

use super::{StoreError, database};
use crate::domain::counters::Counters;
use crate::domain::history::{self, POINTS, Point, STEP_S, SeriesKey};
use crate::domain::id::{Scope, SourceKind};
use crate::domain::observation::Observed;
use crate::domain::time::Timestamp;
use crate::triage::Memory;

/// The tiers of history: seconds a point stands for, and seconds it is kept.
pub(super) const TIERS: [(i64, i64); 3] = [(STEP_S, 3 * 3600), (60, 24 * 3600), (600, 14 * 86_400)];

/// Seconds between two clearings of what is too old.
const PRUNE_EVERY_S: i64 = 600;

const SCHEMA: &str = "
create table readings (source text primary key, seq integer not null, observed text not null);
create table history (tier integer not null, series text not null, step integer not null, value real not null,
    primary key (tier, series, step)) without rowid;
create table inflight (source text primary key, since_ms integer not null, until_ms integer not null);
create table notes (name text primary key, at_ms integer not null, body text not null);
";

/// What an earlier poller left.
#[derive(Debug, Default)]
pub struct Past {
    /// The finest tier of every series, ascending.
    pub series: Vec<(SeriesKey, Vec<Point>)>,
    /// The last raw counters, with when they were read.
    pub counters: Option<(Counters, Timestamp)>,
    /// What the rules remembered, with when they last did.
    pub memory: Option<(Memory, Timestamp)>,
    /// The latest time until which a question of that poller may still be under way at the server.
    pub pending_until: Option<Timestamp>,
}

/// Writes a scope's file. Only for the holder of its lock.
#[derive(Debug)]
pub struct Writer {
    db: SqliteConnection,
    path: PathBuf,
    seq: i64,
    pruned_at: i64,
}

impl Writer {
    /// Opens the file, making it where it isn't there; one that is damaged is moved aside.
    ///
    /// # Errors
    /// When neither works, or a newer midwatch wrote it.
    pub async fn open(dir: &Path, scope: &Scope) -> Result<Self, StoreError> {
        let path = database(dir, scope);
        match Self::try_open(&path).await {
            Err(StoreError::Database { error, .. }) if damaged(&error) => {
                let aside = path.with_extension("db.broken");
                tracing::warn!(file = %path.display(), %error, "damaged; moved aside to .broken, and a new one begun");
                std::fs::rename(&path, &aside).map_err(|error| StoreError::File { path: path.clone(), error })?;
                Self::try_open(&path).await
            }
            opened => opened,
        }
    }

    async fn try_open(path: &Path) -> Result<Self, StoreError> {
        let fail = |error| StoreError::Database { path: path.to_owned(), error };
        let mut db = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            // Not WAL: another user must be able to read the file after it was closed. Not synced: it is history, and a
            // dying disk has better things to do; after a power cut the check below finds what broke.
            .journal_mode(SqliteJournalMode::Truncate)
            .synchronous(SqliteSynchronous::Off)
            .busy_timeout(Duration::from_secs(2))
            .connect()
            .await
            .map_err(fail)?;
        let check: String =
            sqlx::query("pragma quick_check(1)").fetch_one(&mut db).await.and_then(|r| r.try_get(0)).map_err(fail)?;
        if check != "ok" {
            return Err(fail(sqlx::Error::Protocol(format!("damaged: {check}"))));
        }
        let migrations =
            vec![Migration::new(1, "schema".into(), MigrationType::Simple, SqlStr::from_static(SCHEMA), false)];
        let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
        let migrated = Migrator::with_migrations(migrations).run_direct(None, &mut db, false).await;
        if let Err(error) = migrated {
            if let sqlx::migrate::MigrateError::VersionMissing(found) = error {
                return Err(StoreError::Newer { path: path.to_owned(), found, known });
            }
            return Err(fail(sqlx::Error::Migrate(Box::new(error))));
        }
        let seq = sqlx::query("select coalesce(max(seq), 0) from readings")
            .fetch_one(&mut db)
            .await
            .and_then(|r| r.try_get(0))
            .map_err(fail)?;
        Ok(Self { db, path: path.to_owned(), seq, pruned_at: 0 })
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |error| StoreError::Database { path: path.clone(), error }
    }

    /// Publishes observations and adds them to history, in one transaction.
    ///
    /// # Errors
    /// When the disk is full or the file can't be written; nothing of the batch is kept then.
    pub async fn publish(&mut self, batch: &[Observed]) -> Result<(), StoreError> {
        let fail = self.fail();
        let mut seq = self.seq;
        let mut tx = self.db.begin().await.map_err(&fail)?;
        let mut newest = 0;
        for observed in batch {
            seq += 1;
            newest = newest.max(observed.at.as_secs());
            let body = serde_json::to_string(observed).map_err(|e| fail(sqlx::Error::Encode(Box::new(e))))?;
            sqlx::query("insert into readings (source, seq, observed) values (?, ?, ?) on conflict (source) do update set seq = excluded.seq, observed = excluded.observed")
                .bind(observed.what.kind().name())
                .bind(seq)
                .bind(body)
                .execute(&mut *tx)
                .await
                .map_err(&fail)?;
            for (SeriesKey(series), value) in history::points(&observed.what) {
                for (step, _) in TIERS {
                    sqlx::query("insert into history (tier, series, step, value) values (?, ?, ?, ?) on conflict (tier, series, step) do update set value = max(value, excluded.value)")
                        .bind(step)
                        .bind(&series)
                        .bind(observed.at.as_secs().div_euclid(step))
                        .bind(value)
                        .execute(&mut *tx)
                        .await
                        .map_err(&fail)?;
                }
            }
        }
        for (SeriesKey(series), points) in batch.iter().flat_map(|observed| history::earlier(&observed.what)) {
            for point in points {
                for (step, _) in TIERS.into_iter().take(2) {
                    sqlx::query("insert or ignore into history (tier, series, step, value) values (?, ?, ?, ?)")
                        .bind(step)
                        .bind(&series)
                        .bind(point.step.saturating_mul(STEP_S).div_euclid(step))
                        .bind(f64::from(point.value))
                        .execute(&mut *tx)
                        .await
                        .map_err(&fail)?;
                }
            }
        }
        if (newest - self.pruned_at).abs() >= PRUNE_EVERY_S {
            for (step, kept) in TIERS {
                sqlx::query("delete from history where tier = ? and step < ?")
                    .bind(step)
                    .bind((newest - kept).div_euclid(step))
                    .execute(&mut *tx)
                    .await
                    .map_err(&fail)?;
            }
            self.pruned_at = newest;
        }
        tx.commit().await.map_err(&fail)?;
        self.seq = seq;
        Ok(())
    }

    /// Notes that a question to `source` is under way, and until when the server may still be at it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub async fn begin_request(
        &mut self,
        source: SourceKind,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let fail = self.fail();
        sqlx::query("insert or replace into inflight (source, since_ms, until_ms) values (?, ?, ?)")
            .bind(source.name())
            .bind(since.as_millis())
            .bind(until.as_millis())
            .execute(&mut self.db)
            .await
            .map(|_| ())
            .map_err(fail)
    }

    /// Notes that it was answered.
    ///
    /// # Errors
    /// When the file can't be written.
    pub async fn end_request(&mut self, source: SourceKind) -> Result<(), StoreError> {
        let fail = self.fail();
        sqlx::query("delete from inflight where source = ?")
            .bind(source.name())
            .execute(&mut self.db)
            .await
            .map(|_| ())
            .map_err(fail)
    }

    /// Keeps something for the next poller under a name.
    ///
    /// # Errors
    /// When the file can't be written.
    pub async fn note(&mut self, name: &str, body: &str, at: Timestamp) -> Result<(), StoreError> {
        let fail = self.fail();
        sqlx::query("insert or replace into notes (name, at_ms, body) values (?, ?, ?)")
            .bind(name)
            .bind(at.as_millis())
            .bind(body)
            .execute(&mut self.db)
            .await
            .map(|_| ())
            .map_err(fail)
    }

    /// What an earlier poller left, as far as it is still of use at `now`. What can't be read is left out.
    pub async fn past(&mut self, now: Timestamp) -> Past {
        let series = recall(&mut self.db, now).await.unwrap_or_default();
        let counters =
            self.noted(COUNTERS).await.filter(|(_, at): &(Counters, _)| now.secs_since(*at) <= 300 && *at <= now);
        let memory = self.noted(MEMORY).await;
        let pending = sqlx::query("select max(until_ms) from inflight where since_ms <= ?")
            .bind(now.as_millis())
            .fetch_one(&mut self.db)
            .await;
        let pending: Option<i64> = pending.ok().and_then(|row| row.try_get(0).ok().flatten());
        let pending_until =
            pending.map(Timestamp::from_millis).filter(|until| *until > now && until.secs_since(now) <= 3600);
        Past { series, counters, memory, pending_until }
    }

    async fn noted<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Option<(T, Timestamp)> {
        let row = sqlx::query("select body, at_ms from notes where name = ?")
            .bind(name)
            .fetch_optional(&mut self.db)
            .await
            .ok()??;
        let body: String = row.try_get(0).ok()?;
        Some((serde_json::from_str(&body).ok()?, Timestamp::from_millis(row.try_get(1).ok()?)))
    }

    /// Closes the file.
    pub async fn close(self) {
        self.db.close().await.ok();
    }
}

/// The name the last raw counters are noted under.
pub(super) const COUNTERS: &str = "counters";
/// The name what the rules remember is noted under.
pub(super) const MEMORY: &str = "memory";

/// The finest tier of every series up to `now`, ascending.
pub(super) async fn recall(db: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<Vec<(SeriesKey, Vec<Point>)>> {
    let last = history::step_of(now);
    let first = last - i64::try_from(POINTS).unwrap_or(0);
    let rows = sqlx::query(
        "select series, step, value from history where tier = ? and step between ? and ? order by series, step",
    )
    .bind(STEP_S)
    .bind(first)
    .bind(last)
    .fetch_all(db)
    .await?;
    let mut out: Vec<(SeriesKey, Vec<Point>)> = Vec::new();
    for row in rows {
        let series: String = row.try_get(0)?;
        let point = Point { step: row.try_get(1)?, value: row.try_get(2)? };
        match out.last_mut() {
            Some((key, points)) if key.0 == series => points.push(point),
            Some(_) | None => out.push((SeriesKey(series), vec![point])),
        }
    }
    Ok(out)
}

/// Whether the file itself is at fault rather than the disk, a lock or a right.
fn damaged(error: &sqlx::Error) -> bool {
    // SQLITE_CORRUPT 11, SQLITE_NOTADB 26.
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(error, sqlx::Error::Protocol(_)) || code.is_some_and(|c| c == "11" || c == "26")
}
