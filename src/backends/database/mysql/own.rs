//! Sessions of their own on a MySQL or MariaDB server, for questions around a restore.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::Mysql;
use crate::config::DatabaseConfig;
use crate::runbook::plan::mysql::{HELD, MARK, RESTORE, Server, literal, name};

/// How long a session is waited for.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer is waited for: a large table is counted.
const ANSWER: Duration = Duration::from_mins(10);

/// The rows of an answer, as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// A session.
pub struct Link {
    /// The session itself.
    pub connection: MySqlConnection,
    server: Mysql,
}

impl Mysql {
    /// A server as a plan names it; the password is that of the site's configuration.
    fn at(server: &Server, password: Option<&SecretString>) -> Self {
        let password = password.filter(|_| server.password).cloned();
        Self {
            host: server.socket.clone().unwrap_or_else(|| server.host.clone()),
            port: server.port,
            database: String::new(),
            user: server.user.clone(),
            password: password.unwrap_or_default(),
            container: None,
        }
    }

    async fn link(self) -> Result<Link, String> {
        let options = self.found().await.map_err(|trouble| trouble.sentence)?;
        match tokio::time::timeout(CONNECT, options.connect()).await {
            Ok(Ok(connection)) => Ok(Link { connection, server: self }),
            Ok(Err(error)) => Err(self.trouble(&error).sentence),
            Err(_) => Err(format!("{} has not answered within {} s", super::NAME, CONNECT.as_secs())),
        }
    }
}

/// A session in the site's own role, that only reads.
///
/// # Errors
/// A sentence, where there is none to be had.
pub async fn of_site(config: &DatabaseConfig) -> Result<Link, String> {
    reading(Mysql::new(config).link().await?).await
}

/// A session as a plan's server names it, that only reads.
///
/// # Errors
/// As [`of_site`].
pub async fn reader(server: &Server, password: Option<&SecretString>) -> Result<Link, String> {
    reading(Mysql::at(server, password).link().await?).await
}

/// The same, that may act: for the hands alone.
///
/// # Errors
/// As [`of_site`]; and where it is another server than the one that was seen.
pub async fn hand(server: &Server, password: Option<&SecretString>) -> Result<Link, String> {
    let mut link = Mysql::at(server, password).link().await?;
    let identity = link.identity().await?;
    if identity != server.identity {
        return Err(format!("this is another server: it was {}, is {identity}", server.identity));
    }
    Ok(link)
}

async fn reading(mut link: Link) -> Result<Link, String> {
    let bound = sqlx::raw_sql("SET SESSION TRANSACTION READ ONLY").execute(&mut link.connection).await;
    bound.map_err(|error| link.sentence(&error))?;
    Ok(link)
}

impl Link {
    /// What a mistake of the server means, in a sentence without the password.
    pub fn sentence(&self, error: &sqlx::Error) -> String {
        self.server.trouble(error).sentence
    }

    /// What the server answers.
    ///
    /// # Errors
    /// A sentence: it refuses, or no answer has come.
    pub async fn ask(&mut self, sql: &str) -> Result<Rows, String> {
        let asked = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.connection);
        let rows = match tokio::time::timeout(ANSWER, asked).await {
            Ok(rows) => rows.map_err(|error| self.server.trouble(&error).sentence)?,
            Err(_) => return Err(format!("{} has not answered within {} s", super::NAME, ANSWER.as_secs())),
        };
        // Some servers declare text as bytes.
        let cell = |row: &MySqlRow, column| -> Result<Option<String>, sqlx::Error> {
            let bytes = row.try_get_unchecked::<Option<Vec<u8>>, _>(column)?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let cells = |row: &MySqlRow| (0..row.len()).map(|column| cell(row, column)).collect::<Result<Vec<_>, _>>();
        rows.iter().map(|row| cells(row).map_err(|error| self.sentence(&error))).collect()
    }

    /// The first cell of the first row.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn one(&mut self, sql: &str) -> Result<Option<String>, String> {
        Ok(self.ask(sql).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// The first cells of all rows.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn list(&mut self, sql: &str) -> Result<Vec<String>, String> {
        Ok(self.ask(sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// Which server it is: where it runs, and what it calls itself.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn identity(&mut self) -> Result<String, String> {
        let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                   ('hostname', 'port', 'datadir', 'server_id', 'server_uid', 'server_uuid')";
        let mut known: Vec<_> = self.ask(sql).await?.into_iter().map(pair).collect();
        known.sort();
        Ok(known.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", "))
    }

    /// Names of a schema's tables, with the mark where it has one, without views.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn tables(&mut self, schema: &str) -> Result<Vec<String>, String> {
        let sql = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_type <> 'VIEW' \
             ORDER BY table_name",
            literal(schema)
        );
        self.list(&sql).await
    }

    /// Whether there is such a schema.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn exists(&mut self, schema: &str) -> Result<bool, String> {
        let sql = format!("SELECT 1 FROM information_schema.schemata WHERE schema_name = {}", literal(schema));
        Ok(self.one(&sql).await?.is_some())
    }

    /// The comment of a schema's mark; `None`: it has none.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn mark(&mut self, schema: &str) -> Result<Option<String>, String> {
        let sql = format!(
            "SELECT table_comment FROM information_schema.tables WHERE table_schema = {} AND table_name = {}",
            literal(schema),
            literal(MARK)
        );
        self.one(&sql).await
    }

    /// Whether somebody has this lock.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn taken(&mut self, lock: &str) -> Result<bool, String> {
        Ok(self.one(&format!("SELECT IS_USED_LOCK({})", literal(lock))).await?.is_some())
    }

    /// How many rows a table has, counted.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn count(&mut self, schema: &str, table: &str) -> Result<i64, String> {
        let counted = self.one(&format!("SELECT COUNT(*) FROM {}.{}", name(schema), name(table))).await?;
        counted.and_then(|n| n.parse().ok()).ok_or_else(|| format!("{table} can't be counted"))
    }
}

