//! What was observed goes into the model, its history, and the findings.

use crate::app::model::{HELD, Model, Site};
use crate::domain::history::{self, History, Point, SeriesKey};
use crate::domain::id::{Scope, SourceKind};
use crate::domain::level::Level;
use crate::domain::observation::{Observation, Observed};
use crate::domain::time::Timestamp;
use crate::triage::{self, HostFacts, Memory, SiteFacts};

/// Takes in one observation, or keeps it while the screen is held still.
pub(super) fn take(model: &mut Model, observed: Observed) {
    if model.paused.is_some() {
        // Each look at the logs holds all of the one before: only the newest is kept.
        if matches!(observed.what, Observation::Logs(_)) {
            model.held.retain(|held| !(held.scope == observed.scope && matches!(held.what, Observation::Logs(_))));
        }
        if model.held.len() >= HELD {
            model.held.pop_front();
        }
        model.held.push_back(observed);
        return;
    }
    apply(model, observed);
    assess(model);
}

/// Takes in everything that was kept while the screen was held still.
pub(super) fn release(model: &mut Model) {
    while let Some(observed) = model.held.pop_front() {
        apply(model, observed);
    }
    assess(model);
}

fn apply(model: &mut Model, observed: Observed) {
    let Observed { scope, at, took_ms, what } = observed;
    let mut points = history::points(&what);
    match scope {
        Scope::Site(id) => {
            let Some(site) = model.sites.iter_mut().find(|s| s.id == id) else { return };
            let kind = what.kind();
            // Logs are read by this midwatch itself, whoever polls: they say nothing of the poller.
            if !matches!(what, Observation::Logs(_)) {
                site.heard = site.heard.max(Some(at));
            }
            site.asking.retain(|(k, _)| *k != kind);
            if what.is_asking() {
                site.asking.push((kind, at));
                return;
            }
            // The broker's own word is newer than the metrics page's of the same queue.
            let broker = site.redis.fresh().is_some_and(|redis| redis.broker.is_some());
            points.retain(|(key, _)| !broker || kind != SourceKind::Traffic || key.0 != history::names::QUEUE);
            push(&mut site.history, points, at);
            for (key, known) in history::earlier(&what) {
                site.history.entry(key).or_default().fill(known);
            }
            match what {
                Observation::Health(seen) => site.health.absorb(seen, at, took_ms),
                Observation::Direct(seen) => site.direct.absorb(seen, at, took_ms),
                Observation::Traffic(seen) => site.traffic.absorb(seen, at, took_ms),
                Observation::Database(seen) => site.database.absorb(*seen, at, took_ms),
                Observation::Redis(seen) => site.redis.absorb(*seen, at, took_ms),
                Observation::Access(seen) => site.access.absorb(*seen, at, took_ms),
                Observation::Services(seen) => site.services.absorb(*seen, at, took_ms),
                Observation::Logs(seen) => site.logs.absorb(*seen, at, took_ms),
                Observation::Backups(seen) => site.backups.absorb(*seen, at, took_ms),
                Observation::App(seen) => site.on_disk.absorb(*seen, at, took_ms),
                Observation::Host(_)
                | Observation::Changes(_)
                | Observation::Schedule(_)
                | Observation::Updates(_)
                | Observation::People(_) => {}
            }
        }
        Scope::Host(id) => {
            let Some(host) = model.hosts.iter_mut().find(|h| h.id == id) else { return };
            host.heard = host.heard.max(Some(at));
            push(&mut host.history, points, at);
            match what {
                Observation::Host(seen) => host.reading.absorb(*seen, at, took_ms),
                Observation::Changes(seen) => host.changes.absorb(*seen, at, took_ms),
                Observation::Schedule(seen) => host.schedule.absorb(*seen, at, took_ms),
                Observation::Updates(seen) => host.updates.absorb(*seen, at, took_ms),
                Observation::People(seen) => host.people.absorb(*seen, at, took_ms),
                Observation::Services(seen) => host.units.absorb(*seen, at, took_ms),
                Observation::Health(_)
                | Observation::Direct(_)
                | Observation::Traffic(_)
                | Observation::Database(_)
                | Observation::Redis(_)
                | Observation::Access(_)
                | Observation::Logs(_)
                | Observation::Backups(_)
                | Observation::App(_) => {}
            }
        }
    }
}

fn push(history: &mut History, points: Vec<(SeriesKey, f64)>, at: Timestamp) {
    for (key, value) in points {
        history.entry(key).or_default().push(at, value);
    }
}

