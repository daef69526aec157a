//! Pure rules from what was seen to what is wrong: readings in, [`Finding`]s out, causes with their symptoms folded
//! under them.
//!
//! Invariants: a rule claims no more than was seen; unknown is never green; a rule id never changes its meaning.

pub mod access;
pub mod app_state;
pub mod backup;
pub mod database;
pub mod fold;
pub mod host;
pub mod logs;
pub mod redis;
pub mod rule;
pub mod schedule;
pub mod service;
mod since;
mod thresholds;
pub mod traffic;
pub mod web;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::access::AccessReading;
use crate::domain::app_state::AppReading;
use crate::domain::backup::BackupsReading;
use crate::domain::change::ChangesReading;
use crate::domain::database::DatabaseReading;
use crate::domain::health::HealthCheck;
use crate::domain::history::History;
use crate::domain::host::HostReading;
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::log::LogReading;
use crate::domain::people::PeopleReading;
use crate::domain::reading::Reading;
use crate::domain::redis::RedisReading;
use crate::domain::schedule::ScheduleReading;
use crate::domain::service::ServicesReading;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::Traffic;
use crate::domain::updates::UpdatesReading;

pub use self::rule::{Rule, rule, rules};
pub use self::since::{Since, SinceSource};
pub use self::thresholds::Thresholds;

/// Something that is wrong, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's stable id: `web-unreachable`, `disk-full`, …
    pub rule: String,
    /// Of what, where one rule can hold for several things: a mount point, a queue.
    pub subject: String,
    /// How bad.
    pub level: Level,
    /// One plain sentence that says what is wrong.
    pub title: String,
    /// The numbers behind it.
    pub evidence: String,
    /// More of them, line by line, for who opens it: the last lines of a log, a tree of sessions.
    #[serde(default)]
    pub details: Vec<String>,
    /// Whether it was concluded rather than seen.
    #[serde(default)]
    pub suspected: bool,
    /// The source that shows it.
    pub source: SourceKind,
    /// Since when.
    pub since: Since,
    /// What follows from it.
    pub symptoms: Vec<Self>,
    /// The name of the site, or of the host.
    pub site: String,
}

impl Finding {
    /// Its identity: site, rule and subject.
    pub fn id(&self) -> String {
        [self.site.as_str(), self.rule.as_str(), self.subject.as_str()].join("/")
    }

    /// Whether the rule is one of these.
    pub fn is_any(&self, rules: &[&str]) -> bool {
        rules.contains(&self.rule.as_str())
    }
}

/// What the rules remember between two looks: since when each rule has held.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// By rule and subject.
    pub marks: BTreeMap<String, Mark>,
    /// When each source first gave a value.
    pub first_looks: BTreeMap<SourceKind, Timestamp>,
    /// When an outage of the site or of what it stands on last held.
    #[serde(default)]
    pub outage: Option<Timestamp>,
}

/// What is remembered of one rule and subject.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Since when it holds.
    pub since: Since,
    /// When it was last known to hold.
    pub last: Timestamp,
}

/// A mark that nobody has confirmed for so long says nothing about now any more, in milliseconds.
pub const MARK_KEPT_MS: u64 = 90_000;

/// What is known of a site at one moment.
#[derive(Debug, Clone, Copy)]
pub struct SiteFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// The healthcheck on the public URL.
    pub health: &'a Reading<HealthCheck>,
    /// The healthcheck on the application's own port.
    pub direct: &'a Reading<HealthCheck>,
    /// The application's metrics.
    pub traffic: &'a Reading<Traffic>,
    /// The database.
    pub database: &'a Reading<DatabaseReading>,
    /// Redis, queues, workers.
    pub redis: &'a Reading<RedisReading>,
    /// Its access logs.
    pub access: &'a Reading<AccessReading>,
    /// The services it consists of.
    pub services: &'a Reading<ServicesReading>,
    /// Its logs.
    pub logs: &'a Reading<LogReading>,
    /// Its backups.
    pub backups: &'a Reading<BackupsReading>,
    /// The application on disk.
    pub on_disk: &'a Reading<AppReading>,
    /// Which application: `pretix 2026.8.0`.
    pub app_name: &'a str,
    /// A practice site.
    pub practice: bool,
    /// Questions under way without an answer: which, since when.
    pub asking: &'a [(SourceKind, Timestamp)],
    /// What was.
    pub history: &'a History,
    /// When anything was last heard of it, from whoever polls.
    pub heard: Option<Timestamp>,
    /// How long nothing may be heard, in milliseconds.
    pub silent_after_ms: u64,
    /// The moment.
    pub now: Timestamp,
}

