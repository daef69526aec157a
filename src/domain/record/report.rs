//! What a post-mortem and a hand-over need, gathered from the record: facts only, no words for people to disagree with.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::incident::{Incident, incidents, people};
use super::ledger::Standing;
use super::{By, Entry, Numbers, What, Who};
use crate::domain::id::Scope;
use crate::domain::level::Level;
use crate::domain::time::Timestamp;

/// Notes of people a hand-over repeats, the newest.
const TRIED_MAX: usize = 12;

/// Which part of the record is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Only this site, with the hosts and what is about everything; `None`: all.
    pub site: Option<&'a str>,
    /// The incident it is about.
    pub incident: Option<&'a Incident>,
}

/// What a post-mortem needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// From when it tells.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// The incident, where it is about one.
    pub incident: Option<Incident>,
    /// The sites and hosts that were touched.
    pub of: Vec<String>,
    /// What it did, in numbers.
    pub impact: Impact,
    /// Every finding that stood in that time, in order.
    pub findings: Vec<Stood>,
    /// Who has written into the record.
    pub responders: Vec<Who>,
    /// Everything, in order.
    pub timeline: Vec<Line>,
    /// What is to be done later.
    pub todos: Vec<Todo>,
}

/// What an incident did, in numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Impact {
    /// How long it lasted, in milliseconds.
    pub lasted_ms: u64,
    /// For how much of that something critical stood, in milliseconds.
    pub critical_ms: u64,
    /// For how much of that nobody watched, in milliseconds.
    pub unwatched_ms: u64,
    /// Milliseconds at each severity (0: none set).
    pub at_severity: BTreeMap<u8, u64>,
    /// By site: what was counted meanwhile. At least: what nobody counted is not in it.
    pub counted: BTreeMap<String, Counted>,
}

/// What was counted on one site.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Counted {
    /// Requests answered.
    pub requests: Option<f64>,
    /// Of those, answered 5xx.
    pub request_errors: Option<f64>,
    /// Background tasks ended.
    pub tasks: Option<f64>,
    /// Of those, ended in an unforeseen error.
    pub task_errors: Option<f64>,
    /// How long nothing came in of what the site lives of, in milliseconds: the longest pause.
    pub pulse_pause_ms: Option<u64>,
    /// How many of it such a pause usually brings.
    pub pulse_lost: Option<f64>,
}

/// A finding, from beginning to end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stood {
    /// Its identity.
    pub id: String,
    /// What was wrong.
    pub title: String,
    /// The numbers behind it, when it came up.
    pub evidence: String,
    /// The worst level it had.
    pub level: Level,
    /// The finding it followed from.
    pub under: Option<String>,
    /// Since when.
    pub from: Timestamp,
    /// Whether its beginning was seen.
    pub from_seen: bool,
    /// Where its beginning is known from, where it was not watched.
    pub from_by: String,
    /// Until when; `None`: it still stands.
    pub to: Option<Timestamp>,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The entry's id.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// How bad.
    pub level: Level,
    /// What kind of entry.
    pub kind: &'static str,
    /// The site or host; empty: everything.
    pub of: String,
    /// `None`: observed by midwatch; else who said it.
    pub said_by: Option<Who>,
    /// What.
    pub text: String,
    /// Lines of evidence.
    pub details: Vec<String>,
}

/// Something to be done later.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Todo {
    /// The entry's id: `DONE 12` takes it off the list.
    pub id: i64,
    /// When it was said.
    pub at: Timestamp,
    /// What.
    pub text: String,
    /// By whom.
    pub by: String,
    /// Who has done it, and when.
    pub done: Option<(String, Timestamp)>,
}

/// What the next one on watch must know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HandOver {
    /// The moment.
    pub at: Timestamp,
    /// The incident that is going on, or was the last one within a day.
    pub incident: Option<Incident>,
    /// What stands now, worst first, and since when.
    pub standing: Vec<Stood>,
    /// When each site and host was last looked at.
    pub looked: BTreeMap<String, Option<Timestamp>>,
    /// What people have noted in this incident, the newest last.
    pub tried: Vec<Line>,
    /// Acknowledgements that still hold.
    pub acknowledged: Vec<Line>,
    /// What is still to be done.
    pub todos: Vec<Todo>,
}

/// The name of a site or host.
pub fn name(scope: Option<&Scope>) -> &str {
    match scope {
        Some(Scope::Site(id)) => &id.0,
        Some(Scope::Host(id)) => &id.0,
        None => "",
    }
}

/// Whether an entry belongs to a report about this site.
fn about(entry: &Entry, site: Option<&str>) -> bool {
    match (&entry.scope, site) {
        (Some(Scope::Site(id)), Some(site)) => id.0 == site,
        (Some(Scope::Host(_)) | None, _) | (Some(Scope::Site(_)), None) => true,
    }
}

