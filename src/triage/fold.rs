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
    ("web-unreachable", &["metrics-blind", "gateway-errors", "requests-fail", "proxy-fault"]),
    ("web-hangs", &["metrics-blind", "requests-fail", "requests-slow", "gateway-errors", "proxy-fault"]),
    ("web-error", &["metrics-blind", "requests-fail", "requests-slow", "gateway-errors", "proxy-fault"]),
    ("web-misdirected", &["metrics-blind", "proxy-fault"]),
    ("gateway-errors", &["requests-fail"]),
];

const WEB: &[&str] = &[
    "web-hangs",
    "web-error",
    "web-slow",
    "own-port-fault",
    "proxy-fault",
    "metrics-blind",
    "requests-fail",
    "requests-slow",
    "gateway-errors",
    "tasks-fail",
    "queue-late",
    "database-connections",
];

/// Whether a rule says that requests fail for a reason that is known.
pub fn is_outage(rule: &str) -> bool {
    CAUSES.iter().any(|(cause, symptoms)| {
        *cause == rule && *cause != "gateway-errors" && symptoms.contains(&"requests-fail")
    })
        || rule == "web-unreachable"
}

/// Folds symptoms under their cause and sorts: worst first, then the longest standing.
pub fn fold(mut findings: Vec<Finding>) -> Vec<Finding> {
    for (cause, symptoms) in CAUSES {
        let Some(at) = findings.iter().position(|f| f.rule == *cause) else { continue };
        let mut cause = findings.remove(at);
        let (under, rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.is_any(symptoms));
        findings = rest;
        cause.symptoms.extend(under);
        // A cause is as bad as the worst that follows from it.
        cause.level = cause.symptoms.iter().map(|f| f.level).fold(cause.level, Level::max);
        cause.symptoms.sort_by_key(|f| (std::cmp::Reverse(f.level), f.since.at));
        findings.push(cause);
    }
    sort(&mut findings);
    findings
}

/// Worst first, then the longest standing, then by name.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| b.level.cmp(&a.level).then(a.since.at.cmp(&b.since.at)).then_with(|| a.id().cmp(&b.id())));
}
