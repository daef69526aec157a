//! A PostgreSQL server for one drill: a child of the step, reached over a socket in the drill's own directory alone.
//!
//! The backup is restored by a role that owns the database and is no superuser, as a restore into the server in use is:
//! code in a backup gets no rights beyond it.

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::super::child::{self, End, Given, Job, Limits, News};
use super::super::files::{At, aside, begin};
use super::super::postgres;
use super::super::work::Tools;
use super::super::{acts, acts::Sign};
use super::{Found, GRACE, NAMED};
use crate::backends::backups::unpack::Unpacker;
use crate::backends::backups::{program, unpack};
use crate::backends::database::psql;
use crate::domain::text::{count, plain};
use crate::runbook::plan::Command;
use crate::runbook::plan::drill::{DrillEngine, Place};
use crate::runbook::plan::postgres::{Server, literal, name};

/// The superuser of the throw-away server: no application's role is called so.
const SUPERUSER: &str = "midwatch_drill";
/// The database that is restored into.
const DATABASE: &str = "drill";
/// A socket's number; nobody else has one in that directory.
const PORT: u16 = 5432;
/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_mins(2);
/// How often it is asked.
const ASK: Duration = Duration::from_millis(200);
/// A larger table is not counted: its estimate is told.
const MOST_ROWS: i64 = 20_000_000;
/// What the server is told: no network, little memory, nothing flushed, for nothing of it is kept.
const SETTINGS: [&str; 13] = [
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "shared_buffers=32MB",
    "max_connections=10",
    "max_wal_size=256MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "logging_collector=off",
    "log_destination=stderr",
    "dynamic_shared_memory_type=mmap",
];

/// One drill's server.
struct Throwaway<'d, 't, 'c, 'a> {
    tools: &'t Tools<'c>,
    at: &'d At<'a>,
    server: Server,
    gently: &'d [String],
    place: &'d str,
    /// Whether the server has ended before its time.
    gone: watch::Sender<bool>,
}

/// Restores a backup into a server of its own, and counts what is there. Nothing of the server runs afterwards.
pub(super) async fn restore(
    tools: &Tools<'_>,
    (backup, place, engine): (&str, &Place, &DrillEngine),
    at: &mut At<'_>,
) -> Result<Found, String> {
    let DrillEngine::Postgres { programs, user, gently, owner, roles, sql, packed, directory } = engine else {
        return Err("it is no drill of PostgreSQL".to_owned());
    };
    let path = if *packed { unpacked(unpack::unpack, backup, place, at).await? } else { backup.to_owned() };
    let server = Server {
        programs: programs.clone(),
        user: user.clone(),
        host: place.path.clone(),
        port: PORT,
        role: SUPERUSER.to_owned(),
        password: false,
        system: String::new(),
    };
    let drill = Throwaway { tools, at, server, gently, place: &place.path, gone: watch::Sender::new(false) };
    drill.make().await?;
    let (end, ended) = watch::channel(false);
    let work = drill.fill((&path, *sql, *directory), (owner, roles));
    Box::pin(beside(work, drill.serve(ended), (&drill.gone, &end))).await
}

/// Does what is to be done on a server while it serves, and ends it (`end`) then; `gone` is told if it ends before its time.
pub(super) async fn beside(
    work: impl Future<Output = Result<Found, String>>,
    serving: impl Future<Output = String>,
    (gone, end): (&watch::Sender<bool>, &watch::Sender<bool>),
) -> Result<Found, String> {
    let work = async {
        let found = work.await;
        end.send_replace(true);
        found
    };
    let mut work = std::pin::pin!(work);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        why = &mut serving => {
            // What speaks to it ends by itself, and is waited for.
            gone.send_replace(true);
            work.await.and(Err(why))
        }
        found = &mut work => {
            serving.await;
            found
        }
    }
}