/// Puts points from disk before what was seen since.
pub(super) fn recall(model: &mut Model, scope: &Scope, series: Vec<(SeriesKey, Vec<Point>)>) {
    let history = match scope {
        Scope::Site(id) => model.sites.iter_mut().find(|s| s.id == *id).map(|s| &mut s.history),
        Scope::Host(id) => model.hosts.iter_mut().find(|h| h.id == *id).map(|h| &mut h.history),
    };
    if let Some(history) = history {
        for (key, points) in series {
            history.entry(key).or_default().prepend(points);
        }
    }
    assess(model);
}

/// Takes over what an earlier watcher remembered, unless this one remembers more already.
pub(super) fn remember(model: &mut Model, scope: &Scope, memory: Memory) {
    let ours = match scope {
        Scope::Site(id) => model.sites.iter_mut().find(|s| s.id == *id).map(|s| &mut s.memory),
        Scope::Host(id) => model.hosts.iter_mut().find(|h| h.id == *id).map(|h| &mut h.memory),
    };
    if let Some(ours) = ours {
        for (key, mark) in memory.marks {
            let kept = ours.marks.entry(key).or_insert(mark);
            if mark.since.at < kept.since.at {
                *kept = mark;
            }
        }
        for (source, first) in memory.first_looks {
            let kept = ours.first_looks.entry(source).or_insert(first);
            *kept = (*kept).min(first);
        }
    }
    assess(model);
}

/// While the screen is held still nothing is judged; what held then is taken to hold on.
pub(super) fn hold(model: &mut Model) {
    let now = model.now;
    let marks = model.sites.iter_mut().flat_map(|s| s.memory.marks.values_mut());
    for mark in marks.chain(model.hosts.iter_mut().flat_map(|h| h.memory.marks.values_mut())) {
        mark.last = now;
    }
}

/// Runs the rules over everything.
pub(super) fn assess(model: &mut Model) {
    let now = model.now;
    let mut findings = Vec::new();
    for site in &mut model.sites {
        let facts = SiteFacts {
            name: &site.id.0,
            health: &site.health,
            direct: &site.direct,
            traffic: &site.traffic,
            database: &site.database,
            redis: &site.redis,
            access: &site.access,
            services: &site.services,
            logs: &site.logs,
            backups: &site.backups,
            on_disk: &site.on_disk,
            app_name: &site.app,
            practice: site.practice,
            asking: &site.asking,
            history: &site.history,
            heard: site.heard,
            silent_after_ms: model.silent_after_ms,
            now,
        };
        findings.extend(triage::site(&facts, &model.thresholds, &mut site.memory));
    }
    for host in &mut model.hosts {
        let facts = HostFacts {
            name: &host.id.0,
            reading: &host.reading,
            changes: &host.changes,
            schedule: &host.schedule,
            units: &host.units,
            updates: &host.updates,
            people: &host.people,
            heard: host.heard,
            silent_after_ms: model.silent_after_ms,
            now,
        };
        findings.extend(triage::host(&facts, &model.thresholds, &mut host.memory));
    }
    let hosts: Vec<&str> = model.hosts.iter().map(|h| h.id.0.as_str()).collect();
    model.findings = triage::fold::fold(findings, &hosts);
    if !model.touched {
        show_worst(model);
    }
}

/// Who opens midwatch at night wants the site that is broken; under somebody's hands nothing moves by itself.
fn show_worst(model: &mut Model) {
    let mut worst = model.findings.iter().filter(|finding| finding.level >= Level::Warning);
    let site = |finding: &triage::Finding| model.sites.iter().position(|site| site.id.0 == finding.site);
    if let Some(index) = worst.find_map(site) {
        model.site_index = index;
    }
}

impl Model {
    /// Whether everything that could be fine has been seen: no site's healthcheck or host is still unknown, and no
    /// application runs that this user may not look into.
    pub fn seen_enough(&self) -> bool {
        let unanswered =
            |s: &Site| s.asking_since(SourceKind::Health).is_some_and(|t| self.now.millis_since(t) > 3_000);
        let heard = |at: Option<Timestamp>| at.is_some_and(|at| self.now.millis_since(at) <= self.silent_after_ms);
        !self.no_entry
            && self.sites.iter().all(|s| s.health.fresh().is_some() && heard(s.heard) && !unanswered(s))
            && self.hosts.iter().all(|h| h.reading.fresh().is_some() && heard(h.heard))
    }
}
