//! The services of a site: units of systemd, containers of a Compose project, programs of supervisord, plain processes.
//!
//! Everything that could block runs in an errand on a thread of its own; systemd is asked through `systemctl`, with a
//! time limit. All of it only reads.

mod asked;
pub(super) mod command;
mod containers;
mod memory;
mod processes;
mod starts;
mod supervisor;
mod systemd;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use self::asked::{Asked, Errands};
use self::processes::Processes;
use self::starts::Starts;
use self::systemd::{Unit, Whose};
use super::errand::{Answer, Errand};
use crate::config::{Config, ServiceConfig, ServicePlace, SiteConfig, UserManager};
use crate::domain::reading::Seen;
use crate::domain::service::{Service, ServicesReading, State, Stuck};
use crate::domain::time::Timestamp;
use crate::ports::Observe;

/// How long the errand is waited for: longer than each of its questions.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why something can't be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    /// A sentence that says what would help.
    why: String,
    /// Whether it will be so until somebody changes it: no permission, not there.
    lasting: bool,
}

/// The services of one site; or, without any, the failed units of the host.
pub struct ServicesProbe {
    services: Vec<ServiceConfig>,
    others: bool,
    proc: PathBuf,
    starts: Starts,
    asking: Errand<Asked>,
}

impl ServicesProbe {
    /// Of the services of this site.
    pub fn new(site: &SiteConfig) -> Self {
        Self::of(site.services.clone())
    }

    /// Of these services.
    pub fn of(services: Vec<ServiceConfig>) -> Self {
        Self {
            services,
            others: false,
            proc: PathBuf::from("/proc"),
            starts: Starts::default(),
            asking: Errand::default(),
        }
    }

    /// Of the host: only those of its failed units that are no site's.
    pub fn of_host(config: &Config) -> Self {
        let services = config.sites.iter().flat_map(|site| site.services.iter().cloned()).collect();
        Self { others: true, ..Self::of(services) }
    }

    /// What systemd says of the units among the services.
    async fn units(&self) -> BTreeMap<Whose, Result<BTreeMap<String, Unit>, Trouble>> {
        let mut wanted: BTreeMap<Whose, Vec<String>> = BTreeMap::new();
        for service in &self.services {
            if let ServicePlace::Unit { unit, user } = &service.place {
                wanted.entry(whose(user.as_ref())).or_default().push(unit.clone());
            }
        }
        let asked = wanted.into_iter().map(|(whose, names)| async move {
            let units = systemd::units(&whose, &names).await;
            (whose, units)
        });
        futures_util::future::join_all(asked).await.into_iter().collect()
    }

    /// Every unit of the host that failed, and of this user.
    async fn failed(&self, reading: &mut ServicesReading) -> Option<Trouble> {
        let own = rustix::process::geteuid().as_raw();
        let runtime = PathBuf::from(format!("/run/user/{own}"));
        let (system, user) = tokio::join!(systemd::failed(&Whose::System), async {
            // Most users have no manager: that is no news.
            let there = runtime.join("systemd").exists();
            let manager = Whose::User(UserManager { uid: own, runtime });
            if there { systemd::failed(&manager).await } else { Ok(Vec::new()) }
        });
        if let Ok(units) = &user {
            reading.others.extend(units.iter().map(|unit| systemd::failed_unit(unit, true)));
        }
        match system {
            Ok(units) => {
                reading.others.extend(units.iter().map(|unit| systemd::failed_unit(unit, false)));
                reading.unseen.extend(user.err().map(|trouble| trouble.why));
                None
            }
            Err(trouble) => Some(trouble),
        }
    }

    async fn ask(&mut self) -> Result<Asked, Trouble> {
        let errands = Errands::of(&self.services, &self.proc);
        let none = |why: String| Trouble { why, lasting: false };
        self.asking
            .begin(move || errands.run())
            .map_err(|error| none(format!("Services can't be watched: no thread to be had ({error}).")))?;
        match self.asking.answer(Instant::now() + PATIENCE).await {
            Answer::Came(asked) => Ok(asked),
            Answer::Waiting(since) => {
                Err(none(format!("/proc, Docker or supervisord has not answered for {} s.", since.as_secs())))
            }
            Answer::Lost => Err(none("The look at services ended without an answer.".to_owned())),
        }
    }
}

fn whose(user: Option<&UserManager>) -> Whose {
    user.map_or(Whose::System, |user| Whose::User(user.clone()))
}

