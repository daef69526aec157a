//! The others' side: what the poller publishes, read-only.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};

use super::{StoreError, code, database, writer};
use crate::domain::history::{Point, SeriesKey};
use crate::domain::id::Scope;
use crate::domain::observation::Observed;
use crate::domain::time::Timestamp;
use crate::triage::Memory;

/// Reads a scope's file.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    db: Option<SqliteConnection>,
    seq: i64,
    changed: Option<(SystemTime, u64)>,
    /// Device and inode of the file that is open.
    file: Option<(u64, u64)>,
}

impl Reader {
    /// A reader of this scope's file; nothing is opened yet.
    pub fn new(dir: &Path, scope: &Scope) -> Self {
        Self { path: database(dir, scope), db: None, seq: 0, changed: None, file: None }
    }

    async fn open(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let fail = |error| StoreError::Database { path: self.path.clone(), error };
        if self.db.is_none() {
            let options = SqliteConnectOptions::new()
                .filename(&self.path)
                .read_only(true)
                .busy_timeout(Duration::from_millis(500));
            self.db = Some(options.connect().await.map_err(fail)?);
        }
        self.db.as_mut().ok_or_else(|| fail(sqlx::Error::PoolClosed))
    }

    /// What was published since the last call. A file that is locked, or not there yet, brings nothing this time.
    ///
    /// # Errors
    /// When the file can't be read at all (no right, damaged).
    pub async fn poll(&mut self) -> Result<Vec<Observed>, StoreError> {
        let found = std::fs::metadata(&self.path).ok();
        let file = found.as_ref().map(|m| (m.dev(), m.ino()));
        if file != self.file {
            // Another file has its name now: a damaged one was moved aside. What it counts begins anew.
            self.db = None;
            self.file = file;
            self.seq = 0;
            self.changed = None;
        }
        let stamp = found.and_then(|m| Some((m.modified().ok()?, m.len())));
        if stamp.is_none() {
            return Ok(Vec::new());
        }
        if stamp == self.changed {
            return Ok(Vec::new());
        }
        let path = self.path.clone();
        let seq = self.seq;
        let db = self.open().await?;
        let rows =
            sqlx::query("select seq, observed from readings where seq > ? order by seq").bind(seq).fetch_all(db).await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) if busy(&error) => return Ok(Vec::new()),
            Err(error) => {
                self.db = None;
                return Err(StoreError::Database { path, error });
            }
        };
        self.changed = stamp;
        let mut out = Vec::new();
        for row in rows {
            let fail = |error| StoreError::Database { path: path.clone(), error };
            self.seq = self.seq.max(row.try_get(0).map_err(fail)?);
            let body: String = row.try_get(1).map_err(fail)?;
            // What a newer midwatch publishes and this one does not know is left out, not fatal.
            out.extend(serde_json::from_str::<Observed>(&body).ok());
        }
        Ok(out)
    }

    /// The finest tier of every series, ascending.
    ///
    /// # Errors
    /// When the file can't be read.
    pub async fn recall(&mut self, now: Timestamp) -> Result<Vec<(SeriesKey, Vec<Point>)>, StoreError> {
        let path = self.path.clone();
        let db = self.open().await?;
        writer::recall(db, now).await.map_err(|error| StoreError::Database { path, error })
    }

    /// What the poller's rules remember, if that can be read.
    pub async fn memory(&mut self) -> Option<Memory> {
        let db = self.open().await.ok()?;
        let row = sqlx::query("select body from notes where name = ?")
            .bind(writer::MEMORY)
            .fetch_optional(db)
            .await
            .ok()??;
        serde_json::from_str(&row.try_get::<String, _>(0).ok()?).ok()
    }

    /// Closes the file.
    pub async fn close(self) {
        if let Some(db) = self.db {
            db.close().await.ok();
        }
    }
}

/// Whether it may be better the next time: SQLite's ERROR 1 (a table that the poller is just making), BUSY 5, LOCKED 6,
/// READONLY 8 (a journal that the next poller will roll back), CANTOPEN 14.
fn busy(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| matches!(code & 0xff, 1 | 5 | 6 | 8 | 14))
}
