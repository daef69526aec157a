//! What is done to a PostgreSQL server: databases made beside the one in use, filled, and put in its place. Nothing is
//! dropped that does not carry the mark of the run, and no data are overwritten.
//!
//! Invariant: the name in use means a whole database at every moment. It changes hands in one transaction, which a
//! server that is left alone in the middle takes back.

pub(super) mod compare;
pub(super) mod file;
mod over;

use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::acts::{self, Sign};
use super::child::{self, Given, Job, Limits};
use super::work::Tools;
use crate::backends::database::psql;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;
use crate::runbook::kept::{Printed, Stream};
use crate::runbook::plan::Command;
use crate::runbook::plan::postgres::{
    Beside, CHECKED, Exchange, Fit, HELD, PostgresAct, Server, Source, WHOLE, literal, name,
};

/// How long what ends sessions may take to end itself.
const GRACE: Duration = Duration::from_secs(5);

/// A step at work.
struct Hand<'t, 'c> {
    tools: &'t Tools<'c>,
    run: &'t str,
    at: (usize, u32),
    deadline: Instant,
    stop: watch::Receiver<bool>,
    signs: mpsc::Sender<Sign>,
}

/// Does it. `Ok`: how it went.
pub(super) async fn act(
    tools: &Tools<'_>,
    (run, act): (&str, &PostgresAct),
    at: (usize, u32),
    (deadline, stop): (Instant, watch::Receiver<bool>),
    signs: mpsc::Sender<Sign>,
) -> Result<String, String> {
    let hand = Hand { tools, run, at, deadline, stop, signs };
    match act {
        PostgresAct::Unpack { from, to } => file::unpack(Path::new(from), Path::new(to), hand.stop).await,
        PostgresAct::Remove(path) => file::remove(Path::new(path)),
        PostgresAct::Make(server, beside) => hand.make(server, beside).await,
        PostgresAct::Load(server, beside, source) => hand.load(server, beside, source).await,
        PostgresAct::Over(server, over) => hand.over(server, over).await,
        PostgresAct::Discard(server, beside) => hand.discard(server, beside).await,
        PostgresAct::Sql { server, database, statements } => {
            let all: Vec<_> = std::iter::once(server.guard()).chain(statements.iter().cloned()).collect();
            hand.sql(server, database, false, &all).await
        }
        PostgresAct::Compare { server, name, beside, fit } => hand.compare(server, (name, beside), fit.as_ref()).await,
        PostgresAct::Exchange(server, exchange) => hand.forth(server, exchange).await,
        PostgresAct::Undo(server, exchange) => hand.back(server, exchange).await,
        PostgresAct::Release { server, name: held, oid } => hand.release(server, held, *oid).await,
    }
}

/// A moment in words, in UTC.
fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_default()
}

impl Hand<'_, '_> {
    fn password(&self) -> Option<&SecretString> {
        self.tools.site.and_then(|site| site.database.as_ref().ok()).map(|database| &database.password)
    }

    async fn ask(&self, server: &Server, database: &str, sql: &str) -> Result<psql::Rows, String> {
        psql::ask(server, self.password(), database, sql).await
    }

    async fn one(&self, server: &Server, database: &str, sql: &str) -> Result<Option<String>, String> {
        psql::one(server, self.password(), database, sql).await
    }

    /// Puts statements to a database.
    async fn sql(
        &self,
        server: &Server,
        database: &str,
        together: bool,
        statements: &[String],
    ) -> Result<String, String> {
        self.program(server, server.psql(database, together, statements), None).await
    }

    /// Runs a client program to its end.
    async fn program(&self, server: &Server, argv: Vec<String>, input: Option<&Path>) -> Result<String, String> {
        let command = Command { argv, user: server.user.clone(), ..Command::default() };
        let given = Given { input, password: self.password().filter(|_| server.password), run: Some(self.run) };
        let limits = (self.deadline, self.stop.clone());
        program(self.tools, (self.run, &command, given), self.at, limits, &self.signs).await
    }

    /// The comment of a database; `None`: there is no such database.
    async fn comment(&self, server: &Server, database: &str) -> Result<Option<String>, String> {
        let sql = format!(
            "select '=' || coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname = {}",
            literal(database)
        );
        Ok(self.one(server, "postgres", &sql).await?.map(|said| said.trim_start_matches('=').to_owned()))
    }

