//! Incidents, derived from the record: a span in which something critical stood, or a person had set a severity, and the
//! quiet time after it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{By, Entry, What};
use crate::domain::id::Scope;
use crate::domain::level::Level;
use crate::domain::time::Timestamp;

/// What begins again within this time after an incident belongs to it, in milliseconds.
pub const QUIET_MS: u64 = 15 * 60_000;
/// A severity that a person has set and nobody has taken back ends so long after the last entry that says anything, in
/// milliseconds.
pub const FORGOTTEN_MS: u64 = 12 * 3_600_000;

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name: the minute it began, in UTC: `20261121-0257`.
    pub id: String,
    /// When it began.
    pub from: Timestamp,
    /// When it ended; `None`: it goes on.
    pub to: Option<Timestamp>,
    /// What it touched.
    pub scopes: BTreeSet<Scope>,
    /// The worst severity there was.
    pub severity: Option<u8>,
    /// Whether a person has set a severity.
    pub confirmed: bool,
    /// The severities it had, in order.
    pub spans: Vec<Span>,
}

/// A time in which the severity did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// From when.
    pub from: Timestamp,
    /// Until when; the end of the record where it goes on.
    pub to: Timestamp,
    /// The severity; `None`: nobody and nothing has set one.
    pub severity: Option<u8>,
    /// Only suspected.
    pub suspected: bool,
}

/// What is going on at one moment of the walk through the entries.
#[derive(Debug, Default)]
struct Course {
    critical: BTreeMap<String, Timestamp>,
    said: Option<u8>,
    suspected: Option<u8>,
    last: Timestamp,
}

impl Course {
    fn on(&self) -> bool {
        !self.critical.is_empty() || self.said.is_some()
    }

    fn severity(&self) -> (Option<u8>, bool) {
        match (self.said, self.suspected) {
            (Some(said), _) => (Some(said), false),
            (None, suspected) => (suspected, suspected.is_some()),
        }
    }
}

/// Every incident of a record, in order. `entries`: ascending by time; `now`: until when the record says something.
pub fn incidents(entries: &[Entry], now: Timestamp) -> Vec<Incident> {
    let mut out: Vec<Incident> = Vec::new();
    let mut course = Course::default();
    for entry in entries {
        forget(&mut out, &mut course, entry.at);
        let was = course.on();
        step(&mut course, entry);
        // A finding knows since when it holds; it was told a little later.
        let begins = if let What::Opened(case) = &entry.what { case.since.min(entry.at) } else { entry.at };
        match (was, course.on()) {
            (false, true) => begin(&mut out, begins, &course),
            (true, true) => turn(&mut out, entry.at, &course),
            (true, false) => end(&mut out, entry.at),
            (false, false) => {}
        }
        if let (Some(incident), Some(scope)) = (out.last_mut(), &entry.scope)
            && course.on()
            && entry.level >= Level::Warning
        {
            incident.scopes.insert(scope.clone());
        }
        course.last = entry.at;
    }
    forget(&mut out, &mut course, now);
    if course.on()
        && let Some(span) = out.last_mut().and_then(|incident| incident.spans.last_mut())
    {
        span.to = span.to.max(now);
    }
    out
}

fn step(course: &mut Course, entry: &Entry) {
    match &entry.what {
        What::Opened(case) if case.level == Level::Critical => {
            course.critical.insert(case.id.clone(), entry.at);
        }
        What::Changed { id, .. } if entry.level == Level::Critical => {
            course.critical.insert(id.clone(), entry.at);
        }
        What::Changed { id, .. } | What::Closed { id, .. } => {
            course.critical.remove(id);
        }
        What::Severity { severity, suspected: true, .. } => course.suspected = *severity,
        What::Severity { severity, suspected: false, .. } => {
            course.said = *severity;
            if severity.is_none() {
                // A person says it is over: what still stands no longer makes an incident of it.
                course.critical.clear();
                course.suspected = None;
            }
        }
        What::Opened(_)
        | What::Source { .. }
        | What::Gap { .. }
        | What::Numbers(_)
        | What::Acknowledged { .. }
        | What::Note { .. }
        | What::Todo { .. }
        | What::Done { .. } => {}
    }
    if course.critical.is_empty() && course.said.is_none() {
        course.suspected = None;
    }
}

