//! The services of a site: what they are called and who runs them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use toml::Spanned;

use super::load::Source;
use crate::discovery::Surroundings;
use crate::domain::service::{Manager, Role};
use crate::domain::text::plain;

/// One service of a site.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Its name, unique within the site.
    pub name: String,
    /// What it does for the site.
    pub role: Role,
    /// Who runs it, and under which name.
    pub place: ServicePlace,
    /// Whether it serves others too (a database server, a proxy): known by its usual name, not by the site's own words.
    pub shared: bool,
    /// How it was found.
    pub found: String,
    /// How plain processes come back after they were ended; others are started by their manager.
    pub start: Option<Start>,
}

/// How plain processes come back after they were ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// This program brings them up, with its arguments.
    Command(Vec<String>),
    /// Something that midwatch doesn't know starts them again by itself.
    Kept,
}

impl ServiceConfig {
    /// The keys of its table as they could be written, and their values.
    pub fn keys(&self) -> Vec<(&'static str, String)> {
        let mut keys = vec![("role", self.role.word().to_owned())];
        match &self.place {
            ServicePlace::Unit { unit, user } => {
                keys.push(("unit", unit.clone()));
                keys.extend(user.as_ref().map(|user| ("user", user.uid.to_string())));
            }
            ServicePlace::Compose { socket, .. } => {
                keys.push(("compose", self.place.name()));
                keys.push(("socket", socket.display().to_string()));
            }
            ServicePlace::Supervisor { at, program } => {
                keys.push(("supervisor", program.clone()));
                keys.push(("socket", at.listens.to_string()));
            }
            ServicePlace::Process { words, uid } => {
                keys.push(("process", words.join(" ")));
                keys.extend(uid.map(|uid| ("user", uid.to_string())));
            }
        }
        match &self.start {
            Some(Start::Command(words)) => keys.push(("start", words.join(" "))),
            Some(Start::Kept) => keys.push(("kept", "true".to_owned())),
            None => {}
        }
        keys
    }
}

/// Who runs a service, and under which name.
#[derive(Debug, Clone)]
pub enum ServicePlace {
    /// A unit of systemd.
    Unit {
        /// Its full name: `pretix-web.service`.
        unit: String,
        /// Whose manager it is of; `None`: the system's.
        user: Option<UserManager>,
    },
    /// A service of a Compose project.
    Compose {
        /// Docker's or Podman's socket.
        socket: PathBuf,
        /// The project; empty: the only one that has such a service.
        project: String,
        /// The service.
        service: String,
    },
    /// A program of supervisord.
    Supervisor {
        /// Where supervisord listens.
        at: SupervisorPlace,
        /// `group:name`, or the name alone.
        program: String,
    },
    /// Processes with all of these words in their command line.
    Process {
        /// The words.
        words: Vec<String>,
        /// The user they run as; `None`: any.
        uid: Option<u32>,
    },
}

/// The manager of a user's own units.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserManager {
    /// The user.
    pub uid: u32,
    /// Its runtime directory: `/run/user/1000`.
    pub runtime: PathBuf,
}

impl UserManager {
    /// That of a user; of oneself, where the environment says.
    pub fn of(uid: u32, around: &Surroundings) -> Self {
        let told = around.env.get("XDG_RUNTIME_DIR").filter(|dir| dir.starts_with('/'));
        let told = told.filter(|_| uid == rustix::process::geteuid().as_raw()).map(PathBuf::from);
        Self { uid, runtime: told.unwrap_or_else(|| PathBuf::from(format!("/run/user/{uid}"))) }
    }
}

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

/// Where supervisord listens, and how one logs in there.
#[derive(Clone)]
pub struct SupervisorPlace {
    /// Its socket.
    pub listens: Listener,
    /// User and password, where it asks for them.
    pub login: Option<(String, SecretString)>,
}