    async fn empty(&self, server: &Server, database: &str) -> Result<bool, String> {
        let sql = "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'";
        Ok(self.one(server, database, sql).await?.as_deref() == Some("0"))
    }

    /// Whether a `drop database` was cut off in it: PostgreSQL lets nobody in any more, and all that can be done is to drop
    /// it again.
    async fn half_dropped(&self, server: &Server, database: &str) -> Result<bool, String> {
        let sql = format!("select datconnlimit = -2 from pg_database where datname = {}", literal(database));
        Ok(self.one(server, "postgres", &sql).await?.as_deref() == Some("t"))
    }

    async fn make(&self, server: &Server, beside: &Beside) -> Result<String, String> {
        self.discard(server, beside).await?;
        let comment = format!("comment on database {} is {}", name(&beside.name), literal(&beside.mark));
        let made = self.sql(server, "postgres", false, &[server.guard(), beside.create.clone(), comment]).await?;
        Ok(format!("{} is made: {made}", beside.name))
    }

    /// Drops what this run has made. One without a mark is this run's if it is empty: its name is of this second, and
    /// the runner was gone between making and marking it.
    async fn discard(&self, server: &Server, beside: &Beside) -> Result<String, String> {
        let Some(comment) = self.comment(server, &beside.name).await? else {
            return Ok(format!("there is no {}", beside.name));
        };
        let ours = comment.starts_with(&beside.mark)
            || (comment.is_empty()
                && (self.half_dropped(server, &beside.name).await? || self.empty(server, &beside.name).await?));
        if !ours {
            return Err(format!("{} does not carry the mark of this run and is left alone", beside.name));
        }
        let end = format!(
            "do $$ begin perform pg_terminate_backend(pid) from pg_stat_activity where datname = {}; end $$",
            literal(&beside.name)
        );
        let drop = format!("drop database {}", name(&beside.name));
        self.sql(server, "postgres", false, &[server.guard(), end, drop]).await?;
        Ok(format!("{} is dropped", beside.name))
    }

    async fn load(&self, server: &Server, beside: &Beside, source: &Source) -> Result<String, String> {
        match self.comment(server, &beside.name).await? {
            Some(comment) if comment.starts_with(&format!("{}{WHOLE}", beside.mark)) => {
                return Ok("it had been restored whole".to_owned());
            }
            Some(comment) if comment == beside.mark && self.empty(server, &beside.name).await? => {}
            Some(_) | None => {
                self.make(server, beside).await?;
            }
        }
        let input = source.handed.then(|| Path::new(&source.path));
        self.program(server, words(server, beside, source), input).await?;
        let comment = format!("{}{WHOLE}", beside.mark);
        let comment = format!("comment on database {} is {}", name(&beside.name), literal(&comment));
        self.sql(server, "postgres", false, &[server.guard(), comment]).await?;
        Ok(format!("{} is restored whole", source.path))
    }

