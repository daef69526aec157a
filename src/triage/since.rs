//! Since when something holds, and how that is known. What was not watched is reconstructed: from what a source itself
//! tells, from the history on disk, from access logs and from what the keeper of a service says.

use serde::{Deserialize, Serialize};

use super::{Claim, SiteFacts, web};
use crate::domain::history::{self, History, SeriesKey};
use crate::domain::id::SourceKind;
use crate::domain::service::{Role, State};
use crate::domain::time::Timestamp;

/// Since when something holds, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The time.
    pub at: Timestamp,
    /// Whether the change itself was seen (else it began earlier than `at`, by an unknown time).
    pub seen: bool,
    /// Where it is known from.
    #[serde(default)]
    pub from: SinceSource,
}

/// Where a since is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinceSource {
    /// From watching; where the change itself was not seen: since this was opened.
    #[default]
    Watched,
    /// From what a source itself knows of the past: a log, a unit, a transaction's age.
    Source(SourceKind),
    /// From the history on disk.
    History,
}

impl Since {
    /// Known from watching.
    pub const fn watched(at: Timestamp, seen: bool) -> Self {
        Self { at, seen, from: SinceSource::Watched }
    }

    /// Known from a source itself.
    pub const fn told(at: Timestamp, seen: bool, by: SourceKind) -> Self {
        Self { at, seen, from: SinceSource::Source(by) }
    }

    /// The word for where it is known from; empty for what was watched from its beginning.
    pub const fn word(self) -> &'static str {
        match (self.from, self.seen) {
            (SinceSource::Watched, true) => "",
            (SinceSource::Watched, false) => "open",
            (SinceSource::History, _) => "history",
            (SinceSource::Source(SourceKind::Logs | SourceKind::Access), _) => "log",
            (SinceSource::Source(SourceKind::Services), _) => "unit",
            (SinceSource::Source(kind), _) => kind.name(),
        }
    }
}

/// Services that must run for a rule not to hold.
const SERVICES: &[(&str, Role)] = &[
    ("web-unreachable", Role::Web),
    ("database-down", Role::Database),
    ("redis-down", Role::Redis),
    ("worker-gone", Role::Worker),
];

/// What other sources of a site know of the beginning of what a rule claims.
pub(super) fn told(facts: &SiteFacts<'_>, claim: &Claim) -> Option<Since> {
    let service = SERVICES.iter().find(|(rule, _)| *rule == claim.rule).and_then(|(_, role)| {
        let all = facts.services.value()?.services.iter();
        let mut down = all.filter(|s| s.role == *role && s.state != State::Running);
        down.find_map(|s| s.since).map(|at| Since::told(at, true, SourceKind::Services))
    });
    service.or_else(|| {
        // The proxy's log tells since when the application has not answered, whoever was watching.
        let access = facts.access.value()?;
        let log = match claim.rule {
            "web-error" => access.errors_since.or(access.gateway_since)?,
            "web-unreachable" | "web-hangs" => access.gateway_since?,
            _ => return None,
        };
        Some(Since::told(log.at, log.seen, SourceKind::Access))
    })
}

/// The earliest beginning that is known of what a claim says: what was watched, unless somebody knows of an earlier one.
pub(super) fn reconstructed(since: Since, claim: &Claim, told: Option<Since>, history: &History) -> Since {
    if since.seen {
        return since;
    }
    let since = recalled(claim, since, history);
    told.filter(|told| !since.seen && told.at < since.at).unwrap_or(since)
}

/// For the healthcheck's rules the history on disk may know an earlier beginning than what this watching has seen.
fn recalled(claim: &Claim, since: Since, history: &History) -> Since {
    if claim.source != SourceKind::Health || !web::STATES.contains(&claim.rule) {
        return since;
    }
    let Some(series) = history.get(&SeriesKey::new(history::names::HEALTH)) else { return since };
    let mut earliest = since;
    let mut next = history::step_of(since.at);
    for point in series.points().rev() {
        let at = Timestamp::from_millis(point.step.saturating_mul(history::STEP_S * 1000));
        if next.saturating_sub(point.step) > 6 {
            break;
        }
        if point.value < 0.5 {
            if earliest.at != since.at {
                earliest.seen = true;
            }
            break;
        }
        next = point.step;
        if at < earliest.at && since.at.millis_since(at) > 15_000 {
            earliest = Since { at, seen: false, from: SinceSource::History };
        }
    }
    earliest
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

    #[test]
    fn what_was_watched_is_believed_and_what_was_not_is_known_from_elsewhere() {
        let claim = Claim::new("web-error", crate::domain::level::Level::Critical, "", "", SourceKind::Health, T0);
        let log = Some(Since::told(T0.plus_secs(-400), true, SourceKind::Access));
        let empty = History::new();
        let opened = reconstructed(Since::watched(T0, false), &claim, log, &empty);
        assert_eq!((opened.at, opened.seen, opened.word()), (T0.plus_secs(-400), true, "log"));
        let watched = reconstructed(Since::watched(T0, true), &claim, log, &empty);
        assert_eq!((watched.at, watched.word()), (T0, ""));
        let later = Some(Since::told(T0.plus_secs(5), true, SourceKind::Services));
        let kept = reconstructed(Since::watched(T0, false), &claim, later, &empty);
        assert_eq!((kept.at, kept.word()), (T0, "open"), "a later beginning tells nothing");
    }

    #[test]
    fn what_an_older_midwatch_remembered_is_read() {
        let old: Option<Since> = serde_json::from_str(r#"{"at":1795230000000,"seen":true}"#).ok();
        assert_eq!(old, Some(Since::watched(T0, true)));
    }
}
