//! The practice site's database: orders, waiting tasks, and the worker's counters, in SQLite.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, Row};

/// As long as gunicorn lets a request take: a locked database makes pages hang this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the database, creating it where it isn't there.
///
/// # Errors
/// When it can't be opened or its tables can't be made.
pub async fn open(path: &Path) -> sqlx::Result<SqliteConnection> {
    let mut db = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        // Not WAL: a writer's exclusive lock shall stop readers, as a lock in a grown-up database does.
        .journal_mode(SqliteJournalMode::Delete)
        .busy_timeout(PATIENCE)
        .connect()
        .await?;
    for statement in [
        "create table if not exists orders (id integer primary key, event integer not null, at text not null default current_timestamp)",
        "create table if not exists tasks (id integer primary key, queue text not null, name text not null, at real not null)",
        "create table if not exists counters (name text primary key, value real not null)",
    ] {
        sqlx::query(statement).execute(&mut db).await?;
    }
    Ok(db)
}

/// Stores an order and the tasks that follow from it, in one transaction.
///
/// # Errors
/// When the database stays locked or the disk is full.
pub async fn place_order(db: &mut SqliteConnection, event: i64, now_s: f64) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query("insert into orders (event) values (?)").bind(event).execute(&mut *tx).await?;
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