#[cfg(test)]
impl<'a> SiteFacts<'a> {
    /// A site of which nothing was seen.
    fn unseen(app_name: &'a str, history: &'a History, now: Timestamp) -> Self {
        Self {
            name: "shop",
            health: &Reading::Never,
            direct: &Reading::Never,
            traffic: &Reading::Never,
            database: &Reading::Never,
            redis: &Reading::Never,
            access: &Reading::Never,
            services: &Reading::Never,
            logs: &Reading::Never,
            backups: &Reading::Never,
            on_disk: &Reading::Never,
            app_name,
            practice: false,
            asking: &[],
            history,
            heard: None,
            silent_after_ms: 40_000,
            now,
        }
    }
}

impl SiteFacts<'_> {
    /// Whether it is an application that never does without workers.
    pub fn has_workers(&self) -> bool {
        ["pretix", "pretalx"].iter().any(|name| self.app_name.starts_with(name))
    }
}

/// What is known of a host at one moment.
#[derive(Debug, Clone, Copy)]
pub struct HostFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// The last reading.
    pub reading: &'a Reading<HostReading>,
    /// What changed.
    pub changes: &'a Reading<ChangesReading>,
    /// What runs by the clock.
    pub schedule: &'a Reading<ScheduleReading>,
    /// Units that failed and are no site's.
    pub units: &'a Reading<ServicesReading>,
    /// Pending updates.
    pub updates: &'a Reading<UpdatesReading>,
    /// Who else is here.
    pub people: &'a Reading<PeopleReading>,
    /// When anything was last heard of it, from whoever polls.
    pub heard: Option<Timestamp>,
    /// How long nothing may be heard, in milliseconds.
    pub silent_after_ms: u64,
    /// The moment.
    pub now: Timestamp,
}

/// A claim of a rule, before it is known since when it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The rule's id.
    pub rule: &'static str,
    /// Of what.
    pub subject: String,
    /// How bad.
    pub level: Level,
    /// What is wrong.
    pub title: String,
    /// The numbers behind it.
    pub evidence: String,
    /// More of them, line by line, for who opens it; redacted, at most [`DETAILS`] are kept.
    pub details: Vec<String>,
    /// Whether it was concluded rather than seen; the title then begins with "Suspected: ".
    pub suspected: bool,
    /// The source that shows it.
    pub source: SourceKind,
    /// When the source showed it: the time of the reading, or since when it fails.
    pub at: Timestamp,
    /// Since when, where the source itself knows better than watching does.
    pub since: Option<Since>,
}

/// Most lines of [`Claim::details`].
pub const DETAILS: usize = 40;

impl Claim {
    /// A claim about the whole site or host, seen and not concluded.
    pub fn new(
        rule: &'static str,
        level: Level,
        title: impl Into<String>,
        evidence: impl Into<String>,
        source: SourceKind,
        at: Timestamp,
    ) -> Self {
        Self {
            rule,
            subject: String::new(),
            level,
            title: title.into(),
            evidence: evidence.into(),
            details: Vec::new(),
            suspected: false,
            source,
            at,
            since: None,
        }
    }

    /// The same about one thing: a mount point, a queue.
    #[must_use]
    pub fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// The same, holding since a time that its source knows.
    #[must_use]
    pub fn since(mut self, at: Timestamp, seen: bool) -> Self {
        self.since = Some(Since::told(at, seen, self.source));
        self
    }

    /// The same with lines for who opens it.
    #[must_use]
    pub fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// The same, concluded and not seen.
    #[must_use]
    pub const fn suspected(mut self) -> Self {
        self.suspected = true;
        self
    }
}

/// What is wrong with a site, not yet folded: [`fold::fold`] does that over all sites and hosts.
pub fn site(facts: &SiteFacts<'_>, limits: &Thresholds, memory: &mut Memory) -> Vec<Finding> {
    let health = facts.health.at().into_iter().chain(facts.direct.at());
    remember_look(memory, SourceKind::Health, health.min());
    remember_look(memory, SourceKind::Traffic, facts.traffic.at());
    remember_look(memory, SourceKind::Database, facts.database.at().or(facts.database.failed_since()));
    remember_look(memory, SourceKind::Redis, facts.redis.at().or(facts.redis.failed_since()));
    remember_look(memory, SourceKind::Services, facts.services.at());
    remember_look(memory, SourceKind::App, facts.on_disk.at());
    if let Some(silence) = silence(facts.heard, facts.silent_after_ms, facts.now, SourceKind::Health) {
        return findings(vec![silence], facts.name, facts.now, memory, facts.history, |_| None);
    }
    let mut claims = web::claims(facts, limits);
    claims.extend(database::claims(facts, limits));
    claims.extend(redis::claims(facts, limits));
    claims.extend(traffic::claims(facts, limits));
    claims.extend(access::claims(facts, limits));
    claims.extend(service::claims(facts, limits));
    claims.extend(logs::claims(facts, limits));
    claims.extend(app_state::claims(facts, limits));
    claims.extend(schedule::site_claims(facts, limits));
    claims.extend(backup::claims(facts, limits));
    // Shares are taken over the last minute, which remembers an outage for as long after it.
    if claims.iter().any(|c| fold::is_outage(c.rule)) {
        memory.outage = Some(facts.now);
    } else if memory.outage.is_some_and(|at| facts.now.millis_since(at) <= traffic::ECHO_MS) {
        claims.retain(|c| !traffic::SHARES.contains(&c.rule));
    }
    findings(claims, facts.name, facts.now, memory, facts.history, |claim| since::told(facts, claim))
}

