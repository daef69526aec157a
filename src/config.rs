//! What to watch and how: found by discovery, added to and overridden by `midwatch.toml`.
//!
//! [`mod@file`] is the raw shape of the file, [`load`] turns it (with what [`crate::discovery`] found) into a [`Config`].

pub mod backups;
pub mod file;
pub mod load;
pub mod logs;
pub mod paths;
pub mod report;

mod releases;
mod service;
mod site;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::domain::database::Engine;
use crate::domain::id::{HostId, SiteId, SourceKind};
use crate::domain::log::Trigger;
use crate::domain::pace::DIRECT_EVERY;

pub use self::logs::{LogConfig, LogPlace};

pub use self::releases::ReleasesConfig;
pub use self::service::{Listener, ServiceConfig, ServicePlace, Start, SupervisorPlace, UserManager};
pub use self::site::decoded;

/// Everything midwatch was told or found out, checked.
#[derive(Debug)]
pub struct Config {
    /// This machine.
    pub host: HostId,
    /// The sites, at least none: with no site at all only the host is watched.
    pub sites: Vec<SiteConfig>,
    /// Where state lives, and whether it can.
    pub state: StateDir,
    /// How often each source is asked.
    pub pace: PaceConfig,
    /// When a number is a warning, when critical.
    pub thresholds: crate::triage::Thresholds,
    /// How it looks.
    pub look: Look,
    /// Keys that differ from the defaults: action name to chords as written.
    pub keys: BTreeMap<String, Vec<String>>,
    /// Whether nothing may ever act (`--read-only`, the configuration or `MIDWATCH_READ_ONLY`).
    pub read_only: bool,
    /// Where each thing was found or looked for, for `doctor` and `config path`.
    pub trail: Vec<Trace>,
}

/// A URL as it may be shown: without a login, a query (it may hold a token), or a path that looks like a login gone astray.
pub fn without_login(url: &Url) -> Url {
    let mut url = url.clone();
    // A URL that can't carry a login has none to take away.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_query(None);
    url.set_fragment(None);
    if url.path().contains('@') {
        url.set_path("");
    }
    url
}

/// One site.
pub struct SiteConfig {
    /// Its unique name.
    pub id: SiteId,
    /// The name it shows to its visitors.
    pub title: String,
    /// Which application it is.
    pub app: AppKind,
    /// The application's version, where it could be found without asking it.
    pub version: Option<String>,
    /// Its public URL, without path: `https://tickets.example.org`.
    pub url: Url,
    /// The application's own address past the proxy, where it differs from `url`: `http://127.0.0.1:8345`.
    pub direct: Option<Url>,
    /// Path of the healthcheck: `/healthcheck/`.
    pub health_path: String,
    /// The metrics endpoint; `Err` says why there is none.
    pub metrics: Result<MetricsConfig, String>,
    /// The database; `Err` says why there is none.
    pub database: Result<DatabaseConfig, String>,
    /// Redis as a cache; `Err` says why there is none.
    pub redis: Result<RedisConfig, String>,
    /// The Celery broker, where it is Redis; `Err` says why there is none.
    pub broker: Result<BrokerConfig, String>,
    /// The application's data directory.
    pub data_dir: Option<PathBuf>,
    /// Where its logs are.
    pub logs: Vec<LogConfig>,
    /// What the operator wants to be told of when it is in them, or isn't.
    pub triggers: Vec<Trigger>,
    /// Access logs that were named; others are found by themselves.
    pub access_logs: Vec<PathBuf>,
    /// The file its certificate is loaded from, where it was named; else the proxy's configuration is asked.
    pub certificate_file: Option<PathBuf>,
    /// The host the application sends its mail through.
    pub mail_host: Option<String>,
    /// Where its backups lie, how old they may be, what makes them.
    pub backups: backups::BackupsConfig,
    /// The application's configuration file this came from.
    pub source: Option<PathBuf>,
    /// Its services, and those it stands on.
    pub services: Vec<ServiceConfig>,
    /// What migrates its database when it is run in a container of its web service; where its image does not by itself.
    pub migrate: Option<Vec<String>>,
    /// Its releases, where they lie side by side.
    pub releases: Option<ReleasesConfig>,
    /// A practice site: labelled so on every screen.
    pub practice: bool,
}

