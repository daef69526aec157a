//! The application on disk: its version, the processes that hold older code, its migrations, its secret, its static files.
//!
//! Only files are read; the application is never started, nothing of it is run.

mod holders;
pub(super) mod install;
pub mod installation;
mod migrations;
mod secret;
mod statics;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::holders::{Written, holders};
use self::install::{Installed, environments, find, package, usual};
use self::secret::{FIRST_START_S, Remembered, Told};
use super::errand::{Answer, Errand};
use super::roll::{self, Proc};
use super::schedule;
use crate::config::{AppKind, ServicePlace, SiteConfig};
use crate::discovery::{Runner, Settings, Surroundings, runners};
use crate::domain::app_state::{AppMigrations, AppReading, ConfigFile};
use crate::domain::reading::Seen;
use crate::domain::schedule::Job;
use crate::domain::service::Role;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;
use crate::ports::Observe;

/// How long the errand is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at the application on disk.
pub struct AppProbe {
    plan: Arc<Plan>,
    looker: Option<Looker>,
    errand: Errand<(Looker, Looked)>,
}

/// What came of a look.
struct Looked {
    reading: AppReading,
    crontabs: Vec<Job>,
    crontabs_unseen: bool,
}

impl AppProbe {
    /// Of this site's application.
    pub fn new(site: &SiteConfig) -> Self {
        Self::of(site, Path::new("/"))
    }

    /// The same in a tree.
    fn of(site: &SiteConfig, root: &Path) -> Self {
        let services =
            site.services.iter().filter(|s| !s.shared && matches!(s.role, Role::Web | Role::Worker | Role::Beat));
        let backend =
            site.direct.as_ref().and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
        let plan = Plan {
            around: Surroundings { root: root.to_owned(), cwd: PathBuf::from("/"), ..Surroundings::default() },
            app: site.app,
            source: site.source.clone(),
            data_dir: site.data_dir.clone(),
            host: site.url.host_str().unwrap_or_default().to_owned(),
            backend,
            services: services.map(|s| s.place.clone()).collect(),
        };
        Self { plan: Arc::new(plan), looker: None, errand: Errand::default() }
    }
}

/// What there is to look at.
struct Plan {
    around: Surroundings,
    app: AppKind,
    source: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    host: String,
    backend: Option<String>,
    services: Vec<ServicePlace>,
}

/// What looks, on a thread of its own, and what it remembers.
#[derive(Default)]
struct Looker {
    remembered: Remembered,
    /// The version as last seen, with the migrations that came with it.
    known: Option<(Installed, Vec<AppMigrations>)>,
    before: Option<String>,
}

impl Looker {
    fn look(&mut self, plan: &Plan, name: &str, now: Timestamp) -> Looked {
        let mut reading = AppReading::default();
        let (processes, env) = plan.processes(&mut reading.unseen);
        let installed = plan.installed(&processes);
        match &installed {
            Some(found) => {
                reading.version = Some(found.version.clone());
                reading.installed = Some(found.at);
                reading.place = Some(roll::shown(&plan.around.root, &found.packages));
                self.versions(found, name);
                reading.migrations = self.known.as_ref().map(|(_, m)| m.clone()).unwrap_or_default();
            }
            None => reading.unseen.push(format!(
                "Where {name} is installed was not found: neither by its processes nor at its usual places; in a \
                 container only its processes and its configuration are seen."
            )),
        }
        reading.before.clone_from(&self.before);
        let settings = plan.settings(&env, &mut reading.unseen);
        reading.config = plan.source.as_ref().map(|path| plan.config(path, settings.as_ref()));
        if let Some(data_dir) = &plan.data_dir {
            let told = match &settings {
                Some(settings) if settings.some(section(plan.app), "secret").is_some() => Told::Set,
                Some(_) => Told::Unset,
                None => Told::Unknown,
            };
            let (path, real) = (data_dir.join(".secret"), plan.around.at(&data_dir.join(".secret")));
            let shown = plain(&path.display().to_string(), 200);
            reading.secret = secret::look(told, (shown, &real), &mut self.remembered, now, &mut reading.unseen);
            let space = rustix::fs::statvfs(plan.around.at(data_dir)).ok();
            reading.data_free = space.map(|s| s.f_bavail.saturating_mul(s.f_frsize));
        }
        // What is seen to change is older than a process or not; what is only dated leaves a first start its time.
        let dated = reading.secret.written.map(|at| at.plus_secs(-FIRST_START_S));
        let written = Written {
            code: reading.installed,
            config: reading.config.as_ref().and_then(|c| c.written),
            secret: reading.secret.changed.or(dated),
        };
        reading.processes = holders(&processes, written);
        let (host, backend) = (plan.host.as_str(), plan.backend.as_deref());
        reading.static_missing =
            statics::missing(&plan.around.root, installed.as_ref(), host, backend, &mut reading.unseen);
        let mut unseen = Vec::new();
        let crontabs = schedule::crontabs(&plan.around.root, now, &mut unseen);
        Looked { reading, crontabs, crontabs_unseen: !unseen.is_empty() }
    }

    /// Remembers the version that was before, and reads the migrations of a new one.
    fn versions(&mut self, found: &Installed, name: &str) {
        if let Some((known, _)) = &self.known {
            if known == found {
                return;
            }
            if known.version != found.version {
                self.before = Some(known.version.clone());
            }
        }
        self.known = Some((found.clone(), migrations::migrations(&found.packages, name)));
    }
}

