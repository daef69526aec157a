//! The incident record on disk: one file for everybody on the host, appended to and never changed, bounded in length.
//!
//! Several processes write it, each in short transactions that take the write lock at once. What a poller observes goes
//! in together with what stands then ([`Standing`]), under a version: a poller that was overtaken finds that out
//! instead of telling everything a second time.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};

use super::{StoreError, shared, writer};
use crate::domain::id::Scope;
use crate::domain::record::Entry;
use crate::domain::record::ledger::Standing;
use crate::domain::time::Timestamp;

/// The schema this midwatch knows.
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = "
create table entries (id integer primary key autoincrement, at_ms integer not null, automatic integer not null,
    body text not null);
create table standing (scope text primary key, version integer not null, body text not null);
create table days (day integer primary key);
";

/// Entries that are kept; of more, the oldest that midwatch made by itself go first, and notes of people last.
pub const ENTRIES_MAX: i64 = 50_000;
/// Days with a watch on them that are kept. Days are counted, not the calendar: a clock that jumps ahead makes nothing old.
pub const DAYS_MAX: i64 = 90;
/// Between two clearings of what is too much, so many entries may come.
const PRUNE_EVERY: u32 = 200;

const DAY_S: i64 = 86_400;

/// What came of appending.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// It is on disk: the entries with their ids, and the version of what stands now.
    Yes(Vec<Entry>, i64),
    /// Another poller has written what stands in the meantime; nothing was appended.
    Overtaken,
}

/// What stands in a scope, as one poller knows it.
#[derive(Debug, Clone, Copy)]
pub struct Stand<'a> {
    /// The scope.
    pub scope: &'a Scope,
    /// What stands.
    pub standing: &'a Standing,
    /// The version it goes on from; 0: there was nothing.
    pub version: i64,
}

/// The record's file, open.
#[derive(Debug)]
pub struct RecordFile {
    db: SqliteConnection,
    path: PathBuf,
    /// Device and inode of what was opened.
    file: Option<(u64, u64)>,
    since_prune: u32,
}

/// Where the record of a state directory is.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("record.db")
}