    async fn compare(
        &self,
        server: &Server,
        (used, beside): (&str, &str),
        fit: Option<&Fit>,
    ) -> Result<String, String> {
        let comment = self.comment(server, beside).await?.unwrap_or_default();
        let mark = comment.strip_suffix(WHOLE).or_else(|| comment.strip_suffix(CHECKED));
        if mark.is_none() && !comment.starts_with(HELD) {
            return Err(format!("{beside} is not restored whole"));
        }
        let found = compare::compare(self, server, (used, beside), fit).await?;
        for sentence in &found {
            self.signs.send(Sign::Note(sentence.clone())).await.ok();
        }
        if let Some(mark) = mark {
            let checked = literal(&format!("{mark}{CHECKED}"));
            let comment = format!("comment on database {} is {checked}", name(beside));
            self.sql(server, "postgres", false, &[server.guard(), comment]).await?;
        }
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// Changes the names in one transaction. It locks the name first and then waits up to 5 s for the sessions of the
    /// database, while new ones wait for the lock: so another session ends them as soon as the lock is held.
    async fn exchange(&self, server: &Server, at: &Exchange, statements: Vec<String>) -> Result<String, String> {
        let mut all = vec![server.guard(), "set local lock_timeout = '5s'".to_owned()];
        all.extend(statements);
        let argv = server.psql("postgres", false, &[at.end_sessions()]);
        let command = Command { argv, user: server.user.clone(), ..Command::default() };
        let record = acts::record(&self.tools.state, self.run, "sessions")?;
        let limits = Limits { timeout: GRACE * 3, grace: GRACE, silence: GRACE * 3 };
        let given = Given { input: None, password: self.password().filter(|_| server.password), run: Some(self.run) };
        // Without the lock: it ends by itself, and does nothing while nobody changes names.
        let job =
            Job { command: &command, lock: None, record: &record, midwatch: Path::new(child::MYSELF), limits, given };
        let (end, ended) = watch::channel(false);
        let (sender, mut news) = mpsc::channel(16);
        let begun = Instant::now();
        let swap = async {
            let swapped = self.sql(server, "postgres", true, &all).await;
            end.send_replace(true);
            (swapped, begun.elapsed())
        };
        let heard = async { while news.recv().await.is_some() {} };
        let ((swapped, took), _finished, ()) = tokio::join!(swap, child::run(&job, sender, ended), heard);
        swapped?;
        Ok(format!("{} is another database now, after {} ms; the one before is {}", at.name, took.as_millis(), at.held))
    }

    /// Puts the other one in place, unless that was done: its confirmation may have been lost with the server.
    async fn forth(&self, server: &Server, at: &Exchange) -> Result<String, String> {
        let sql = format!("select datname from pg_database where oid = {}", at.now);
        if self.one(server, "postgres", &sql).await?.as_deref() == Some(&at.held) {
            return Ok(format!("{} had been exchanged; the one before is {}", at.name, at.held));
        }
        self.exchange(server, at, at.forth(&moment((self.tools.now)()))).await
    }

    async fn back(&self, server: &Server, at: &Exchange) -> Result<String, String> {
        let sql = format!("select oid from pg_database where datname = {}", literal(&at.name));
        if self.one(server, "postgres", &sql).await? == Some(at.now.to_string()) {
            return Ok(format!("{} is the one it was", at.name));
        }
        self.exchange(server, at, at.back(&moment((self.tools.now)()))).await
    }

    async fn release(&self, server: &Server, held: &str, oid: u32) -> Result<String, String> {
        match self.comment(server, held).await? {
            None => return Ok(format!("there is no {held}")),
            Some(comment) if comment.starts_with(HELD) => {}
            Some(_) => return Err(format!("{held} is not held by midwatch and is left alone")),
        }
        let drop = format!("drop database {}", name(held));
        self.sql(server, "postgres", false, &[server.guard(), Exchange::still(held, oid), drop]).await?;
        Ok(format!("{held} is dropped"))
    }
}

/// Runs a client program to its end; what it complained of is the reason of its failure.
pub(super) async fn program(
    tools: &Tools<'_>,
    told: (&str, &Command, Given<'_>),
    at: (usize, u32),
    limits: (Instant, watch::Receiver<bool>),
    signs: &mpsc::Sender<Sign>,
) -> Result<String, String> {
    let (sender, mut receiver) = mpsc::channel(64);
    let running = acts::supplied(tools, told, at, limits, sender);
    let heard = async {
        let mut said = String::new();
        while let Some(sign) = receiver.recv().await {
            if let Sign::Printed(Printed { stream: Stream::Err, text, .. }) = &sign {
                let wrong = |line: &&str| line.contains("ERROR") || line.contains("FATAL") || line.contains("error:");
                said = text.lines().find(wrong).map_or(said, str::to_owned);
            }
            signs.send(sign).await.ok();
        }
        said
    };
    let (ended, said) = tokio::join!(running, heard);
    ended.map_err(|why| if said.is_empty() { why } else { format!("{why}: {}", plain(&said, 300)) })
}

/// The words that restore a backup.
fn words(server: &Server, beside: &Beside, source: &Source) -> Vec<String> {
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut out;
    if source.sql {
        out = vec![format!("{}/psql", server.programs)];
        out.extend(text(&["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]));
        out.extend(server.place(&beside.name));
        let path = if source.handed { "-" } else { &source.path };
        out.extend(text(&["-1", "-c", &format!("set role {}", name(&beside.owner)), "-f", path]));
    } else {
        out = vec![format!("{}/pg_restore", server.programs)];
        out.extend(text(&["-w", "--exit-on-error", "--no-owner", &format!("--role={}", beside.owner)]));
        out.extend(server.place(&beside.name));
        if source.jobs > 1 {
            out.extend(text(&["-j", &source.jobs.to_string()]));
        }
        if !source.handed {
            out.extend(text(&["--", &source.path]));
        }
    }
    out
}