// The user may be a secret as much as the password.
impl fmt::Debug for SupervisorPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorPlace").field("listens", &self.listens).finish_non_exhaustive()
    }
}

impl ServicePlace {
    /// Who runs it.
    pub const fn manager(&self) -> Manager {
        match self {
            Self::Unit { user: None, .. } => Manager::Systemd,
            Self::Unit { user: Some(_), .. } => Manager::SystemdUser,
            Self::Compose { .. } => Manager::Compose,
            Self::Supervisor { .. } => Manager::Supervisor,
            Self::Process { .. } => Manager::Process,
        }
    }

    /// The name it has there.
    pub fn name(&self) -> String {
        match self {
            Self::Unit { unit, .. } => unit.clone(),
            Self::Compose { project, service, .. } if project.is_empty() => service.clone(),
            Self::Compose { project, service, .. } => format!("{project}/{service}"),
            Self::Supervisor { program, .. } => program.clone(),
            Self::Process { words, .. } => words.join(" "),
        }
    }
}

/// One service of a site, as written. Exactly one of `unit`, `compose`, `supervisor` and `process` says where it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    /// What it does: web, worker, beat, periodic, database, redis, proxy or other; left out: told from its name.
    pub role: Option<Role>,
    /// A unit of systemd: `pretix-web.service`.
    pub unit: Option<String>,
    /// The user whose manager the unit is of, or as whom the processes run, by name or number; left out: the system's
    /// manager, any user.
    pub user: Option<String>,
    /// A service of a Compose project: `project/service`, or the service alone.
    pub compose: Option<String>,
    /// A program of supervisord: `name` or `group:name`.
    pub supervisor: Option<String>,
    /// Docker's, Podman's or supervisord's socket, where it isn't the usual one; supervisord's also as `host:port`.
    pub socket: Option<String>,
    /// Words that are all in the command line of its processes.
    pub process: Option<String>,
    /// The program that starts its processes, with its arguments: `["/srv/shop/start", "worker"]`. What it leaves running
    /// lives on. For plain processes only: without it, or `kept`, they are not restarted.
    pub start: Option<Vec<String>>,
    /// Whether something else starts its processes again after they ended.
    #[serde(default)]
    pub kept: bool,
    /// Leaves out a service that was found by itself.
    #[serde(default)]
    pub ignore: bool,
}

/// Lays what is written over what was found.
pub(super) fn overlay(
    services: &mut Vec<ServiceConfig>,
    written: BTreeMap<String, Spanned<ServiceFile>>,
    source: &mut Source,
    around: &Surroundings,
) {
    for (name, entry) in written {
        let (span, entry) = (entry.span(), entry.into_inner());
        let span = span.start..span.end.min(span.start + 1);
        let known = services.iter().position(|service| service.name == name);
        if entry.ignore {
            services.retain(|service| service.name != name);
            continue;
        }
        let told =
            [&entry.unit, &entry.compose, &entry.supervisor, &entry.process].iter().filter(|t| t.is_some()).count();
        let help = Some("write unit = \"…\", compose = \"…\", supervisor = \"…\" or process = \"…\"".to_owned());
        if told > 1 {
            source.mistake(span, format!("service {name} is said to be in two places"), help);
            continue;
        }
        let (place, found_role, found) = match (place(&entry, around), known.map(|at| services.remove(at))) {
            (Err(what), _) => {
                source.mistake(span, what, None);
                continue;
            }
            (Ok(Some(place)), old) => (place, old.map(|old| old.role), "configuration".to_owned()),
            (Ok(None), Some(old)) => (old.place, Some(old.role), old.found),
            (Ok(None), None) => {
                source.mistake(span, format!("where service {name} is, is not said, and it was not found"), help);
                continue;
            }
        };
        let words: Vec<String> = match &place {
            ServicePlace::Process { words, .. } => words.clone(),
            ServicePlace::Unit { .. } | ServicePlace::Compose { .. } | ServicePlace::Supervisor { .. } => Vec::new(),
        };
        let by_place = Role::of(&place.name(), &words);
        let told = Role::of_name(&name).unwrap_or(by_place);
        let role = entry.role.or(found_role).unwrap_or(told);
        let start = match (entry.start, entry.kept) {
            (None, kept) => kept.then_some(Start::Kept),
            (Some(words), false) if words.first().is_some_and(|program| program.starts_with('/')) => {
                Some(Start::Command(words))
            }
            (Some(_), false) => {
                source.mistake(span, format!("start of service {name} must name a program by its whole path"), None);
                continue;
            }
            (Some(_), true) => {
                source.mistake(span, format!("service {name} has both start and kept: one of them starts it"), None);
                continue;
            }
        };
        if start.is_some() && place.manager() != Manager::Process {
            let what = format!("service {name} is started by {}", place.manager().word());
            source.mistake(span, what, Some("start and kept are for plain processes".to_owned()));
            continue;
        }
        services.push(ServiceConfig { name: plain(&name, 60), role, place, shared: false, found, start });
    }
    services.sort_by(|a, b| a.role.cmp(&b.role).then_with(|| a.name.cmp(&b.name)));
}

