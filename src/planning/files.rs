//! Plans about files: what there is of backups, what runs and has to be stopped, whether there is room.

mod directory;
mod given;
mod held;
mod rotate;
mod take;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

pub(super) use take::{in_names, save_postgres, trusted_place};

use super::services::{Verb, planned};
use super::values::backups::listed;
use super::{Act, Draft, NoPlan, PlannedStep, Probe, StateDir, Step, Subject};
use crate::backends::backups::check::{self, Outcome, Verdict};
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::look::files::{free, inode, stamp};
use crate::backends::look::is_down;
use crate::backends::store::who;
use crate::config::SiteConfig;
use crate::domain::backup::BackupsReading;
use crate::domain::database::Engine;
use crate::domain::service::{Role, Service};
use crate::domain::text::bytes;
use crate::domain::time::Timestamp;
use crate::runbook::plan::files::{Exchange, FilesAct, FilesProbe};
use crate::runbook::plan::together::Turn;

/// How long a service may take to stop or to start, and the site to answer.
const SERVICE_MS: u64 = 180_000;
/// Seconds after a plan was made that are tried for names.
const MOMENTS: i64 = 600;
/// Who uses a site's data, in the order in which they are stopped.
const USERS: [Role; 4] = [Role::Beat, Role::Periodic, Role::Worker, Role::Web];

impl<'c> Draft<'c> {
    pub(super) fn site(&self) -> Result<&'c SiteConfig, NoPlan> {
        self.ground.site.ok_or_else(|| impossible("there is no site to act on"))
    }
}

impl Draft<'_> {
    /// The site's SQLite database, links followed; `None`: it has none.
    pub(super) fn sqlite(&self) -> Result<Option<String>, NoPlan> {
        let Ok(database) = &self.site()?.database else { return Ok(None) };
        if database.engine != Engine::Sqlite {
            return Ok(None);
        }
        let path = std::fs::canonicalize(&database.name);
        let path = path.map_err(|error| impossible(format!("the database {}: {error}", database.name)))?;
        written(&path).map(Some)
    }

    /// What there is of backups.
    pub(super) async fn backups(&self) -> Result<BackupsReading, NoPlan> {
        listed(self.ground, self.site()?).await
    }

    /// Stops whoever uses the site's data; who that was.
    pub(super) async fn stop_users(&mut self, step: &Step) -> Result<Vec<Service>, NoPlan> {
        let mut all = self.users().await?;
        all.retain(|service| !is_down(service));
        self.stop_those(&all, step).await?;
        Ok(all)
    }

    /// Who uses the site's data, running or not, in the order in which they are stopped.
    pub(super) async fn users(&self) -> Result<Vec<Service>, NoPlan> {
        let mut all = self.looker.services().await.map_err(NoPlan::Impossible)?;
        all.retain(|service| USERS.contains(&service.role));
        if !all.iter().any(|service| service.role == Role::Web) {
            return Err(impossible(format!(
                "no service of {} is known that answers requests, so what uses its data can't be stopped: name them in \
                 [sites.{0}.services.…]",
                self.site()?.id
            )));
        }
        all.sort_by_key(|service| USERS.iter().position(|role| *role == service.role));
        Ok(all)
    }

    /// Stops them.
    pub(super) async fn stop_those(&mut self, users: &[Service], step: &Step) -> Result<(), NoPlan> {
        let stop = Step { name: "stop".to_owned(), timeout_ms: SERVICE_MS, ..step.clone() };
        for service in users {
            self.services(&service.name, Verb::Stop, &stop).await?;
        }
        Ok(())
    }

    /// What stops once more a service that a step of this plan has stopped, when it has been started again.
    pub(super) fn stops_again(&self, service: &Service) -> Act {
        let stopped = format!("stop {}", service.name);
        match self.steps.iter().find(|step| step.name == stopped).map(|step| &step.act) {
            Some(Act::Command(command)) => Act::Command(command.clone()),
            // Which process it will be is not known yet.
            Some(_) | None => Act::Halt(service.name.clone()),
        }
    }

    /// Starts them again, and sees that the site works. On the way back they are stopped first.
    pub(super) async fn start_users(&mut self, users: &[Service], step: &Step) -> Result<(), NoPlan> {
        let start = Step { name: "start".to_owned(), timeout_ms: SERVICE_MS, ..step.clone() };
        for service in users.iter().rev() {
            let stop = self.stops_again(service);
            self.services(&service.name, Verb::Start, &start).await?;
            if let Some(started) = self.steps.last_mut() {
                started.revert = Some(stop);
            }
        }
        let wait = |name: &str, probe| planned(name.to_owned(), Act::Wait(probe), None, true, &start);
        if users.iter().any(|service| service.role == Role::Web) {
            self.steps.push(wait("the site answers", Probe::Healthy));
        }
        if users.iter().any(|service| service.role == Role::Worker) {
            self.steps.push(wait("a worker listens", Probe::WorkerListens));
        }
        Ok(())
    }

    /// Adds a step of files that a probe tells about, with its way back.
    pub(super) fn file_step(
        &mut self,
        name: &str,
        (act, probe): (FilesAct, FilesProbe),
        revert: Option<FilesAct>,
        step: &Step,
    ) {
        let planned = planned(name.to_owned(), Act::Files(act), Some(Probe::Files(probe)), true, step);
        self.steps.push(PlannedStep { revert: revert.map(Act::Files), ..planned });
    }

    /// What is counted on as a file is from here on compared when the run begins, and by the steps that read it: services
    /// are started again whatever became of it meanwhile.
    pub(super) async fn begin_from(&mut self, path: &str, of: Subject) -> Result<String, NoPlan> {
        self.facts.retain(|fact| fact.of != Subject::File(path.to_owned()));
        self.count_on(of).await
    }

    /// The exchange, with its way back.
    pub(super) fn exchange_files(&mut self, exchange: Exchange, step: &Step) {
        let act = FilesAct::Exchange(exchange.clone());
        let back = FilesAct::PutBack(exchange.clone());
        self.file_step("exchange", (act, FilesProbe::Exchanged(exchange)), Some(back), step);
    }

    /// The same with what must not know the database from before, where it is one.
    pub(super) async fn exchange_all(&mut self, exchange: Exchange, step: &Step) {
        self.exchange_files(exchange.clone(), step);
        self.forget_database(&exchange).await;
    }

    /// After an exchange of databases: what waits in the broker, and what the application remembers.
    pub(super) async fn forget_database(&mut self, exchange: &Exchange) {
        if exchange.database {
            let tasks = self.tasks_change(&exchange.held, &exchange.ready).await;
            self.steps.extend(tasks);
            self.forget_cache();
        }
    }
}

