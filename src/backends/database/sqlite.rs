//! A SQLite file. SQLite itself makes `-wal` and `-shm` files beside a database in WAL mode, even for readers; one that
//! belongs to midwatch's user can lock the application out of its own database. So the header is read first, and a
//! database in WAL mode is opened only while the application has it open too, and is then kept open.
//!
//! Invariant: nothing is created, repaired or changed. The header is only read while this process has no session with
//! the file: closing any descriptor of a file drops all locks that the process holds on it (POSIX).

mod locks;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::io::AsyncReadExt;

use super::agenda::Agenda;
use super::cells::Asked;
use super::life::{self, Tables};
use super::millis_since;
use crate::backends::session::{Server, Then, Trouble};
use crate::domain::database::{DatabaseReading, Engine, Migrated, Session, SqliteFile, says};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// How long a lock is waited for.
const BUSY: Duration = Duration::from_millis(500);
const QUERY: &str = "select sqlite_version(), (select count(*) from sqlite_master)";
const MAGIC: &[u8] = b"SQLite format 3\0";
/// A file of at most so many bytes is checked whole: that takes less than a tenth of a second, for which a writer waits.
const SMALL: u64 = 16 * 1024 * 1024;

/// The slower questions, with their pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slower {
    Pulse,
    Mail,
    Migrations,
    Check,
}

const PACE: &[(Slower, Duration)] = &[
    (Slower::Pulse, Duration::from_secs(30)),
    (Slower::Mail, Duration::from_mins(1)),
    (Slower::Migrations, Duration::from_mins(1)),
    (Slower::Check, Duration::from_hours(6)),
];

/// One SQLite file.
pub(super) struct Sqlite {
    path: PathBuf,
}

/// The connection to a file in WAL mode, as long as that file is the same, and what is remembered from look to look.
pub(super) struct Kept {
    open: Option<(SqliteConnection, (u64, u64))>,
    agenda: Agenda<Slower>,
    /// The answers to the slower questions.
    answers: DatabaseReading,
    damage: Option<String>,
    checked: Option<Timestamp>,
    /// Since when each writer has been seen writing.
    writers: BTreeMap<i64, Instant>,
}

impl Kept {
    fn new() -> Self {
        Self {
            open: None,
            agenda: Agenda::new(PACE),
            answers: DatabaseReading::default(),
            damage: None,
            checked: None,
            writers: BTreeMap::new(),
        }
    }

    /// Who writes, with since when that has been seen.
    fn writing(&mut self, mut found: Vec<Session>) -> Vec<Session> {
        self.writers.retain(|pid, _| found.iter().any(|session| session.pid == *pid));
        for session in &mut found {
            let since = self.writers.entry(session.pid).or_insert_with(Instant::now);
            session.transaction_s = since.elapsed().as_secs_f64();
        }
        found
    }

