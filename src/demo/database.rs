//! The practice site's database: orders, waiting tasks, and the worker's counters, in SQLite.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row};

/// As long as gunicorn lets a request take: a locked database makes pages hang this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the database.
///
/// # Errors
/// When it can't be opened.
pub async fn open(path: &Path) -> sqlx::Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(path)
        // Not WAL: a writer's exclusive lock shall stop readers, as a lock in a grown-up database does.
        .journal_mode(SqliteJournalMode::Delete)
        .busy_timeout(PATIENCE)
        .connect()
        .await
}

/// Applies those of these migrations (names and statements) that the database has not seen, each whole or not at all; their
/// names. They are remembered as Django does.
///
/// # Errors
/// When one fails, or the database stays locked.
pub async fn migrate(db: &mut SqliteConnection, all: &[(String, String)]) -> sqlx::Result<Vec<String>> {
    let remembered = "create table if not exists django_migrations (id integer primary key, app text not null, name text not \
                      null, applied text not null default current_timestamp)";
    sqlx::query(remembered).execute(&mut *db).await?;
    let mut applied = Vec::new();
    for (name, statements) in all {
        let mut tx = db.begin_with("begin immediate").await?;
        let seen = "select count(*) from django_migrations where app = 'practice' and name = ?";
        let seen: i64 = sqlx::query_scalar(seen).bind(name).fetch_one(&mut *tx).await?;
        if seen > 0 {
            continue;
        }
        sqlx::raw_sql(AssertSqlSafe(statements.as_str())).execute(&mut *tx).await?;
        let remember = "insert into django_migrations (app, name) values ('practice', ?)";
        sqlx::query(remember).bind(name).execute(&mut *tx).await?;
        tx.commit().await?;
        applied.push(name.clone());
    }
    Ok(applied)
}

/// Stores an order by a release's own statement, and the tasks that follow from it, in one transaction.
///
/// # Errors
/// When the database stays locked or the disk is full.
pub async fn place_order(db: &mut SqliteConnection, order: &str, event: i64, now_s: f64) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query(AssertSqlSafe(order)).bind(event).execute(&mut *tx).await?;
    for (queue, name) in [("checkout", "practice.cart.perform_order"), ("mail", "practice.mail.send")] {
        sqlx::query("insert into tasks (queue, name, at) values (?, ?, ?)")
            .bind(queue)
            .bind(name)
            .bind(now_s)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await
}

/// Stores so many orders of the past.
///
/// # Errors
/// When the database can't be written.
pub async fn seed(db: &mut SqliteConnection, orders: u32) -> sqlx::Result<()> {
    let sql = "with recursive n (i) as (select 1 union all select i + 1 from n where i < ?) insert into orders (event, at) \
               select 1 + i % 2, datetime('now', '-' || (i * 17) || ' minutes') from n";
    sqlx::query(sql).bind(orders).execute(db).await.map(|_| ())
}

/// What a release counts for its page, by name.
///
/// # Errors
/// When the database stays locked, or has not what the release counts.
pub async fn figures(db: &mut SqliteConnection, sql: &str) -> sqlx::Result<Vec<(String, i64)>> {
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(db).await?;
    row.columns().iter().map(|column| Ok((column.name().to_owned(), row.try_get(column.ordinal())?))).collect()
}

/// The number of orders.
///
/// # Errors
/// When the database stays locked.
pub async fn count_orders(db: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query("select count(*) from orders").fetch_one(db).await?.try_get(0)
}

/// Takes the oldest waiting task, if there is one: its queue's name and its own.
///
/// # Errors
/// When the database stays locked.
pub async fn take_task(db: &mut SqliteConnection) -> sqlx::Result<Option<String>> {
    let row = sqlx::query("delete from tasks where id = (select min(id) from tasks) returning name")
        .fetch_optional(db)
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Queues with how many tasks wait and the age of the oldest in seconds.
///
/// # Errors
/// When the database stays locked.
pub async fn queues(db: &mut SqliteConnection, now_s: f64) -> sqlx::Result<Vec<(String, i64, f64)>> {
    let rows = sqlx::query("select queue, count(*), min(at) from tasks group by queue").fetch_all(db).await?;
    rows.iter().map(|r| Ok((r.try_get(0)?, r.try_get(1)?, (now_s - r.try_get::<f64, _>(2)?).max(0.0)))).collect()
}

/// Adds to several of the worker's counters.
///
/// # Errors
/// When the database stays locked.
pub async fn add(db: &mut SqliteConnection, counters: &[(String, f64)]) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    for (name, by) in counters {
        sqlx::query("insert into counters (name, value) values (?, ?) on conflict (name) do update set value = value + excluded.value")
            .bind(name)
            .bind(by)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await
}

/// The worker's counters.
///
/// # Errors
/// When the database stays locked.
pub async fn counters(db: &mut SqliteConnection) -> sqlx::Result<Vec<(String, f64)>> {
    let rows = sqlx::query("select name, value from counters").fetch_all(db).await?;
    rows.iter().map(|r| Ok((r.try_get(0)?, r.try_get(1)?))).collect()
}

/// Holds an exclusive lock for as long as the connection returned lives.
///
/// # Errors
/// When the lock can't be had.
pub async fn lock(path: &Path) -> sqlx::Result<SqliteConnection> {
    let mut db = open(path).await?;
    sqlx::query("begin exclusive").execute(&mut db).await?;
    Ok(db)
}