/// Unpacks the backup beside the server; where it lies then.
pub(super) async fn unpacked(
    unpacker: Unpacker,
    backup: &str,
    place: &Place,
    at: &mut At<'_>,
) -> Result<String, String> {
    let (from, to) = (backup.to_owned(), super::unpacked(place));
    let path = to.clone();
    aside(at, move |control| {
        let mut file = begin(&to)?;
        unpacker(Path::new(&from), &program::Tools::find(), control, &mut file).map(|_| ())
    })
    .await?;
    Ok(path)
}

/// Keeps a server running until it is told to end; why it has ended.
pub(super) async fn serve(
    (tools, at): (&Tools<'_>, &At<'_>),
    command: &Command,
    ended: watch::Receiver<bool>,
) -> String {
    let (step, attempt) = at.step;
    let record = match acts::record(&tools.state, at.run, &format!("{step}-{attempt}-server")) {
        Ok(record) => record,
        Err(why) => return why,
    };
    let timeout = at.deadline.saturating_duration_since(Instant::now()) + GRACE;
    let limits = Limits { timeout, grace: GRACE, silence: timeout };
    let midwatch = Path::new(child::MYSELF);
    // Without the lock: whatever else holds that is ended when a program of the step has ended.
    let job = Job { command, lock: None, record: &record, midwatch, limits, given: Given::default() };
    let (sender, mut news) = mpsc::channel(64);
    let heard = async {
        let mut fatal = String::new();
        while let Some(one) = news.recv().await {
            match one {
                News::Started(child) => {
                    at.signs.send(Sign::Started(step, attempt, child)).await.ok();
                }
                News::Printed(_, text) => {
                    let wrong = |line: &&str| ["FATAL", "PANIC", "[ERROR]"].iter().any(|word| line.contains(word));
                    fatal = text.lines().find(wrong).map_or(fatal, str::to_owned);
                }
                News::Passed { .. } | News::Silent(_) => {}
            }
        }
        fatal
    };
    let (finished, fatal) = tokio::join!(child::run(&job, sender, ended), heard);
    let how = match finished.end {
        End::Exited(code) => format!("exit {code}"),
        End::Signalled(signal) => format!("signal {signal}"),
        End::TimedOut => "its time was over".to_owned(),
        End::Stopped => "it was stopped".to_owned(),
        End::NotStarted(why) => why,
    };
    format!("the throw-away server has ended: {how} {}", plain(&fatal, 200)).trim_end().to_owned()
}

impl Throwaway<'_, '_, '_, '_> {
    fn data(&self) -> String {
        format!("{}/data", self.place)
    }

    /// A program of the server's user, with the lowest priority.
    fn command(&self, words: Vec<String>) -> Command {
        let argv = self.gently.iter().cloned().chain(words).collect();
        Command { argv, user: self.server.user.clone(), ..Command::default() }
    }

    async fn run(&self, words: Vec<String>, input: Option<&Path>) -> Result<String, String> {
        let (command, given) = (self.command(words), Given { input, ..Given::default() });
        let limits = (self.at.deadline, self.at.stop.clone());
        postgres::program(self.tools, (self.at.run, &command, given), self.at.step, limits, &self.at.signs).await
    }