impl Plan {
    /// The application's processes, and what of their environment configures it.
    fn processes(&self, unseen: &mut Vec<String>) -> (Vec<Proc>, BTreeMap<String, String>) {
        let files: Vec<PathBuf> = self.source.iter().cloned().collect();
        let (runners, hidden) = runners(&self.around, self.app, &files);
        let env = runners.first().map(Runner::env).unwrap_or_default();
        let ours: BTreeSet<u32> = runners.iter().map(Runner::pid).collect();
        let proc = self.around.at(Path::new("/proc"));
        let all = roll::processes(&proc, |words| Role::of_command(words).is_some());
        let found: Vec<Proc> = all.into_iter().filter(|p| ours.contains(&p.pid) || self.is_service(&proc, p)).collect();
        if found.is_empty() && hidden > 0 {
            unseen.push(
                "Its processes are another user's: as root, or as that user, midwatch would see whether they run older \
                 code than is on disk."
                    .to_owned(),
            );
        }
        (found, env)
    }

    fn is_service(&self, proc: &Path, process: &Proc) -> bool {
        let line = || process.words.join(" ");
        self.services.iter().any(|place| match place {
            ServicePlace::Process { words, uid } => {
                uid.is_none_or(|uid| uid == process.uid) && words.iter().all(|word| line().contains(word.as_str()))
            }
            ServicePlace::Unit { unit, .. } => {
                let group = std::fs::read_to_string(proc.join(process.pid.to_string()).join("cgroup"));
                group.is_ok_and(|text| text.lines().any(|line| line.ends_with(&["/", unit].concat())))
            }
            ServicePlace::Compose { .. } | ServicePlace::Supervisor { .. } => false,
        })
    }

    fn installed(&self, processes: &[Proc]) -> Option<Installed> {
        let mut places: Vec<PathBuf> = processes.iter().flat_map(|p| environments(&p.words)).collect();
        let beside: Vec<&Path> = self.data_dir.iter().chain(&self.source).map(PathBuf::as_path).collect();
        places.extend(usual(self.app, &beside));
        let mut seen = BTreeSet::new();
        places.retain(|place| seen.insert(place.clone()));
        places.truncate(40);
        find(&self.around.root, self.app, &places)
    }

    fn settings(&self, env: &BTreeMap<String, String>, unseen: &mut Vec<String>) -> Option<Settings> {
        let Some(source) = &self.source else {
            unseen.push("Its configuration file is not known: name it as app_config in midwatch.toml.".to_owned());
            return None;
        };
        let usual = package(self.app).map(|name| PathBuf::from(format!("/etc/{name}/{name}.cfg")));
        let mut files: Vec<PathBuf> = usual.into_iter().filter(|p| p != source).collect();
        // The usual one is read below one of the home directory, not below one that was named.
        let home = source.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        files.retain(|_| home);
        files.push(source.clone());
        match Settings::read(&self.around, &files, self.app, env) {
            Ok(settings) => Some(settings),
            Err(error) => {
                unseen.push(format!("{error}: whether it holds a secret or switches debugging on is not seen."));
                None
            }
        }
    }

    fn config(&self, path: &Path, settings: Option<&Settings>) -> ConfigFile {
        let section = section(self.app);
        let rate = settings.and_then(|s| s.some("django", "profile")).filter(|_| self.app == AppKind::Pretix);
        ConfigFile {
            path: plain(&path.display().to_string(), 200),
            written: roll::written(&self.around.at(path)),
            debug: settings.map(|s| s.switch(section, "debug") == Some(true)),
            profile: rate.filter(|rate| rate.parse::<f64>().is_ok_and(|r| r > 0.0)).map(|rate| plain(&rate, 20)),
        }
    }
}

/// Where an application has its switches (their `settings.py`).
const fn section(app: AppKind) -> &'static str {
    match app {
        AppKind::Pretix | AppKind::Web => "django",
        AppKind::Pretalx => "site",
    }
}

impl Observe for AppProbe {
    type Value = AppReading;

    async fn observe(&mut self) -> Seen<AppReading> {
        let Some(name) = package(self.plan.app) else {
            return Seen::Unseen("What lies on disk is known for pretix and pretalx alone.".to_owned());
        };
        if !self.errand.is_under_way() {
            let (mut looker, plan) = (self.looker.take().unwrap_or_default(), Arc::clone(&self.plan));
            let begun = self.errand.begin(move || {
                let looked = looker.look(&plan, name, roll::now());
                (looker, looked)
            });
            if let Err(error) = begun {
                let why = format!("The application on disk can't be looked at: no thread to be had ({error}).");
                return Seen::Failed(why);
            }
        }
        let Looked { mut reading, crontabs, crontabs_unseen } =
            match self.errand.answer(Instant::now() + PATIENCE).await {
                Answer::Came((looker, looked)) => {
                    self.looker = Some(looker);
                    looked
                }
                Answer::Waiting(since) => {
                    return Seen::Failed(format!("A disk has not answered for {} s.", since.as_secs()));
                }
                Answer::Lost => return Seen::Failed("The look at the application ended without an answer.".to_owned()),
            };
        reading.periodic = Some(schedule::plan(name, &crontabs, crontabs_unseen).await);
        Seen::Value(reading)
    }
}

#[cfg(test)]
mod tests;