impl SiteConfig {
    /// A site of which only the address is known.
    pub fn bare(id: SiteId, app: AppKind, url: Url) -> Self {
        let unset = |what: &str| format!("{what} is not configured for this site");
        Self {
            title: id.0.clone(),
            id,
            app,
            version: None,
            url,
            direct: None,
            health_path: "/healthcheck/".to_owned(),
            metrics: Err(unset("a metrics page")),
            database: Err(unset("a database")),
            redis: Err(unset("Redis")),
            broker: Err(unset("a broker")),
            data_dir: None,
            logs: Vec::new(),
            triggers: Vec::new(),
            access_logs: Vec::new(),
            certificate_file: None,
            mail_host: None,
            backups: backups::BackupsConfig::default(),
            source: None,
            services: Vec::new(),
            migrate: None,
            releases: None,
            practice: false,
        }
    }
}

// A URL may carry a login, so what is shown here is without it.
impl fmt::Debug for SiteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteConfig")
            .field("id", &self.id)
            .field("title", &self.title)
            .field("app", &self.app)
            .field("version", &self.version)
            .field("url", &without_login(&self.url).as_str())
            .field("direct", &self.direct.as_ref().map(|url| without_login(url).to_string()))
            .field("health_path", &self.health_path)
            .field("metrics", &self.metrics)
            .field("database", &self.database)
            .field("redis", &self.redis)
            .field("broker", &self.broker)
            .field("data_dir", &self.data_dir)
            .field("logs", &self.logs)
            .field("triggers", &self.triggers)
            .field("services", &self.services)
            .field("access_logs", &self.access_logs)
            .field("certificate_file", &self.certificate_file)
            .field("mail_host", &self.mail_host)
            .field("backups", &self.backups)
            .field("source", &self.source)
            .field("migrate", &self.migrate)
            .field("releases", &self.releases)
            .field("practice", &self.practice)
            .finish()
    }
}

/// Which application a site runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AppKind {
    /// pretix.
    Pretix,
    /// pretalx.
    Pretalx,
    /// Anything else that serves HTTP.
    Web,
}

/// A metrics endpoint.
pub struct MetricsConfig {
    /// Where it is.
    pub url: Url,
    /// User and password of its basic authentication.
    pub login: Option<(String, SecretString)>,
}

impl fmt::Debug for MetricsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsConfig")
            .field("url", &without_login(&self.url).as_str())
            .field("login", &self.login)
            .finish()
    }
}

/// A database, as the application reaches it.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Which kind.
    pub engine: Engine,
    /// Host name, address, or a directory that holds a Unix socket; empty: the default socket.
    pub host: String,
    /// Its port.
    pub port: Option<u16>,
    /// The database's name; for SQLite the path of its file.
    pub name: String,
    /// The role.
    pub user: String,
    /// Its password; empty: none.
    pub password: SecretString,
    /// The container whose own address `host` was when it was found; it is asked for anew at each connection.
    pub container: Option<Contained>,
}

/// A service of a Compose project that is reached at its container's own address, for its port is not published. That
/// address changes when the container is made anew: it is asked of Docker whenever a connection is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contained {
    /// Where Docker listens.
    pub socket: std::path::PathBuf,
    /// The project.
    pub project: String,
    /// The service.
    pub service: String,
}

impl std::fmt::Display for Contained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::domain::text::plain(&format!("{}/{}", self.project, self.service), 120))
    }
}

/// A Redis server.
#[derive(Debug)]
pub struct RedisConfig {
    /// Its URL; may hold a password.
    pub url: SecretString,
    /// As [`DatabaseConfig::container`].
    pub container: Option<Contained>,
}

/// A Celery broker on Redis.
#[derive(Debug)]
pub struct BrokerConfig {
    /// Its URL; may hold a password.
    pub url: SecretString,
    /// The queues the application uses.
    pub queues: Vec<String>,
    /// Whether queue names carry priority suffixes (only when the URL starts with `redis://`, FIELD T-06).
    pub priorities: bool,
    /// As [`DatabaseConfig::container`].
    pub container: Option<Contained>,
}

/// Where readings, history and locks live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateDir {
    /// A directory that exists and can be written.
    Directory(PathBuf),
    /// None can be had: memory only, for this reason.
    Memory(String),
}

