//! All users' journals, read as far as this user may.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};
use tokio::time::{Instant, sleep, timeout};

use super::{JournalError, code, copy, place, schema};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;
use crate::runbook::kept::{Beat, Printed, RunRecord, RunView, Spoken, Stream};
use crate::runbook::run::{Entry, ProcessId};

/// How long a writer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is tried meanwhile.
const PAUSE: Duration = Duration::from_millis(2);
/// How long one journal may take: another user's may hold anything.
const LIMIT: Duration = Duration::from_secs(5);
/// Runs of a journal that are listed, newest first.
const LISTED: i64 = 200;
/// Entries of a run that are read.
const ENTRIES: i64 = 20_000;
/// Journals that are looked for.
const USERS: usize = 1_000;

/// What the journals of all users hold.
#[derive(Debug, Default)]
pub struct Runs {
    /// The runs, newest first.
    pub runs: Vec<RunView>,
    /// What can't be read, and why, in sentences.
    pub unread: Vec<String>,
}

/// A journal open for reading; what it is a copy of goes with it.
struct Opened {
    db: SqliteConnection,
    _copy: Option<tempfile::TempDir>,
}

/// The runs of all users' journals.
pub async fn runs(state_dir: &Path) -> Runs {
    let mut out = Runs::default();
    let (journals, unread) = journals(state_dir);
    out.unread = unread;
    for (uid, path) in journals {
        match limited(&path, listed(&path, uid, &mut out.unread)).await {
            Ok(views) => out.runs.extend(views),
            Err(error) => out.unread.push(error.to_string()),
        }
    }
    out.runs.sort_by(|a, b| (b.record.began, &b.record.id).cmp(&(a.record.began, &a.record.id)));
    out
}

/// A run by its id, or by so much of its beginning that no other is meant, in all users' journals.
///
/// # Errors
/// When there is none, or several, or it can't be read.
pub async fn read(state_dir: &Path, prefix: &str) -> Result<RunView, JournalError> {
    let mut found = Vec::new();
    let mut trouble = None;
    for (uid, path) in journals(state_dir).0 {
        match limited(&path, ids(&path, prefix)).await {
            Ok(ids) => found.extend(ids.into_iter().map(|id| (id, uid, path.clone()))),
            Err(error) => trouble = Some(error),
        }
    }
    if let Some(exact) = found.iter().position(|(id, ..)| id == prefix) {
        found = vec![found.swap_remove(exact)];
    }
    found.sort();
    match found.as_slice() {
        [(id, uid, path)] => {
            let mut opened = open(path).await?;
            limited(path, view(&mut opened.db, path, *uid, id)).await
        }
        [] => Err(trouble.unwrap_or_else(|| JournalError::NoRun(plain(prefix, 80)))),
        several => {
            let runs = several.iter().take(10).map(|(id, ..)| plain(id, 80)).collect();
            Err(JournalError::Ambiguous { prefix: plain(prefix, 80), runs })
        }
    }
}

/// A run of this user's own journal, by its whole id, as something may be done on its word: nobody else can have written
/// what is read. To be called before this process opens the journal, whose locks it would lose.
///
/// # Errors
/// When others could have written it, it can't be read, or there is no such run.
pub async fn read_trusted(state_dir: &Path, run: &str) -> Result<RunView, JournalError> {
    let uid = rustix::process::geteuid().as_raw();
    let path = place::path(state_dir, uid);
    let dir = copy::trusted(state_dir, uid).await?;
    let options = SqliteConnectOptions::new().filename(dir.path().join(place::NAME)).pragma("trusted_schema", "off");
    let mut db = options.connect().await.map_err(|error| failed(&path, error))?;
    let found = schema::version(&mut db).await.map_err(|error| failed(&path, error))?;
    if found > schema::KNOWN {
        return Err(JournalError::Newer { path, found, known: schema::KNOWN });
    }
    let view = view(&mut db, &path, uid, run).await;
    db.close().await.ok();
    view
}

/// What a run of this user's journal printed after this place (0: from the beginning), at most `limit` rows, each with its
/// place.
///
/// # Errors
/// When it can't be read.
pub async fn output_after(
    state_dir: &Path,
    uid: u32,
    run: &str,
    seq: u64,
    limit: u32,
) -> Result<Vec<(u64, Printed)>, JournalError> {
    let path = place::path(state_dir, uid);
    let read = async {
        let mut opened = open(&path).await?;
        let select =
            "select seq, at, step, attempt, stream, body from output where run = ? and seq > ? order by seq limit ?";
        let query = sqlx::query(select).bind(run).bind(i64::try_from(seq).unwrap_or(i64::MAX)).bind(i64::from(limit));
        let rows = query.fetch_all(&mut opened.db).await.map_err(|error| failed(&path, error))?;
        rows.iter().map(|row| printed(row).map_err(|error| failed(&path, error))).collect()
    };
    limited(&path, read).await
}

