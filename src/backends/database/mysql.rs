//! MySQL 5.7 and later, and MariaDB.

mod chain;
pub mod collations;
pub mod dump;
pub mod facts;
mod look;
pub mod own;
pub mod reach;

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlSslMode};

use crate::backends::contained;
use crate::backends::place::{self, Place, unreachable};
use crate::backends::session::{Server, Then, Trouble};
use crate::config::{Contained, DatabaseConfig};
use crate::domain::database::{DatabaseReading, Engine, Migrated, says};
use crate::domain::text::plain;
use look::MySession;

const NAME: &str = Engine::Mysql.name();

/// Where the client libraries look for the socket: Debian, Red Hat, the source's default.
const SOCKETS: [&str; 3] = ["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];

/// What bounds the session. The third and fourth are MariaDB's and MySQL's way to the same end, and old servers have
/// neither; the last is for MySQL 8, which else answers from what it knew a day ago. Only the first two must succeed.
const BOUNDS: [(&str, bool); 5] = [
    ("SET SESSION TRANSACTION READ ONLY", true),
    ("SET SESSION lock_wait_timeout = 1", true),
    ("SET SESSION max_statement_time = 2", false),
    ("SET SESSION MAX_EXECUTION_TIME = 2000", false),
    ("SET SESSION information_schema_stats_expiry = 0", false),
];

/// One MySQL or MariaDB database, as the application reaches it.
pub(super) struct Mysql {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: SecretString,
    container: Option<Contained>,
}

impl Mysql {
    /// From the application's settings.
    pub(super) fn new(config: &DatabaseConfig) -> Self {
        Self {
            host: config.host.clone(),
            port: config.port.unwrap_or(3306),
            database: config.name.clone(),
            user: config.user.clone(),
            password: config.password.clone(),
            container: config.container.clone(),
        }
    }

    /// [`Self::options`], for where it is now.
    async fn found(&self) -> Result<MySqlConnectOptions, Trouble> {
        match &self.container {
            None => Ok(self.options()),
            Some(container) => match contained::address(container).await {
                Ok(host) => Ok(self.options().host(&host).port(self.port)),
                Err(why) => Err(Trouble::new(why, Then::Reconnect)),
            },
        }
    }

    /// The client libraries take the socket for an empty host and for `localhost`.
    fn place(&self) -> Place {
        if let Some(container) = &self.container {
            return Place::Tcp(container.to_string(), self.port);
        }
        if self.host.starts_with('/') {
            return Place::Socket(PathBuf::from(&self.host));
        }
        let local = self.host.is_empty() || self.host == "localhost";
        match SOCKETS.iter().find(|path| local && Path::new(path).exists()) {
            Some(path) => Place::Socket(PathBuf::from(path)),
            None if self.host.is_empty() => Place::Tcp("localhost".to_owned(), self.port),
            None => Place::Tcp(self.host.clone(), self.port),
        }
    }

    fn options(&self) -> MySqlConnectOptions {
        let options = MySqlConnectOptions::new()
            .username(&self.user)
            .ssl_mode(MySqlSslMode::Preferred)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .disable_statement_logging();
        let options = match self.place() {
            Place::Socket(path) => options.socket(path),
            Place::Tcp(host, port) => options.host(&host).port(port),
        };
        let options = if self.database.is_empty() { options } else { options.database(&self.database) };
        match self.password.expose_secret() {
            "" => options,
            password => options.password(password),
        }
    }

    fn trouble(&self, error: &sqlx::Error) -> Trouble {
        let place = self.place();
        if let sqlx::Error::Io(error) = error {
            return unreachable(NAME, &place, error);
        }
        if let Some(error) = error.as_database_error().and_then(|e| e.try_downcast_ref::<MySqlDatabaseError>()) {
            return self.refused(error, &place);
        }
        let what = plain(&error.to_string(), 160);
        Trouble::new(format!("{NAME} at {place} can't be talked to: {what}."), Then::Reconnect)
    }

    fn refused(&self, error: &MySqlDatabaseError, place: &Place) -> Trouble {
        let said = plain(error.message(), 160);
        let (user, database) = (plain(&self.user, 60), plain(&self.database, 60));
        match error.number() {
            1045 | 1698 => Trouble::new(
                format!(
                    "{NAME} at {place} refuses user {user} or the password. Compare them with the application's settings."
                ),
                Then::Rest,
            ),
            1044 | 1049 => Trouble::new(
                format!("{NAME} at {place} has no database {database} for user {user} ({said})."),
                Then::Reconnect,
            ),
            1129 | 1130 => Trouble::new(format!("{NAME} at {place} does not let this host in ({said})."), Then::Rest),
            1040 | 1203 | 1226 => Trouble::new(
                format!("{NAME} at {place} {} ({said}): find out who holds them.", says::FULL),
                Then::Reconnect,
            ),
            1053 | 1079 | 1927 | 4031 => {
                Trouble::new(format!("{NAME} at {place} ended midwatch's session: {said}."), Then::Reconnect)
            }
            1969 | 3024 | 1205 => Trouble::new(
                format!("{NAME} at {place} took too long over a look at its own state ({said}): it is overloaded."),
                Then::Stay,
            ),
            number => Trouble::new(format!("{NAME} at {place} answers with an error: {said} ({number})."), Then::Stay),
        }
    }
}

impl Mysql {
    /// Only the migrations, whatever else a look would ask.
    pub(super) async fn migrations(&self) -> Result<Option<Vec<Migrated>>, Trouble> {
        let mut session = self.connect().await?;
        session.migrations().await.map_err(|error| self.trouble(&error))
    }
}

impl Server for Mysql {
    type Session = MySession;
    type Answer = DatabaseReading;

    async fn connect(&self) -> Result<MySession, Trouble> {
        let options = self.found().await?;
        let mut connection = options.connect().await.map_err(|error| self.trouble(&error))?;
        for (bound, must) in BOUNDS {
            match sqlx::raw_sql(bound).execute(&mut connection).await {
                Err(error) if must || error.as_database_error().is_none() => return Err(self.trouble(&error)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(MySession::new(connection))
    }

    async fn ask(&self, session: &mut MySession) -> Result<DatabaseReading, Trouble> {
        session.look(&self.user).await.map_err(|error| self.trouble(&error))
    }

    fn silent(&self, admitted: bool, seconds: u64) -> String {
        place::silent(NAME, &self.place(), admitted, seconds)
    }
}