/// Gathers a report. `entries`: the whole record, ascending by time.
pub fn report(entries: &[Entry], now: Timestamp, wanted: Wanted<'_>) -> Report {
    let of_site: Vec<Entry> = entries.iter().filter(|e| about(e, wanted.site)).cloned().collect();
    let within: Vec<&Entry> = of_site.iter().filter(|e| e.at >= wanted.from && e.at <= wanted.to).collect();
    let findings = stood(&of_site, wanted.from, wanted.to);
    let owned: Vec<Entry> = within.iter().map(|e| (*e).clone()).collect();
    let mut of: BTreeSet<String> = within.iter().map(|e| name(e.scope.as_ref()).to_owned()).collect();
    of.remove("");
    Report {
        from: wanted.from,
        to: wanted.to,
        incident: wanted.incident.cloned(),
        of: of.into_iter().collect(),
        impact: impact(&owned, &findings, now, wanted),
        findings,
        responders: people(&owned).into_iter().cloned().collect(),
        // Counters are for adding up, not for reading.
        timeline: within.iter().filter(|e| !matches!(e.what, What::Numbers(_))).map(|e| line(e)).collect(),
        todos: todos(&of_site).into_iter().filter(|t| t.at >= wanted.from && t.at <= wanted.to).collect(),
    }
}

/// Gathers a hand-over.
pub fn hand_over(entries: &[Entry], standing: &[(Scope, Standing)], now: Timestamp, site: Option<&str>) -> HandOver {
    const DAY_MS: u64 = 86_400_000;
    let of_site: Vec<Entry> = entries.iter().filter(|e| about(e, site)).cloned().collect();
    let incident = incidents(entries, now).pop().filter(|i| now.millis_since(i.until(now)) <= DAY_MS);
    let here = |scope: &Scope| match (scope, site) {
        (Scope::Site(id), Some(site)) => id.0 == site,
        (Scope::Site(_), None) | (Scope::Host(_), _) => true,
    };
    let mut stands: Vec<Stood> = standing
        .iter()
        .filter(|(scope, _)| here(scope))
        .flat_map(|(_, standing)| standing.cases.values())
        .map(|case| Stood {
            id: case.id.clone(),
            title: case.title.clone(),
            evidence: case.evidence.clone(),
            level: case.level,
            under: case.under.clone(),
            from: case.since,
            from_seen: case.since_seen,
            from_by: case.since_from.clone(),
            to: None,
        })
        .collect();
    stands.sort_by_key(|s| (std::cmp::Reverse(s.level), s.under.is_some(), s.from));
    let from = incident.as_ref().map_or(now.plus_secs(-86_400), |i| i.from);
    let said = |e: &&Entry| {
        let words = matches!(e.what, What::Note { .. } | What::Severity { .. } | What::Done { .. });
        e.at >= from && !e.automatic() && words
    };
    let mut tried: Vec<Line> = of_site.iter().filter(said).map(line).collect();
    tried.drain(..tried.len().saturating_sub(TRIED_MAX));
    let holds = |e: &&Entry| matches!(e.what, What::Acknowledged { until, .. } if until > now);
    HandOver {
        at: now,
        incident,
        standing: stands,
        looked: standing
            .iter()
            .filter(|(scope, _)| here(scope))
            .map(|(scope, standing)| (name(Some(scope)).to_owned(), standing.at))
            .collect(),
        tried,
        acknowledged: of_site.iter().filter(holds).map(line).collect(),
        todos: todos(&of_site).into_iter().filter(|t| t.done.is_none()).collect(),
    }
}

/// An entry as a line of the timeline.
pub fn line(entry: &Entry) -> Line {
    let details = if let What::Opened(case) = &entry.what { case.details.clone() } else { Vec::new() };
    Line {
        id: entry.id,
        at: entry.at,
        level: entry.level,
        kind: entry.what.kind(),
        of: name(entry.scope.as_ref()).to_owned(),
        said_by: match &entry.by {
            By::Midwatch => None,
            By::Person(who) => Some(who.clone()),
        },
        text: entry.text(),
        details,
    }
}

/// Everything that was to be done, in order.
pub fn todos(entries: &[Entry]) -> Vec<Todo> {
    let mut out = Vec::new();
    for entry in entries {
        let by = match &entry.by {
            By::Midwatch => "midwatch".to_owned(),
            By::Person(who) => who.user.clone(),
        };
        if let What::Todo { text } = &entry.what {
            out.push(Todo { id: entry.id, at: entry.at, text: text.clone(), by, done: None });
        } else if let What::Done { todo, .. } = entry.what
            && let Some(open) = out.iter_mut().find(|t| t.id == todo)
        {
            open.done = Some((by, entry.at));
        }
    }
    out
}