impl RecordFile {
    /// Opens it for writing, making it where it isn't there; one that is damaged is moved aside.
    ///
    /// # Errors
    /// When neither works, or a newer midwatch wrote it.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = path(dir);
        match Self::writable(&path).await {
            Err(StoreError::Database { error, .. }) if writer::damaged(&error) => {
                aside(dir, &path, &error).await?;
                Self::writable(&path).await
            }
            opened => opened,
        }
    }

    /// Opens it for reading; `None`: there is none yet. Who may write it mends what a killed writer left behind.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = path(dir);
        if !path.exists() {
            return Ok(None);
        }
        let fail = |error| StoreError::Database { path: path.clone(), error };
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::from_secs(2));
        let db = match connect(options.clone()).await {
            Ok(db) => db,
            Err(_) => connect(options.read_only(true)).await.map_err(fail)?,
        };
        Ok(Some(Self { db, file: identity(&path), path, since_prune: 0 }))
    }

    async fn writable(path: &Path) -> Result<Self, StoreError> {
        shared::prepare(path)?;
        let fail = |error| StoreError::Database { path: path.to_owned(), error };
        let mut db = SqliteConnectOptions::new()
            .filename(path)
            // Not WAL: who may only read must be able to, also after it was closed.
            .journal_mode(SqliteJournalMode::Truncate)
            // What a person has noted survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(2))
            .connect()
            .await
            .map_err(fail)?;
        let check: String =
            sqlx::query("pragma quick_check(1)").fetch_one(&mut db).await.and_then(|r| r.try_get(0)).map_err(fail)?;
        if check != "ok" {
            return Err(fail(sqlx::Error::Protocol(format!("damaged: {check}"))));
        }
        let found = migrate(&mut db).await.map_err(fail)?;
        if found > SCHEMA_VERSION {
            return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
        }
        Ok(Self { db, file: identity(path), path: path.to_owned(), since_prune: PRUNE_EVERY })
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |error| StoreError::Database { path: path.clone(), error }
    }

    /// Whether another file, or none, has its name by now: then this one must be closed.
    pub fn is_gone(&self) -> bool {
        identity(&self.path) != self.file
    }

    /// Appends entries, and with them what stands, in one transaction.
    ///
    /// # Errors
    /// When the disk is full or the file can't be written; nothing is kept then.
    pub async fn append(
        &mut self,
        entries: &[Entry],
        stand: Option<Stand<'_>>,
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        let fail = self.fail();
        let mut tx = self.db.begin_with("begin immediate").await.map_err(&fail)?;
        let mut version = 0;
        if let Some(stand) = stand {
            let Some(next) = take(&mut tx, stand).await.map_err(&fail)? else { return Ok(Kept::Overtaken) };
            version = next;
            sqlx::query("insert or ignore into days (day) values (?)")
                .bind(now.as_secs().div_euclid(DAY_S))
                .execute(&mut *tx)
                .await
                .map_err(&fail)?;
        }
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = entry.clone().clean();
            let body = serde_json::to_string(&entry).map_err(|e| fail(sqlx::Error::Encode(Box::new(e))))?;
            let row = sqlx::query("insert into entries (at_ms, automatic, body) values (?, ?, ?) returning id")
                .bind(entry.at.as_millis())
                .bind(entry.automatic())
                .bind(body)
                .fetch_one(&mut *tx)
                .await
                .map_err(&fail)?;
            kept.push(Entry { id: row.try_get(0).map_err(&fail)?, ..entry });
        }
        let since_prune = self.since_prune.saturating_add(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        let prunes = since_prune >= PRUNE_EVERY;
        if prunes {
            prune(&mut tx, now).await.map_err(&fail)?;
        }
        tx.commit().await.map_err(&fail)?;
        self.since_prune = if prunes { 0 } else { since_prune };
        Ok(Kept::Yes(kept, version))
    }

    /// Entries with an id above `after`, at most the last `most` of them, ascending by id. What a newer midwatch wrote and
    /// this one does not know is left out.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn entries(&mut self, after: i64, most: u32) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(
            "select id, body from (select id, body from entries where id > ? order by id desc limit ?) order by id",
        )
        .bind(after)
        .bind(most)
        .fetch_all(&mut self.db)
        .await;
        let mut out = Vec::new();
        for row in rows.map_err(self.fail())? {
            let id: i64 = row.try_get(0).map_err(self.fail())?;
            let body: String = row.try_get(1).map_err(self.fail())?;
            out.extend(serde_json::from_str::<Entry>(&body).ok().map(|entry| Entry { id, ..entry }.clean()));
        }
        Ok(out)
    }

    /// What stands in a scope, with its version.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn standing(&mut self, scope: &Scope) -> Result<(Standing, i64), StoreError> {
        let row = sqlx::query("select body, version from standing where scope = ?")
            .bind(key(scope))
            .fetch_optional(&mut self.db)
            .await
            .map_err(self.fail())?;
        let Some(row) = row else { return Ok((Standing::default(), 0)) };
        let body: String = row.try_get(0).map_err(self.fail())?;
        // What can't be read is as if nothing stood: told twice is better than not at all.
        Ok((serde_json::from_str(&body).unwrap_or_default(), row.try_get(1).map_err(self.fail())?))
    }

    /// What stands in every scope there is.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn standings(&mut self) -> Result<Vec<(Scope, Standing)>, StoreError> {
        let rows = sqlx::query("select scope, body from standing order by scope")
            .fetch_all(&mut self.db)
            .await
            .map_err(self.fail())?;
        let mut out = Vec::new();
        for row in rows {
            let scope: String = row.try_get(0).map_err(self.fail())?;
            let body: String = row.try_get(1).map_err(self.fail())?;
            let read = serde_json::from_str(&scope).ok().zip(serde_json::from_str(&body).ok());
            out.extend(read);
        }
        Ok(out)
    }

    /// Closes the file.
    pub async fn close(self) {
        self.db.close().await.ok();
    }
}

