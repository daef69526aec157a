//! What a poller sees becomes entries: findings that come and go, sources that fail and return, each told once, however
//! often it is seen and whoever polls next.
//!
//! What stands ([`Standing`]) is kept beside the entries and written together with them, so a midwatch that takes over
//! goes on where the last one was.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{By, Case, Entry, Numbers, SourceState, What};
use crate::domain::id::{Scope, SourceKind};
use crate::domain::level::Level;
use crate::domain::time::Timestamp;

/// A finding must hold for so long before it is told, in milliseconds: a blip is none.
pub const COME_MS: u64 = 2_000;
/// A finding must be gone for so long before that is told, in milliseconds: one that comes back within it never went.
pub const GO_MS: u64 = 30_000;
/// A finding whose source fails is kept for so long, in milliseconds: nobody can say whether it is gone.
pub const BLIND_MS: u64 = 600_000;
/// A source must fail, or be read again, for so long before that is told, in milliseconds.
pub const TURN_MS: u64 = 15_000;
/// After so long without a look, nobody was watching, in milliseconds.
pub const GAP_MS: u64 = 150_000;
/// While something critical stands, the counters are noted this often, in milliseconds.
pub const NUMBERS_MS: u64 = 300_000;
/// Findings of one scope that the record follows; more are an avalanche, and the first ones say so.
const CASES_MAX: usize = 200;

/// What a poller's model says of one scope at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Look {
    /// The moment.
    pub at: Timestamp,
    /// What is wrong, causes before their symptoms.
    pub cases: Vec<Case>,
    /// Every source there is, looked at or not.
    pub watched: BTreeSet<SourceKind>,
    /// How each source stands that has been looked at, with the reason.
    pub sources: BTreeMap<SourceKind, (SourceState, String)>,
    /// The severity that rules suspect; `None`: nothing critical.
    pub severity: Option<u8>,
    /// The counters, where they are fresh.
    pub numbers: Numbers,
}

/// What the record knows to hold in one scope.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// When somebody last looked.
    pub at: Option<Timestamp>,
    /// Findings that were told and are not gone, by identity.
    pub cases: BTreeMap<String, Case>,
    /// How each source was last told to stand.
    pub sources: BTreeMap<SourceKind, SourceState>,
    /// The suspected severity that was told.
    pub severity: Option<u8>,
    /// When counters were last noted.
    pub numbered: Option<Timestamp>,
}

/// Turns looks at one scope into entries.
#[derive(Debug, Clone)]
pub struct Ledger {
    scope: Scope,
    standing: Standing,
    coming: BTreeMap<String, Timestamp>,
    going: BTreeMap<String, Timestamp>,
    easing: BTreeMap<String, Timestamp>,
    turning: BTreeMap<SourceKind, (SourceState, Timestamp)>,
}

impl Ledger {
    /// Goes on from what stands.
    pub const fn new(scope: Scope, standing: Standing) -> Self {
        Self {
            scope,
            standing,
            coming: BTreeMap::new(),
            going: BTreeMap::new(),
            easing: BTreeMap::new(),
            turning: BTreeMap::new(),
        }
    }

    /// What stands now.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes in a look; what is new comes out, in order. `last`: no other look follows, so what has just come is told too.
    pub fn look(&mut self, look: &Look, last: bool) -> Vec<Entry> {
        let mut out = Vec::new();
        let before = self.standing.at.filter(|at| look.at.millis_since(*at) > GAP_MS);
        let wrong = self.standing.cases.values().any(|case| case.level >= Level::Warning);
        if let Some(from) = before.filter(|_| wrong) {
            out.push(self.entry(look.at, Level::Unknown, What::Gap { from }));
        }
        self.sources(look, &mut out);
        self.come(look, last, &mut out);
        self.go(look, before, &mut out);
        self.suspect(look, &mut out);
        self.count(look, &mut out);
        self.standing.at = Some(look.at);
        out
    }

    fn entry(&self, at: Timestamp, level: Level, what: What) -> Entry {
        Entry { id: 0, at, scope: Some(self.scope.clone()), level, by: By::Midwatch, what }.clean()
    }

    fn sources(&mut self, look: &Look, out: &mut Vec<Entry>) {
        for (source, (state, why)) in &look.sources {
            let told = self.standing.sources.get(source).copied();
            if told == Some(*state) {
                self.turning.remove(source);
                continue;
            }
            // What is fine or out of sight from the start is no news.
            if told.is_none() && *state != SourceState::Failed {
                self.standing.sources.insert(*source, *state);
                continue;
            }
            let turning = self.turning.entry(*source).or_insert((*state, look.at));
            if turning.0 != *state {
                *turning = (*state, look.at);
            }
            let since = turning.1;
            if look.at.millis_since(since) >= TURN_MS {
                self.turning.remove(source);
                self.standing.sources.insert(*source, *state);
                let level = if *state == SourceState::Seen { Level::Ok } else { Level::Unknown };
                let what = What::Source { source: *source, state: *state, why: why.clone() };
                out.push(self.entry(since, level, what));
            }
        }
        // A source that is no longer watched is forgotten.
        self.standing.sources.retain(|source, _| look.watched.contains(source));
    }

