//! What every source of a site or host sees in short, and what it can't see, with the grants that would open it: for
//! `status` and `doctor`.

use super::model::{Host, Site};
use super::record::sources;
use crate::domain::id::SourceKind;
use crate::domain::reading::Reading;
use crate::domain::record::SourceState;
use crate::domain::service::{ServicesReading, State};
use crate::domain::text::count;
use crate::domain::time::Timestamp;

/// What one source sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Which one.
    pub kind: SourceKind,
    /// How it stands; `None`: it has not answered yet.
    pub state: Option<SourceState>,
    /// What it sees, in short, or why it sees nothing.
    pub says: String,
    /// When it last saw something.
    pub at: Option<Timestamp>,
    /// What it can't see, with the grant that would open it, in sentences.
    pub blind: Vec<String>,
}

/// Every source of a site.
pub fn of_site(site: &Site) -> Vec<Sight> {
    let looked = sources::of_site(site);
    let sight = |kind: SourceKind| {
        let (says, at, blind) = match kind {
            SourceKind::Health => seen(&site.health, |c| c.state.word().to_owned(), |_| Vec::new()),
            SourceKind::Direct => seen(&site.direct, |c| c.state.word().to_owned(), |_| Vec::new()),
            SourceKind::Traffic => seen(
                &site.traffic,
                |t| [number(t.routes.len(), "route"), number(t.tasks.len(), "task")].join(", "),
                |_| Vec::new(),
            ),
            SourceKind::Access => seen(
                &site.access,
                |a| number(a.logs.len(), "access log"),
                |a| a.logs.iter().filter_map(|log| Some([&log.path, ": ", log.trouble.as_ref()?].concat())).collect(),
            ),
            SourceKind::Database => {
                seen(&site.database, |d| [d.engine.name(), " ", &d.version].concat(), |_| Vec::new())
            }
            SourceKind::Redis => seen(
                &site.redis,
                |r| {
                    let servers: Vec<String> =
                        r.servers().map(|(what, s)| [what, ": ", &s.version, " at ", &s.place].concat()).collect();
                    servers.join(", ")
                },
                |r| r.unseen.clone(),
            ),
            SourceKind::Services => seen(&site.services, services, |s| s.unseen.clone()),
            SourceKind::Logs => seen(
                &site.logs,
                |l| number(l.sources.iter().filter(|s| s.why.is_none()).count(), "log"),
                |l| l.sources.iter().filter_map(|s| Some([&s.name, ": ", s.why.as_ref()?].concat())).collect(),
            ),
            SourceKind::Backups => seen(
                &site.backups,
                |b| [number(b.backups.len(), "backup"), number(b.places.len(), "place")].join(" in "),
                |b| {
                    let places = b.places.iter();
                    let unseen =
                        places.filter_map(|p| Some([&p.path, ": ", p.unseen.as_ref().or(p.failed.as_ref())?].concat()));
                    b.unseen.iter().cloned().chain(unseen).collect()
                },
            ),
            SourceKind::App => seen(
                &site.on_disk,
                |a| a.version.as_ref().map_or_else(|| "version not known".to_owned(), |v| ["version ", v].concat()),
                |a| a.unseen.clone(),
            ),
            SourceKind::Host
            | SourceKind::Changes
            | SourceKind::Schedule
            | SourceKind::Updates
            | SourceKind::People => (String::new(), None, Vec::new()),
        };
        Sight { kind, state: looked.get(&kind).map(|(state, _)| *state), says, at, blind }
    };
    site.sources.iter().copied().map(sight).collect()
}

/// Every source of a host.
pub fn of_host(host: &Host) -> Vec<Sight> {
    let looked = sources::of_host(host);
    let sight = |kind: SourceKind| {
        let (says, at, blind) = match kind {
            SourceKind::Host => seen(
                &host.reading,
                |h| {
                    format!(
                        "{}, {}",
                        number(h.disks.len(), "file system"),
                        count(h.process_count.into(), "process").replace("processs", "processes")
                    )
                },
                |h| h.unseen.clone(),
            ),
            SourceKind::Services => seen(&host.units, services, |s| s.unseen.clone()),
            SourceKind::Changes => seen(&host.changes, |c| number(c.changes.len(), "change"), |c| c.unseen.clone()),
            SourceKind::Schedule => seen(&host.schedule, |s| number(s.jobs.len(), "job"), |s| s.unseen.clone()),
            SourceKind::Updates => seen(
                &host.updates,
                |u| {
                    let pending = u.pending.map_or_else(|| "not known".to_owned(), |n| n.to_string());
                    let security = u.security.map(|n| format!(", {n} for security")).unwrap_or_default();
                    let reboot = if u.reboot.is_some() { ", reboot needed" } else { "" };
                    [&pending, " pending", &security, reboot].concat()
                },
                |u| u.unseen.clone(),
            ),
            SourceKind::People => seen(&host.people, |p| number(p.people.len(), "presence"), |p| p.unseen.clone()),
            SourceKind::Health
            | SourceKind::Direct
            | SourceKind::Traffic
            | SourceKind::Access
            | SourceKind::Database
            | SourceKind::Redis
            | SourceKind::Logs
            | SourceKind::Backups
            | SourceKind::App => (String::new(), None, Vec::new()),
        };
        Sight { kind, state: looked.get(&kind).map(|(state, _)| *state), says, at, blind }
    };
    sources::HOST.into_iter().map(sight).collect()
}

fn seen<T>(
    reading: &Reading<T>,
    says: impl FnOnce(&T) -> String,
    blind: impl FnOnce(&T) -> Vec<String>,
) -> (String, Option<Timestamp>, Vec<String>) {
    let told = match (reading.why(), reading.value()) {
        (Some(why), _) => why.to_owned(),
        (None, Some(value)) => says(value),
        (None, None) => "no answer yet".to_owned(),
    };
    (told, reading.at(), reading.value().map(blind).unwrap_or_default())
}

fn number(n: usize, noun: &str) -> String {
    count(u64::try_from(n).unwrap_or(u64::MAX), noun)
}

fn services(reading: &ServicesReading) -> String {
    let running = reading.services.iter().filter(|s| s.state == State::Running).count();
    format!("{running} of {} run", number(reading.services.len(), "service"))
}