fn place(entry: &ServiceFile, around: &Surroundings) -> Result<Option<ServicePlace>, String> {
    if let Some(unit) = &entry.unit {
        let kinds = [".service", ".timer", ".socket", ".target", ".path", ".mount"];
        let whole = kinds.iter().any(|kind| unit.ends_with(kind));
        let unit = if whole { unit.clone() } else { format!("{unit}.service") };
        // An argument of a program shall not look like an option.
        if unit.starts_with('-') || unit.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("is no name of a unit".to_owned());
        }
        let user = entry.user.as_ref().map(|name| uid(name, around)).transpose()?;
        return Ok(Some(ServicePlace::Unit { unit, user: user.map(|uid| UserManager::of(uid, around)) }));
    }
    if let Some(name) = &entry.compose {
        let (project, service) = name.split_once('/').unwrap_or(("", name));
        let told = around.env.get("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://"));
        let socket = entry.socket.as_deref().or(told).unwrap_or("/var/run/docker.sock");
        let (project, service) = (project.to_owned(), service.to_owned());
        return Ok(Some(ServicePlace::Compose { socket: PathBuf::from(socket), project, service }));
    }
    if let Some(program) = &entry.supervisor {
        let socket = entry.socket.as_deref().unwrap_or("/run/supervisor.sock");
        let listens = if socket.starts_with('/') {
            Listener::Unix(PathBuf::from(socket))
        } else {
            Listener::Tcp(socket.trim_start_matches("http://").trim_end_matches('/').to_owned())
        };
        let login = crate::discovery::supervisor_login(around, &listens);
        return Ok(Some(ServicePlace::Supervisor { at: SupervisorPlace { listens, login }, program: program.clone() }));
    }
    let words =
        entry.process.as_ref().map(|text| text.split_ascii_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>());
    match words {
        Some(words) if words.is_empty() => Err("has no words to find processes by".to_owned()),
        Some(words) => {
            let uid = entry.user.as_ref().map(|name| uid(name, around)).transpose()?;
            Ok(Some(ServicePlace::Process { words, uid }))
        }
        None => Ok(None),
    }
}

/// The number of a user of this machine.
fn uid(name: &str, around: &Surroundings) -> Result<u32, String> {
    if let Ok(uid) = name.parse() {
        return Ok(uid);
    }
    let users = std::fs::read_to_string(around.at(Path::new("/etc/passwd"))).unwrap_or_default();
    let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let uid = line.and_then(|rest| rest.split(':').nth(1)?.parse().ok());
    uid.ok_or_else(|| format!("names a user that /etc/passwd doesn't know: {}", plain(name, 40)))
}

#[cfg(test)]
mod tests;
