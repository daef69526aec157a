//! A user's own journal, written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tokio::sync::Mutex;

use super::{JournalError, ballast, bound, place, reader, schema};
use crate::domain::record::Who;
use crate::domain::time::Timestamp;
use crate::runbook::kept::{Printed, RunRecord, RunView, Spoken};
use crate::runbook::run::{Entry, ProcessId, What, Word};

/// How long another writer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A user's journal, open for writing. Clones write through the same connection.
#[derive(Debug, Clone)]
pub struct Journal {
    db: Arc<Mutex<SqliteConnection>>,
    path: PathBuf,
    owner: u32,
    /// Whether the disk is full, and the journal lives on the room that was kept for it.
    tight: Arc<AtomicBool>,
}

/// Begins to write. By hand, as [`end`]: a full disk makes SQLite take a transaction back by itself, which the library's
/// own do not expect.
async fn begin(db: &mut SqliteConnection) -> sqlx::Result<()> {
    if sqlx::raw_sql("begin immediate").execute(&mut *db).await.is_err() {
        // What was dropped half-way may still be open.
        sqlx::raw_sql("rollback").execute(&mut *db).await.ok();
        sqlx::raw_sql("begin immediate").execute(&mut *db).await?;
    }
    Ok(())
}

/// Makes what was written last, or takes it back.
async fn end<T>(db: &mut SqliteConnection, written: sqlx::Result<T>) -> sqlx::Result<T> {
    let made = match written {
        Ok(value) => sqlx::raw_sql("commit").execute(&mut *db).await.map(|_| value),
        Err(error) => Err(error),
    };
    if made.is_err() {
        sqlx::raw_sql("rollback").execute(&mut *db).await.ok();
    }
    made
}

/// Adds rows of output; the last one's place.
async fn added(db: &mut SqliteConnection, run: &str, rows: &[Printed]) -> sqlx::Result<i64> {
    let last = sqlx::query("select coalesce(max(seq), 0) from output where run = ?").bind(run);
    let mut seq: i64 = last.fetch_one(&mut *db).await.and_then(|row| row.try_get(0))?;
    for printed in rows {
        seq = seq.saturating_add(1);
        let insert = "insert into output (run, seq, at, step, attempt, stream, body) values (?, ?, ?, ?, ?, ?, ?)";
        let query = sqlx::query(insert)
            .bind(run)
            .bind(seq)
            .bind(printed.at.as_millis())
            .bind(i64::try_from(printed.step).unwrap_or(i64::MAX))
            .bind(i64::from(printed.attempt))
            .bind(printed.stream.word())
            .bind(bound::row(&printed.text));
        query.execute(&mut *db).await?;
    }
    Ok(seq)
}

fn encode<T: serde::Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

