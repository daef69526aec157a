//! The incident record in the model: what is shown of it, and what the model says to it.

pub mod sources;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::model::{Host, Model, Site};
use super::table::Table;
use crate::domain::id::Scope;
use crate::domain::level::Level;
use crate::domain::record::incident::{Incident, incidents};
use crate::domain::record::ledger::Look;
use crate::domain::record::{By, Case, Entry, Numbers, What};
use crate::domain::time::Timestamp;
use crate::triage::fold::is_outage;
use crate::triage::{Finding, web};

/// Entries kept in memory, the newest.
pub const ENTRIES_MAX: u32 = 2_000;

/// The incident record, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// Entries, ascending by time.
    pub entries: VecDeque<Entry>,
    /// Why entries can't be kept on disk, or not be read from it.
    pub trouble: Option<String>,
    /// The incident that goes on, or is the last one.
    pub incident: Option<Incident>,
    /// What is selected and filtered in its overlay.
    pub table: Table,
}

impl Timeline {
    /// Takes in entries; one that was shown before it was kept is not shown twice.
    pub fn take(&mut self, entries: Vec<Entry>, now: Timestamp) {
        for entry in entries {
            let same = |old: &Entry| old.at == entry.at && old.by == entry.by && old.what == entry.what;
            if entry.id > 0 {
                if self.entries.iter().any(|old| old.id == entry.id) {
                    continue;
                }
                self.entries.retain(|old| old.id > 0 || !same(old));
            }
            let at = self.entries.partition_point(|old| old.at <= entry.at);
            self.entries.insert(at, entry);
        }
        let most = usize::try_from(ENTRIES_MAX).unwrap_or(usize::MAX);
        self.entries.drain(..self.entries.len().saturating_sub(most));
        self.incident = incidents(self.entries.make_contiguous(), now).pop();
    }

    /// The severity of the incident that goes on, and whether it is only suspected.
    pub fn severity(&self) -> Option<(u8, bool)> {
        let (severity, suspected) = self.incident.as_ref().filter(|i| i.to.is_none())?.current();
        Some((severity?, suspected))
    }

    /// The acknowledgement of a finding that still holds.
    pub fn acknowledged(&self, finding: &str, now: Timestamp) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| {
            matches!(&entry.what, What::Acknowledged { finding: of, until, .. } if of == finding && *until > now)
        })
    }

    /// The entries its overlay shows, the newest first: those that hold every word of the filter in time, site, text, kind
    /// or name. Counters are for reports.
    pub fn shown(&self) -> Vec<&Entry> {
        let accept = |entry: &&Entry| {
            let by = match &entry.by {
                By::Midwatch => "observed by midwatch".to_owned(),
                By::Person(who) => format!("said by {}", who.whole()),
            };
            let of = crate::domain::record::report::name(entry.scope.as_ref());
            let text = [entry.what.kind(), " ", entry.level.word(), " ", of, " ", &by, " ", &entry.text()].concat();
            !matches!(entry.what, What::Numbers(_)) && self.table.accepts(&text)
        };
        self.entries.iter().rev().filter(accept).collect()
    }
}

/// Identity of a row of the timeline.
pub fn row_id(entry: &Entry) -> String {
    format!("{}/{}/{}", entry.at.as_millis(), entry.id, entry.what.kind())
}

/// What the model says of every scope at this moment, for the record.
pub fn looks(model: &Model) -> BTreeMap<Scope, Look> {
    let sites = model.sites.iter().map(|site| (site.scope(), of_site(model, site)));
    sites.chain(model.hosts.iter().map(|host| (Scope::Host(host.id.clone()), of_host(model, host)))).collect()
}

fn of_site(model: &Model, site: &Site) -> Look {
    let cases = cases(model, &site.id.0);
    let severity = severity(&cases);
    let sources = sources::of_site(site);
    Look {
        at: model.now,
        severity,
        cases,
        watched: site.sources.iter().copied().collect(),
        sources,
        numbers: numbers(site),
    }
}

fn of_host(model: &Model, host: &Host) -> Look {
    let cases = cases(model, &host.id.0);
    let severity = severity(&cases);
    let sources = sources::of_host(host);
    Look { at: model.now, severity, cases, watched: sources::HOST.into(), sources, numbers: Numbers::default() }
}

/// The findings of a site or host, causes before their symptoms; what is not confirmed yet is none.
fn cases(model: &Model, name: &str) -> Vec<Case> {
    fn walk(out: &mut Vec<Case>, name: &str, finding: &Finding, under: Option<&str>) {
        let id = finding.id();
        // That midwatch itself does not see is no event of the site.
        if finding.site == name && finding.rule != "no-readings" {
            out.push(Case {
                rule: finding.rule.clone(),
                title: finding.title.clone(),
                evidence: finding.evidence.clone(),
                details: finding.details.clone(),
                level: finding.level,
                since: finding.since.at,
                since_seen: finding.since.seen,
                since_from: finding.since.word().to_owned(),
                source: finding.source,
                under: under.map(ToOwned::to_owned),
                id: id.clone(),
            });
        }
        // What is wrong with a site may follow from what is wrong with its host.
        for symptom in &finding.symptoms {
            walk(out, name, symptom, Some(&id));
        }
    }
    let mut out = Vec::new();
    for finding in &model.findings {
        walk(&mut out, name, finding, None);
    }
    let unconfirmed = |case: &Case| {
        web::STATES.contains(&case.rule.as_str()) && model.now.millis_since(case.since) < web::CONFIRMED_MS
    };
    out.retain(|case| !unconfirmed(case));
    out
}

/// The severity that is suspected: 2 when people can't use the site, 3 for anything else that is critical. Only a person
/// can say that it is worse (1: all of it, the public must be told) or that it matters less.
fn severity(cases: &[Case]) -> Option<u8> {
    let critical = || cases.iter().filter(|case| case.level == Level::Critical);
    if critical().any(|case| web::STATES.contains(&case.rule.as_str()) || is_outage(&case.rule)) {
        return Some(2);
    }
    critical().next().map(|_| 3)
}

fn numbers(site: &Site) -> Numbers {
    let Some(traffic) = site.traffic.fresh() else { return Numbers::default() };
    // Sums over a part of the routes go down when another part is left out.
    if traffic.left_out > 0 {
        return Numbers::default();
    }
    let some = |n: f64, of: bool| of.then_some(n);
    let routes = !traffic.routes.is_empty();
    let tasks = !traffic.tasks.is_empty();
    let errors = traffic.routes.iter().filter_map(|r| r.classes.get(4)).map(|c| c.total);
    Numbers {
        requests: some(traffic.routes.iter().map(crate::domain::traffic::Route::total).sum(), routes),
        request_errors: some(errors.sum(), routes),
        tasks: some(traffic.tasks.iter().map(crate::domain::traffic::Task::total).sum(), tasks),
        task_errors: some(traffic.tasks.iter().map(|t| t.error.total).sum(), tasks),
        ..Numbers::default()
    }
}