/// The first two cells.
pub(super) fn pair(row: Vec<Option<String>>) -> (String, String) {
    let mut cells = row.into_iter().map(Option::unwrap_or_default);
    (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
}

/// Which schema of that name there is, on which server; `None`: there is none. Is the same while it has the same tables.
///
/// # Errors
/// A sentence, where it can't be seen.
pub(crate) async fn database(config: &DatabaseConfig, schema: &str) -> Result<Option<String>, String> {
    let server = super::reach::reach(config).await?;
    let mut link = reader(&server, Some(&config.password)).await?;
    if !link.exists(schema).await? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT CAST(COUNT(*) AS CHAR), CAST(MAX(create_time) AS CHAR) FROM information_schema.tables \
         WHERE table_schema = {} AND table_type <> 'VIEW'",
        literal(schema)
    );
    let (tables, newest) = link.ask(&sql).await?.into_iter().next().map(pair).unwrap_or_default();
    let part = link.one("SELECT CAST(@@global.read_only AS CHAR)").await?;
    let part = if matches!(part.as_deref(), Some("0" | "OFF")) { "takes writes" } else { "read-only" };
    let newest = if newest.is_empty() { String::new() } else { format!(", the newest of {newest}") };
    Ok(Some(format!("server {} · {part} · {tables} tables{newest}", server.identity)))
}

/// What a dump of the site's database will be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dumped {
    /// Whether the server is MariaDB.
    pub maria: bool,
    /// Bytes of its tables.
    pub bytes: u64,
    /// Tables that know no transactions.
    pub others: Vec<String>,
}

/// Looks what a dump of the site's database will be of.
///
/// # Errors
/// A sentence, where it can't be seen.
pub async fn dumped(config: &DatabaseConfig) -> Result<Dumped, String> {
    plain_name(&config.name)?;
    let mut link = of_site(config).await?;
    let maria = link.one("SELECT VERSION()").await?.is_some_and(|version| version.contains("MariaDB"));
    let bytes = bytes(&mut link).await?;
    let sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND \
               table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND engine <> 'InnoDB' ORDER BY table_name";
    let others = link.list(sql).await?;
    link.close().await;
    Ok(Dumped { maria, bytes, others })
}

/// How many bytes the tables of the session's database have.
async fn bytes(link: &mut Link) -> Result<u64, String> {
    let sql = "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS CHAR) FROM information_schema.tables \
               WHERE table_schema = DATABASE()";
    Ok(link.one(sql).await?.and_then(|bytes| bytes.split('.').next()?.parse().ok()).unwrap_or(0))
}

/// A schema that is held: its name, the comment of its mark, its bytes.
pub(crate) async fn held(config: &DatabaseConfig) -> Result<Vec<(String, String, Option<u64>)>, String> {
    let server = super::reach::reach(config).await?;
    let mut link = reader(&server, Some(&config.password)).await?;
    let begin = format!("{}{HELD}", config.name);
    let sql = format!(
        "SELECT m.table_schema, m.table_comment, CAST((SELECT SUM(t.data_length + t.index_length) FROM \
         information_schema.tables t WHERE t.table_schema = m.table_schema) AS CHAR) FROM information_schema.tables m \
         WHERE LEFT(m.table_schema, {}) = {} AND m.table_name = {} ORDER BY m.table_schema DESC",
        begin.chars().count(),
        literal(&begin),
        literal(MARK)
    );
    let rows = link.ask(&sql).await?;
    let one = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter();
        let (schema, comment) = (cells.next()??, cells.next()?.unwrap_or_default());
        Some((schema, comment, cells.next().flatten().and_then(|bytes| bytes.split('.').next()?.parse().ok())))
    };
    Ok(rows.into_iter().filter_map(one).collect())
}

/// What a name must not hold, for another to be made from it.
pub(super) fn plain_name(schema: &str) -> Result<(), String> {
    let longest = 64 - HELD.len().max(RESTORE.len()) - "20260101000000_back".len();
    let good = |c: char| !c.is_control() && !matches!(c, '`' | '\'' | '"' | '\\' | '/' | '.');
    if schema.is_empty() || !schema.chars().all(good) {
        return Err("the database's name has characters that midwatch puts into no statement".to_owned());
    }
    if schema.chars().count() > longest {
        return Err(format!("the name {schema} is too long for another beside it: at most {longest} characters"));
    }
    Ok(())
}

impl Link {
    /// Ends the session.
    pub async fn close(self) {
        self.connection.close().await.ok();
    }
}
