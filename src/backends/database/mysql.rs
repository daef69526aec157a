//! MySQL 5.7 and later, and MariaDB.

use std::path::{Path, PathBuf};
use std::time::Instant;

use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow, MySqlSslMode};
use sqlx::{ConnectOptions, Row};

use super::millis_since;
use crate::backends::place::{self, Place, unreachable};
use crate::backends::session::{Server, Then, Trouble};
use crate::config::DatabaseConfig;
use crate::domain::database::{DatabaseReading, Engine, says};
use crate::domain::text::plain;

const NAME: &str = Engine::Mysql.name();

/// Where the client libraries look for the socket: Debian, Red Hat, the source's default.
const SOCKETS: [&str; 3] = ["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];

/// What bounds the session. The second and third are MariaDB's and MySQL's way to the same end, and old servers have
/// neither: only the first two must succeed.
const BOUNDS: [(&str, bool); 4] = [
    ("SET SESSION TRANSACTION READ ONLY", true),
    ("SET SESSION lock_wait_timeout = 1", true),
    ("SET SESSION max_statement_time = 2", false),
    ("SET SESSION MAX_EXECUTION_TIME = 2000", false),
];

/// FIELD Q-MY. `read_only` is 0 or 1, or since MariaDB 12 a word.
const STATE: &str = "SELECT VERSION(), CAST(@@max_connections AS CHAR), CAST(@@global.read_only AS CHAR)";
/// FIELD Q-MY: global, so other users' sessions count without the `PROCESS` privilege.
const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', 'Innodb_row_lock_current_waits')";
/// FIELD Q-MY and INC-24: metadata and table locks; row locks are in [`STATUS`].
const WAITING: &str =
    "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.processlist WHERE state LIKE 'Waiting for%lock%'";

/// One MySQL or MariaDB database, as the application reaches it.
pub(super) struct Mysql {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: SecretString,
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
        }
    }

    /// The client libraries take the socket for an empty host and for `localhost`.
    fn place(&self) -> Place {
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

impl Server for Mysql {
    type Session = MySqlConnection;
    type Answer = DatabaseReading;

    async fn connect(&self) -> Result<MySqlConnection, Trouble> {
        let mut connection = self.options().connect().await.map_err(|error| self.trouble(&error))?;
        for (bound, must) in BOUNDS {
            match sqlx::raw_sql(bound).execute(&mut connection).await {
                Err(error) if must || error.as_database_error().is_none() => return Err(self.trouble(&error)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(connection)
    }

    async fn ask(&self, connection: &mut MySqlConnection) -> Result<DatabaseReading, Trouble> {
        look(connection).await.map_err(|error| self.trouble(&error))
    }

    fn silent(&self, admitted: bool, seconds: u64) -> String {
        place::silent(NAME, &self.place(), admitted, seconds)
    }
}

async fn look(connection: &mut MySqlConnection) -> Result<DatabaseReading, sqlx::Error> {
    let start = Instant::now();
    sqlx::raw_sql("SELECT 1").fetch_one(&mut *connection).await?;
    let latency_ms = millis_since(start);
    let row = sqlx::raw_sql(STATE).fetch_one(&mut *connection).await?;
    let read_only = text(&row, 2)?;
    let mut reading = DatabaseReading {
        usable_sessions: text(&row, 1)?.parse().ok(),
        waiting: text(&sqlx::raw_sql(WAITING).fetch_one(&mut *connection).await?, 0)?.parse().ok(),
        read_only: !matches!(read_only.as_str(), "0" | "OFF"),
        ..DatabaseReading::new(Engine::Mysql, version(&text(&row, 0)?), latency_ms)
    };
    for row in sqlx::raw_sql(STATUS).fetch_all(connection).await? {
        let value: Option<u32> = text(&row, 1)?.parse().ok();
        match text(&row, 0)?.as_str() {
            "Threads_connected" => reading.sessions = value,
            "Innodb_row_lock_current_waits" => {
                reading.waiting = reading.waiting.zip(value).map(|(a, b)| a.saturating_add(b));
            }
            _ => {}
        }
    }
    Ok(reading)
}

/// A column as text; some servers declare such columns as bytes.
fn text(row: &MySqlRow, column: usize) -> Result<String, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get_unchecked(column)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `10.11.6-MariaDB-0+deb12u1` without the packager's part.
fn version(said: &str) -> String {
    let number = said.split('-').next().unwrap_or_default();
    let maker = if said.contains("MariaDB") { "-MariaDB" } else { "" };
    plain(&[number, maker].concat(), 40)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_keep_the_maker_and_drop_the_packager() {
        assert_eq!(version("10.11.6-MariaDB-0+deb12u1"), "10.11.6-MariaDB");
        assert_eq!(version("8.0.36-0ubuntu0.22.04.1"), "8.0.36");
        assert_eq!(version("8.4.3"), "8.4.3");
    }
}
