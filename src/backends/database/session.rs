//! One session of a database: which it is.

use sqlx::{ConnectOptions, Connection, Row};

use super::mysql::own;
use super::postgres::Postgres;
use crate::config::DatabaseConfig;
use crate::domain::database::Engine;
use crate::domain::text::plain;

/// The database that every server has, for sessions that are about no other.
const MAINTENANCE: &str = "postgres";

/// A connection for one question, and what tells its mistakes.
///
/// # Errors
/// A sentence, where there is none to be had.
pub(crate) async fn connection(config: &DatabaseConfig) -> Result<sqlx::PgConnection, String> {
    only_postgres(config)?;
    Postgres::new(config).own().await
}

/// A connection to the server's maintenance database, in the site's role, under a name of its own.
///
/// # Errors
/// As [`connection`].
pub(crate) async fn beside(config: &DatabaseConfig, name: &str) -> Result<sqlx::PgConnection, String> {
    only_postgres(config)?;
    let postgres = Postgres::new(config);
    let options = postgres.found().await.map_err(|trouble| trouble.sentence)?;
    postgres.connected(options.database(MAINTENANCE).application_name(name).connect()).await
}

/// What a mistake of the server means, in a sentence without the password.
pub(crate) fn sentence(config: &DatabaseConfig, error: &sqlx::Error) -> String {
    Postgres::new(config).sentence(error)
}

/// Which session of that number there is: whose, since when, and which transaction it is in. `None`: there is none.
///
/// # Errors
/// A sentence, where it can't be seen.
pub(crate) async fn identity(config: &DatabaseConfig, pid: i64) -> Result<Option<String>, String> {
    only_postgres(config)?;
    let sql = "select usename::text, backend_start::text, coalesce(xact_start::text, '') from pg_stat_activity \
               where pid = $1 and backend_type = 'client backend'";
    let postgres = Postgres::new(config);
    let mut connection = postgres.own().await?;
    let row = sqlx::query(sql).bind(i32::try_from(pid).unwrap_or(-1)).fetch_optional(&mut connection).await;
    connection.close().await.ok();
    let row = row.map_err(|error| postgres.sentence(&error))?;
    let told = |row: sqlx::postgres::PgRow| {
        let text = |at: usize| row.try_get::<Option<String>, _>(at).ok().flatten().unwrap_or_default();
        let transaction = if text(2).is_empty() { String::new() } else { format!(" · transaction of {}", text(2)) };
        plain(&format!("{} · connected {}{transaction}", text(0), text(1)), 200)
    };
    Ok(row.map(told))
}

/// Which database of that name there is, on which server; `None`: there is none. Is the same exactly while it is the same
/// database of the same server in the same part.
///
/// # Errors
/// A sentence, where it can't be seen.
pub(crate) async fn database(config: &DatabaseConfig, name: &str) -> Result<Option<String>, String> {
    if config.engine == Engine::Mysql {
        return Box::pin(own::database(config, name)).await;
    }
    only_postgres(config)?;
    let sql = "select s.system_identifier::text, d.oid::bigint, c.timeline_id, pg_is_in_recovery(), \
               coalesce(host(inet_server_addr()), 'socket') || ':' || current_setting('port') \
               from pg_database d, pg_control_system() s, pg_control_checkpoint() c where d.datname = $1";
    let postgres = Postgres::new(config);
    let mut connection = postgres.own().await?;
    let row = sqlx::query(sql).bind(name).fetch_optional(&mut connection).await;
    connection.close().await.ok();
    let Some(row) = row.map_err(|error| postgres.sentence(&error))? else { return Ok(None) };
    let wrong = |error: sqlx::Error| postgres.sentence(&error);
    let part = if row.try_get(3).map_err(wrong)? { "standby" } else { "primary" };
    let (system, oid): (String, i64) = (row.try_get(0).map_err(wrong)?, row.try_get(1).map_err(wrong)?);
    let (timeline, place): (i32, String) = (row.try_get(2).map_err(wrong)?, row.try_get(4).map_err(wrong)?);
    Ok(Some(plain(&format!("server {system} · {place} · database {oid} · timeline {timeline} · {part}"), 200)))
}

/// How many bytes the database has.
///
/// # Errors
/// A sentence, where it can't be seen.
pub(crate) async fn size(config: &DatabaseConfig) -> Result<u64, String> {
    only_postgres(config)?;
    let postgres = Postgres::new(config);
    let mut connection = postgres.own().await?;
    let row = sqlx::query("select pg_database_size(current_database())").fetch_one(&mut connection).await;
    connection.close().await.ok();
    let size = row.and_then(|row| row.try_get::<i64, _>(0)).map_err(|error| postgres.sentence(&error))?;
    Ok(u64::try_from(size).unwrap_or(0))
}

/// The server's major version.
///
/// # Errors
/// A sentence, where it can't be seen.
pub(crate) async fn major(config: &DatabaseConfig) -> Result<u32, String> {
    only_postgres(config)?;
    let postgres = Postgres::new(config);
    let mut connection = postgres.own().await?;
    let row = sqlx::query("select current_setting('server_version_num')::int / 10000").fetch_one(&mut connection).await;
    connection.close().await.ok();
    let major: i32 = row.and_then(|row| row.try_get(0)).map_err(|error| postgres.sentence(&error))?;
    Ok(u32::try_from(major).unwrap_or(0))
}

fn only_postgres(config: &DatabaseConfig) -> Result<(), String> {
    match config.engine {
        Engine::Postgresql => Ok(()),
        Engine::Mysql | Engine::Sqlite => {
            Err(format!("sessions of {} are not ended by midwatch: only PostgreSQL's are", config.engine.name()))
        }
    }
}

impl Postgres {
    /// A connection of its own, for one question.
    async fn own(&self) -> Result<sqlx::PgConnection, String> {
        let options = self.found().await.map_err(|trouble| trouble.sentence)?;
        self.connected(options.connect()).await
    }

    async fn connected(
        &self,
        connecting: impl Future<Output = sqlx::Result<sqlx::PgConnection>>,
    ) -> Result<sqlx::PgConnection, String> {
        let limit = std::time::Duration::from_secs(5);
        match tokio::time::timeout(limit, connecting).await {
            Ok(connected) => connected.map_err(|error| self.sentence(&error)),
            Err(_) => Err(format!("PostgreSQL has not answered within {} s", limit.as_secs())),
        }
    }

    fn sentence(&self, error: &sqlx::Error) -> String {
        self.trouble(error).sentence
    }
}
