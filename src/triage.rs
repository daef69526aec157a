//! Pure rules from what was seen to what is wrong: readings in, [`Finding`]s out, causes with their symptoms folded
//! under them.
//!
//! Invariants: a rule claims no more than was seen; unknown is never green; a rule id never changes its meaning.

pub mod fold;
pub mod host;
pub mod stack;
pub mod traffic;
pub mod web;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::database::DatabaseReading;
use crate::domain::health::HealthCheck;
use crate::domain::history::{self, History, SeriesKey};
use crate::domain::host::HostReading;
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::redis::RedisReading;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::Traffic;

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

/// Since when something holds, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The time.
    pub at: Timestamp,
    /// Whether the change itself was seen (else it began earlier than `at`, by an unknown time).
    pub seen: bool,
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

/// When a number is a warning, when critical. Shares are 0.0 to 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Used share of a file system: warning (node-mixin and awesome-prometheus-alerts agree on about 10 % free).
    pub disk_warning: f64,
    /// Used share of a file system: critical (node-mixin: 5 % and 3 % free).
    pub disk_critical: f64,
    /// Hours until a file system is full at the present pace: warning (node-mixin: 24 h).
    pub disk_full_within_hours: f64,
    /// Used share of inodes: warning.
    pub inodes_warning: f64,
    /// Used share of inodes: critical.
    pub inodes_critical: f64,
    /// Share of memory that is available: warning below (awesome-prometheus-alerts: 10 %).
    pub memory_available_warning: f64,
    /// Share of memory that is available: critical below.
    pub memory_available_critical: f64,
    /// Used share of the usable database connections: warning (awesome-prometheus-alerts: 80 %).
    pub connections_warning: f64,
    /// Used share of the usable database connections: critical (`check_postgres`: 95 %).
    pub connections_critical: f64,
    /// Seconds a transaction may block others: warning (pgEdge: 30 s idle in transaction).
    pub blocked_s: f64,
    /// Share of requests answered 5xx: warning.
    pub request_errors_warning: f64,
    /// Share of requests answered 5xx: critical.
    pub request_errors_critical: f64,
    /// Share of tasks ended in an unforeseen error: warning (pretix post-mortem of 2026-06-27: 25 % went unnoticed).
    pub task_errors_warning: f64,
    /// Seconds the oldest task of the money queue (`checkout`) may wait: warning (pretix' own limit: 15 s).
    pub checkout_wait_warning_s: u64,
    /// Seconds the oldest task of the money queue may wait: critical (pretix' own limit: 60 s).
    pub checkout_wait_critical_s: u64,
    /// Seconds the oldest task of any other queue may wait: warning (pretix' own limit: 5 min).
    pub queue_wait_warning_s: u64,
    /// Seconds the oldest task of any other queue may wait: critical (pretix' own limit: 30 min).
    pub queue_wait_critical_s: u64,
    /// Days a certificate is still valid: warning (awesome-prometheus-alerts: 20 d).
    pub certificate_warning_days: u64,
    /// Days a certificate is still valid: critical (awesome-prometheus-alerts: 3 d).
    pub certificate_critical_days: u64,
    /// Milliseconds a healthcheck may take: warning.
    pub health_slow_ms: f64,
    /// Used share of Redis' memory limit: warning (awesome-prometheus-alerts: 90 %).
    pub redis_memory_warning: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            disk_warning: 0.90,
            disk_critical: 0.97,
            disk_full_within_hours: 24.0,
            inodes_warning: 0.90,
            inodes_critical: 0.97,
            memory_available_warning: 0.10,
            memory_available_critical: 0.04,
            connections_warning: 0.80,
            connections_critical: 0.95,
            blocked_s: 30.0,
            request_errors_warning: 0.05,
            request_errors_critical: 0.25,
            task_errors_warning: 0.05,
            checkout_wait_warning_s: 15,
            checkout_wait_critical_s: 60,
            queue_wait_warning_s: 300,
            queue_wait_critical_s: 1800,
            certificate_warning_days: 20,
            certificate_critical_days: 3,
            health_slow_ms: 1000.0,
            redis_memory_warning: 0.90,
        }
    }
}

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

/// What is known of a host at one moment.
#[derive(Debug, Clone, Copy)]
pub struct HostFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// The last reading.
    pub reading: &'a Reading<HostReading>,
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
    /// The source that shows it.
    pub source: SourceKind,
    /// When the source showed it: the time of the reading, or since when it fails.
    pub at: Timestamp,
    /// Since when, where the source itself knows better than watching does.
    pub since: Option<Since>,
}

