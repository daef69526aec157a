//! What is seen of the services of a site: units, containers, supervised programs and plain processes, by role.

mod role;
mod state;

use serde::{Deserialize, Serialize};

pub use role::Role;
pub use state::{Manager, State};

use super::level::Level;
use super::time::Timestamp;

/// Most services of one site that are told.
pub const MOST_SERVICES: usize = 64;
/// Most failed units of the host that are told.
pub const MOST_OTHERS: usize = 50;
/// For how long a start is remembered: "restarts within five minutes" (awesome-prometheus-alerts' crash loop: 5 min).
pub const RECENT_MS: u64 = 300_000;
/// For how long a kill for want of memory is told (FIELD INC-08: within 30 min).
pub const OOM_TOLD_MS: u64 = 1_800_000;

/// One look at the services of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServicesReading {
    /// The site's services, by role, then by name; at most [`MOST_SERVICES`].
    pub services: Vec<Service>,
    /// Units of the host that failed and belong to no site's services; at most [`MOST_OTHERS`].
    pub others: Vec<FailedUnit>,
    /// How many more of those there are.
    pub others_more: u32,
    /// What can't be seen and what would open it, in sentences.
    pub unseen: Vec<String>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name: `pretix-web`, `backend`.
    pub name: String,
    /// What it does for the site.
    pub role: Role,
    /// Who starts it.
    pub manager: Manager,
    /// What its manager calls it: `pretix-web.service`, `shop-backend-1`; for plain processes the words they are found
    /// by.
    pub place: String,
    /// How it is.
    pub state: State,
    /// The same in its manager's words: `active (running)`, `Up, unhealthy`.
    pub said: String,
    /// Since when it is so, as its manager says.
    pub since: Option<Timestamp>,
    /// When its main process began.
    pub started: Option<Timestamp>,
    /// Its main process, as numbered on this host.
    pub pid: Option<u32>,
    /// Processes below the main one.
    pub children: Option<u32>,
    /// Other main processes that have the words by which this one is known: which of them is meant, nobody can tell.
    #[serde(default)]
    pub alike: u32,
    /// Restarts its manager counts by itself (after a crash), since it was last started by a person.
    pub restarts: Option<u32>,
    /// Starts seen in the last five minutes that nobody asked for, the oldest first; at most 20.
    pub crashed: Vec<Timestamp>,
    /// The last start that was seen while watching, whatever its reason.
    pub restarted: Option<Timestamp>,
    /// How it last ended, where that was not as it should: `exit status 3`, `killed by SIGKILL`.
    pub exit: Option<String>,
    /// When the kernel last killed in it for want of memory, as far as that is known.
    pub oom: Option<Timestamp>,
    /// Whether its processes are stopped by a signal, stuck in the kernel, or dead and not collected.
    pub stuck: Option<Stuck>,
    /// Memory of all its processes, in bytes.
    pub memory: Option<u64>,
    /// Its limit, in bytes.
    pub memory_max: Option<u64>,
    /// Whether it comes up with the machine; `None`: not known, or not for it to say.
    pub at_boot: Option<bool>,
    /// Whether it serves others too: a database server, a proxy.
    pub shared: bool,
    /// Its command line, credentials masked.
    pub command: String,
    /// How it was found.
    pub found: String,
    /// Everything else its manager says, as name and value, for the detail; at most 24.
    pub facts: Vec<(String, String)>,
}

/// Processes that don't run though they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// In which way.
    pub how: StuckHow,
    /// How many of its processes.
    pub processes: u32,
    /// Of how many.
    pub of: u32,
    /// Whether the main one is among them.
    pub main: bool,
    /// Since when that is seen.
    pub since: Timestamp,
}

/// How a process is stuck: the state letter of `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StuckHow {
    /// `T`: stopped by a signal (or a debugger).
    Stopped,
    /// `D`: waits in the kernel, can't be killed.
    DiskSleep,
    /// `Z`: has ended, nobody has collected it.
    Zombie,
    /// All of a container, by its manager.
    Paused,
}

/// A unit of the host that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedUnit {
    /// Its name.
    pub unit: String,
    /// What it says of itself.
    pub description: String,
    /// How it ended.
    pub exit: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Whether it is of the user's manager.
    pub user: bool,
}

impl Service {
    /// A service of which nothing is known yet.
    pub fn new(name: &str, role: Role, manager: Manager, place: &str) -> Self {
        Self {
            name: name.to_owned(),
            role,
            manager,
            place: place.to_owned(),
            state: State::Unknown,
            said: String::new(),
            since: None,
            started: None,
            pid: None,
            children: None,
            alike: 0,
            restarts: None,
            crashed: Vec::new(),
            restarted: None,
            exit: None,
            oom: None,
            stuck: None,
            memory: None,
            memory_max: None,
            at_boot: None,
            shared: false,
            command: String::new(),
            found: String::new(),
            facts: Vec::new(),
        }
    }

    /// Crashes seen within the last five minutes.
    pub fn crashes(&self, now: Timestamp) -> usize {
        self.crashed.iter().filter(|at| now.millis_since(**at) <= RECENT_MS).count()
    }
}

impl ServicesReading {
    /// The service of this name.
    pub fn find(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|s| s.name == name)
    }

    /// Sorts by role, then by name, and keeps what there may be at most.
    pub fn tidy(&mut self) {
        self.services.sort_by(|a, b| a.role.cmp(&b.role).then_with(|| a.name.cmp(&b.name)));
        self.services.truncate(MOST_SERVICES);
        self.others.sort_by(|a, b| a.unit.cmp(&b.unit));
        let more = self.others.len().saturating_sub(MOST_OTHERS);
        self.others_more = self.others_more.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        self.others.truncate(MOST_OTHERS);
    }
}

impl Service {
    /// How bad its state looks by itself; what else is seen may weigh less or more (the rules).
    pub const fn level(&self) -> Level {
        if let Some(Stuck { how: StuckHow::Stopped | StuckHow::Paused, main: true, .. }) = self.stuck {
            return self.down();
        }
        match self.state {
            State::Running | State::Waiting => Level::Ok,
            State::Starting | State::Stopping => Level::Note,
            State::Unhealthy | State::Restarting => Level::Warning,
            State::Stopped if matches!(self.role, Role::Other) => Level::Note,
            State::Frozen | State::Stopped | State::Failed | State::GaveUp | State::Missing => self.down(),
            State::Unknown => Level::Unknown,
        }
    }

    const fn down(&self) -> Level {
        if self.role.is_vital() && !self.shared { Level::Critical } else { Level::Warning }
    }
}
