//! Folds symptoms under their cause: one root, not fourteen alarms.

use super::Finding;
use crate::domain::level::Level;

/// Rules that can be the cause of others, with the rules that then are their symptoms; the first that holds takes them.
/// Within one site a database or Redis that is gone explains the healthcheck (pretix asks both there), the errors of
/// requests and tasks, blind metrics, and workers that can't reach their broker.
const CAUSES: &[(&str, &[&str])] = &[
    ("worker-gone", &["queue-late"]),
    ("worker-hung", &["queue-late"]),
    ("database-down", WEB),
    ("redis-down", WEB),
    ("database-lock", WEB),
    ("database-connections", WEB),
    ("database-read-only", WEB),
    ("redis-refuses-writes", WEB),
    ("web-unreachable", &["metrics-blind", "proxy-fault"]),
    ("web-hangs", &["metrics-blind", "requests-fail", "proxy-fault"]),
    ("web-error", &["metrics-blind", "requests-fail", "proxy-fault"]),
    ("web-misdirected", &["metrics-blind", "proxy-fault"]),
];

/// The rules that say that a service is down; their subject begins with its role. Applied after [`CAUSES`]: under a
/// database service that is down stands the database that doesn't answer, with what follows from that.
const SERVICE_DOWN: &[&str] = &[
    "service-oom",
    "service-crash-loop",
    "service-failed",
    "service-stopped",
    "service-missing",
    "process-stopped-state",
    "service-slow-start",
    "service-unhealthy",
];

/// What follows from a service of a role that is down.
const BY_ROLE: &[(&str, &[&str])] = &[
    ("database", &["database-down", "database-hangs"]),
    ("redis", &["redis-down", "redis-hangs"]),
    ("worker", &["worker-gone", "worker-hung", "queue-late", "tasks-fail"]),
    ("proxy", &["web-unreachable", "proxy-fault"]),
    (
        "web",
        &["web-unreachable", "web-hangs", "web-error", "web-slow", "own-port-fault", "proxy-fault", "metrics-blind", "requests-fail"],
    ),
];

const WEB: &[&str] = &[
    "web-hangs",
    "web-error",
    "web-slow",
    "own-port-fault",
    "proxy-fault",
    "metrics-blind",
    "requests-fail",
    "tasks-fail",
    "queue-late",
    "database-connections",
];

/// Whether a rule says that requests fail for a reason that is known.
pub fn is_outage(rule: &str) -> bool {
    CAUSES.iter().any(|(cause, symptoms)| *cause == rule && symptoms.contains(&"requests-fail"))
        || rule == "web-unreachable"
}

/// Folds symptoms under their cause and sorts: worst first, then the longest standing.
pub fn fold(mut findings: Vec<Finding>) -> Vec<Finding> {
    for (cause, symptoms) in CAUSES {
        let Some(at) = findings.iter().position(|f| f.rule == *cause) else { continue };
        let mut cause = findings.remove(at);
        let (under, rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.is_any(symptoms));
        findings = rest;
        adopt(&mut cause, under);
        findings.push(cause);
    }
    for (role, symptoms) in BY_ROLE {
        let down = |f: &Finding| f.is_any(SERVICE_DOWN) && f.subject.split(' ').next() == Some(*role);
        let rank = |f: &Finding| SERVICE_DOWN.iter().position(|rule| *rule == f.rule);
        // Of several of one role (and several rules about one) the first cause takes the others of the same service.
        let first = findings.iter().enumerate().filter(|(_, f)| down(f)).min_by_key(|(_, f)| rank(f)).map(|(at, _)| at);
        let Some(at) = first else { continue };
        let mut cause = findings.remove(at);
        let same = |f: &Finding| down(f) && f.subject == cause.subject;
        let (under, rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.is_any(symptoms) || same(f));
        findings = rest;
        adopt(&mut cause, under);
        findings.push(cause);
    }
    sort(&mut findings);
    findings
}

fn adopt(cause: &mut Finding, under: Vec<Finding>) {
    cause.symptoms.extend(under);
    // A cause is as bad as the worst that follows from it.
    cause.level = cause.symptoms.iter().map(|f| f.level).fold(cause.level, Level::max);
    cause.symptoms.sort_by_key(|f| (std::cmp::Reverse(f.level), f.since.at));
}

/// Worst first, then the longest standing, then by name.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| b.level.cmp(&a.level).then(a.since.at.cmp(&b.since.at)).then_with(|| a.id().cmp(&b.id())));
}
