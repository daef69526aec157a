//! A MariaDB server for one drill: a child of the step, reached over a socket in the drill's own directory alone.
//!
//! The dump is restored by a user who may do nothing outside its schema, though its statements were looked at before.

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::child::Given;
use super::super::files::At;
use super::super::postgres;
use super::super::work::Tools;
use super::server::{beside, serve, unpacked};
use super::{Found, NAMED};
use crate::backends::backups::statements::tables::only_tables;
use crate::backends::database::mysql::own::{Link, reader};
use crate::domain::text::{count, plain};
use crate::runbook::plan::Command;
use crate::runbook::plan::drill::{DrillEngine, Place};
use crate::runbook::plan::mysql::{Server, literal, name};

/// The schema that is restored into, and the user who restores.
const SCHEMA: &str = "drill";
/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_mins(2);
/// How often it is asked.
const ASK: Duration = Duration::from_millis(200);
/// A larger table is not counted: its estimate is told.
const MOST_ROWS: i64 = 20_000_000;
/// What the server is told: no network, little memory, nothing flushed, for nothing of it is kept.
const SETTINGS: [&str; 9] = [
    "--skip-networking",
    "--skip-log-bin",
    "--skip-slave-start",
    "--event-scheduler=OFF",
    "--local-infile=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--max-connections=10",
];

/// One drill's server.
struct Throwaway<'d, 't, 'c, 'a> {
    tools: &'t Tools<'c>,
    at: &'d At<'a>,
    server: Server,
    user: Option<&'d str>,
    gently: &'d [String],
    place: &'d str,
    /// Whether the server has ended before its time.
    gone: watch::Sender<bool>,
}

/// Restores a dump into a server of its own, and counts what is there. Nothing of the server runs afterwards.
pub(super) async fn restore(
    tools: &Tools<'_>,
    (backup, place, engine): (&str, &Place, &DrillEngine),
    at: &mut At<'_>,
) -> Result<Found, String> {
    let DrillEngine::Maria { install, server: program, client, user, gently, packed } = engine else {
        return Err("it is no drill of MariaDB".to_owned());
    };
    let path = if *packed { unpacked(only_tables, backup, place, at).await? } else { backup.to_owned() };
    let server = Server {
        client: client.clone(),
        socket: Some(format!("{}/socket", place.path)),
        host: String::new(),
        port: 0,
        user: "root".to_owned(),
        password: false,
        identity: String::new(),
    };
    let (user, place, gone) = (user.as_deref(), place.path.as_str(), watch::Sender::new(false));
    let drill = Throwaway { tools, at, server, user, gently, place, gone };
    drill.make(install).await?;
    let (end, ended) = watch::channel(false);
    let command = drill.command(drill.serving(program));
    let serving = serve((tools, drill.at), &command, ended);
    Box::pin(beside(drill.fill(&path), serving, (&drill.gone, &end))).await
}

impl Throwaway<'_, '_, '_, '_> {
    /// A program of the server's user, with the lowest priority.
    fn command(&self, words: Vec<String>) -> Command {
        let argv = self.gently.iter().cloned().chain(words).collect();
        Command { argv, user: self.user.map(str::to_owned), ..Command::default() }
    }

    async fn run(&self, words: Vec<String>, input: Option<&Path>) -> Result<String, String> {
        let (command, given) = (self.command(words), Given { input, ..Given::default() });
        let limits = (self.at.deadline, self.at.stop.clone());
        postgres::program(self.tools, (self.at.run, &command, given), self.at.step, limits, &self.at.signs).await
    }

    /// Makes the files of an empty server. Whoever gets through to the socket is the server's user, or root.
    async fn make(&self, install: &str) -> Result<(), String> {
        let options = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--force"];
        let mut words = vec![install.to_owned()];
        words.extend(options.map(str::to_owned));
        // A server that starts removes what looks like temporary tables where they are: another server's, in use, too.
        words.extend([format!("--datadir={}/data", self.place), format!("--tmpdir={}", self.place)]);
        self.run(words, None).await.map(|_| ())
    }

    /// The words that run the server.
    fn serving(&self, program: &str) -> Vec<String> {
        let place = self.place;
        let mut words = vec![program.to_owned(), "--no-defaults".to_owned(), format!("--datadir={place}/data")];
        words.extend(SETTINGS.map(str::to_owned));
        words.extend([
            format!("--socket={place}/socket"),
            format!("--pid-file={place}/pid"),
            format!("--tmpdir={place}"),
            format!("--secure-file-priv={place}"),
        ]);
        words
    }

    /// Waits until the server answers.
    async fn answers(&self) -> Result<Link, String> {
        let until = (Instant::now() + ANSWER).min(self.at.deadline);
        loop {
            let why = match reader(&self.server, None).await {
                Ok(link) => return Ok(link),
                Err(why) => why,
            };
            if *self.gone.borrow() {
                return Err("the throw-away server has ended".to_owned());
            }
            if *self.at.stop.borrow() {
                return Err("stopped by the operator".to_owned());
            }
            if Instant::now() >= until {
                return Err(format!("the throw-away server does not answer: {why}"));
            }
            sleep(ASK).await;
        }
    }

    /// Restores, and counts.
    async fn fill(&self, path: &str) -> Result<Found, String> {
        let mut link = self.answers().await?;
        let mut words = self.server.words(&self.server.client);
        words.extend([
            "--batch".to_owned(),
            format!(
                "--execute=create database {SCHEMA} character set utf8mb4; create user {SCHEMA}@localhost; grant all on \
                 {SCHEMA}.* to {SCHEMA}@localhost"
            ),
        ]);
        self.run(words, None).await?;
        let restorer = Server { user: SCHEMA.to_owned(), ..self.server.clone() };
        let mut words = restorer.words(&restorer.client);
        words.extend(
            ["--binary-mode", "--batch", "--default-character-set=utf8mb4", "--local-infile=0"].map(str::to_owned),
        );
        words.push(format!("--database={SCHEMA}"));
        let begun = Instant::now();
        self.run(words, Some(Path::new(path))).await?;
        let took = begun.elapsed();
        let said = counted(&mut link).await?;
        link.close().await;
        Ok(Found { took, said })
    }
}

/// What is there now, in sentences.
async fn counted(link: &mut Link) -> Result<Vec<String>, String> {
    let sql = format!(
        "SELECT table_name, CAST(COALESCE(table_rows, 0) AS CHAR) FROM information_schema.tables WHERE table_schema = {} \
         AND table_type <> 'VIEW' ORDER BY table_rows DESC, table_name",
        literal(SCHEMA)
    );
    let tables = link.ask(&sql).await?;
    let mut said = vec![count(tables.len() as u64, "table")];
    let (mut rows, mut migrations) = (0_i64, false);
    for (at, row) in tables.into_iter().enumerate() {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let (table, estimated) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        migrations |= table == "django_migrations";
        if at >= NAMED {
            continue;
        }
        let estimated = estimated.parse::<i64>().unwrap_or_default();
        let there = if estimated > MOST_ROWS { estimated } else { link.count(SCHEMA, &table).await? };
        rows += there;
        said.push(format!("{}: {there} rows", plain(&table, 60)));
    }
    if rows == 0 {
        return Err("no row of any table is in it".to_owned());
    }
    if migrations {
        let sql =
            format!("SELECT CONCAT(app, '.', name) FROM {}.django_migrations ORDER BY id DESC LIMIT 1", name(SCHEMA));
        let newest = link.one(&sql).await?;
        said.extend(newest.map(|newest| format!("newest migration {}", plain(&newest, 80))));
    }
    Ok(said)
}
