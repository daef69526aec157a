//! SQLite's own check of a database file, on the file as it lies there: opened as never changing, so that nothing is
//! written beside it and nobody is locked out.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::check::Outcome;
use super::meter::Control;
use crate::domain::backup::proof::Flaw;
use crate::domain::text::plain;

/// Steps of SQLite's machine between two looks at whether to stop.
const STEPS: i32 = 100_000;

/// Runs `pragma integrity_check`.
pub(super) fn check(path: &Path, control: &Control) -> Outcome {
    let mut wal = path.file_name().unwrap_or_default().to_owned();
    wal.push("-wal");
    let wal = path.with_file_name(wal);
    if wal.metadata().is_ok_and(|meta| meta.len() > 0) {
        return Outcome::Unproven(format!(
            "{} lies beside it: it was copied while in use, and what is in there counts too",
            wal.file_name().unwrap_or_default().to_string_lossy()
        ));
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Outcome::Unproven("there is no thread to be had for SQLite".to_owned());
    };
    match runtime.block_on(ask(path, control)) {
        Ok(lines) if lines == ["ok"] => Outcome::Whole,
        Ok(lines) => {
            let first = lines.into_iter().next().unwrap_or_default();
            Outcome::Broken(Flaw::Damaged, format!("SQLite's integrity check says: {first}"))
        }
        Err(_) if control.stopped() => Outcome::Stopped,
        Err(error) => {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
            let text =
                plain(&error.as_database_error().map_or_else(|| error.to_string(), |e| e.message().to_owned()), 120);
            // SQLITE_CORRUPT 11, SQLITE_NOTADB 26.
            if code.is_some_and(|c| c == "11" || c == "26") {
                Outcome::Broken(Flaw::Damaged, format!("SQLite can't read it: {text}"))
            } else {
                Outcome::Unproven(format!("SQLite can't check it: {text}"))
            }
        }
    }
}

async fn ask(path: &Path, control: &Control) -> sqlx::Result<Vec<String>> {
    let options =
        SqliteConnectOptions::new().filename(path).read_only(true).immutable(true).disable_statement_logging();
    let mut db = SqliteConnection::connect_with(&options).await?;
    let told = control.clone();
    db.lock_handle().await?.set_progress_handler(STEPS, move || !told.stopped());
    let rows = sqlx::query("pragma integrity_check(5)").fetch_all(&mut db).await?;
    let lines = rows.iter().map(|row| row.try_get::<String, _>(0).map(|line| plain(&line, 160))).collect();
    db.close().await.ok();
    lines
}