/// How often sources are asked. Intervals get up to 10 % of jitter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaceConfig {
    /// Healthcheck; default 5 s.
    pub health: Duration,
    /// Metrics; default 15 s, and never more than 5 % of the time is spent in them.
    pub metrics: Duration,
    /// Host; default 2 s.
    pub host: Duration,
    /// Database; default 5 s.
    pub database: Duration,
    /// Redis; default 5 s.
    pub redis: Duration,
    /// Services; default 5 s.
    pub services: Duration,
    /// Logs and access logs; default 2 s.
    pub logs: Duration,
    /// Backups, and the application on disk; default 60 s.
    pub backups: Duration,
    /// Changes, schedule and people; default 30 s.
    pub changes: Duration,
    /// How long an unanswered request is waited for; default 35 s (gunicorn gives up at 30).
    pub hang: Duration,
}

impl Default for PaceConfig {
    fn default() -> Self {
        Self {
            health: Duration::from_secs(5),
            metrics: Duration::from_secs(15),
            host: Duration::from_secs(2),
            database: Duration::from_secs(5),
            redis: Duration::from_secs(5),
            services: Duration::from_secs(5),
            logs: Duration::from_secs(2),
            backups: Duration::from_mins(1),
            changes: Duration::from_secs(30),
            hang: Duration::from_secs(35),
        }
    }
}

impl PaceConfig {
    /// Pending updates change once a day.
    const UPDATES: Duration = Duration::from_hours(1);

    /// How often a source of a site is asked, while all is well.
    pub fn of_site(&self, kind: SourceKind) -> Duration {
        match kind {
            SourceKind::Health => self.health,
            SourceKind::Direct => self.health * DIRECT_EVERY,
            SourceKind::Traffic => self.metrics,
            SourceKind::Database => self.database,
            SourceKind::Redis => self.redis,
            SourceKind::Services => self.services,
            SourceKind::Logs => self.logs,
            SourceKind::Access => self.logs * 2,
            SourceKind::Backups | SourceKind::App => self.backups,
            SourceKind::Host
            | SourceKind::Changes
            | SourceKind::Schedule
            | SourceKind::Updates
            | SourceKind::People => self.of_host(kind),
        }
    }

    /// How often a source of a host is asked.
    pub fn of_host(&self, kind: SourceKind) -> Duration {
        match kind {
            SourceKind::Host => self.host,
            SourceKind::Updates => Self::UPDATES,
            SourceKind::Schedule => self.changes * 2,
            SourceKind::Services
            | SourceKind::Changes
            | SourceKind::People
            | SourceKind::Health
            | SourceKind::Direct
            | SourceKind::Traffic
            | SourceKind::Database
            | SourceKind::Redis
            | SourceKind::Logs
            | SourceKind::Access
            | SourceKind::Backups
            | SourceKind::App => self.changes,
        }
    }
}

/// How it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Name of a built-in theme or of a file in the configuration directory's `themes/`.
    pub theme: String,
    /// Roles that differ from the theme: role name to style as written in a theme file.
    pub patch: BTreeMap<String, String>,
    /// How many colours.
    pub color: ColorChoice,
    /// Only ASCII, whatever the locale says.
    pub ascii: bool,
    /// Where the operator's own themes are looked for.
    pub theme_dirs: Vec<PathBuf>,
    /// Most frames per second; default 10.
    pub frames_per_second: u32,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            theme: "dark".to_owned(),
            patch: BTreeMap::new(),
            color: ColorChoice::Auto,
            ascii: false,
            theme_dirs: Vec::new(),
            frames_per_second: 10,
        }
    }
}

/// How many colours to use.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum ColorChoice {
    /// As the terminal and the environment say.
    #[default]
    Auto,
    /// At least 16, even where the environment says none.
    Always,
    /// None; bold and reverse stay.
    Never,
    /// 16.
    #[serde(rename = "16")]
    #[value(name = "16")]
    Ansi16,
    /// 256.
    #[serde(rename = "256")]
    #[value(name = "256")]
    Ansi256,
    /// 24 bits.
    Truecolor,
}

/// One thing discovery looked for: what, where, and what came of it. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What was looked for: `pretix.cfg`, `site url`, `database`, `metrics`, …
    pub what: String,
    /// What came of it.
    pub outcome: Found,
}

/// What came of looking for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It was found: what, and where.
    Yes(String),
    /// It isn't there; why, and what to do if it should be.
    No(String),
    /// It is there and can't be used or read; why, and what would mend it.
    Broken(String),
}
