//! A SQLite file. SQLite itself makes `-wal` and `-shm` files beside a database in WAL mode, even for readers; one that
//! belongs to midwatch's user can lock the application out of its own database. So the header is read first, and a
//! database in WAL mode is opened only while the application has it open too, and is then kept open.
//!
//! Invariant: nothing is created, repaired or changed. The header is only read while this process has no session with
//! the file: closing any descriptor of a file drops all locks that the process holds on it (POSIX).

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::io::AsyncReadExt;

use super::millis_since;
use crate::backends::session::{Server, Then, Trouble};
use crate::domain::database::{DatabaseReading, Engine};
use crate::domain::text::plain;

/// How long a lock is waited for.
const BUSY: Duration = Duration::from_millis(500);
const QUERY: &str = "select sqlite_version(), (select count(*) from sqlite_master)";
const MAGIC: &[u8] = b"SQLite format 3\0";

/// One SQLite file.
pub(super) struct Sqlite {
    path: PathBuf,
}

/// The connection to a file in WAL mode, as long as that file is the same.
#[derive(Default)]
pub(super) struct Kept {
    open: Option<(SqliteConnection, (u64, u64))>,
}

impl Sqlite {
    /// The file at `path`.
    pub(super) fn new(path: &str) -> Self {
        Self { path: PathBuf::from(path) }
    }

    fn shown(&self) -> String {
        plain(&self.path.to_string_lossy(), 120)
    }

    /// Whether the file is in WAL mode, from its header.
    async fn header(&self) -> Result<bool, Trouble> {
        let mut header = [0_u8; 20];
        let mut file = tokio::fs::File::open(&self.path).await.map_err(|error| self.unreadable(&error))?;
        match file.read_exact(&mut header).await {
            Ok(_) if header.starts_with(MAGIC) => Ok(header.get(18) == Some(&2)),
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(self.unreadable(&error)),
            Ok(_) | Err(_) => Err(Trouble::new(
                format!("{} is not a SQLite database, or its beginning was overwritten.", self.shown()),
                Then::Stay,
            )),
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    }

    fn unreadable(&self, error: &std::io::Error) -> Trouble {
        let shown = self.shown();
        let sentence = if error.kind() == ErrorKind::NotFound {
            format!("The SQLite database {shown} does not exist: was it moved or deleted?")
        } else if error.kind() == ErrorKind::PermissionDenied {
            format!("This user may not read the SQLite database {shown}.")
        } else {
            format!("The SQLite database {shown} can't be read: {}.", plain(&error.to_string(), 120))
        };
        Trouble::new(sentence, Then::Stay)
    }

    fn trouble(&self, error: &sqlx::Error) -> Trouble {
        let shown = self.shown();
        let code = error.as_database_error().and_then(|e| e.code()?.parse::<u32>().ok());
        let said = plain(&error.to_string(), 160);
        let sentence = match code.map(|code| code & 0xff) {
            Some(5 | 6) => format!("The SQLite database {shown} is locked by another process: see which one writes."),
            Some(8) => format!(
                "The SQLite database {shown} was left in the middle of a write: the application mends it when it opens it."
            ),
            Some(11 | 26) => {
                format!("The SQLite database {shown} is damaged ({said}): stop the writers, then copy it.")
            }
            Some(_) | None => format!("The SQLite database {shown} can't be read: {said}."),
        };
        Trouble::new(sentence, Then::Stay)
    }

    /// What can be said without a query: the file is there, readable and a database.
    fn quiet(start: Instant, read_only: bool) -> DatabaseReading {
        DatabaseReading { read_only, ..DatabaseReading::new(Engine::Sqlite, "3", millis_since(start)) }
    }
}

impl Server for Sqlite {
    type Session = Kept;
    type Answer = DatabaseReading;

    async fn connect(&self) -> Result<Kept, Trouble> {
        Ok(Kept::default())
    }

    async fn ask(&self, kept: &mut Kept) -> Result<DatabaseReading, Trouble> {
        let start = Instant::now();
        let facts = tokio::fs::metadata(&self.path).await.map_err(|error| self.unreadable(&error))?;
        let identity = (facts.dev(), facts.ino());
        let mut reading = Self::quiet(start, facts.permissions().readonly());
        let (mut connection, wal) = match kept.open.take() {
            Some((connection, known)) if known == identity => (connection, true),
            stale => {
                drop(stale);
                let wal = self.header().await?;
                if wal && !(exists(&self.beside("-wal")).await && exists(&self.beside("-shm")).await) {
                    return Ok(reading);
                }
                (open(&self.path).await.map_err(|error| self.trouble(&error))?, wal)
            }
        };
        let start = Instant::now();
        let row = sqlx::raw_sql(QUERY).fetch_one(&mut connection).await.map_err(|error| self.trouble(&error))?;
        reading.latency_ms = millis_since(start);
        reading.version = row.try_get(0).map_err(|error| self.trouble(&error))?;
        if wal {
            kept.open = Some((connection, identity));
        } else {
            connection.close().await.map_err(|error| self.trouble(&error))?;
        }
        Ok(reading)
    }

    fn silent(&self, _admitted: bool, seconds: u64) -> String {
        format!("Reading {} has not ended for {seconds} s: the file system under it hangs.", self.shown())
    }
}

async fn exists(path: &Path) -> bool {
    tokio::fs::try_exists(path).await.unwrap_or(false)
}

async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY)
        .pragma("query_only", "1")
        .disable_statement_logging()
        .connect()
        .await
}
