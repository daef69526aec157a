//! One look at one thing a plan counts on, or a step must bring about: by whoever makes a plan, and again by its runner.
//!
//! All of it only reads.

mod drill;
pub mod files;
mod image;
mod mysql;
pub mod releases;
mod upgrade;

pub use upgrade::{same as schema_is, sum as schema_sum, told as schema_told};

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::app_state::AppProbe;
use super::database::{psql, session};
use super::http::{Limits, WebProbe};
use super::redis::RedisProbe;
use super::redis::parked::Tasks;
use super::services::ServicesProbe;
use crate::config::{ServiceConfig, SiteConfig};
use crate::domain::app_state::AppMigrations;
use crate::domain::reading::Seen;
use crate::domain::redis::{Labour, RedisReading};
use crate::domain::service::{Service, State};
use crate::domain::text::{count, plain};
use crate::domain::time::Timestamp;
use crate::ports::{Observe, Web};
use crate::runbook::plan::{Probe, Subject, UpgradeProbe};

/// How the answer of a server begins that says that something is not so: it was asked, and has answered.
pub const NOT_YET: &str = "not yet so: ";

/// What a thing is where it isn't there.
pub const NOT_THERE: &str = "not there";

/// Looks at the things of one site, or of the host alone.
#[derive(Debug, Clone, Copy)]
pub struct Looker<'c> {
    site: Option<&'c SiteConfig>,
}

impl<'c> Looker<'c> {
    /// For this site; `None`: only what is of the host.
    pub const fn of(site: Option<&'c SiteConfig>) -> Self {
        Self { site }
    }

