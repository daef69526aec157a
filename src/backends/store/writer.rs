//! The poller's side: readings, history, questions under way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqlStr};

use super::{StoreError, code, database, shared};
use crate::domain::counters::Counters;
use crate::domain::history::{self, POINTS, Point, STEP_S, SeriesKey};
use crate::domain::id::{Scope, SourceKind};
use crate::domain::observation::{News, Observed};
use crate::domain::time::Timestamp;
use crate::triage::Memory;

/// The tiers of history: seconds a point stands for, and how many such steps are kept: three hours, a day, two weeks of
/// watching. Steps are counted, not days: a clock that jumps ahead makes nothing old.
pub(super) const TIERS: [(i64, i64); 3] = [(STEP_S, 1_080), (60, 1_440), (600, 2_016)];

/// A question is waited for at most this long, whatever is noted of it: the longest `hang` there can be.
const PENDING_MAX_S: i64 = 3600;

/// Seconds between two clearings of what is too old.
const PRUNE_EVERY_S: i64 = 600;

const SCHEMA: &str = "
create table readings (source text primary key, seq integer not null, observed text not null);
create table history (tier integer not null, series text not null, step integer not null, value real not null,
    primary key (tier, series, step)) without rowid;
create table inflight (source text primary key, since_ms integer not null, until_ms integer not null);
create table notes (name text primary key, at_ms integer not null, body text not null);
";

/// Of each source the last value, since when it fails, and the last word are kept apart: whoever opens later gets all
/// three. `steps` are the steps in which anybody watched.
const SLOTS: &str = "
drop table readings;
create table readings (source text not null, slot text not null, seq integer not null, observed text not null,
    primary key (source, slot));
create table steps (tier integer not null, step integer not null, primary key (tier, step)) without rowid;
insert into steps select distinct tier, step from history;
";

/// The place of a reading among those of its source.
const VALUE: &str = "value";
const FAILING_SINCE: &str = "failing-since";
const FAILED: &str = "failed";
const ASKING: &str = "asking";

/// What an earlier poller left.
#[derive(Debug, Default)]
pub struct Past {
    /// The finest tier of every series, ascending.
    pub series: Vec<(SeriesKey, Vec<Point>)>,
    /// The last raw counters, with when they were read.
    pub counters: Option<(Counters, Timestamp)>,
    /// What the rules remembered, with when they last did.
    pub memory: Option<(Memory, Timestamp)>,
    /// A question of that poller that the server may still be at: since when, and until when nothing shall be asked. Of
    /// several the one that lasts longest.
    pub pending: Option<(Timestamp, Timestamp)>,
}