/// A connection that is known to work: opening alone reads nothing.
async fn connect(options: SqliteConnectOptions) -> sqlx::Result<SqliteConnection> {
    let mut db = options.connect().await?;
    sqlx::query("select 1 from sqlite_schema limit 1").fetch_optional(&mut db).await?;
    Ok(db)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn key(scope: &Scope) -> String {
    serde_json::to_string(scope).unwrap_or_default()
}

/// Makes the tables where there are none; the schema that is there.
async fn migrate(db: &mut SqliteConnection) -> sqlx::Result<i64> {
    let mut tx = db.begin_with("begin immediate").await?;
    let found: i64 = sqlx::query("pragma user_version").fetch_one(&mut *tx).await?.try_get(0)?;
    if found == 0 {
        sqlx::raw_sql(SCHEMA).execute(&mut *tx).await?;
        sqlx::raw_sql("pragma user_version = 1").execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(found.max(1))
}

/// Writes what stands if nobody else has since; the version it has then.
async fn take(db: &mut SqliteConnection, stand: Stand<'_>) -> sqlx::Result<Option<i64>> {
    let body = serde_json::to_string(stand.standing).map_err(|e| sqlx::Error::Encode(Box::new(e)))?;
    let next = stand.version + 1;
    let done = sqlx::query(
        "insert into standing (scope, version, body) select ?1, ?2, ?3 where ?4 = 0 or exists (select 1 from standing where scope = ?1) \
         on conflict (scope) do update set version = excluded.version, body = excluded.body where standing.version = ?4",
    )
    .bind(key(stand.scope))
    .bind(next)
    .bind(body)
    .bind(stand.version)
    .execute(db)
    .await?;
    Ok((done.rows_affected() > 0).then_some(next))
}

/// Clears what is too old or too much.
async fn prune(db: &mut SqliteConnection, now: Timestamp) -> sqlx::Result<()> {
    let today = now.as_secs().div_euclid(DAY_S);
    sqlx::query("delete from days where day not in (select day from days order by abs(day - ?) limit ?)")
        .bind(today)
        .bind(DAYS_MAX)
        .execute(&mut *db)
        .await?;
    // Only once that many days were watched is anything too old.
    sqlx::query(
        "delete from entries where at_ms < (select min(day) * 86400000 from days) and (select count(*) from days) >= ?",
    )
    .bind(DAYS_MAX)
    .execute(&mut *db)
    .await?;
    for automatic in ["automatic = 1", "1 = 1"] {
        let sql = format!(
            "delete from entries where id in (select id from entries where {automatic} order by id limit max(0, (select count(*) from entries) - {ENTRIES_MAX}))"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *db).await?;
    }
    Ok(())
}

/// Moves a damaged file aside, once, however many processes find it damaged.
async fn aside(dir: &Path, path: &Path, error: &sqlx::Error) -> Result<(), StoreError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |error| StoreError::File { path, error }
    };
    let lock_path = dir.join("record.lock");
    shared::prepare(&lock_path)?;
    let lock = std::fs::File::open(&lock_path).map_err(fail(&lock_path))?;
    if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        // Somebody else is at it; the next try finds a new file.
        return Ok(());
    }
    // It may have been moved while the lock was waited for.
    match RecordFile::writable(path).await {
        Err(StoreError::Database { error, .. }) if writer::damaged(&error) => {}
        Ok(file) => {
            file.close().await;
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let free =
        (0..100).map(|n| path.with_extension(if n == 0 { "db.broken".to_owned() } else { format!("db.broken-{n}") }));
    let to = free.into_iter().find(|to| !to.exists()).unwrap_or_else(|| path.with_extension("db.broken"));
    tracing::warn!(file = %path.display(), to = %to.display(), %error, "the record is damaged; moved aside");
    std::fs::rename(path, &to).map_err(fail(path))
}