    /// Asks the slower questions that are due.
    async fn slower(
        &mut self,
        connection: &mut SqliteConnection,
        begun: Instant,
        size: u64,
    ) -> Result<(), sqlx::Error> {
        while let Some(question) = self.agenda.next(begun, Instant::now()) {
            let at = now();
            let answered = match question {
                Slower::Pulse => {
                    let tables = Tables::look(connection).await?;
                    life::pulse(connection, &tables, at).await.map(|pulse| self.answers.pulse = pulse)
                }
                Slower::Mail => {
                    let tables = Tables::look(connection).await?;
                    life::mail(connection, &tables, at).await.map(|mail| self.answers.mail = mail)
                }
                Slower::Migrations => {
                    let tables = Tables::look(connection).await?;
                    life::migrations(connection, &tables).await.map(|found| self.answers.migrations = found)
                }
                Slower::Check if size > SMALL => Ok(()),
                Slower::Check => connection.row("pragma quick_check(1)").await.map(|row| {
                    self.damage = row.maybe(0).filter(|said| *said != "ok").map(|said| plain(said, 160));
                    self.checked = Some(at);
                }),
            };
            match answered {
                Ok(()) => self.agenda.answered(question, self.damage.is_some(), Instant::now()),
                // Another application's table of this name, with other columns.
                Err(error) if code(&error) == Some(1) => self.agenda.refused(question, Instant::now()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
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
                format!("{} is not a SQLite database, or its beginning {}.", self.shown(), says::DAMAGED),
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
        let said = plain(&error.to_string(), 160);
        let sentence = match code(error) {
            Some(5 | 6) => format!("The SQLite database {shown} {}: see which one writes.", says::LOCKED),
            Some(8) => format!(
                "The SQLite database {shown} was left in the middle of a write: the application mends it when it opens it."
            ),
            Some(11 | 26) => {
                format!("The SQLite database {shown} {} ({said}): stop the writers, then copy it.", says::DAMAGED)
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
        Ok(Kept::new())
    }

    async fn ask(&self, kept: &mut Kept) -> Result<DatabaseReading, Trouble> {
        let begun = Instant::now();
        let facts = tokio::fs::metadata(&self.path).await.map_err(|error| self.unreadable(&error))?;
        let identity = (facts.dev(), facts.ino());
        let mut reading = Self::quiet(begun, facts.permissions().readonly());
        let wal = tokio::fs::metadata(self.beside("-wal")).await.ok().map(|facts| facts.len());
        let size = facts.len();
        let mut file = SqliteFile { path: self.shown(), size, wal, ..SqliteFile::default() };
        let (path, shm) = (self.path.clone(), self.beside("-shm"));
        let found =
            tokio::task::spawn_blocking(move || locks::writers(Path::new("/proc"), &path, &shm, std::process::id()));
        reading.blockers = kept.writing(found.await.unwrap_or_default());
        match self.asked(kept, identity, size, &mut reading).await {
            Ok(()) => {}
            // Who locks it is known, or at least that it is locked: that is an answer.
            Err(Asking::Refused(error)) if matches!(code(&error), Some(5 | 6)) => file.locked = true,
            Err(Asking::Refused(error)) => return Err(self.trouble(&error)),
            Err(Asking::Unreadable(trouble)) => return Err(trouble),
        }
        (file.damage, file.checked) = (kept.damage.clone(), kept.checked);
        let DatabaseReading { pulse, mail, migrations, .. } = kept.answers.clone();
        Ok(DatabaseReading { pulse, mail, migrations, file: Some(file), ..reading })
    }

    fn silent(&self, _admitted: bool, seconds: u64) -> String {
        format!("Reading {} has not ended for {seconds} s: the file system under it hangs.", self.shown())
    }
}

/// Why a file could not be asked.
enum Asking {
    /// It can't be read as one.
    Unreadable(Trouble),
    /// SQLite refuses.
    Refused(sqlx::Error),
}

impl Sqlite {
    /// Only the migrations, whatever else a look would ask; `None` also where it can't be asked without harm.
    pub(super) async fn migrations(&self) -> Result<Option<Vec<Migrated>>, Trouble> {
        let asked = async {
            let identity = self.written().await;
            let (mut connection, rests) = match self.opened().await? {
                Some((connection, _)) => (connection, false),
                // Nobody has it open, so nothing but the file itself counts, as it is.
                None if !self.is_begun().await => (self.at_rest().await.map_err(Asking::Refused)?, true),
                None => return Ok(None),
            };
            let tables = Tables::look(&mut connection).await.map_err(Asking::Refused)?;
            let found = life::migrations(&mut connection, &tables).await.map_err(Asking::Refused)?;
            connection.close().await.map_err(Asking::Refused)?;
            // What was written meanwhile may have been read by halves.
            let same = !rests || (identity.is_some() && identity == self.written().await);
            Ok(found.filter(|_| same))
        };
        asked.await.map_err(|failed| match failed {
            Asking::Unreadable(trouble) => trouble,
            Asking::Refused(error) => self.trouble(&error),
        })
    }

    /// Whether a log of what is being written lies beside it.
    async fn is_begun(&self) -> bool {
        exists(&self.beside("-wal")).await || exists(&self.beside("-journal")).await
    }

    /// Which file it is, and when it was written, as long as no log lies beside it.
    async fn written(&self) -> Option<(u64, u64, i64, i64)> {
        let facts = tokio::fs::metadata(&self.path).await.ok()?;
        if self.is_begun().await {
            return None;
        }
        Some((facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()))
    }

    async fn at_rest(&self) -> Result<SqliteConnection, sqlx::Error> {
        let options = SqliteConnectOptions::new().filename(&self.path).read_only(true).immutable(true);
        options.disable_statement_logging().connect().await
    }

    /// A session with the file, where that is harmless, and whether it is in WAL mode.
    async fn opened(&self) -> Result<Option<(SqliteConnection, bool)>, Asking> {
        let wal = self.header().await.map_err(Asking::Unreadable)?;
        if wal && !(exists(&self.beside("-wal")).await && exists(&self.beside("-shm")).await) {
            return Ok(None);
        }
        Ok(Some((open(&self.path).await.map_err(Asking::Refused)?, wal)))
    }

    /// Opens the file where that is harmless, and asks it.
    async fn asked(
        &self,
        kept: &mut Kept,
        identity: (u64, u64),
        size: u64,
        reading: &mut DatabaseReading,
    ) -> Result<(), Asking> {
        let (mut connection, wal) = match kept.open.take() {
            Some((connection, known)) if known == identity => (connection, true),
            stale => {
                drop(stale);
                match self.opened().await? {
                    Some(opened) => opened,
                    None => return Ok(()),
                }
            }
        };
        let start = Instant::now();
        let row = connection.row(QUERY).await.map_err(Asking::Refused)?;
        reading.latency_ms = millis_since(start);
        reading.version = row.text(0, 20);
        kept.slower(&mut connection, start, size).await.map_err(Asking::Refused)?;
        if wal {
            kept.open = Some((connection, identity));
        } else {
            connection.close().await.map_err(Asking::Refused)?;
        }
        Ok(())
    }
}

/// The kind of SQLite's refusal: 5 busy, 6 locked, 11 corrupt, 26 no database, …
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(i64::try_from(now.map_or(0, |span| span.as_millis())).unwrap_or(i64::MAX))
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