/// What systemd says, asked through `systemctl`: of the system's manager, or of that of a user.
///
/// # Errors
/// A sentence that says what would help.
pub(super) async fn systemctl(user: Option<&UserManager>, arguments: &[String]) -> Result<String, String> {
    systemd::systemctl(&whose(user), arguments).await.map_err(|trouble| trouble.why)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Observe for ServicesProbe {
    type Value = ServicesReading;

    async fn observe(&mut self) -> Seen<ServicesReading> {
        let mut reading = ServicesReading::default();
        if self.others {
            if let Some(trouble) = self.failed(&mut reading).await {
                return trouble.seen();
            }
            let known = |unit: &str| {
                self.services.iter().any(|s| matches!(&s.place, ServicePlace::Unit { unit: own, .. } if own == unit))
            };
            reading.others.retain(|failed| !known(&failed.unit));
            reading.tidy();
            return Seen::Value(reading);
        }
        if self.services.is_empty() {
            let why = "No service of this site was found; name them in midwatch.toml: [sites.NAME.services.web] \
                       unit = \"…\".";
            return Seen::Unseen(why.to_owned());
        }
        // In this order: the errand is under way while systemd is asked.
        let units = self.units().await;
        let asked = match self.ask().await {
            Ok(asked) => asked,
            Err(trouble) => return trouble.seen(),
        };
        let now = now();
        let (mut troubles, mut why) = (Vec::new(), BTreeSet::new());
        for config in &self.services {
            let mut service = Service::new(&config.name, config.role, config.place.manager(), &config.place.name());
            service.shared = config.shared;
            service.found.clone_from(&config.found);
            match look(config, &mut service, &units, &asked, now) {
                Ok(group) => {
                    tree(&mut service, &asked.processes, now);
                    let kills = group.as_deref().and_then(memory::oom_kills);
                    if service.state.is_up() {
                        service.memory = group.as_deref().and_then(memory::used).or(service.memory);
                    }
                    self.starts.note(&mut service, kills, now);
                }
                Err(trouble) => {
                    service.state = State::Unknown;
                    "can't be seen".clone_into(&mut service.said);
                    why.insert(trouble.why.clone());
                    troubles.push(trouble);
                }
            }
            reading.services.push(service);
        }
        if troubles.len() == reading.services.len()
            && let Some(first) = troubles.first()
        {
            let lasting = troubles.iter().all(|trouble| trouble.lasting);
            let why = why.into_iter().collect::<Vec<_>>().join(" ");
            return Trouble { why: if why.is_empty() { first.why.clone() } else { why }, lasting }.seen();
        }
        reading.unseen.extend(why);
        reading.tidy();
        Seen::Value(reading)
    }
}

impl Trouble {
    fn seen<T>(self) -> Seen<T> {
        if self.lasting { Seen::Unseen(self.why) } else { Seen::Failed(self.why) }
    }
}

/// Lays what its manager says over a service; its control group, where that is known.
fn look(
    config: &ServiceConfig,
    service: &mut Service,
    units: &BTreeMap<Whose, Result<BTreeMap<String, Unit>, Trouble>>,
    asked: &Asked,
    now: Timestamp,
) -> Result<Option<String>, Trouble> {
    let group_of = |service: &Service| service.pid.and_then(|pid| asked.processes.control_group(pid));
    match &config.place {
        ServicePlace::Unit { unit, user } => {
            let manager = units.get(&whose(user.as_ref())).cloned().unwrap_or_else(|| Ok(BTreeMap::new()))?;
            let Some(found) = manager.get(unit) else {
                service.state = State::Missing;
                "systemd says nothing of it".clone_into(&mut service.said);
                return Ok(None);
            };
            systemd::service(found, service);
            // From within a container, or out of one, ids mean other processes.
            if let Some(pid) = service.pid
                && !asked.processes.is_of(pid, unit)
            {
                service.pid = None;
                service.facts.push(("main process".to_owned(), format!("{pid}, not visible from here")));
            }
            Ok(found.control_group().map(ToOwned::to_owned))
        }
        ServicePlace::Compose { socket, project, service: name } => {
            let key = (socket.clone(), project.clone(), name.clone());
            let containers = asked.containers.get(&key).cloned().unwrap_or_else(|| Ok(Vec::new()))?;
            containers::service(&containers, service, now);
            Ok(group_of(service))
        }
        ServicePlace::Supervisor { at, program } => {
            let programs = asked.programs.get(&at.listens).cloned().unwrap_or_else(|| Ok(Vec::new()))?;
            let mine: Vec<_> = programs.iter().filter(|p| p.is(program)).collect();
            supervisor::service(&mine, service);
            service.command = service.pid.map(|pid| asked.shown(pid)).unwrap_or_default();
            // Its control group is that of whoever started it.
            Ok(None)
        }
        ServicePlace::Process { words, uid } => {
            processes::service(&asked.processes, &asked.processes.masters(words, *uid), service);
            service.command = service.pid.map(|pid| asked.shown(pid)).unwrap_or_default();
            // Its control group is that of whoever started it.
            Ok(None)
        }
    }
}

/// Lays over a service what its processes say: how many, with how much memory, in which state.
fn tree(service: &mut Service, processes: &Processes, now: Timestamp) {
    let Some(pid) = service.pid.filter(|pid| processes.get(*pid).is_some()) else { return };
    let tree = processes.tree(pid);
    service.children = Some(tree.children);
    service.memory = service.memory.or(Some(tree.memory));
    service.started = service.started.or_else(|| processes.get(pid).map(|p| p.started));
    if let Some((how, n)) = tree.stuck
        && service.stuck.is_none()
    {
        let of = tree.children.saturating_add(1);
        service.stuck = Some(Stuck { how, processes: n, of, main: tree.main_stuck, since: now });
    }
}
