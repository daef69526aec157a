//! The raw shape of `midwatch.toml`: what may be written, before anything is checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::backups::BackupFile;
use super::logs::{LogFile, TriggerFile};
use super::releases::ReleasesFile;
use super::service::ServiceFile;
use super::{AppKind, ColorChoice};
use crate::triage::Thresholds;

/// midwatch's configuration. Everything is optional: discovery finds what it can by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Look for applications on this host by themselves (default true).
    pub discover: Option<bool>,
    /// Look only, ever: no approval can be given, nothing can be written outside the state directory.
    pub read_only: Option<bool>,
    /// Where readings, history and locks live.
    pub state_dir: Option<String>,
    /// The sites, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SiteFile>")]
    pub sites: BTreeMap<String, Spanned<SiteFile>>,
    /// How often sources are asked.
    #[serde(default)]
    pub pace: PaceFile,
    /// When a number is a warning, when critical.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// What to be told of when it is in the logs, or isn't.
    #[serde(default)]
    #[schemars(with = "Vec<TriggerFile>")]
    pub triggers: Vec<Spanned<TriggerFile>>,
    /// How it looks.
    #[serde(default)]
    pub look: LookFile,
    /// Keys by action name (`midwatch` shows the names with `?`): one key or a list.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Chords>")]
    pub keys: BTreeMap<String, Spanned<Chords>>,
}

/// One key or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Chords {
    /// One.
    One(String),
    /// Several; none frees the action's keys.
    Many(Vec<String>),
}

/// One site. What is left out is taken from the application's own configuration, where that is named or found.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// The application's own configuration file (pretix.cfg, pretalx.cfg).
    pub app_config: Option<String>,
    /// Which application it is.
    pub app: Option<AppKind>,
    /// The name its visitors see.
    pub title: Option<String>,
    /// Its public URL.
    #[schemars(with = "Option<String>")]
    pub url: Option<Spanned<String>>,
    /// The application's own address past the proxy: `http://127.0.0.1:8345`.
    #[schemars(with = "Option<String>")]
    pub direct: Option<Spanned<String>>,
    /// Path of the healthcheck (default `/healthcheck/`).
    pub health_path: Option<String>,
    /// URL of the metrics page.
    #[schemars(with = "Option<String>")]
    pub metrics_url: Option<Spanned<String>>,
    /// User of its basic authentication.
    pub metrics_user: Option<String>,
    /// Its password.
    pub metrics_password: Option<SecretFile>,
    /// The database: `postgresql://user@host:5432/name`, `mysql://…`, `sqlite:///path`.
    #[schemars(with = "Option<String>")]
    pub database: Option<Spanned<String>>,
    /// The database's password, where it isn't part of the URL.
    pub database_password: Option<SecretFile>,
    /// Redis: `redis://host:6379/0`.
    pub redis: Option<SecretFile>,
    /// The Celery broker: `redis://host:6379/2`.
    pub broker: Option<SecretFile>,
    /// The broker's queues.
    pub queues: Option<Vec<String>>,
    /// Its logs, besides those that were found.
    #[serde(default)]
    #[schemars(with = "Vec<LogFile>")]
    pub logs: Vec<Spanned<LogFile>>,
    /// Its services by name, where they are not found by themselves.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ServiceFile>")]
    pub services: BTreeMap<String, Spanned<ServiceFile>>,
    /// Access logs of this site, in the format of nginx, gunicorn, haproxy or Caddy; the usual ones are found by themselves.
    pub access_logs: Option<Vec<String>>,
    /// The file the served certificate is loaded from (PEM), to see when a renewed one was not loaded; nginx' own
    /// configuration is read without being told.
    pub certificate_file: Option<String>,
    /// Its data directory: uploads, secret, generated files.
    pub data_dir: Option<String>,
    /// Places where its backups lie: `[[sites.NAME.backups]]`.
    #[serde(default)]
    pub backups: Vec<BackupFile>,
    /// Of an application in a container, where its image does not migrate the database by itself: the words that do, run in
    /// a container of its web service when the image's tag is changed: `["python", "manage.py", "migrate", "--noinput"]`. They
    /// must not mind being run twice.
    #[schemars(with = "Option<Vec<String>>")]
    pub migrate: Option<Spanned<Vec<String>>>,
    /// Its releases, where they lie side by side, and a link says which is in use.
    #[schemars(with = "Option<ReleasesFile>")]
    pub releases: Option<Spanned<ReleasesFile>>,
    /// A practice site: labelled so on every screen.
    pub practice: Option<bool>,
}

/// A secret, or better: where it is.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a string, or one of { file = \"…\" }, { env = \"…\" }, { credential = \"…\" }")]
pub enum SecretFile {
    /// The secret itself; anybody who can read this file can read it.
    Literal(String),
    /// The first line of a file.
    File {
        /// Its path.
        file: String,
    },
    /// An environment variable.
    Env {
        /// Its name.
        env: String,
    },
    /// A systemd credential.
    Credential {
        /// Its name.
        credential: String,
    },
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("[redacted]"),
            Self::File { file } => write!(f, "file {file}"),
            Self::Env { env } => write!(f, "env {env}"),
            Self::Credential { credential } => write!(f, "credential {credential}"),
        }
    }
}

/// How often sources are asked: `"5s"`, `"1m"`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaceFile {
    /// The healthcheck (default 5s).
    #[schemars(with = "Option<String>")]
    pub health: Option<Spanned<String>>,
    /// The metrics page (default 15s; never more than 5 % of the time is spent in it).
    #[schemars(with = "Option<String>")]
    pub metrics: Option<Spanned<String>>,
    /// The host (default 2s).
    #[schemars(with = "Option<String>")]
    pub host: Option<Spanned<String>>,
    /// The database (default 5s).
    #[schemars(with = "Option<String>")]
    pub database: Option<Spanned<String>>,
    /// Redis (default 5s).
    #[schemars(with = "Option<String>")]
    pub redis: Option<Spanned<String>>,
    /// Services (default 5s).
    #[schemars(with = "Option<String>")]
    pub services: Option<Spanned<String>>,
    /// Logs and access logs (default 2s).
    #[schemars(with = "Option<String>")]
    pub logs: Option<Spanned<String>>,
    /// Backups, and the application on disk (default 60s).
    #[schemars(with = "Option<String>")]
    pub backups: Option<Spanned<String>>,
    /// Changes, schedule and people (default 30s).
    #[schemars(with = "Option<String>")]
    pub changes: Option<Spanned<String>>,
    /// How long an unanswered request is waited for (default 35s: gunicorn gives up at 30).
    #[schemars(with = "Option<String>")]
    pub hang: Option<Spanned<String>>,
}

/// How it looks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookFile {
    /// A built-in theme (dark, light, high-contrast, colour-blind-safe, mono), or a file of `themes/` beside this one.
    pub theme: Option<String>,
    /// Styles of single roles: `critical = "bold red"`.
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
    /// How many colours.
    pub color: Option<ColorChoice>,
    /// Only ASCII.
    pub ascii: Option<bool>,
    /// Most frames per second (default 10).
    pub frames_per_second: Option<u32>,
}

#[cfg(test)]
mod tests;