/// Every finding that stood at some time between `from` and `to`, in order of its beginning.
fn stood(entries: &[Entry], from: Timestamp, to: Timestamp) -> Vec<Stood> {
    let mut out: Vec<Stood> = Vec::new();
    for entry in entries.iter().filter(|e| e.at <= to) {
        let open = |out: &mut Vec<Stood>, id: &str| out.iter().rposition(|s| s.id == id && s.to.is_none());
        match &entry.what {
            What::Opened(case) => out.push(Stood {
                id: case.id.clone(),
                title: case.title.clone(),
                evidence: case.evidence.clone(),
                level: case.level,
                under: case.under.clone(),
                from: case.since.min(entry.at),
                from_seen: case.since_seen,
                from_by: case.since_from.clone(),
                to: None,
            }),
            What::Changed { id, .. } => {
                if let Some(stood) = open(&mut out, id).and_then(|at| out.get_mut(at)) {
                    stood.level = stood.level.max(entry.level);
                }
            }
            What::Closed { id, .. } => {
                if let Some(stood) = open(&mut out, id).and_then(|at| out.get_mut(at)) {
                    stood.to = Some(entry.at);
                }
            }
            What::Source { .. }
            | What::Gap { .. }
            | What::Numbers(_)
            | What::Severity { .. }
            | What::Acknowledged { .. }
            | What::Note { .. }
            | What::Todo { .. }
            | What::Done { .. } => {}
        }
    }
    out.retain(|s| s.to.is_none_or(|end| end >= from));
    out.sort_by(|a, b| a.from.cmp(&b.from).then(b.level.cmp(&a.level)));
    out
}

fn impact(entries: &[Entry], findings: &[Stood], now: Timestamp, wanted: Wanted<'_>) -> Impact {
    let end = wanted.incident.map_or(wanted.to, |i| i.until(now)).min(now);
    let clip = |at: Timestamp| at.max(wanted.from).min(end);
    let critical = findings.iter().filter(|s| s.level == Level::Critical);
    let mut spans: Vec<(Timestamp, Timestamp)> = critical.map(|s| (clip(s.from), clip(s.to.unwrap_or(end)))).collect();
    let gaps = entries.iter().filter_map(|e| match e.what {
        What::Gap { from } => Some((clip(from), clip(e.at))),
        What::Opened(_)
        | What::Changed { .. }
        | What::Closed { .. }
        | What::Source { .. }
        | What::Numbers(_)
        | What::Severity { .. }
        | What::Acknowledged { .. }
        | What::Note { .. }
        | What::Todo { .. }
        | What::Done { .. } => None,
    });
    let mut gaps: Vec<_> = gaps.collect();
    Impact {
        lasted_ms: end.millis_since(wanted.from),
        critical_ms: covered(&mut spans),
        unwatched_ms: covered(&mut gaps),
        at_severity: wanted.incident.map(Incident::at_severity).unwrap_or_default(),
        counted: counted(entries),
    }
}

/// How much time is covered by spans that may lie over each other, in milliseconds.
fn covered(spans: &mut [(Timestamp, Timestamp)]) -> u64 {
    spans.sort_unstable();
    let mut sum = 0;
    let mut end = Timestamp::from_millis(i64::MIN);
    for (from, to) in spans {
        let from = (*from).max(end);
        if *to > from {
            sum += to.millis_since(from);
            end = *to;
        }
    }
    sum
}

fn counted(entries: &[Entry]) -> BTreeMap<String, Counted> {
    let mut last: BTreeMap<String, Numbers> = BTreeMap::new();
    let mut out: BTreeMap<String, Counted> = BTreeMap::new();
    for entry in entries {
        let What::Numbers(numbers) = &entry.what else { continue };
        let name = name(entry.scope.as_ref()).to_owned();
        let sum = out.entry(name.clone()).or_default();
        if let Some(before) = last.insert(name, *numbers) {
            grow(&mut sum.requests, before.requests, numbers.requests);
            grow(&mut sum.request_errors, before.request_errors, numbers.request_errors);
            grow(&mut sum.tasks, before.tasks, numbers.tasks);
            grow(&mut sum.task_errors, before.task_errors, numbers.task_errors);
        }
        if let (Some(at), Some(per_min)) = (numbers.pulse_last, numbers.pulse_usual_per_min) {
            let pause = entry.at.millis_since(at);
            if sum.pulse_pause_ms.is_none_or(|longest| pause > longest) {
                sum.pulse_pause_ms = Some(pause);
                #[expect(clippy::cast_precision_loss, reason = "a pause of milliseconds fits")]
                let minutes = pause as f64 / 60_000.0;
                sum.pulse_lost = Some(per_min * minutes);
            }
        }
    }
    out
}

/// Adds what a counter grew by; one that is smaller than before began anew.
fn grow(sum: &mut Option<f64>, before: Option<f64>, after: Option<f64>) {
    if let (Some(before), Some(after)) = (before, after) {
        let by = if after >= before { after - before } else { after };
        *sum = Some(sum.unwrap_or(0.0) + by.max(0.0));
    }
}

#[cfg(test)]
mod tests;
