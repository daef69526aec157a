//! The application as it lies on disk: which version, which migrations, which secrets are there.

mod migrations;

use serde::{Deserialize, Serialize};

pub use migrations::{AppMigrations, MOST_NAMES, by_app, pending, shortened, unknown};

use super::schedule::PeriodicPlan;
use super::service::Role;
use super::time::Timestamp;

/// One look at the application's files. It is never started for that.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AppReading {
    /// The version installed.
    pub version: Option<String>,
    /// When it was installed.
    pub installed: Option<Timestamp>,
    /// The version before it, where midwatch saw the change.
    pub before: Option<String>,
    /// Where it is installed: `/var/pretix/venv/lib/python3.11/site-packages`.
    pub place: Option<String>,
    /// Its processes that run for long, by role: which code and configuration they took in when they began.
    pub processes: Vec<AppProcess>,
    /// The migrations that come with the code, by application.
    pub migrations: Vec<AppMigrations>,
    /// What signs sessions and links.
    pub secret: Secret,
    /// Its configuration file.
    pub config: Option<ConfigFile>,
    /// Directories of static files that are named and not there, with who names them: `/… (nginx: /etc/nginx/…)`.
    pub static_missing: Vec<MissingDir>,
    /// Bytes free where its data directory lies.
    pub data_free: Option<u64>,
    /// What starts its periodic tasks.
    pub periodic: Option<PeriodicPlan>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

/// A process of the application that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppProcess {
    /// Its id.
    pub pid: u32,
    /// What it does.
    pub role: Role,
    /// When the oldest of what holds its code began: the workers of a web server that loads the application after it
    /// forks, else the main process.
    pub code_since: Timestamp,
    /// How many of those there are.
    pub holders: u32,
    /// How many of them began before the code on disk was installed.
    pub old_code: u32,
    /// How many of them began before the configuration was last written.
    pub old_config: u32,
    /// How many of them began before the secret was last written.
    pub old_secret: u32,
}

/// What is known of the secret that signs sessions and links; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// Where it is.
    pub place: SecretPlace,
    /// The file, where it is one.
    pub path: Option<String>,
    /// When that file was last written.
    pub written: Option<Timestamp>,
    /// Its mode: `0o600`.
    pub mode: Option<u32>,
    /// When midwatch saw its content change, or the file go.
    pub changed: Option<Timestamp>,
}

/// Where the secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretPlace {
    /// That can't be told.
    #[default]
    Unknown,
    /// In the configuration or the environment.
    Configured,
    /// In a file of its own.
    File,
    /// Nowhere: the next start makes a new one.
    Missing,
}

/// The application's configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigFile {
    /// Where.
    pub path: String,
    /// When it was last written.
    pub written: Option<Timestamp>,
    /// Whether it switches debugging on; `None`: it can't be read.
    pub debug: Option<bool>,
    /// Share of requests that are profiled, in percent as written; `None`: none are.
    pub profile: Option<String>,
}

/// A directory that is named and not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MissingDir {
    /// Which.
    pub path: String,
    /// Who names it.
    pub named_by: String,
    /// What is there instead, where something like it is.
    pub instead: Option<String>,
}
