//! What is seen of the services a site consists of, whoever keeps them running.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One look at the services of a site.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ServicesReading {
    /// The site's own services and those it stands on, by role.
    pub services: Vec<Service>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

/// What a service does for its site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Serves requests.
    Web,
    /// Takes tasks from the queues.
    Worker,
    /// Sends periodic tasks to the queues.
    Beat,
    /// Runs periodic jobs by itself (cron, a timer).
    Periodic,
    /// The database.
    Database,
    /// Redis or Valkey.
    Redis,
    /// The proxy in front.
    Proxy,
    /// Anything else.
    Other,
}

/// Who keeps a service running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keeper {
    /// systemd, the system's.
    Systemd,
    /// systemd, a user's.
    User,
    /// Docker Compose.
    Compose,
    /// supervisor.
    Supervisor,
    /// Nobody that is known: a process found by its command line.
    Plain,
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// It runs.
    Running,
    /// It starts, stops, or reloads.
    Changing,
    /// Its keeper starts it again and again.
    Restarting,
    /// It was stopped.
    Stopped,
    /// It ended with a failure.
    Failed,
    /// Its keeper has given up starting it (FIELD T-13).
    GaveUp,
    /// Its state can't be told.
    Unknown,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name as its keeper knows it: `pretix-web.service`, `backend`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Who keeps it.
    pub keeper: Keeper,
    /// How it is.
    pub state: ServiceState,
    /// The same in the keeper's own words: `failed (Result: exit-code, status 3)`.
    pub words: String,
    /// Since when, where the keeper knows.
    pub since: Option<Timestamp>,
    /// Its main process.
    pub pid: Option<u32>,
    /// Restarts its keeper counts.
    pub restarts: Option<u32>,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
}
