//! The practice site: a small real application in a temporary directory, from the same binary. A web process with
//! `/healthcheck/` and `/metrics` over SQLite, a worker, files, visitors, backups, two releases, and faults to practise on.
//!
//! It stands apart from the rest: nothing of midwatch's eyes uses it but the command that starts it.

pub mod backups;
pub mod database;
pub mod metrics;
pub mod pages;
pub mod releases;
pub mod services;
pub mod site;
pub mod visitors;
pub mod web;
pub mod worker;

use std::path::{Path, PathBuf};

/// A fault of the practice site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The web process is gone.
    WebDown,
    /// Somebody holds an exclusive lock on the database.
    DbLocked,
    /// Every page takes seconds.
    Slow,
    /// The worker is gone; tasks pile up while pages work.
    WorkerDead,
    /// A third of the pages and tasks fail.
    Errors,
}

impl Fault {
    /// Its name, as on the command line and in the fault file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebDown => "web-down",
            Self::DbLocked => "db-locked",
            Self::Slow => "slow",
            Self::WorkerDead => "worker-dead",
            Self::Errors => "errors",
        }
    }

    /// All of them.
    pub const ALL: [Self; 5] = [Self::WebDown, Self::DbLocked, Self::Slow, Self::WorkerDead, Self::Errors];

    /// The service that is gone by it.
    pub const fn ends(self) -> Option<Service> {
        match self {
            Self::WebDown => Some(Service::Web),
            Self::WorkerDead => Some(Service::Worker),
            Self::DbLocked | Self::Slow | Self::Errors => None,
        }
    }
}

/// A service of the practice site: it can be stopped, and started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    /// Answers requests.
    Web,
    /// Does tasks.
    Worker,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Web, Self::Worker];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Worker => "worker",
        }
    }

    /// The word on the command line by which its process is known. What starts it must not have that word, or it would be
    /// taken for the service.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Web => "run-web",
            Self::Worker => "run-worker",
        }
    }
}

/// User of the practice site's metrics page.
pub const METRICS_USER: &str = "practice";

/// Where everything of a practice site lies.
#[derive(Debug, Clone)]
pub struct Ground {
    dir: PathBuf,
}

impl Ground {
    /// In this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// midwatch's configuration for it.
    pub fn config(&self) -> PathBuf {
        self.dir.join("midwatch.toml")
    }

    /// midwatch's state directory for it.
    pub fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The application's data: its database and its files.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The application's database.
    pub fn database(&self) -> PathBuf {
        self.data().join("practice.db")
    }

    /// The directory of uploaded files.
    pub fn media(&self) -> PathBuf {
        self.data().join("media")
    }

    /// What the first page says in large letters: an uploaded file.
    pub fn banner(&self) -> PathBuf {
        self.media().join("banner.txt")
    }

    /// A release's directory.
    pub fn release(&self, name: &str) -> PathBuf {
        self.dir.join("releases").join(name)
    }

    /// The link to the release in use.
    pub fn current(&self) -> PathBuf {
        self.dir.join("current")
    }

    /// Where the backups lie.
    pub fn backups(&self) -> PathBuf {
        self.dir.join("backups")
    }

    /// The file that is there while a service shall be started and is not yet.
    pub fn wish(&self, service: Service) -> PathBuf {
        self.dir.join(["start-", service.name()].concat())
    }

    /// The file that holds the name of the fault that is on; empty or absent: none.
    pub fn fault_file(&self) -> PathBuf {
        self.dir.join("fault")
    }

    /// The file that holds the port the web process listens on.
    pub fn port_file(&self) -> PathBuf {
        self.dir.join("port")
    }

    /// The file that holds the password of the metrics page.
    pub fn password_file(&self) -> PathBuf {
        self.dir.join("metrics-password")
    }

    /// The fault that is on.
    pub fn fault(&self) -> Option<Fault> {
        let name = std::fs::read_to_string(self.fault_file()).ok()?;
        Fault::ALL.into_iter().find(|f| f.name() == name.trim())
    }

    /// The port the web process listens on.
    ///
    /// # Errors
    /// When the file can't be read or holds no port.
    pub fn port(&self) -> std::io::Result<u16> {
        let text = std::fs::read_to_string(self.port_file())?;
        text.trim().parse().map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}
