//! How a PostgreSQL database is restored: into one beside, compared, and put in the place of the one in use, which is
//! held.

mod backup;
mod drill;
mod facts;
mod held;
mod in_place;

use std::path::Path;

use super::super::files::room;
use super::super::services::Verb;
use super::super::values::backups::trusted;
use super::super::{Act, Draft, NoPlan, PlannedStep, Probe, Step, Subject};
use crate::backends::database::{psql, reach};
use crate::backends::look::{is_down, schema_is};
use crate::config::{AppKind, DatabaseConfig};
use crate::domain::service::Role;
use crate::domain::text::{bytes, plain};
use crate::runbook::plan::OnFailure;
use crate::runbook::plan::postgres::{
    Beside, CHECKED, Exchange, Fit, MADE, PostgresAct, Question, Server, Source, WHOLE, literal,
};
use crate::runbook::plan::together::Turn;
use facts::Facts;

pub(in crate::planning) use held::choices;

/// What pretix' keys in its cache begin with.
const CACHE: &str = ":1:";
/// Tables restored at once, at most: the site goes on meanwhile.
const JOBS: usize = 4;
/// A name gets at most this much longer, and has at most 63 bytes.
const LONGEST: usize = 63 - "_held_20260101000000_x".len();
/// How long small steps may take, and how long the exchange.
pub(super) const SHORT_MS: u64 = 120_000;
/// How long the site may take to answer.
const ANSWER_MS: u64 = 120_000;

pub(super) fn no(why: impl Into<String>) -> NoPlan {
    NoPlan::Impossible(why.into())
}

/// A step of midwatch's own.
fn planned(name: &str, act: PostgresAct, timeout_ms: u64) -> PlannedStep {
    step(name, Act::Postgres(Box::new(act)), timeout_ms)
}

pub(super) fn step(name: &str, act: Act, timeout_ms: u64) -> PlannedStep {
    PlannedStep {
        name: name.to_owned(),
        act,
        repeatable: true,
        verify: None,
        unless: None,
        revert: None,
        timeout_ms,
        max_attempts: 1,
        on_failure: OnFailure::Stop,
        estimate_ms: None,
    }
}

/// Whether the comment of a database begins so.
fn comment_begins(server: &Server, database: &str, begin: &str, means: String) -> Probe {
    let sql = format!(
        "select coalesce(starts_with(shobj_description(oid, 'pg_database'), {}), false) from pg_database where datname = {}",
        literal(begin),
        literal(database)
    );
    Probe::Postgres(Box::new(Question { server: server.clone(), sql, answer: "t".to_owned(), means }))
}

/// Whether the one that was in use has its new name.
fn exchanged(server: &Server, at: &Exchange) -> Probe {
    let sql = format!("select datname from pg_database where oid = {}", at.now);
    let means = format!("{} is another database, the one before is {}", at.name, at.held);
    Probe::Postgres(Box::new(Question { server: server.clone(), sql, answer: at.held.clone(), means }))
}

/// The exchange as one of several that are done together.
pub(super) fn turn(server: &Server, at: &Exchange) -> Turn {
    Turn {
        act: Act::Postgres(Box::new(PostgresAct::Exchange(server.clone(), at.clone()))),
        done: exchanged(server, at),
        back: Act::Postgres(Box::new(PostgresAct::Undo(server.clone(), at.clone()))),
    }
}

/// The step that lets the two databases change names.
fn exchange(server: &Server, at: &Exchange) -> PlannedStep {
    let act = PostgresAct::Exchange(server.clone(), at.clone());
    let mut exchange = planned("put it in the place of the one in use", act, SHORT_MS);
    exchange.verify = Some(exchanged(server, at));
    exchange.revert = Some(Act::Postgres(Box::new(PostgresAct::Undo(server.clone(), at.clone()))));
    exchange.max_attempts = 3;
    exchange
}

/// Whether what is unpacked has room where it will lie: its directory, or what is there of the way to it.
fn room_in(path: &str, bytes: u64) -> Result<(), NoPlan> {
    let there = Path::new(path).ancestors().skip(1).find(|dir| dir.is_dir());
    let there = there.unwrap_or_else(|| Path::new("/"));
    room(&there.join("unpacked").display().to_string(), bytes).map(|_| ())
}

impl<'c> Draft<'c> {
    /// The site's database, the way to its server, and what there is.
    async fn server(&mut self) -> Result<(&'c DatabaseConfig, Server, Facts), NoPlan> {
        let site = self.ground.site.ok_or_else(|| no("there is no site"))?;
        let config = site.database.as_ref().map_err(|why| no(why.clone()))?;
        if config.name.len() > LONGEST {
            return Err(no(format!("the name {} is too long for another beside it", plain(&config.name, 80))));
        }
        self.count_on(Subject::Database(config.name.clone())).await?;
        let server = reach::reach(config).await.map_err(NoPlan::Impossible)?;
        let facts = Facts::of(&server, config).await.map_err(NoPlan::Impossible)?;
        facts.fit(&config.name).map_err(NoPlan::Impossible)?;
        Ok((config, server, facts))
    }

