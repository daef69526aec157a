//! Names of what is watched. Sites and hosts are plural from the first line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a site (one application with its database, queues and workers), as in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SiteId(pub String);

/// The name of a host, as it calls itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub String);

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one poller watches: there is at most one poller per scope on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// An application: healthcheck, metrics, database, Redis.
    Site(SiteId),
    /// A machine: CPU, memory, disks, network, processes.
    Host(HostId),
}

impl Scope {
    /// `site-NAME` or `host-NAME`, with everything but letters, digits, `.`, `-` and `_` replaced by `_`:
    /// a file name that can't leave its directory.
    pub fn file_stem(&self) -> String {
        let (kind, name) = match self {
            Self::Site(id) => ("site", &id.0),
            Self::Host(id) => ("host", &id.0),
        };
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
        format!("{kind}-{}", name.chars().map(safe).collect::<String>())
    }
}

/// One kind of reading within a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// The healthcheck on the site's public URL.
    Health,
    /// The healthcheck on the application's own port, past the proxy.
    Direct,
    /// The application's Prometheus metrics.
    Traffic,
    /// The database.
    Database,
    /// Redis: cache, broker, queues, workers.
    Redis,
    /// The host.
    Host,
    /// The services the site consists of.
    Services,
    /// Its logs.
    Logs,
    /// Its access logs.
    Access,
    /// Its backups.
    Backups,
    /// The application on disk and in the schema.
    App,
    /// What changed on the host.
    Changes,
    /// What runs by the clock on the host.
    Schedule,
    /// Pending updates of the host.
    Updates,
    /// Who else is on the host.
    People,
}

impl SourceKind {
    /// Every kind, in the order of display.
    pub const ALL: [Self; 15] = [
        Self::Health,
        Self::Direct,
        Self::Traffic,
        Self::Access,
        Self::Database,
        Self::Redis,
        Self::Services,
        Self::Logs,
        Self::Backups,
        Self::App,
        Self::Host,
        Self::Changes,
        Self::Schedule,
        Self::Updates,
        Self::People,
    ];

    /// The name shown to people and used in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Direct => "direct",
            Self::Traffic => "metrics",
            Self::Database => "database",
            Self::Redis => "redis",
            Self::Host => "host",
            Self::Services => "services",
            Self::Logs => "logs",
            Self::Access => "access",
            Self::Backups => "backups",
            Self::App => "app",
            Self::Changes => "changes",
            Self::Schedule => "schedule",
            Self::Updates => "updates",
            Self::People => "people",
        }
    }
}
