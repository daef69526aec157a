//! PostgreSQL 12 and later.

mod chain;
mod trouble;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{ConnectOptions, Row};

use super::{APPLICATION, millis_since};
use crate::backends::place::{self, Place};
use crate::backends::session::{Server, Then, Trouble};
use crate::config::DatabaseConfig;
use crate::domain::database::{DatabaseReading, Engine};
use crate::domain::text::plain;

/// Where a server keeps its sockets unless told otherwise: Debian's and the source's default.
const SOCKET_DIRECTORIES: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Sent with the connection, so no statement of this session can outlast them.
const SETTINGS: [(&str, &str); 3] =
    [("statement_timeout", "2s"), ("lock_timeout", "500ms"), ("idle_in_transaction_session_timeout", "5s")];

/// After, and not with, the connection: so `reset_val` still says what the application gets.
const READ_ONLY: &str = "set default_transaction_read_only = on";

/// FIELD Q-CONN and Q-ROLE. Other roles' sessions show neither type nor state without `pg_monitor`; a client's then
/// still has a database and a role. `reserved_connections` exists since 16.
const STATE: &str = "
select current_setting('server_version') as version,
       pg_is_in_recovery()
         or coalesce((select reset_val = 'on' from pg_settings where name = 'default_transaction_read_only'), false)
         as read_only,
       current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8
         - coalesce(current_setting('reserved_connections', true)::int8, 0) as usable,
       count(*) filter (where backend_type = 'client backend'
         or (backend_type is null and datid is not null and usesysid is not null)) as sessions,
       count(*) filter (where wait_event_type = 'Lock') as waiting
from pg_stat_activity";

/// One PostgreSQL database, as the application reaches it.
pub(super) struct Postgres {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: SecretString,
}

/// The session, and since when each blocker has been seen in it.
pub(super) struct PgSession {
    connection: PgConnection,
    seen: BTreeMap<i32, Instant>,
}

impl Postgres {
    /// From the application's settings.
    pub(super) fn new(config: &DatabaseConfig) -> Self {
        Self {
            host: config.host.clone(),
            port: config.port.unwrap_or(5432),
            database: config.name.clone(),
            user: config.user.clone(),
            password: config.password.clone(),
        }
    }

    fn socket(&self, directory: &Path) -> PathBuf {
        directory.join(format!(".s.PGSQL.{}", self.port))
    }

    /// The directory of the socket, where there is one to use: libpq takes the default one for an empty host.
    fn directory(&self) -> Option<PathBuf> {
        if self.host.starts_with('/') {
            return Some(PathBuf::from(&self.host));
        }
        let mut known = SOCKET_DIRECTORIES.iter().map(PathBuf::from);
        let [first, ..] = SOCKET_DIRECTORIES;
        self.host
            .is_empty()
            .then(|| known.find(|directory| self.socket(directory).exists()).unwrap_or_else(|| PathBuf::from(first)))
    }

    fn place(&self) -> Place {
        match self.directory() {
            Some(directory) => Place::Socket(self.socket(&directory)),
            None => Place::Tcp(self.host.clone(), self.port),
        }
    }

    fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .port(self.port)
            .application_name(APPLICATION)
            .ssl_mode(PgSslMode::Prefer)
            .extra_float_digits(None)
            .options(SETTINGS)
            .disable_statement_logging();
        let options = match self.directory() {
            Some(directory) => options.socket(directory),
            None => options.host(&self.host),
        };
        let options = if self.user.is_empty() { options } else { options.username(&self.user) };
        let options = if self.database.is_empty() { options } else { options.database(&self.database) };
        match self.password.expose_secret() {
            "" => options,
            password => options.password(password),
        }
    }

    fn trouble(&self, error: &sqlx::Error) -> Trouble {
        trouble::told(error, &self.place(), &self.user, &self.database)
    }
}

impl Server for Postgres {
    type Session = PgSession;
    type Answer = DatabaseReading;

    async fn connect(&self) -> Result<PgSession, Trouble> {
        let options = self.options();
        let mut connection = match options.connect().await {
            // As libpq with sslmode=prefer: where TLS fails or is not allowed, without it.
            Err(error) if self.directory().is_none() && trouble::may_pass_without_tls(&error) => {
                let plainly = options.ssl_mode(PgSslMode::Disable).connect().await;
                plainly.map_err(|error| self.trouble(&error))?
            }
            other => other.map_err(|error| self.trouble(&error))?,
        };
        let set = sqlx::raw_sql(READ_ONLY).execute(&mut connection).await;
        set.map_err(|error| Trouble { then: Then::Reconnect, ..self.trouble(&error) })?;
        Ok(PgSession { connection, seen: BTreeMap::new() })
    }

    async fn ask(&self, session: &mut PgSession) -> Result<DatabaseReading, Trouble> {
        look(session).await.map_err(|error| self.trouble(&error))
    }

    fn silent(&self, admitted: bool, seconds: u64) -> String {
        place::silent(Engine::Postgresql.name(), &self.place(), admitted, seconds)
    }
}

async fn look(session: &mut PgSession) -> Result<DatabaseReading, sqlx::Error> {
    let start = Instant::now();
    sqlx::raw_sql("select 1").fetch_one(&mut session.connection).await?;
    let latency_ms = millis_since(start);
    let row = sqlx::query(STATE).fetch_one(&mut session.connection).await?;
    let waiting = number(&row, "waiting")?;
    let blockers = if waiting == 0 {
        session.seen.clear();
        Vec::new()
    } else {
        chain::roots(&mut session.connection, &mut session.seen).await?
    };
    let version: String = row.try_get("version")?;
    Ok(DatabaseReading {
        engine: Engine::Postgresql,
        version: plain(version.split_whitespace().next().unwrap_or_default(), 40),
        latency_ms,
        sessions: Some(number(&row, "sessions")?),
        usable_sessions: Some(number(&row, "usable")?),
        waiting: Some(waiting),
        read_only: row.try_get("read_only")?,
        blockers,
    })
}

fn number(row: &PgRow, name: &str) -> Result<u32, sqlx::Error> {
    Ok(u32::try_from(row.try_get::<i64, _>(name)?).unwrap_or(0))
}