/// Writes a scope's file. Only for the holder of its lock.
#[derive(Debug)]
pub struct Writer {
    db: SqliteConnection,
    path: PathBuf,
    seq: i64,
    pruned_at: Option<i64>,
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
        shared::prepare(path)?;
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
        // Not the quick check: it misses an index that lost rows, on which every later write may fail.
        let check: String = sqlx::query("pragma integrity_check(1)")
            .fetch_one(&mut db)
            .await
            .and_then(|r| r.try_get(0))
            .map_err(fail)?;
        if check != "ok" {
            return Err(fail(sqlx::Error::Protocol(format!("damaged: {check}"))));
        }
        let step = |n, sql| Migration::new(n, "schema".into(), MigrationType::Simple, SqlStr::from_static(sql), false);
        let migrations = vec![step(1, SCHEMA), step(2, SLOTS)];
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
        Ok(Self { db, path: path.to_owned(), seq, pruned_at: None })
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |error| StoreError::Database { path: path.clone(), error }
    }

    /// Publishes observations and adds them, and older points, to history, in one transaction.
    ///
    /// # Errors
    /// When the disk is full or the file can't be written; nothing of the batch is kept then.
    pub async fn publish(
        &mut self,
        batch: &[Observed],
        older: &[(Timestamp, SeriesKey, f64)],
    ) -> Result<(), StoreError> {
        let fail = self.fail();
        let mut seq = self.seq;
        let mut pruned_at = self.pruned_at;
        let mut tx = self.db.begin_with("begin immediate").await.map_err(&fail)?;
        let mut newest = None;
        for (at, series, value) in older {
            keep(&mut tx, *at, series, *value).await.map_err(&fail)?;
        }
        for observed in batch {
            newest = newest.max(Some(observed.at.as_secs()));
            let body = serde_json::to_string(observed).map_err(|e| fail(sqlx::Error::Encode(Box::new(e))))?;
            put(&mut tx, observed, &body, &mut seq).await.map_err(&fail)?;
            for (series, value) in history::points(&observed.what) {
                keep(&mut tx, observed.at, &series, value).await.map_err(&fail)?;
            }
        }
        for (SeriesKey(series), points) in batch.iter().flat_map(|observed| history::earlier(&observed.what)) {
            for point in points {
                fill(&mut tx, &series, point).await.map_err(&fail)?;
            }
        }
        if let Some(now) = newest.filter(|now| pruned_at.is_none_or(|at: i64| (now - at).abs() >= PRUNE_EVERY_S)) {
            prune(&mut tx, now).await.map_err(&fail)?;
            pruned_at = Some(now);
        }
        tx.commit().await.map_err(&fail)?;
        self.seq = seq;
        self.pruned_at = pruned_at;
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
        let pending = sqlx::query_as(
            "select since_ms, until_ms from inflight where since_ms <= ?1 and until_ms > ?1 and until_ms <= ?2 order by until_ms desc limit 1",
        )
        .bind(now.as_millis())
        .bind(now.plus_secs(PENDING_MAX_S).as_millis())
        .fetch_optional(&mut self.db)
        .await;
        let pending: Option<(i64, i64)> = pending.ok().flatten();
        let pending = pending.map(|(since, until)| (Timestamp::from_millis(since), Timestamp::from_millis(until)));
        Past { series, counters, memory, pending }
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

/// Puts a reading into its place. A value ends what failed; a failure leaves the last value where it is.
async fn put(db: &mut SqliteConnection, observed: &Observed, body: &str, seq: &mut i64) -> sqlx::Result<()> {
    let source = observed.what.kind().name();
    let (slots, ended): (&[&str], &[&str]) = match observed.what.news() {
        News::Value => (&[VALUE], &[FAILING_SINCE, FAILED, ASKING]),
        News::Failure => (&[FAILING_SINCE, FAILED], &[ASKING]),
        News::Asking => (&[ASKING], &[]),
    };
    for slot in ended {
        sqlx::query("delete from readings where source = ? and slot = ?")
            .bind(source)
            .bind(slot)
            .execute(&mut *db)
            .await?;
    }
    for slot in slots {
        *seq += 1;
        // Since when it fails is told by the first failure.
        let sql = if *slot == FAILING_SINCE {
            "insert or ignore into readings (source, slot, seq, observed) values (?, ?, ?, ?)"
        } else {
            "insert or replace into readings (source, slot, seq, observed) values (?, ?, ?, ?)"
        };
        sqlx::query(sql).bind(source).bind(slot).bind(*seq).bind(body).execute(&mut *db).await?;
    }
    Ok(())
}

/// Adds a point to every tier: the worst of each step stays.
async fn keep(db: &mut SqliteConnection, at: Timestamp, SeriesKey(series): &SeriesKey, value: f64) -> sqlx::Result<()> {
    for (tier, _) in TIERS {
        let step = at.as_secs().div_euclid(tier);
        sqlx::query("insert or ignore into steps (tier, step) values (?, ?)")
            .bind(tier)
            .bind(step)
            .execute(&mut *db)
            .await?;
        sqlx::query("insert into history (tier, series, step, value) values (?, ?, ?, ?) on conflict (tier, series, step) do update set value = max(value, excluded.value)")
            .bind(tier)
            .bind(series)
            .bind(step)
            .bind(value)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Adds a point that was found out afterwards to the fine tiers, where nobody has watched.
async fn fill(db: &mut SqliteConnection, series: &str, point: Point) -> sqlx::Result<()> {
    for (tier, _) in TIERS.into_iter().take(2) {
        let step = point.step.saturating_mul(STEP_S).div_euclid(tier);
        sqlx::query("insert or ignore into steps (tier, step) values (?, ?)")
            .bind(tier)
            .bind(step)
            .execute(&mut *db)
            .await?;
        sqlx::query("insert or ignore into history (tier, series, step, value) values (?, ?, ?, ?)")
            .bind(tier)
            .bind(series)
            .bind(step)
            .bind(f64::from(point.value))
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// Leaves the steps that are nearest to now, and what was seen in them: of a series that is no more nothing remains once
/// everything else has gone on for so many steps.
async fn prune(db: &mut SqliteConnection, now: i64) -> sqlx::Result<()> {
    for (tier, kept) in TIERS {
        let gone = sqlx::query("delete from steps where tier = ?1 and step not in (select step from steps where tier = ?1 order by abs(step - ?2) limit ?3)")
            .bind(tier)
            .bind(now.div_euclid(tier))
            .bind(kept)
            .execute(&mut *db)
            .await?;
        if gone.rows_affected() > 0 {
            sqlx::query("delete from history where tier = ?1 and step not in (select step from steps where tier = ?1)")
                .bind(tier)
                .execute(&mut *db)
                .await?;
        }
    }
    Ok(())
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
pub(super) fn damaged(error: &sqlx::Error) -> bool {
    // SQLITE_CORRUPT 11, SQLITE_NOTADB 26.
    matches!(error, sqlx::Error::Protocol(_)) || code(error).is_some_and(|code| matches!(code & 0xff, 11 | 26))
}