    fn come(&mut self, look: &Look, last: bool, out: &mut Vec<Entry>) {
        for case in &look.cases {
            self.going.remove(&case.id);
            if let Some(told) = self.standing.cases.get(&case.id).cloned() {
                self.again(look.at, &told, case, out);
                continue;
            }
            let first = *self.coming.entry(case.id.clone()).or_insert(look.at);
            let held = look.at.millis_since(first.min(case.since));
            if (held < COME_MS && !last) || self.standing.cases.len() >= CASES_MAX {
                continue;
            }
            self.coming.remove(&case.id);
            self.standing.cases.insert(case.id.clone(), case.clone());
            out.push(self.entry(first, case.level, What::Opened(case.clone())));
        }
        self.coming.retain(|id, _| look.cases.iter().any(|case| case.id == *id));
    }

    /// A finding that was told is seen again: its place under a cause and its numbers may change, its level is news.
    fn again(&mut self, at: Timestamp, told: &Case, case: &Case, out: &mut Vec<Entry>) {
        let mut level = case.level;
        let mut when = at;
        if level < told.level {
            // Better only when it stays better: a number that wobbles about its threshold is no news.
            when = *self.easing.entry(case.id.clone()).or_insert(at);
            if at.millis_since(when) < GO_MS {
                level = told.level;
            }
        }
        if level != told.level || case.level >= told.level {
            self.easing.remove(&case.id);
        }
        if level != told.level {
            let what = What::Changed { id: case.id.clone(), title: case.title.clone(), from: told.level };
            out.push(self.entry(when, level, what));
        }
        let since = told.since.min(case.since);
        self.standing.cases.insert(case.id.clone(), Case { level, since, ..case.clone() });
    }

    fn go(&mut self, look: &Look, before: Option<Timestamp>, out: &mut Vec<Entry>) {
        let missing = |told: &&Case| !look.cases.iter().any(|case| case.id == told.id);
        let gone: Vec<(Case, u64)> = self
            .standing
            .cases
            .values()
            .filter(missing)
            .filter_map(|told| Some((told.clone(), patience(look, told.source)?)))
            .collect();
        for (case, patience) in gone {
            let since = *self.going.entry(case.id.clone()).or_insert(look.at);
            // Nobody saw it go, and it has been gone for longer than a flap.
            let unwatched = before.filter(|_| since == look.at && patience <= GO_MS);
            if unwatched.is_none() && look.at.millis_since(since) < patience {
                continue;
            }
            self.going.remove(&case.id);
            self.easing.remove(&case.id);
            self.standing.cases.remove(&case.id);
            let what = What::Closed {
                id: case.id.clone(),
                title: case.title.clone(),
                since: case.since,
                last_known: unwatched,
            };
            out.push(self.entry(since, Level::Ok, what));
        }
        self.going.retain(|id, _| self.standing.cases.contains_key(id));
    }

    fn suspect(&mut self, look: &Look, out: &mut Vec<Entry>) {
        let critical = self.standing.cases.values().filter(|case| case.level == Level::Critical);
        let worst = critical.min_by_key(|case| (case.under.is_some(), case.since)).map(|case| case.title.clone());
        let Some(title) = worst else {
            self.standing.severity = None;
            return;
        };
        let Some(severity) = look.severity else { return };
        if self.standing.severity.is_none_or(|told| severity < told) {
            self.standing.severity = Some(severity);
            let what = What::Severity { severity: Some(severity), suspected: true, text: title };
            let level = if severity <= 2 { Level::Critical } else { Level::Warning };
            out.push(self.entry(look.at, level, what));
        }
    }

    /// Counters when something critical comes, every few minutes, and when it has gone.
    fn count(&mut self, look: &Look, out: &mut Vec<Entry>) {
        let critical = self.standing.cases.values().any(|case| case.level == Level::Critical);
        let due = match (critical, self.standing.numbered) {
            (true, Some(at)) => look.at.millis_since(at) >= NUMBERS_MS || at > look.at,
            (true, None) | (false, Some(_)) => true,
            (false, None) => false,
        };
        if !due || look.numbers.is_empty() {
            return;
        }
        self.standing.numbered = critical.then_some(look.at);
        out.push(self.entry(look.at, Level::Note, What::Numbers(look.numbers)));
    }
}

/// How long a finding of this source must be missing before it is gone; `None`: as long as nothing is known of it.
fn patience(look: &Look, source: SourceKind) -> Option<u64> {
    match look.sources.get(&source) {
        Some((SourceState::Seen | SourceState::Unseen, _)) => Some(GO_MS),
        Some((SourceState::Failed, _)) => Some(BLIND_MS),
        // Not looked at yet; one that is no longer watched will never be.
        None => (!look.watched.contains(&source)).then_some(GO_MS),
    }
}

#[cfg(test)]
mod tests;
