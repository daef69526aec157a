//! What a poller reports: one look at one source of one scope.

use serde::{Deserialize, Serialize};

use super::access::AccessReading;
use super::app_state::AppReading;
use super::backup::BackupsReading;
use super::change::ChangesReading;
use super::database::DatabaseReading;
use super::health::HealthCheck;
use super::host::HostReading;
use super::id::{Scope, SourceKind};
use super::log::LogReading;
use super::people::PeopleReading;
use super::reading::Seen;
use super::redis::RedisReading;
use super::schedule::ScheduleReading;
use super::service::ServicesReading;
use super::time::Timestamp;
use super::traffic::Traffic;
use super::updates::UpdatesReading;

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
    Database(Box<Seen<DatabaseReading>>),
    /// Redis, queues, workers.
    Redis(Box<Seen<RedisReading>>),
    /// The host.
    Host(Box<Seen<HostReading>>),
    /// The services the site consists of.
    Services(Box<Seen<ServicesReading>>),
    /// Its logs: seen by each midwatch for itself, never recorded.
    Logs(Box<Seen<LogReading>>),
    /// Its access logs.
    Access(Box<Seen<AccessReading>>),
    /// Its backups.
    Backups(Box<Seen<BackupsReading>>),
    /// The application on disk.
    App(Box<Seen<AppReading>>),
    /// What changed on the host.
    Changes(Box<Seen<ChangesReading>>),
    /// What runs by the clock on the host.
    Schedule(Box<Seen<ScheduleReading>>),
    /// Pending updates of the host.
    Updates(Box<Seen<UpdatesReading>>),
    /// Who else is on the host.
    People(Box<Seen<PeopleReading>>),
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
            Self::Services(_) => SourceKind::Services,
            Self::Logs(_) => SourceKind::Logs,
            Self::Access(_) => SourceKind::Access,
            Self::Backups(_) => SourceKind::Backups,
            Self::App(_) => SourceKind::App,
            Self::Changes(_) => SourceKind::Changes,
            Self::Schedule(_) => SourceKind::Schedule,
            Self::Updates(_) => SourceKind::Updates,
            Self::People(_) => SourceKind::People,
        }
    }

    /// Whether this only says that a question is under way.
    pub fn is_asking(&self) -> bool {
        self.news() == News::Asking
    }

    /// What it brings.
    pub fn news(&self) -> News {
        match self {
            Self::Health(seen) | Self::Direct(seen) => News::of(seen),
            Self::Traffic(seen) => News::of(seen),
            Self::Database(seen) => News::of(seen),
            Self::Redis(seen) => News::of(seen),
            Self::Host(seen) => News::of(seen),
            Self::Services(seen) => News::of(seen),
            Self::Logs(seen) => News::of(seen),
            Self::Access(seen) => News::of(seen),
            Self::Backups(seen) => News::of(seen),
            Self::App(seen) => News::of(seen),
            Self::Changes(seen) => News::of(seen),
            Self::Schedule(seen) => News::of(seen),
            Self::Updates(seen) => News::of(seen),
            Self::People(seen) => News::of(seen),
        }
    }
}

/// What an observation brings, whatever its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// A value.
    Value,
    /// Why there is none.
    Failure,
    /// That a question is under way.
    Asking,
}

impl News {
    const fn of<T>(seen: &Seen<T>) -> Self {
        match seen {
            Seen::Value(_) => Self::Value,
            Seen::Failed(_) | Seen::Unseen(_) => Self::Failure,
            Seen::Asking => Self::Asking,
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
