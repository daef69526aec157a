//! How every source of a site or host stands: what was looked at, and what could not be seen.

use std::collections::BTreeMap;

use crate::app::model::{Host, Site};
use crate::domain::id::SourceKind;
use crate::domain::reading::Reading;
use crate::domain::record::SourceState;

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

/// How the sources of a site stand that have been looked at.
pub fn of_site(site: &Site) -> Sources {
    let all = [
        (SourceKind::Health, state(&site.health)),
        (SourceKind::Direct, state(&site.direct)),
        (SourceKind::Traffic, state(&site.traffic)),
        (SourceKind::Database, state(&site.database)),
        (SourceKind::Redis, state(&site.redis)),
        (SourceKind::Access, state(&site.access)),
        (SourceKind::Services, state(&site.services)),
        (SourceKind::Logs, state(&site.logs)),
        (SourceKind::Backups, state(&site.backups)),
        (SourceKind::App, state(&site.on_disk)),
    ];
    let there = all.into_iter().filter(|(kind, _)| site.sources.contains(kind));
    there.filter_map(|(kind, state)| Some((kind, state?))).collect()
}

/// How the sources of a host stand that have been looked at.
pub fn of_host(host: &Host) -> Sources {
    let all = [
        (SourceKind::Host, state(&host.reading)),
        (SourceKind::Services, state(&host.units)),
        (SourceKind::Changes, state(&host.changes)),
        (SourceKind::Schedule, state(&host.schedule)),
        (SourceKind::Updates, state(&host.updates)),
        (SourceKind::People, state(&host.people)),
    ];
    all.into_iter().filter_map(|(kind, state)| Some((kind, state?))).collect()
}