/// What is wrong with a site, causes first, worst first.
pub fn site(facts: &SiteFacts<'_>, limits: &Thresholds, memory: &mut Memory) -> Vec<Finding> {
    let health = facts.health.at().into_iter().chain(facts.direct.at());
    remember_look(memory, SourceKind::Health, health.min());
    remember_look(memory, SourceKind::Traffic, facts.traffic.at());
    remember_look(memory, SourceKind::Database, facts.database.at().or(facts.database.failed_since()));
    remember_look(memory, SourceKind::Redis, facts.redis.at().or(facts.redis.failed_since()));
    if let Some(silence) = silence(facts.heard, facts.silent_after_ms, facts.now, SourceKind::Health) {
        return findings(vec![silence], facts.name, facts.now, memory, facts.history);
    }
    let mut claims = web::claims(facts, limits);
    claims.extend(stack::claims(facts, limits));
    claims.extend(traffic::claims(facts, limits));
    // Shares are taken over the last minute, which remembers an outage for as long after it.
    if claims.iter().any(|c| fold::is_outage(c.rule)) {
        memory.outage = Some(facts.now);
    } else if memory.outage.is_some_and(|at| facts.now.millis_since(at) <= traffic::ECHO_MS) {
        claims.retain(|c| !traffic::SHARES.contains(&c.rule));
    }
    fold::fold(findings(claims, facts.name, facts.now, memory, facts.history))
}

/// What is wrong with a host, worst first.
pub fn host(facts: &HostFacts<'_>, limits: &Thresholds, memory: &mut Memory) -> Vec<Finding> {
    remember_look(memory, SourceKind::Host, facts.reading.at());
    if let Some(silence) = silence(facts.heard, facts.silent_after_ms, facts.now, SourceKind::Host) {
        return findings(vec![silence], facts.name, facts.now, memory, &History::new());
    }
    let claims = host::claims(facts, limits);
    fold::fold(findings(claims, facts.name, facts.now, memory, &History::new()))
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
        source,
        at: heard,
        since: Some(Since { at: heard, seen: true }),
    })
}

fn remember_look(memory: &mut Memory, source: SourceKind, at: Option<Timestamp>) {
    if let Some(at) = at {
        let first = memory.first_looks.entry(source).or_insert(at);
        *first = (*first).min(at);
    }
}

/// Claims with their since: from the source, from the history on disk, or from when this watching first saw them.
fn findings(claims: Vec<Claim>, name: &str, now: Timestamp, memory: &mut Memory, history: &History) -> Vec<Finding> {
    let mut held = BTreeMap::new();
    let mut out = Vec::new();
    for claim in claims {
        let key = [claim.rule, "/", claim.subject.as_str()].concat();
        let first = memory.first_looks.get(&claim.source).copied();
        let old = memory.marks.get(&key).copied().filter(|m| now.millis_since(m.last) <= MARK_KEPT_MS);
        // After a gap in which nobody watched, the change itself was not seen.
        let lapsed = old.is_none() && memory.marks.contains_key(&key);
        let watched = || Since { at: claim.at, seen: !lapsed && first.is_some_and(|first| first < claim.at) };
        let since = claim.since.or(old.map(|m| m.since)).unwrap_or_else(watched);
        let since = recalled(&claim, since, history);
        held.insert(key, Mark { since, last: now });
        let unconfirmed = web::STATES.contains(&claim.rule) && now.millis_since(since.at) < web::CONFIRMED_MS;
        out.push(Finding {
            rule: claim.rule.to_owned(),
            subject: claim.subject,
            level: if unconfirmed { claim.level.min(Level::Warning) } else { claim.level },
            title: claim.title,
            evidence: claim.evidence,
            source: claim.source,
            since,
            symptoms: Vec::new(),
            site: name.to_owned(),
        });
    }
    memory.marks = held;
    out
}

/// For the healthcheck's rules the history on disk may know an earlier beginning than what this watching has seen.
fn recalled(claim: &Claim, since: Since, history: &History) -> Since {
    if since.seen || claim.source != SourceKind::Health || !web::STATES.contains(&claim.rule) {
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
            earliest = Since { at, seen: false };
        }
    }
    earliest
}

#[cfg(test)]
mod tests;