impl Journal {
    /// Opens the journal of `uid` (this process's own), making it where it isn't there.
    ///
    /// # Errors
    /// When it can't be made or opened, others can write it, or a newer midwatch wrote it.
    pub async fn open(state_dir: &Path, uid: u32) -> Result<Self, JournalError> {
        let path = place::prepare(state_dir, uid)?;
        let fail = |error| JournalError::Database { path: path.clone(), writing: true, error };
        // Where none can be kept but for want of it, all goes on without.
        let kept = ballast::keep(path.parent().unwrap_or(state_dir));
        let tight = kept.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull);
        let mut db = SqliteConnectOptions::new()
            .filename(&path)
            // Not WAL: others must be able to read it after it was closed.
            .journal_mode(SqliteJournalMode::Truncate)
            // A step that is done is on the disk.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE)
            .connect()
            .await
            .map_err(fail)?;
        let found = schema::bring_up(&mut db).await.map_err(fail)?;
        if found > schema::KNOWN {
            return Err(JournalError::Newer { path, found, known: schema::KNOWN });
        }
        Ok(Self { db: Arc::new(Mutex::new(db)), path, owner: uid, tight: Arc::new(tight.into()) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the disk is full: what is written goes into the room that was kept for it, and output is no longer kept.
    pub fn tight(&self) -> bool {
        self.tight.load(Ordering::Relaxed)
    }

    /// Whether this failed for want of room, and the journal was given what was kept for it: then it may be tried again.
    fn relieved(&self, error: &JournalError) -> bool {
        error.is_full() && self.released()
    }

    /// Gives the journal its room; whether there was any.
    fn released(&self) -> bool {
        self.tight.store(true, Ordering::Relaxed);
        self.path.parent().is_some_and(|dir| ballast::release(dir).unwrap_or(false))
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> JournalError + use<> {
        let path = self.path.clone();
        move |error| JournalError::Database { path: path.clone(), writing: true, error }
    }

    /// Notes the beginning of a run.
    ///
    /// # Errors
    /// When it can't be written, or there is a run with this id.
    pub async fn begin(&self, run: &RunRecord) -> Result<(), JournalError> {
        loop {
            match self.begun(run).await {
                Err(error) if self.relieved(&error) => {}
                done => return done,
            }
        }
    }

    async fn begun(&self, run: &RunRecord) -> Result<(), JournalError> {
        let fail = self.fail();
        let (plan, by) = (encode(&run.plan).map_err(&fail)?, encode(&run.by).map_err(&fail)?);
        let mut db = self.db.lock().await;
        let insert = "insert into runs (id, runbook, site, target, host, plan, digest, approved_by, began) \
                      values (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let query = sqlx::query(insert)
            .bind(&run.id)
            .bind(&run.plan.runbook)
            .bind(&run.plan.site)
            .bind(&run.plan.target)
            .bind(&run.plan.host.name)
            .bind(plan)
            .bind(&run.digest)
            .bind(by)
            .bind(run.began.as_millis());
        query.execute(&mut *db).await.map(|_| ()).map_err(fail)
    }

    /// Notes that an approval's number is used; `false`: it was before.
    ///
    /// # Errors
    /// When it can't be written: then nobody knows, and it is not to be acted on.
    pub async fn spend(&self, nonce: &str, run: &str, now: Timestamp) -> Result<bool, JournalError> {
        loop {
            match self.spent(nonce, run, now).await {
                Err(error) if self.relieved(&error) => {}
                done => return done,
            }
        }
    }

    async fn spent(&self, nonce: &str, run: &str, now: Timestamp) -> Result<bool, JournalError> {
        let mut db = self.db.lock().await;
        let query = sqlx::query("insert into nonces (nonce, run, at) values (?, ?, ?) on conflict (nonce) do nothing")
            .bind(nonce)
            .bind(run)
            .bind(now.as_millis());
        query.execute(&mut *db).await.map(|done| done.rows_affected() == 1).map_err(self.fail())
    }

    /// Adds what has happened to a run. It is on the disk when this returns.
    ///
    /// # Errors
    /// When it can't be written, or there is no such run.
    pub async fn append(&self, run: &str, at: Timestamp, what: &What) -> Result<Entry, JournalError> {
        loop {
            match self.appended(run, at, what).await {
                Err(error) if self.relieved(&error) => {}
                done => return done,
            }
        }
    }

    async fn appended(&self, run: &str, at: Timestamp, what: &What) -> Result<Entry, JournalError> {
        let fail = self.fail();
        let text = encode(what).map_err(&fail)?;
        let mut db = self.db.lock().await;
        let insert = "insert into entries (run, seq, at, what) \
                      select ?1, coalesce(max(seq), 0) + 1, ?2, ?3 from entries where run = ?1 returning seq";
        begin(&mut db).await.map_err(&fail)?;
        let row = sqlx::query(insert).bind(run).bind(at.as_millis()).bind(text).fetch_one(&mut *db).await;
        let seq: i64 = end(&mut db, row.and_then(|row| row.try_get(0))).await.map_err(&fail)?;
        Ok(Entry { seq: seq.unsigned_abs(), at, what: what.clone() })
    }

    /// Adds what a step's program printed, in one transaction; of each text the first [`super::ROW_MAX`] bytes. How much
    /// that is in all is the caller's business ([`super::OutputBound`]). The last row's place; 0 where the disk is full,
    /// whose last room is not for this.
    ///
    /// # Errors
    /// When it can't be written, or there is no such run; nothing of the batch is kept then.
    pub async fn output(&self, run: &str, rows: &[Printed]) -> Result<u64, JournalError> {
        if self.tight() {
            return Ok(0);
        }
        match self.printed(run, rows).await {
            Err(error) if self.relieved(&error) => Ok(0),
            other => other,
        }
    }

    async fn printed(&self, run: &str, rows: &[Printed]) -> Result<u64, JournalError> {
        let fail = self.fail();
        let mut db = self.db.lock().await;
        begin(&mut db).await.map_err(&fail)?;
        let written = added(&mut db, run, rows).await;
        let seq = end(&mut db, written).await.map_err(&fail)?;
        Ok(seq.unsigned_abs())
    }

    /// Bytes of output that are kept of a run: what [`super::OutputBound::after`] goes on from.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn output_kept(&self, run: &str) -> Result<u64, JournalError> {
        let mut db = self.db.lock().await;
        let sum = sqlx::query("select coalesce(sum(length(cast(body as blob)) + 64), 0) from output where run = ?");
        let kept: sqlx::Result<i64> = sum.bind(run).fetch_one(&mut *db).await.and_then(|row| row.try_get(0));
        kept.map(i64::unsigned_abs).map_err(self.fail())
    }

    /// Notes a sign of life of a run's runner; the only thing that is written over.
    ///
    /// # Errors
    /// When it can't be written, or there is no such run.
    pub async fn beat(&self, run: &str, runner: &ProcessId, now: Timestamp) -> Result<(), JournalError> {
        let mut db = self.db.lock().await;
        let upsert = "insert into beats (run, at, pid, boot, started) values (?, ?, ?, ?, ?) on conflict (run) do update \
                      set at = excluded.at, pid = excluded.pid, boot = excluded.boot, started = excluded.started";
        let query = sqlx::query(upsert)
            .bind(run)
            .bind(now.as_millis())
            .bind(i64::from(runner.pid))
            .bind(&runner.boot)
            .bind(i64::try_from(runner.started).unwrap_or(i64::MAX));
        query.execute(&mut *db).await.map(|_| ()).map_err(self.fail())
    }

    /// Says something to a run; its runner takes it up with [`Self::words_after`].
    ///
    /// # Errors
    /// When it can't be written, or there is no such run.
    pub async fn say(&self, run: &str, by: &Who, word: Word, now: Timestamp) -> Result<u64, JournalError> {
        loop {
            match self.said(run, by, word, now).await {
                Err(error) if self.relieved(&error) => {}
                done => return done,
            }
        }
    }

    async fn said(&self, run: &str, by: &Who, word: Word, now: Timestamp) -> Result<u64, JournalError> {
        let fail = self.fail();
        let (by, word) = (encode(by).map_err(&fail)?, encode(&word).map_err(&fail)?);
        let mut db = self.db.lock().await;
        let insert = "insert into words (run, seq, at, said_by, word) \
                      select ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4 from words where run = ?1 returning seq";
        begin(&mut db).await.map_err(&fail)?;
        let row = sqlx::query(insert).bind(run).bind(now.as_millis()).bind(by).bind(word).fetch_one(&mut *db).await;
        let seq: i64 = end(&mut db, row.and_then(|row| row.try_get(0))).await.map_err(&fail)?;
        Ok(seq.unsigned_abs())
    }

    /// What was said to a run after this place (0: from the beginning), oldest first.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn words_after(&self, run: &str, seq: u64) -> Result<Vec<Spoken>, JournalError> {
        let mut db = self.db.lock().await;
        let query =
            sqlx::query("select seq, at, said_by, word from words where run = ? and seq > ? order by seq limit 100")
                .bind(run)
                .bind(i64::try_from(seq).unwrap_or(i64::MAX));
        let rows = query.fetch_all(&mut *db).await.map_err(self.fail())?;
        let unreadable = |why: String| JournalError::Unreadable { run: run.to_owned(), why };
        rows.iter().map(|row| reader::spoken(row).map_err(unreadable)).collect()
    }

    /// A run of this journal, by its whole id.
    ///
    /// # Errors
    /// When it can't be read, or there is no such run.
    pub async fn read(&self, run: &str) -> Result<RunView, JournalError> {
        let mut db = self.db.lock().await;
        let mut tx = db.begin().await.map_err(self.fail())?;
        reader::view(&mut tx, &self.path, self.owner, run).await
    }

    /// Closes the file, if no clone is left.
    pub async fn close(self) {
        if let Some(db) = Arc::into_inner(self.db) {
            db.into_inner().close().await.ok();
        }
    }
}
