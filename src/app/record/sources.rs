//! How every source of a site or host stands: what was looked at, and what could not be seen.

use std::collections::BTreeMap;

use crate::app::model::{Host, Site};
use crate::domain::id::SourceKind;
use crate::domain::reading::Reading;
use crate::domain::record::SourceState;
use crate::domain::time::Timestamp;

/// How sources stand, with the reason.
pub type Sources = BTreeMap<SourceKind, (SourceState, String)>;

/// What there is to see of a host.
pub const HOST: [SourceKind; 6] = [
    SourceKind::Host,
    SourceKind::Services,
    SourceKind::Changes,
    SourceKind::Schedule,
    SourceKind::Updates,
    SourceKind::People,
];

/// How a source stands; `None`: it has not been looked at yet.
pub fn state<T>(reading: &Reading<T>) -> Option<(SourceState, String)> {
    match reading {
        Reading::Never => None,
        Reading::Fresh { .. } => Some((SourceState::Seen, String::new())),
        Reading::Stale { why, .. } | Reading::Failed { why, .. } => Some((SourceState::Failed, why.clone())),
        Reading::Unseen { why } => Some((SourceState::Unseen, why.clone())),
    }
}

/// A reading, whatever it is of.
trait Standing {
    /// How the source stands; `None`: it has not been looked at yet.
    fn state(&self) -> Option<(SourceState, String)>;
    /// When the last look, if it succeeded, was over, and how many milliseconds it took.
    fn answered(&self) -> Option<(Timestamp, u32)>;
}

impl<T> Standing for Reading<T> {
    fn state(&self) -> Option<(SourceState, String)> {
        state(self)
    }

    fn answered(&self) -> Option<(Timestamp, u32)> {
        match self {
            Self::Fresh { at, took_ms, .. } => Some((*at, *took_ms)),
            Self::Never | Self::Stale { .. } | Self::Failed { .. } | Self::Unseen { .. } => None,
        }
    }
}

/// When sources last answered, if their last look succeeded, and how many milliseconds that took.
pub type Answers = BTreeMap<SourceKind, (Timestamp, u32)>;

fn readings_of_site(site: &Site) -> impl Iterator<Item = (SourceKind, &dyn Standing)> {
    let all: [(SourceKind, &dyn Standing); 10] = [
        (SourceKind::Health, &site.health),
        (SourceKind::Direct, &site.direct),
        (SourceKind::Traffic, &site.traffic),
        (SourceKind::Database, &site.database),
        (SourceKind::Redis, &site.redis),
        (SourceKind::Access, &site.access),
        (SourceKind::Services, &site.services),
        (SourceKind::Logs, &site.logs),
        (SourceKind::Backups, &site.backups),
        (SourceKind::App, &site.on_disk),
    ];
    all.into_iter().filter(|(kind, _)| site.sources.contains(kind))
}

fn readings_of_host(host: &Host) -> impl Iterator<Item = (SourceKind, &dyn Standing)> {
    let all: [(SourceKind, &dyn Standing); 6] = [
        (SourceKind::Host, &host.reading),
        (SourceKind::Services, &host.units),
        (SourceKind::Changes, &host.changes),
        (SourceKind::Schedule, &host.schedule),
        (SourceKind::Updates, &host.updates),
        (SourceKind::People, &host.people),
    ];
    all.into_iter()
}

/// How the sources of a site stand that have been looked at.
pub fn of_site(site: &Site) -> Sources {
    readings_of_site(site).filter_map(|(kind, reading)| Some((kind, reading.state()?))).collect()
}

/// How the sources of a host stand that have been looked at.
pub fn of_host(host: &Host) -> Sources {
    readings_of_host(host).filter_map(|(kind, reading)| Some((kind, reading.state()?))).collect()
}

/// When the sources of a site last answered.
pub fn answers_of_site(site: &Site) -> Answers {
    readings_of_site(site).filter_map(|(kind, reading)| Some((kind, reading.answered()?))).collect()
}

/// When the sources of a host last answered.
pub fn answers_of_host(host: &Host) -> Answers {
    readings_of_host(host).filter_map(|(kind, reading)| Some((kind, reading.answered()?))).collect()
}