/// The same as one of several that are exchanged together.
pub(super) fn turn(exchange: Exchange) -> Turn {
    Turn {
        act: Act::Files(FilesAct::Exchange(exchange.clone())),
        back: Act::Files(FilesAct::PutBack(exchange.clone())),
        done: Probe::Files(FilesProbe::Exchanged(exchange)),
    }
}

pub(super) fn impossible(why: impl Into<String>) -> NoPlan {
    NoPlan::Impossible(why.into())
}

/// A path as it is written in a plan.
pub(super) fn written(path: &Path) -> Result<String, NoPlan> {
    let text = path.to_str().filter(|text| !text.contains(char::is_control));
    text.map(str::to_owned)
        .ok_or_else(|| impossible(format!("{} is no name that can be shown and handed on", path.display())))
}

/// A moment for names beside this one that nothing has yet: the plan's, or as soon after it as there is one.
pub(super) fn moment(live: &str, made: Timestamp) -> String {
    let free = |at: &String| ["mw", "held"].iter().all(|kind| inode(&format!("{live}.{kind}-{at}")).is_none());
    (0..MOMENTS).map(|after| stamp(made.plus_secs(after))).find(free).unwrap_or_else(|| stamp(made))
}

/// Which file or directory is there.
pub(super) fn identity(path: &str) -> Result<String, NoPlan> {
    inode(path).ok_or_else(|| impossible(format!("{path} is not there")))
}

/// Whether there is room for a fifth more than so many bytes, where this will lie; how much that is.
pub(super) fn room(path: &str, needed: u64) -> Result<u64, NoPlan> {
    let directory = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
    let (there, needed) = (free(directory).map_err(NoPlan::Impossible)?, needed.saturating_add(needed / 5));
    if there < needed {
        let (there, needed) = (bytes(there), bytes(needed));
        return Err(impossible(format!("{} has {there} free, and {needed} are needed", directory.display())));
    }
    Ok(needed)
}

/// Whether this user may put something of the same owner in the place of this.
pub(super) fn ours(path: &str) -> Result<(), NoPlan> {
    let meta = std::fs::metadata(path).map_err(|error| impossible(format!("{path}: {error}")))?;
    let own = rustix::process::geteuid().as_raw();
    if own != 0 && own != meta.uid() {
        let owner = who::name(meta.uid());
        return Err(impossible(format!("{path} belongs to {owner}: run midwatch as root or as {owner}")));
    }
    Ok(())
}

/// Reads a backup to its end.
pub(super) async fn checked(backup: &str) -> Result<Verdict, NoPlan> {
    let path = backup.to_owned();
    let check = move || check::check(Path::new(&path), &Tools::find(), &Control::default());
    let verdict = tokio::task::spawn_blocking(check).await.map_err(|error| impossible(error.to_string()))?;
    match &verdict.outcome {
        Outcome::Whole => Ok(verdict),
        Outcome::Broken(_, why) => Err(impossible(format!("{backup} is broken: {why}"))),
        Outcome::Growing(why) | Outcome::Unproven(why) => {
            Err(impossible(format!("{backup} can't be proven whole, so it is not restored: {why}")))
        }
        Outcome::Stopped => Err(impossible(format!("{backup} was not read to its end"))),
    }
}
