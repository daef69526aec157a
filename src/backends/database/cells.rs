//! Answers as text, whatever the server and the type: questions are few and small, and one way to read them serves all.

use std::future::Future;
use std::str::FromStr;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use crate::domain::database::Engine;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Most rows that are kept of one answer, whatever the statement says.
pub(super) const ROWS: usize = 2_000;

/// One row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Cells(Vec<Option<String>>);

impl Cells {
    /// A cell that may be null.
    pub(super) fn maybe(&self, column: usize) -> Option<&str> {
        self.0.get(column)?.as_deref()
    }

    /// A cell as plain text of at most `max` characters; empty for null.
    pub(super) fn text(&self, column: usize, max: usize) -> String {
        plain(self.maybe(column).unwrap_or_default(), max)
    }

    /// A number, if it is one.
    pub(super) fn number<T: FromStr>(&self, column: usize) -> Option<T> {
        self.maybe(column)?.trim().parse().ok()
    }

    /// Seconds, never negative, never infinite.
    pub(super) fn seconds(&self, column: usize) -> Option<f64> {
        self.number::<f64>(column).filter(|s| s.is_finite()).map(|s| s.max(0.0))
    }

    /// A point in time, from milliseconds since 1970.
    pub(super) fn time(&self, column: usize) -> Option<Timestamp> {
        let millis = self.maybe(column)?.split('.').next()?.parse().ok()?;
        Some(Timestamp::from_millis(millis))
    }

    /// Whether it says yes.
    pub(super) fn yes(&self, column: usize) -> bool {
        matches!(self.maybe(column), Some("t" | "true" | "1" | "on" | "ON"))
    }
}

/// A session that can be asked. Statements are written here, never taken from outside.
pub(super) trait Asked: Send {
    /// The kind of server.
    const ENGINE: Engine;

    /// Asks one statement.
    fn rows(&mut self, sql: String) -> impl Future<Output = Result<Vec<Cells>, sqlx::Error>> + Send;

    /// Asks for one row.
    fn row(&mut self, sql: impl Into<String> + Send) -> impl Future<Output = Result<Cells, sqlx::Error>> + Send {
        async { Ok(self.rows(sql.into()).await?.into_iter().next().unwrap_or_default()) }
    }
}

impl Asked for PgConnection {
    const ENGINE: Engine = Engine::Postgresql;

    async fn rows(&mut self, sql: String) -> Result<Vec<Cells>, sqlx::Error> {
        let cell = |row: &PgRow, column| row.try_get_unchecked::<Option<String>, _>(column);
        gathered(&sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self).await?, cell)
    }
}

impl Asked for MySqlConnection {
    const ENGINE: Engine = Engine::Mysql;

    async fn rows(&mut self, sql: String) -> Result<Vec<Cells>, sqlx::Error> {
        // Some servers declare such columns as bytes.
        let cell = |row: &MySqlRow, column| {
            let bytes = row.try_get_unchecked::<Option<Vec<u8>>, _>(column)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        gathered(&sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self).await?, cell)
    }
}

impl Asked for SqliteConnection {
    const ENGINE: Engine = Engine::Sqlite;

    async fn rows(&mut self, sql: String) -> Result<Vec<Cells>, sqlx::Error> {
        let cell = |row: &SqliteRow, column| row.try_get_unchecked::<Option<String>, _>(column);
        gathered(&sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(self).await?, cell)
    }
}

fn gathered<R: Row>(
    rows: &[R],
    cell: impl Fn(&R, usize) -> Result<Option<String>, sqlx::Error>,
) -> Result<Vec<Cells>, sqlx::Error> {
    let cells = |row: &R| (0..row.len()).map(|column| cell(row, column)).collect::<Result<_, _>>().map(Cells);
    rows.iter().take(ROWS).map(cells).collect()
}