    /// The moment of the plan, in names.
    pub(super) fn stamp(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.ground.made.as_millis()).unwrap_or_default();
        at.strftime("%Y%m%d%H%M%S").to_string()
    }

    pub(in crate::planning) async fn restore_postgres(&mut self, backup: &str, step: &Step) -> Result<(), NoPlan> {
        let (server, exchange) = self.beside_postgres(backup, None, step).await?;
        self.change_places(&server, &exchange, step).await
    }

    /// The steps until a backup is restored beside, held against the code on disk or what else it must `fit`.
    pub(in crate::planning) async fn beside_postgres(
        &mut self,
        backup: &str,
        fit: Option<Fit>,
        step: &Step,
    ) -> Result<(Server, Exchange), NoPlan> {
        let (config, server, facts) = self.server().await?;
        let name = config.name.clone();
        let found = backup::Found::read(backup, &name, facts.major).await.map_err(NoPlan::Impossible)?;
        self.at_risk.extend(trusted(self.ground, backup, &found.verdict)?);
        facts.room(found.restored).map_err(NoPlan::Impossible)?;
        self.begin_from(backup, Subject::Source(backup.to_owned())).await?;
        let stamp = self.stamp();
        let beside = Beside {
            name: format!("{name}_mw_{stamp}"),
            owner: facts.owner.clone(),
            mark: format!("{MADE} for the restore of {stamp}"),
            create: facts.create(&format!("{name}_mw_{stamp}")),
        };
        let exchange = Exchange {
            name: name.clone(),
            now: facts.oid,
            other: beside.name.clone(),
            mark: format!("{}{CHECKED}", beside.mark),
            held: format!("{name}_held_{stamp}"),
        };
        let missing = match &fit {
            None => self.missing(backup, found.applied(backup).await).await?,
            Some(Fit::Code(..)) => Vec::new(),
            Some(Fit::Schema(was)) => {
                // What can't be read from it now is compared when it is restored.
                if let Some(seen) = found.applied(backup).await {
                    schema_is(&plain(backup, 200), &seen, was).map_err(no)?;
                }
                Vec::new()
            }
        };
        self.fill_beside(&server, (&facts, &beside), (backup, &found), step).await?;
        self.migrate_beside(&beside.name, missing, step).await;
        let analyze = vec!["analyze".to_owned()];
        let analyze = PostgresAct::Sql { server: server.clone(), database: beside.name.clone(), statements: analyze };
        self.steps.push(planned("gather statistics", analyze, step.timeout_ms));
        let compare =
            PostgresAct::Compare { server: server.clone(), name: facts.name.clone(), beside: beside.name.clone(), fit };
        let mut compare = planned("compare it with the one in use", compare, step.timeout_ms);
        let checked = format!("{}{CHECKED}", beside.mark);
        compare.verify = Some(comment_begins(&server, &beside.name, &checked, "it was compared".to_owned()));
        self.steps.push(compare);
        self.lost(&server, (&facts, &found), &exchange).await;
        Ok((server, exchange))
    }

    /// The steps until the restored database is ready; the site goes on meanwhile.
    async fn fill_beside(
        &mut self,
        server: &Server,
        (facts, beside): (&Facts, &Beside),
        (backup, found): (&str, &backup::Found),
        step: &Step,
    ) -> Result<(), NoPlan> {
        let mut source = Source { path: backup.to_owned(), sql: found.sql, handed: false, jobs: 1 };
        if found.packed {
            let dir = self.values.get("dir").ok_or_else(|| no("there is no state directory to unpack into"))?;
            source.path = format!("{dir}.unpacked");
            room_in(&source.path, found.unpacked)?;
            let to = source.path.clone();
            let mut unpack = planned(
                "unpack the backup",
                PostgresAct::Unpack { from: backup.to_owned(), to: to.clone() },
                step.timeout_ms,
            );
            unpack.revert = Some(Act::Postgres(Box::new(PostgresAct::Remove(to))));
            self.steps.push(unpack);
        }
        let readable = !found.packed && backup::readable(server, backup).await;
        if found.directory && !readable {
            let user = server.user.as_deref().unwrap_or("its user");
            return Err(no(format!(
                "pg_restore runs as {user}, who may not read the directory {backup}: let them (setfacl -R -m u:{user}:rX)"
            )));
        }
        source.handed = !readable && server.user.is_some();
        if found.parallel && !source.handed {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            source.jobs = u32::try_from(cores.min(JOBS)).unwrap_or(1);
        }
        let discard = Act::Postgres(Box::new(PostgresAct::Discard(server.clone(), beside.clone())));
        let mut make =
            planned("make an empty database beside", PostgresAct::Make(server.clone(), beside.clone()), SHORT_MS);
        make.verify = Some(comment_begins(server, &beside.name, &beside.mark, format!("{} is there", beside.name)));
        make.revert = Some(discard.clone());
        self.steps.push(make);
        let load = PostgresAct::Load(server.clone(), beside.clone(), source.clone());
        let mut load = planned("restore into it", load, step.timeout_ms);
        let whole = format!("{}{WHOLE}", beside.mark);
        load.verify = Some(comment_begins(server, &beside.name, &whole, format!("{} is restored whole", beside.name)));
        load.revert = Some(discard);
        self.steps.push(load);
        let sql = |database: &str, statements| PostgresAct::Sql {
            server: server.clone(),
            database: database.to_owned(),
            statements,
        };
        let settings = facts.settings(&beside.name);
        if !settings.is_empty() {
            self.steps.push(planned("copy grants and settings", sql("postgres", settings), SHORT_MS));
        }
        if found.packed {
            let to = source.path;
            self.steps.push(planned("remove what was unpacked", PostgresAct::Remove(to), SHORT_MS));
        }
        Ok(())
    }

    /// What a restore costs; what changes while it is looked at is no part of what is approved.
    async fn lost(&mut self, server: &Server, (facts, found): (&Facts, &backup::Found), at: &Exchange) {
        let made = found.made.as_ref().map_or(String::new(), |made| format!(" (it was begun at {made})"));
        self.costs.push(format!(
            "What was written since the backup{made} is not in it. It stays in the database in use now, which is kept as {}.",
            at.held
        ));
        self.at_risk.push(format!("{} are held until release-held", bytes(facts.size)));
        self.sessions(facts);
        if let Some(made) = &found.made
            && self.ground.site.is_some_and(|site| site.app == AppKind::Pretix)
        {
            let sql =
                format!("select count(*) from public.pretixbase_order where datetime > {}::timestamp", literal(made));
            let password = self.ground.site.and_then(|site| site.database.as_ref().ok()).map(|d| &d.password);
            if let Ok(Some(orders)) = psql::one(server, password, &facts.name, &sql).await {
                self.at_risk.push(format!("{orders} orders came since the backup was begun"));
            }
        }
    }

    /// Whose sessions end besides the application's.
    fn sessions(&mut self, facts: &Facts) {
        let told = |one: &facts::Sessions| {
            format!("{}: {} sessions are ended when the databases change places", plain(&one.who, 80), one.count)
        };
        self.at_risk.extend(facts.sessions.iter().map(told));
    }

    /// Clears what the application remembers of the other database.
    pub(in crate::planning) fn forget_cache(&mut self) {
        if !self.ground.site.is_some_and(|site| site.app == AppKind::Pretix && site.redis.is_ok()) {
            return;
        }
        self.costs
            .push("Everybody is logged out, and carts begin anew: the cache that holds them is cleared.".to_owned());
        let mut forget = step("clear the cache", Act::Forget(CACHE.to_owned()), SHORT_MS);
        forget.revert = Some(Act::Forget(CACHE.to_owned()));
        forget.max_attempts = 3;
        self.steps.push(forget);
    }

    async fn change_places(&mut self, server: &Server, at: &Exchange, of: &Step) -> Result<(), NoPlan> {
        self.costs.push(
            "Requests under way when the databases change places fail; the site is away for less than a second."
                .to_owned(),
        );
        let mut steps = vec![exchange(server, at)];
        steps.extend(self.tasks_change(&at.held, &at.other).await);
        self.while_nobody_works(steps, of).await
    }

    /// The steps from stopping what works on the database, over those that exchange it, to the site that answers.
    pub(super) async fn while_nobody_works(&mut self, exchange: Vec<PlannedStep>, of: &Step) -> Result<(), NoPlan> {
        let site = self.ground.site.ok_or_else(|| no("there is no site"))?;
        let services = if site.services.is_empty() {
            Vec::new()
        } else {
            self.looker.services().await.map_err(NoPlan::Impossible)?
        };
        let mut working: Vec<_> = services
            .iter()
            .filter(|service| matches!(service.role, Role::Worker | Role::Beat) && !is_down(service))
            .map(|service| (service.role, service.name.clone()))
            .collect();
        // Who plans tasks first, who does them second.
        working.sort_by_key(|(role, _)| *role == Role::Worker);
        for (_, name) in &working {
            self.services(name, Verb::Stop, &Step { name: "stop".to_owned(), timeout_ms: SHORT_MS, ..of.clone() })
                .await?;
        }
        self.steps.extend(exchange);
        self.forget_cache();
        for (_, name) in working.iter().rev() {
            let start = Step { name: "start".to_owned(), timeout_ms: SHORT_MS, ..of.clone() };
            self.services(name, Verb::Start, &start).await?;
        }
        self.steps.push(step("the site answers", Act::Wait(Probe::Healthy), ANSWER_MS));
        if working.iter().any(|(role, _)| *role == Role::Worker) {
            self.steps.push(step("a worker takes tasks", Act::Wait(Probe::WorkerListens), ANSWER_MS));
        }
        Ok(())
    }

    /// The exchange, and what must not know the database from before.
    pub(in crate::planning) async fn exchange_databases(&mut self, server: &Server, at: &Exchange) {
        self.steps.push(exchange(server, at));
        let tasks = self.tasks_change(&at.held, &at.other).await;
        self.steps.extend(tasks);
        self.forget_cache();
    }
}