/// What is wrong with a host, not yet folded.
pub fn host(facts: &HostFacts<'_>, limits: &Thresholds, memory: &mut Memory) -> Vec<Finding> {
    remember_look(memory, SourceKind::Host, facts.reading.at());
    remember_look(memory, SourceKind::Services, facts.units.at());
    remember_look(memory, SourceKind::Schedule, facts.schedule.at());
    remember_look(memory, SourceKind::Updates, facts.updates.at());
    if let Some(silence) = silence(facts.heard, facts.silent_after_ms, facts.now, SourceKind::Host) {
        return findings(vec![silence], facts.name, facts.now, memory, &History::new(), |_| None);
    }
    let mut claims = host::claims(facts, limits);
    claims.extend(service::host_claims(facts));
    claims.extend(schedule::claims(facts, limits));
    findings(claims, facts.name, facts.now, memory, &History::new(), |_| None)
}

/// Old readings say nothing about now: whoever polls is stopped, or can't publish. Then nothing is known, least of all
/// that all is well.
fn silence(heard: Option<Timestamp>, limit_ms: u64, now: Timestamp, source: SourceKind) -> Option<Claim> {
    let heard = heard.filter(|heard| now.millis_since(*heard) > limit_ms)?;
    Some(Claim {
        rule: "no-readings",
        subject: String::new(),
        level: Level::Unknown,
        title: format!("Nothing was read for {}", text::span(now.millis_since(heard))),
        evidence: "the midwatch that polls is stopped, or can't write its state; end it, and another one takes over"
            .to_owned(),
        details: Vec::new(),
        suspected: false,
        source,
        at: heard,
        since: Some(Since::watched(heard, true)),
    })
}

fn remember_look(memory: &mut Memory, source: SourceKind, at: Option<Timestamp>) {
    if let Some(at) = at {
        let first = memory.first_looks.entry(source).or_insert(at);
        *first = (*first).min(at);
    }
}

/// Claims with their since: from the source, from the history on disk, or from when this watching first saw them.
fn findings(
    claims: Vec<Claim>,
    name: &str,
    now: Timestamp,
    memory: &mut Memory,
    history: &History,
    told: impl Fn(&Claim) -> Option<Since>,
) -> Vec<Finding> {
    let mut held = BTreeMap::new();
    let mut out = Vec::new();
    for claim in claims {
        let key = [claim.rule, "/", claim.subject.as_str()].concat();
        let first = memory.first_looks.get(&claim.source).copied();
        let old = memory.marks.get(&key).copied().filter(|m| now.millis_since(m.last) <= MARK_KEPT_MS);
        // After a gap in which nobody watched, the change itself was not seen.
        let lapsed = old.is_none() && memory.marks.contains_key(&key);
        let watched = || Since::watched(claim.at, !lapsed && first.is_some_and(|first| first < claim.at));
        let since = claim.since.or(old.map(|m| m.since)).unwrap_or_else(watched);
        let since = since::reconstructed(since, &claim, told(&claim), history);
        held.insert(key, Mark { since, last: now });
        let unconfirmed = web::STATES.contains(&claim.rule) && now.millis_since(since.at) < web::CONFIRMED_MS;
        debug_assert!(rule(claim.rule).is_some(), "{} is not in the catalogue", claim.rule);
        out.push(Finding {
            rule: claim.rule.to_owned(),
            subject: claim.subject,
            level: if unconfirmed { claim.level.min(Level::Warning) } else { claim.level },
            title: if claim.suspected { ["Suspected: ", &claim.title].concat() } else { claim.title },
            evidence: claim.evidence,
            details: claim.details.into_iter().take(DETAILS).collect(),
            suspected: claim.suspected,
            source: claim.source,
            since,
            symptoms: Vec::new(),
            site: name.to_owned(),
        });
    }
    memory.marks = held;
    out
}

#[cfg(test)]
mod tests;