    /// Makes the files of an empty server.
    async fn make(&self) -> Result<(), String> {
        let mut words = vec![format!("{}/initdb", self.server.programs), "-D".to_owned(), self.data()];
        // Whoever gets through to the socket is the server's user, or root.
        words.extend(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"].map(str::to_owned));
        self.run(words, None).await.map(|_| ())
    }

    /// Keeps the server running until it is told to end; why it has ended.
    async fn serve(&self, ended: watch::Receiver<bool>) -> String {
        let mut words = vec![format!("{}/postgres", self.server.programs), "-D".to_owned(), self.data()];
        let sockets = format!("unix_socket_directories={}", self.place);
        let port = format!("port={PORT}");
        let settings = SETTINGS.iter().copied().chain([sockets.as_str(), port.as_str()]);
        words.extend(settings.flat_map(|setting| ["-c".to_owned(), setting.to_owned()]));
        serve((self.tools, self.at), &self.command(words), ended).await
    }

    async fn one(&self, database: &str, sql: &str) -> Result<Option<String>, String> {
        psql::one(&self.server, None, database, sql).await
    }

    /// Waits until the server answers.
    async fn answers(&self) -> Result<(), String> {
        let until = (Instant::now() + ANSWER).min(self.at.deadline);
        loop {
            let Err(why) = self.one("postgres", "select 1").await else { return Ok(()) };
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
    async fn fill(
        &self,
        (path, sql, directory): (&str, bool, bool),
        (owner, roles): (&str, &[String]),
    ) -> Result<Found, String> {
        self.answers().await?;
        let mut statements = vec![format!("create role {} login", name(owner))];
        for role in roles.iter().filter(|role| *role != SUPERUSER) {
            statements.push(format!("create role {}", name(role)));
            statements.push(format!("grant {} to {}", name(role), name(owner)));
        }
        statements.push(format!("create database {DATABASE} template template0 owner {}", name(owner)));
        self.run(self.server.psql("postgres", false, &statements), None).await?;
        let begun = Instant::now();
        let (words, input) = self.words((path, sql, directory), owner);
        self.run(words, input.then(|| Path::new(path))).await?;
        let took = begun.elapsed();
        self.run(self.server.psql(DATABASE, false, &["analyze".to_owned()]), None).await?;
        Ok(Found { took, said: self.counted().await? })
    }

    /// The words that restore it, in the role of the owner, and whether it is handed over on standard input.
    fn words(&self, (path, sql, directory): (&str, bool, bool), owner: &str) -> (Vec<String>, bool) {
        let as_owner = Server { role: owner.to_owned(), ..self.server.clone() };
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut out;
        if sql {
            out = vec![format!("{}/psql", as_owner.programs)];
            out.extend(text(&["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]));
            out.extend(as_owner.place(DATABASE));
            out.extend(text(&["-1", "-f", "-"]));
        } else {
            out = vec![format!("{}/pg_restore", as_owner.programs)];
            out.extend(text(&["-w", "--exit-on-error", "--no-owner", "--no-privileges"]));
            out.extend(as_owner.place(DATABASE));
            if directory {
                out.extend(text(&["--", path]));
            }
        }
        (out, !directory)
    }

    /// What is there now, in sentences.
    async fn counted(&self) -> Result<Vec<String>, String> {
        let sql = "select n.nspname, c.relname, greatest(c.reltuples, 0)::bigint from pg_class c join pg_namespace n on \
                   n.oid = c.relnamespace where c.relkind = 'r' and n.nspname <> 'information_schema' and \
                   n.nspname not like 'pg\\_%' order by 3 desc, 2";
        let tables = psql::ask(&self.server, None, DATABASE, sql).await?;
        let mut said = vec![count(tables.len() as u64, "table")];
        let mut rows = 0_i64;
        for table in tables.iter().take(NAMED) {
            let [schema, table, estimated] = table.as_slice() else { continue };
            let estimated = estimated.parse::<i64>().unwrap_or_default();
            let there = if estimated > MOST_ROWS {
                estimated
            } else {
                let sql = format!("select count(*) from {}.{}", name(schema), name(table));
                let counted = self.one(DATABASE, &sql).await?.and_then(|rows| rows.parse().ok());
                counted.ok_or_else(|| format!("{} can't be counted", plain(table, 60)))?
            };
            rows += there;
            said.push(format!("{}: {there} rows", plain(table, 60)));
        }
        if rows == 0 {
            return Err("no row of any table is in it".to_owned());
        }
        let there = format!("select to_regclass({}) is not null", literal("public.django_migrations"));
        if self.one(DATABASE, &there).await?.as_deref() == Some("t") {
            let sql = "select app || '.' || name from public.django_migrations order by applied desc, id desc limit 1";
            let newest = self.one(DATABASE, sql).await?;
            said.extend(newest.map(|newest| format!("newest migration {}", plain(&newest, 80))));
        }
        Ok(said)
    }
}