/// How long runs of this runbook on this site took that were done in one go, in milliseconds; newest last, at most 10.
pub async fn past_ms(state_dir: &Path, runbook: &str, site: Option<&str>) -> Vec<u64> {
    let same = |view: &RunView| view.record.plan.runbook == runbook && view.record.plan.site.as_deref() == site;
    let all = runs(state_dir).await.runs;
    let mut out: Vec<u64> = all.iter().filter(|view| same(view)).filter_map(RunView::took_ms).take(10).collect();
    out.reverse();
    out
}

/// The journals there are, each with its user; and what looks like one and can't be taken for one.
fn journals(state_dir: &Path) -> (Vec<(u32, PathBuf)>, Vec<String>) {
    let (mut out, mut unread) = (Vec::new(), Vec::new());
    let shelf = place::shelf(state_dir);
    let entries = match std::fs::read_dir(&shelf) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (out, unread),
        Err(error) => return (out, vec![format!("{} can't be read: {error}", shelf.display())]),
    };
    for entry in entries.flatten().take(USERS) {
        let Some(uid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let path = place::path(state_dir, uid);
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => unread.push(format!("the runs of uid {uid} can't be read ({}): {error}", path.display())),
            // Whose a run is, is told by whose file it is in.
            Ok(_) => match place::plain_file(&path, |meta| meta.uid() == uid) {
                Ok(()) => out.push((uid, path)),
                Err(why) => unread.push(why),
            },
        }
    }
    out.sort();
    (out, unread)
}

async fn limited<T>(path: &Path, work: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
    timeout(LIMIT, work).await.unwrap_or_else(|_elapsed| {
        let error =
            std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {} s", LIMIT.as_secs()));
        Err(JournalError::File { path: path.to_owned(), error })
    })
}

fn failed(path: &Path, error: sqlx::Error) -> JournalError {
    JournalError::Database { path: path.to_owned(), writing: false, error }
}

async fn open(path: &Path) -> Result<Opened, JournalError> {
    let options = SqliteConnectOptions::new()
        .read_only(true)
        .busy_timeout(Duration::ZERO)
        // Another user's schema runs no functions here.
        .pragma("trusted_schema", "off");
    let (db, found, copy) = match moment(options.clone().filename(path)).await {
        Ok((db, found)) => (db, found, None),
        // READONLY 8, CANTOPEN 14: its writer was killed in the middle of a write that only a writer may take back.
        Err(error) if code(&error).is_some_and(|code| matches!(code & 0xff, 8 | 14)) => {
            let copy = copy::of(path).map_err(|error| JournalError::File { path: path.to_owned(), error })?;
            let options = options.read_only(false).filename(copy.path().join(place::NAME));
            let (db, found) = moment(options).await.map_err(|error| failed(path, error))?;
            (db, found, Some(copy))
        }
        Err(error) => return Err(failed(path, error)),
    };
    if found > schema::KNOWN {
        return Err(JournalError::Newer { path: path.to_owned(), found, known: schema::KNOWN });
    }
    Ok(Opened { db, _copy: copy })
}

/// A connection that sees the journal as it is at one moment, and its schema's number.
async fn moment(options: SqliteConnectOptions) -> sqlx::Result<(SqliteConnection, i64)> {
    let mut db = options.connect().await?;
    let until = Instant::now() + PATIENCE;
    sqlx::raw_sql("begin").execute(&mut db).await?;
    loop {
        // The number alone is no proof that the tables can be read.
        let read = async {
            let version = schema::version(&mut db).await?;
            sqlx::query("select count(*) from runs where id = ''").fetch_one(&mut db).await?;
            Ok(version)
        };
        match read.await {
            // BUSY 5. Asked often, not after SQLite's growing pauses: a busy writer leaves only small gaps.
            Err(error) if code(&error).is_some_and(|code| code & 0xff == 5) && Instant::now() < until => {
                sleep(PAUSE).await;
            }
            Ok(version) => return Ok((db, version)),
            Err(error) => return Err(error),
        }
    }
}

async fn ids(path: &Path, prefix: &str) -> Result<Vec<String>, JournalError> {
    let mut opened = open(path).await?;
    let select = "select id from runs where substr(id, 1, length(?1)) = ?1 and ?1 <> '' order by id limit 11";
    let rows = sqlx::query(select).bind(prefix).fetch_all(&mut opened.db).await.map_err(|e| failed(path, e))?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| failed(path, error))).collect()
}