/// Ends a severity that was set by hand and then forgotten.
fn forget(out: &mut [Incident], course: &mut Course, now: Timestamp) {
    if course.said.is_some() && course.critical.is_empty() && now.millis_since(course.last) > FORGOTTEN_MS {
        course.said = None;
        course.suspected = None;
        end(out, course.last);
    }
}

fn begin(out: &mut Vec<Incident>, at: Timestamp, course: &Course) {
    let (severity, suspected) = course.severity();
    let span = Span { from: at, to: at, severity, suspected };
    if let Some(last) = out.last_mut()
        && last.to.is_some_and(|to| at.millis_since(to) <= QUIET_MS)
    {
        last.to = None;
        last.spans.push(Span { from: at.max(last.spans.last().map_or(at, |s| s.to)), ..span });
        rate(last, severity, suspected);
        return;
    }
    let mut incident = Incident {
        id: minute(at),
        from: at,
        to: None,
        scopes: BTreeSet::new(),
        severity: None,
        confirmed: false,
        spans: vec![span],
    };
    rate(&mut incident, severity, suspected);
    out.push(incident);
}

fn turn(out: &mut [Incident], at: Timestamp, course: &Course) {
    let Some(last) = out.last_mut() else { return };
    let (severity, suspected) = course.severity();
    rate(last, severity, suspected);
    let Some(span) = last.spans.last_mut() else { return };
    if (span.severity, span.suspected) == (severity, suspected) {
        return;
    }
    if span.severity.is_none() && suspected {
        // The severity is worked out right after the finding: it held from the beginning.
        (span.severity, span.suspected) = (severity, suspected);
        return;
    }
    span.to = at.max(span.from);
    let from = span.to;
    last.spans.push(Span { from, to: from, severity, suspected });
}

fn end(out: &mut [Incident], at: Timestamp) {
    let Some(last) = out.last_mut() else { return };
    last.to = Some(at.max(last.from));
    if let Some(span) = last.spans.last_mut() {
        span.to = at.max(span.from);
    }
}

fn rate(incident: &mut Incident, severity: Option<u8>, suspected: bool) {
    incident.severity = match (incident.severity, severity) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    incident.confirmed |= severity.is_some() && !suspected;
}

impl Incident {
    /// Until when it lasted, or has lasted so far.
    pub fn until(&self, now: Timestamp) -> Timestamp {
        self.to.unwrap_or(now)
    }

    /// Milliseconds at each severity; 0 stands for none.
    pub fn at_severity(&self) -> BTreeMap<u8, u64> {
        let mut out = BTreeMap::new();
        for span in &self.spans {
            *out.entry(span.severity.unwrap_or(0)).or_insert(0) += span.to.millis_since(span.from);
        }
        out
    }

    /// The severity it has now, and whether that is only suspected.
    pub fn current(&self) -> (Option<u8>, bool) {
        self.spans.last().map_or((None, false), |span| (span.severity, span.suspected))
    }

    /// Whether an entry falls into it: from its beginning to the end of the quiet time after it.
    pub fn holds(&self, at: Timestamp) -> bool {
        at >= self.from && self.to.is_none_or(|to| at <= to.plus_millis(i64::try_from(QUIET_MS).unwrap_or(0)))
    }
}

/// Whoever has said something, each once, in order of first appearance.
pub fn people(entries: &[Entry]) -> Vec<&super::Who> {
    let mut out: Vec<&super::Who> = Vec::new();
    for entry in entries {
        if let By::Person(who) = &entry.by
            && !out.iter().any(|known| known.user == who.user)
        {
            out.push(who);
        }
    }
    out
}

/// `20261121-0257`, in UTC.
fn minute(at: Timestamp) -> String {
    let secs = at.as_secs();
    let (year, month, day) = civil(secs.div_euclid(86_400));
    let of_day = secs.rem_euclid(86_400);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}", of_day / 3600, of_day % 3600 / 60)
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
const fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests;
