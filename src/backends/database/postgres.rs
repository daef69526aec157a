//! PostgreSQL 12 and later.

mod chain;
mod ground;
mod look;
mod trouble;
mod upkeep;
mod wal;

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::APPLICATION;
use crate::backends::contained;
use crate::backends::place::{self, Place};
use crate::backends::session::{Server, Then, Trouble};
use crate::config::{Contained, DatabaseConfig};
use crate::domain::database::{DatabaseReading, Engine, Migrated};
use ground::Ground;
use look::PgSession;

/// Where a server keeps its sockets unless told otherwise: Debian's and the source's default.
const SOCKET_DIRECTORIES: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Sent with the connection, so no statement of this session can outlast them.
const SETTINGS: [(&str, &str); 3] =
    [("statement_timeout", "2s"), ("lock_timeout", "500ms"), ("idle_in_transaction_session_timeout", "5s")];

/// After, and not with, the connection: so `reset_val` still says what the application gets.
const READ_ONLY: &str = "set default_transaction_read_only = on";

/// One PostgreSQL database, as the application reaches it.
pub(super) struct Postgres {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: SecretString,
    container: Option<Contained>,
    ground: Ground,
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
            container: config.container.clone(),
            ground: Ground::new(&config.host, config.port.unwrap_or(5432)),
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
        match (&self.container, self.directory()) {
            (Some(container), _) => Place::Tcp(container.to_string(), self.port),
            (None, Some(directory)) => Place::Socket(self.socket(&directory)),
            (None, None) => Place::Tcp(self.host.clone(), self.port),
        }
    }

    /// [`Self::options`], for where it is now.
    pub(super) async fn found(&self) -> Result<PgConnectOptions, Trouble> {
        match &self.container {
            None => Ok(self.options()),
            Some(container) => match contained::address(container).await {
                Ok(host) => Ok(self.options().host(&host)),
                Err(why) => Err(Trouble::new(why, Then::Reconnect)),
            },
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

    pub(super) fn trouble(&self, error: &sqlx::Error) -> Trouble {
        trouble::told(error, &self.place(), &self.user, &self.database)
    }
}

impl Server for Postgres {
    type Session = PgSession;
    type Answer = DatabaseReading;

    async fn connect(&self) -> Result<PgSession, Trouble> {
        match self.admitted().await {
            Ok(session) => Ok(session),
            Err(trouble) => Err(self.ground.explained(trouble).await),
        }
    }

    async fn ask(&self, session: &mut PgSession) -> Result<DatabaseReading, Trouble> {
        session.look(&self.ground, &self.user).await.map_err(|error| self.trouble(&error))
    }

    fn silent(&self, admitted: bool, seconds: u64) -> String {
        place::silent(Engine::Postgresql.name(), &self.place(), admitted, seconds)
    }
}

impl Postgres {
    /// Only the migrations, whatever else a look would ask.
    pub(super) async fn migrations(&self) -> Result<Option<Vec<Migrated>>, Trouble> {
        let mut session = self.connect().await?;
        session.migrations().await.map_err(|error| self.trouble(&error))
    }

    async fn admitted(&self) -> Result<PgSession, Trouble> {
        let options = self.found().await?;
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
        Ok(PgSession::new(connection))
    }
}