async fn listed(path: &Path, uid: u32, unread: &mut Vec<String>) -> Result<Vec<RunView>, JournalError> {
    let mut opened = open(path).await?;
    let rows = sqlx::query("select id from runs order by began desc, id desc limit ?")
        .bind(LISTED)
        .fetch_all(&mut opened.db)
        .await
        .map_err(|error| failed(path, error))?;
    let mut out = Vec::new();
    for row in rows {
        let id: String = row.try_get(0).map_err(|error| failed(path, error))?;
        match view(&mut opened.db, path, uid, &id).await {
            Ok(view) => out.push(view),
            Err(error @ JournalError::Unreadable { .. }) => unread.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

/// A run by its whole id; all of it of one moment only where the connection is in a transaction.
pub(super) async fn view(
    db: &mut SqliteConnection,
    path: &Path,
    owner: u32,
    run: &str,
) -> Result<RunView, JournalError> {
    let fail = |error| failed(path, error);
    let unreadable = |why: String| JournalError::Unreadable { run: plain(run, 80), why };
    let found = sqlx::query("select id, plan, digest, approved_by, began from runs where id = ?")
        .bind(run)
        .fetch_optional(&mut *db)
        .await
        .map_err(fail)?;
    let record = record(&found.ok_or_else(|| JournalError::NoRun(plain(run, 80)))?).map_err(unreadable)?;
    let rows = sqlx::query("select seq, at, what from entries where run = ? order by seq limit ?")
        .bind(run)
        .bind(ENTRIES)
        .fetch_all(&mut *db)
        .await
        .map_err(fail)?;
    let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let beat = sqlx::query("select at, pid, boot, started from beats where run = ?")
        .bind(run)
        .fetch_optional(&mut *db)
        .await
        .and_then(|row| row.as_ref().map(beat).transpose())
        .map_err(fail)?;
    Ok(RunView { record, entries, beat, owner })
}

fn said(error: &impl std::fmt::Display) -> String {
    plain(&error.to_string(), 200)
}

fn decoded<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, String> {
    let text: String = row.try_get(column).map_err(|error| said(&error))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("its {column} is not as this midwatch writes it: {}", said(&error)))
}

fn at(row: &SqliteRow, column: &str) -> sqlx::Result<Timestamp> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

fn number(row: &SqliteRow, column: &str) -> sqlx::Result<u64> {
    row.try_get::<i64, _>(column).map(i64::unsigned_abs)
}

fn record(row: &SqliteRow) -> Result<RunRecord, String> {
    let record = RunRecord {
        id: row.try_get("id").map_err(|error| said(&error))?,
        plan: decoded(row, "plan")?,
        digest: row.try_get("digest").map_err(|error| said(&error))?,
        by: decoded(row, "approved_by")?,
        began: at(row, "began").map_err(|error| said(&error))?,
    };
    if record.plan.digest() == record.digest {
        Ok(record)
    } else {
        Err("its plan is not the one that was approved".to_owned())
    }
}

fn entry(row: &SqliteRow) -> Result<Entry, String> {
    let seq = number(row, "seq").map_err(|error| said(&error))?;
    Ok(Entry { seq, at: at(row, "at").map_err(|error| said(&error))?, what: decoded(row, "what")? })
}

/// A row of the words.
pub(super) fn spoken(row: &SqliteRow) -> Result<Spoken, String> {
    let seq = number(row, "seq").map_err(|error| said(&error))?;
    let at = at(row, "at").map_err(|error| said(&error))?;
    Ok(Spoken { seq, at, by: decoded(row, "said_by")?, word: decoded(row, "word")? })
}

fn beat(row: &SqliteRow) -> sqlx::Result<Beat> {
    let pid = u32::try_from(number(row, "pid")?).unwrap_or(0);
    let runner = ProcessId { pid, boot: row.try_get("boot")?, started: number(row, "started")? };
    Ok(Beat { at: at(row, "at")?, runner })
}

fn printed(row: &SqliteRow) -> sqlx::Result<(u64, Printed)> {
    let text: String = row.try_get("body")?;
    let printed = Printed {
        at: at(row, "at")?,
        step: usize::try_from(number(row, "step")?).unwrap_or(usize::MAX),
        attempt: u32::try_from(number(row, "attempt")?).unwrap_or(u32::MAX),
        stream: if row.try_get::<String, _>("stream")? == Stream::Err.word() { Stream::Err } else { Stream::Out },
        // Another user's journal may hold what a terminal obeys.
        text: text.lines().take(super::ROW_MAX).map(|line| plain(line, super::ROW_MAX)).collect::<Vec<_>>().join("\n"),
    };
    Ok((number(row, "seq")?, printed))
}