    fn site(self) -> Result<&'c SiteConfig, String> {
        self.site.ok_or_else(|| "there is no site to look at".to_owned())
    }

    /// The service of this name, as it is configured.
    ///
    /// # Errors
    /// A sentence, where the site has none.
    pub fn configured(self, name: &str) -> Result<&'c ServiceConfig, String> {
        let site = self.site()?;
        let known = || site.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = site.services.iter().find(|service| service.name == name);
        found.ok_or_else(|| format!("{} has no service `{name}`: there are {}", site.id, known()))
    }

    /// Every service of the site as it is now.
    ///
    /// # Errors
    /// A sentence, where they can't be seen.
    pub async fn services(self) -> Result<Vec<Service>, String> {
        seen(ServicesProbe::new(self.site()?).observe().await).map(|reading| reading.services)
    }

    /// One service as it is now.
    ///
    /// # Errors
    /// A sentence, where it can't be seen.
    pub async fn service(self, name: &str) -> Result<Service, String> {
        let one = self.configured(name)?.clone();
        let mut services = seen(ServicesProbe::of(vec![one]).observe().await)?.services;
        services.pop().ok_or_else(|| format!("nothing is known of the service {name}"))
    }

    /// The queues and workers as they are now.
    ///
    /// # Errors
    /// A sentence, where they can't be seen.
    pub async fn queues(self) -> Result<RedisReading, String> {
        let site = self.site()?;
        if let (Err(_), Err(why)) = (&site.redis, &site.broker) {
            return Err(why.clone());
        }
        let mut probe = RedisProbe::of(site.redis.as_ref().ok(), site.broker.as_ref().ok(), site.app);
        seen(probe.observe().await)
    }

    /// The migrations of the application's code on disk; `None`: midwatch does not know such code, or can't see it.
    ///
    /// # Errors
    /// A sentence, where the look failed.
    pub async fn code(self) -> Result<Option<Vec<AppMigrations>>, String> {
        match AppProbe::new(self.site()?).observe().await {
            Seen::Value(reading) if !reading.migrations.is_empty() => Ok(Some(reading.migrations)),
            Seen::Value(_) | Seen::Unseen(_) => Ok(None),
            Seen::Failed(why) => Err(why),
            Seen::Asking => Err("the application on disk has not been looked at".to_owned()),
        }
    }

    /// The migrations of an application that lies in this directory of packages.
    ///
    /// # Errors
    /// A sentence, where none are seen there.
    pub async fn code_in(self, packages: &str, name: &str) -> Result<Vec<AppMigrations>, String> {
        upgrade::kept(packages, name).await
    }

    /// The migrations the database in use lacks of those that come with this code.
    ///
    /// # Errors
    /// A sentence, where that can't be seen.
    pub async fn pending(self, code: &[AppMigrations]) -> Result<Vec<String>, String> {
        upgrade::pending(self.site()?, code).await
    }

    /// What a thing is now, in words that are the same exactly while it is the same thing.
    ///
    /// # Errors
    /// A sentence, where it can't be seen.
    pub async fn subject(self, of: &Subject) -> Result<String, String> {
        match of {
            Subject::Service(name) => self.service(name).await.map(|service| told(&service)),
            Subject::Process(pid) => Ok(process(*pid)),
            Subject::File(path) | Subject::Source(path) => Ok(file(path)),
            Subject::Place(path) => Ok(files::place(path)),
            Subject::Link(path) => Ok(releases::link(path)),
            Subject::Descriptor(pid, fd) => Ok(descriptor(*pid, *fd)),
            Subject::Session(pid) => {
                let database = self.site()?.database.as_ref().map_err(Clone::clone)?;
                Ok(session::identity(database, *pid).await?.unwrap_or_else(|| NOT_THERE.to_owned()))
            }
            Subject::Database(name) => {
                let database = self.site()?.database.as_ref().map_err(Clone::clone)?;
                Ok(session::database(database, name).await?.unwrap_or_else(|| NOT_THERE.to_owned()))
            }
            Subject::Schema => upgrade::schema(self.site()?).await,
            Subject::Parked(with) => {
                let tasks = Tasks::of(self.site()?.broker.as_ref().map_err(Clone::clone)?).await?;
                let parked = tasks.parked(with).await?;
                Ok(parked.map_or_else(|| NOT_THERE.to_owned(), |tasks| count(tasks, "task")))
            }
        }
    }

    /// What of an upgrade to the version on disk is still to be done, in a sentence; `None`: nothing.
    ///
    /// # Errors
    /// A sentence, where that can't be seen.
    pub async fn unfinished(self) -> Result<Option<String>, String> {
        upgrade::unfinished(self.site()?).await
    }

    /// Migrations the site's database has seen that the code in these packages does not know.
    ///
    /// # Errors
    /// A sentence, where that can't be seen.
    pub async fn foreign(self, packages: &Path, name: &str) -> Result<Vec<String>, String> {
        upgrade::foreign(self.site()?, packages, name).await
    }

    /// Whether something holds now. A program is not run here.
    ///
    /// # Errors
    /// A sentence that says how it is instead.
    pub async fn holds(self, probe: &Probe) -> Result<String, String> {
        match probe {
            Probe::Runs(name) => running(&self.service(name).await?),
            Probe::Steady { service, seconds } => steady(&self.service(service).await?, *seconds),
            Probe::Restarted { service, was } => {
                let now = self.service(service).await?;
                let seen = running(&now)?;
                if told(&now) == *was { Err(format!("{service} still runs as before: {was}")) } else { Ok(seen) }
            }
            Probe::Stopped(name) => {
                let service = self.service(name).await?;
                if is_down(&service) { Ok(told(&service)) } else { Err(told(&service)) }
            }
            Probe::Forgiven(name) => {
                let service = self.service(name).await?;
                let given_up = matches!(service.state, State::GaveUp | State::Failed);
                if given_up { Err(told(&service)) } else { Ok(told(&service)) }
            }
            Probe::Healthy => self.healthy().await,
            Probe::WorkerListens => self.worker().await,
            Probe::Gone { pid, was } => {
                let now = process(*pid);
                if now == *was { Err(format!("process {pid} is still there")) } else { Ok(format!("{pid} has ended")) }
            }
            Probe::SessionGone { pid, was } => {
                let now = self.subject(&Subject::Session(*pid)).await?;
                if now == *was { Err(format!("session {pid} still holds what it held")) } else { Ok(now) }
            }
            Probe::Freed { pid, fd } => {
                let size = std::fs::metadata(format!("/proc/{pid}/fd/{fd}")).map_or(0, |meta| meta.len());
                // What was written since is little against what was freed.
                if size < 1 << 20 {
                    Ok(format!("{size} bytes are left"))
                } else {
                    Err(format!("{size} bytes are held"))
                }
            }
            Probe::Postgres(question) => {
                let password = self.site()?.database.as_ref().map_err(Clone::clone).map(|d| &d.password)?;
                let answer = psql::one(&question.server, Some(password), "postgres", &question.sql).await?;
                if answer.as_deref() == Some(&question.answer) {
                    Ok(question.means.clone())
                } else {
                    let answer = plain(&answer.unwrap_or_else(|| "nothing".to_owned()), 120);
                    Err(format!("{NOT_YET}{} (the server says {answer})", question.means))
                }
            }
            Probe::Mysql(probe) => Box::pin(mysql::holds(self.site()?, probe)).await,
            Probe::Upgrade(probe) => Box::pin(upgrade::holds(self.site()?, probe)).await,
            Probe::Files(probe) => files::holds(probe),
            Probe::Drill(probe) => drill::holds(probe),
            Probe::All(all) => {
                let mut held = Vec::new();
                for probe in all {
                    held.push(Box::pin(self.holds(probe)).await?);
                }
                Ok(held.join("; "))
            }
            Probe::Succeeds(command) => Err(format!("{} is not run to look", command.argv.join(" "))),
        }
    }

    /// Whether a service that must run for something to hold does nothing for anybody now. Not so where that can't be seen.
    pub async fn down(self, probe: &Probe) -> bool {
        match probe {
            Probe::Runs(service) | Probe::Restarted { service, .. } => {
                self.service(service).await.is_ok_and(|service| is_down(&service))
            }
            Probe::Upgrade(UpgradeProbe::Image(probe)) => image::down(probe).await,
            Probe::Stopped(_)
            | Probe::Forgiven(_)
            | Probe::Steady { .. }
            | Probe::Healthy
            | Probe::WorkerListens
            | Probe::Gone { .. }
            | Probe::SessionGone { .. }
            | Probe::Succeeds(_)
            | Probe::Freed { .. }
            | Probe::Postgres(_)
            | Probe::Mysql(_)
            | Probe::Upgrade(_)
            | Probe::Files(_)
            | Probe::Drill(_)
            | Probe::All(_) => false,
        }
    }

    async fn healthy(self) -> Result<String, String> {
        let limits = Limits::with_hang(std::time::Duration::from_secs(35));
        let check = WebProbe::new(self.site()?, limits)?.health().await;
        if check.state == crate::domain::health::HealthState::Ok { Ok(check.detail) } else { Err(check.detail) }
    }

    async fn worker(self) -> Result<String, String> {
        let reading = self.queues().await?;
        let Some(broker) = reading.broker else { return Ok("the application has no queues".to_owned()) };
        match broker.labour() {
            Labour::Asking => Ok("a worker asks for tasks".to_owned()),
            Labour::Busy(n) => Ok(format!("{n} workers are busy")),
            Labour::Gone => Err("no worker is connected".to_owned()),
            Labour::Leaving(..) => Err("the worker is about to end".to_owned()),
            Labour::Hung(n, s) => Err(format!("{n} workers have been silent for {s} s")),
            Labour::Unsure(..) | Labour::Unknown => Err("it can't be told whether a worker takes tasks".to_owned()),
        }
    }
}

