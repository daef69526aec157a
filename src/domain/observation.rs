//! What a poller reports: one look at one source of one scope.

use serde::{Deserialize, Serialize};

use super::database::DatabaseReading;
use super::health::HealthCheck;
use super::host::HostReading;
use super::id::{Scope, SourceKind};
use super::reading::Seen;
use super::redis::RedisReading;
use super::time::Timestamp;
use super::traffic::Traffic;

/// One look at one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "source", content = "seen")]
pub enum Observation {
    /// The healthcheck on the public URL.
    Health(Seen<HealthCheck>),
    /// The healthcheck on the application's own port.
    Direct(Seen<HealthCheck>),
    /// The application's metrics, as rates and quantiles.
    Traffic(Seen<Traffic>),
    /// The database.
    Database(Seen<DatabaseReading>),
    /// Redis, queues, workers.
    Redis(Seen<RedisReading>),
    /// The host. Boxed: it is by far the largest.
    Host(Box<Seen<HostReading>>),
}

impl Observation {
    /// Which source this is from.
    pub const fn kind(&self) -> SourceKind {
        match self {
            Self::Health(_) => SourceKind::Health,
            Self::Direct(_) => SourceKind::Direct,
            Self::Traffic(_) => SourceKind::Traffic,
            Self::Database(_) => SourceKind::Database,
            Self::Redis(_) => SourceKind::Redis,
            Self::Host(_) => SourceKind::Host,
        }
    }

    /// Whether this only says that a question is under way.
    pub fn is_asking(&self) -> bool {
        match self {
            Self::Health(seen) | Self::Direct(seen) => matches!(seen, Seen::Asking),
            Self::Traffic(seen) => matches!(seen, Seen::Asking),
            Self::Database(seen) => matches!(seen, Seen::Asking),
            Self::Redis(seen) => matches!(seen, Seen::Asking),
            Self::Host(seen) => matches!(**seen, Seen::Asking),
        }
    }
}

/// An observation with its scope and time, as it travels from poller to model, to disk, and to other midwatches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Of which site or host.
    pub scope: Scope,
    /// When the look ended; for [`Seen::Asking`], when the question was put.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u32,
    /// What was seen.
    pub what: Observation,
}