fn seen<T>(seen: Seen<T>) -> Result<T, String> {
    match seen {
        Seen::Value(value) => Ok(value),
        Seen::Failed(why) | Seen::Unseen(why) => Err(why),
        Seen::Asking => Err("no answer has come yet".to_owned()),
    }
}

/// Whether a service does nothing for anybody now: stopped, failed, given up, not there.
pub const fn is_down(service: &Service) -> bool {
    matches!(service.state, State::Stopped | State::Failed | State::GaveUp | State::Missing)
}

/// What a service is: its state, its main process, and when that began.
pub fn told(service: &Service) -> String {
    let pid = service.pid.map(|pid| format!(" · pid {pid}")).unwrap_or_default();
    let began = service.started.map(|at| format!(" · began {}", at.as_millis())).unwrap_or_default();
    format!("{}{pid}{began}", service.state.word())
}

fn running(service: &Service) -> Result<String, String> {
    match service.state {
        State::Running | State::Waiting if service.stuck.is_none() => Ok(told(service)),
        State::Running
        | State::Waiting
        | State::Starting
        | State::Stopping
        | State::Unhealthy
        | State::Restarting
        | State::Frozen
        | State::Stopped
        | State::Failed
        | State::GaveUp
        | State::Missing
        | State::Unknown => Err(format!("{} is {} ({})", service.name, service.state.word(), service.said)),
    }
}

/// Whether it runs, and has for so long.
fn steady(service: &Service, seconds: u64) -> Result<String, String> {
    let seen = running(service)?;
    let Some(began) = service.started else { return Err(format!("since when {} runs can't be seen", service.name)) };
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    match now.secs_since(began) {
        run if run >= seconds => Ok(format!("it has run for {run} s: {seen}")),
        run => Err(format!("{} has run for {run} s: {seen}", service.name)),
    }
}

/// A process: when it began (clock ticks since boot) and its name.
pub(crate) fn process(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let name = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'));
    let began = name.and_then(|(_, rest)| rest.split_whitespace().nth(19));
    // One that nobody has collected yet has ended all the same.
    let dead = name.is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
    match (name.filter(|_| !dead), began) {
        (Some((name, _)), Some(began)) => format!("{} · began {began}", plain(name, 64)),
        (Some(_) | None, _) => NOT_THERE.to_owned(),
    }
}

pub(crate) fn file(path: &str) -> String {
    match std::fs::symlink_metadata(path) {
        Ok(meta) => format!(
            "inode {}:{} · {} bytes · changed {}.{:09}",
            meta.dev(),
            meta.ino(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec()
        ),
        Err(_) => NOT_THERE.to_owned(),
    }
}

fn descriptor(pid: u32, fd: u32) -> String {
    let link = format!("/proc/{pid}/fd/{fd}");
    let points = std::fs::read_link(&link).map(|path| plain(&path.display().to_string(), 400)).unwrap_or_default();
    match std::fs::metadata(&link) {
        Ok(meta) => format!("{} · {points} · inode {}:{}", process(pid), meta.dev(), meta.ino()),
        Err(_) => NOT_THERE.to_owned(),
    }
}
