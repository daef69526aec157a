//! Folds symptoms under their cause: one root, not fourteen alarms.
//!
//! Findings of one site fold under causes of the same site, and under causes of the host it runs on.

use std::collections::BTreeSet;

use super::Finding;
use crate::domain::level::Level;

/// That one finding explains others.
struct Edge {
    /// The rule that is the cause.
    cause: &'static str,
    /// The rules that then are its symptoms.
    symptoms: &'static [&'static str],
    /// What else must hold between the two.
    when: fn(&Finding, &Finding) -> bool,
}

const fn edge(cause: &'static str, symptoms: &'static [&'static str]) -> Edge {
    Edge { cause, symptoms, when: always }
}

const fn edge_when(
    cause: &'static str,
    symptoms: &'static [&'static str],
    when: fn(&Finding, &Finding) -> bool,
) -> Edge {
    Edge { cause, symptoms, when }
}

/// Causes with their symptoms, the nearest to the visitor first: what is folded here takes its own symptoms along when a
/// later line finds its cause. Within one site a database or Redis that is gone explains the healthcheck (pretix asks
/// both there), the errors of requests and tasks, blind metrics, and workers that can't reach their broker.
const CAUSES: &[Edge] = &[
    edge(
        "web-unreachable",
        &["metrics-blind", "gateway-errors", "requests-fail", "proxy-fault", "proxy-upstream-errors", "accept-queue"],
    ),
    edge(
        "web-hangs",
        &[
            "metrics-blind",
            "requests-fail",
            "requests-slow",
            "gateway-errors",
            "proxy-fault",
            "worker-timeouts",
            "accept-queue",
        ],
    ),
    edge(
        "web-error",
        &["metrics-blind", "requests-fail", "requests-slow", "gateway-errors", "proxy-fault", "errors-new"],
    ),
    edge("web-misdirected", &["metrics-blind", "proxy-fault"]),
    edge("proxy-fault", &["proxy-upstream-errors", "gateway-errors"]),
    edge("gateway-errors", &["requests-fail", "proxy-upstream-errors"]),
    edge("queue-growing", &["queue-late"]),
    edge("worker-gone", &["queue-late", "queue-growing", "tasks-unacked", "mail-stuck", "worker-silent"]),
    edge("worker-hung", &["queue-late", "queue-growing", "tasks-unacked", "mail-stuck", "worker-silent"]),
    edge("worker-timeouts", &["requests-fail", "proxy-upstream-errors", "accept-queue"]),
    edge("migrations-pending", &["schema-behind-code", "requests-fail", "tasks-fail", "errors-new", "web-error"]),
    edge("schema-behind-code", &["requests-fail", "tasks-fail", "errors-new", "web-error"]),
    edge("static-root-missing", &["static-missing", "static-not-found"]),
    edge("static-missing", &["static-not-found"]),
    edge("secret-changed", &["sessions-corrupt", "errors-new"]),
    edge("locks-time-out", &["requests-fail"]),
    edge("advisory-lock-waiters", &["locks-time-out", "requests-fail"]),
    // What is gone goes before what is short: of two that could explain an error, the first takes it.
    edge("database-down", WEB),
    edge("database-recovering", WEB),
    edge("redis-down", WEB),
    edge("database-lock", WEB),
    edge("database-connections", WEB),
    edge("database-read-only", WEB),
    edge("database-corrupt", WEB),
    edge("never-analyzed", &["web-slow", "requests-slow"]),
    edge("redis-refuses-writes", WEB),
    // Of a web service that can't start without its database, the site being unreachable is a part.
    edge_when("service-crash-loop", &["web-unreachable", "proxy-fault", "metrics-blind"], is_web),
    edge_when("database-down", &["service-crash-loop", "service-restarting", "periodic-silent"], is_no_server),
    edge_when(
        "redis-down",
        &["service-crash-loop", "service-restarting", "worker-gone", "worker-silent", "periodic-silent"],
        is_no_server,
    ),
    edge("database-idle-transaction", &["dead-rows"]),
    edge_when("key-space", &["requests-fail", "tasks-fail", "errors-new"], is_out_of_range),
    edge_when("txid-wraparound", &["requests-fail", "tasks-fail", "errors-new"], is_wraparound),
    edge("redis-snapshot", &["redis-refuses-writes"]),
    edge("redis-memory", &["redis-refuses-writes", "redis-evicts"]),
    edge("redis-evicts", &["queue-late"]),
    edge("redis-wrong-role", &["redis-refuses-writes"]),
    edge("redis-wrong-role", WEB),
    edge("redis-stale-socket", &["redis-down"]),
    edge("redis-stale-socket", WEB),
    edge("name-resolution", &["web-error", "requests-fail", "tasks-fail", "errors-new"]),
    edge_when("dns-fails", &["database-down", "redis-down", "web-unreachable", "name-resolution"], names_a_host),
    edge("certificate-not-loaded", &["certificate"]),
];

/// Clocks of logs and of looks differ by so many seconds at most, and a fault is seen only by the next look (own).
const EARLIER_S: i64 = 60;

/// What a host does to the sites on it; looked at last.
const BELOW: &[Edge] = &[
    edge("oom-kills", &["service-oom"]),
    edge_when("accept-queue", QUEUED, same_port),
    edge("accept-queue", &["network-loss"]),
    edge("memory-short", &["oom-kills", "pressure"]),
    edge_when("disk-full", FULL, lacks_space),
    edge_when("inodes-full", FULL, lacks_space),
    edge_when("disk-read-only", FULL, is_read_only),
    edge_when("deleted-open", &["disk-full", "disk-filling"], same_mount),
    edge_when("log-flood", &["disk-filling"], always),
];

/// The rules that say that a service is down; their subject begins with its role. Looked at after [`CAUSES`]: under a
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
    ("database", &["database-down", "database-recovering"]),
    ("redis", &["redis-down", "redis-stale-socket"]),
    (
        "worker",
        &["worker-gone", "worker-hung", "worker-silent", "queue-late", "queue-growing", "tasks-unacked", "tasks-fail"],
    ),
    ("proxy", &["web-unreachable", "proxy-fault"]),
    (
        "web",
        &[
            "web-unreachable",
            "web-hangs",
            "web-error",
            "web-slow",
            "own-port-fault",
            "proxy-fault",
            "proxy-upstream-errors",
            "metrics-blind",
            "requests-fail",
            "requests-slow",
            "gateway-errors",
            "accept-queue",
            "worker-timeouts",
        ],
    ),
];

/// What is said of a database or a Redis that does not answer; it names the place that was asked.
const SERVER_DOWN: &[&str] = &["database-down", "database-recovering", "redis-down"];

/// How the services look that stand on a server that is down.
const FALLS: &[&str] = &["service-unhealthy", "service-crash-loop", "worker-gone", "worker-silent", "name-resolution"];

/// What the visitor sees when something below the application is gone.
const WEB: &[&str] = &[
    "web-hangs",
    "web-error",
    "web-slow",
    "own-port-fault",
    "proxy-fault",
    "proxy-upstream-errors",
    "metrics-blind",
    "requests-fail",
    "requests-slow",
    "gateway-errors",
    "tasks-fail",
    "queue-late",
    "queue-growing",
    "database-connections",
    "worker-timeouts",
    "worker-hung",
    "locks-time-out",
    "accept-queue",
    "errors-new",
    "mail-stuck",
];

/// What visitors see of a process that accepts no connections.
const QUEUED: &[&str] =
    &["web-hangs", "web-unreachable", "own-port-fault", "web-slow", "requests-slow", "gateway-errors"];

/// What a file system that takes no more bytes breaks.
const FULL: &[&str] = &[
    "database-down",
    "database-recovering",
    "redis-snapshot",
    "redis-refuses-writes",
    "service-failed",
    "service-crash-loop",
    "errors-new",
    "backup-broken",
    "backup-empty",
    "log-flood",
];

const fn always(_: &Finding, _: &Finding) -> bool {
    true
}

/// Whether one of these words is in what the symptom, or anything below it, says.
fn says(finding: &Finding, words: &[&str]) -> bool {
    let has = |text: &str| {
        let text = text.to_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    has(&finding.title)
        || has(&finding.evidence)
        || finding.details.iter().any(|line| has(line))
        || finding.symptoms.iter().any(|f| says(f, words))
}

fn lacks_space(_: &Finding, symptom: &Finding) -> bool {
    says(symptom, &["no space", "disk full", "disk is full", "enospc"])
}

/// The words of PostgreSQL for a column and for a sequence, and of MySQL.
fn is_out_of_range(_: &Finding, symptom: &Finding) -> bool {
    says(symptom, &["out of range", "reached maximum value of sequence"])
}

fn is_wraparound(_: &Finding, symptom: &Finding) -> bool {
    says(symptom, &["wraparound"])
}

fn is_read_only(_: &Finding, symptom: &Finding) -> bool {
    says(symptom, &["read-only file system", "erofs"])
}

fn names_a_host(cause: &Finding, symptom: &Finding) -> bool {
    says(symptom, &["name or service", "resolve", "no address", "name resolution"])
        || (!cause.subject.is_empty() && says(symptom, &[&cause.subject.to_lowercase()]))
}

fn is_web(cause: &Finding, _: &Finding) -> bool {
    cause.subject.starts_with("web ")
}

/// The server's own service doesn't fall with the server: it is its cause.
fn is_no_server(_: &Finding, symptom: &Finding) -> bool {
    !symptom.subject.starts_with("database ") && !symptom.subject.starts_with("redis ")
}

/// Whether the symptom speaks of the port that the cause is about.
fn same_port(cause: &Finding, symptom: &Finding) -> bool {
    let port = cause.subject.rsplit_once(':').map(|(_, port)| format!(":{port}"));
    port.is_some_and(|port| says(symptom, &[&port]))
}

/// Whether a finding, or one below it, says of the server at this port that it does not answer.
fn hangs_at(finding: &Finding, port: &str) -> bool {
    let told = |text: &str| {
        text.match_indices(port).any(|(at, _)| {
            let after = text.get(at + port.len()..).and_then(|rest| rest.chars().next());
            !after.is_some_and(|c| c.is_ascii_digit())
        })
    };
    let own = finding.is_any(SERVER_DOWN) && (told(&finding.title) || told(&finding.evidence));
    own || finding.symptoms.iter().any(|symptom| hangs_at(symptom, port))
}

fn same_mount(cause: &Finding, symptom: &Finding) -> bool {
    cause.subject == symptom.subject
}

/// Whether a rule says that requests fail for a reason that is known.
pub fn is_outage(rule: &str) -> bool {
    // A symptom among others is none: it says that requests fail, not why.
    const NONE: [&str; 3] = ["gateway-errors", "worker-timeouts", "locks-time-out"];
    !NONE.contains(&rule) && CAUSES.iter().any(|e| e.cause == rule && e.symptoms.contains(&"requests-fail"))
}

/// Folds symptoms under their cause and sorts: worst first, then the longest standing. `hosts` are the names of hosts:
/// what is wrong with them can be the cause of what is wrong with any site.
pub fn fold(mut findings: Vec<Finding>, hosts: &[&str]) -> Vec<Finding> {
    for edge in CAUSES {
        findings = along(edge, findings, hosts);
    }
    findings = by_role(findings);
    for edge in BELOW {
        findings = along(edge, findings, hosts);
    }
    findings = queues_of_servers(findings, hosts);
    sort(&mut findings);
    findings
}

/// Connections that wait at the port of a database or a Redis that does not answer a site are a part of that, though the
/// host has them: what stands at the top is what the site lacks.
fn queues_of_servers(mut findings: Vec<Finding>, hosts: &[&str]) -> Vec<Finding> {
    let of_host = |f: &Finding| hosts.contains(&f.site.as_str());
    let queues: Vec<Finding> = findings.extract_if(.., |f| f.rule == "accept-queue" && of_host(f)).collect();
    for queue in queues {
        let port = queue.subject.rsplit_once(':').map(|(_, port)| format!(":{port}"));
        let cause = findings.iter_mut().find(|f| port.as_ref().is_some_and(|port| hangs_at(f, port)));
        match cause {
            Some(cause) => take(cause, vec![queue]),
            None => findings.push(queue),
        }
    }
    findings
}

fn along(edge: &Edge, mut findings: Vec<Finding>, hosts: &[&str]) -> Vec<Finding> {
    let mut causes: Vec<Finding> = findings.extract_if(.., |f| f.rule == edge.cause).collect();
    for cause in &mut causes {
        let of_host = hosts.contains(&cause.site.as_str());
        let under = |f: &mut Finding| {
            f.is_any(edge.symptoms) && (of_host || f.site == cause.site) && (edge.when)(cause, f) && timely(cause, f)
        };
        let under = findings.extract_if(.., under).collect();
        take(cause, under);
    }
    findings.append(&mut causes);
    findings
}

/// Of several services of one role that are down (and several rules about one) the first cause takes the others of the
/// same service, and what follows from the role.
fn by_role(mut findings: Vec<Finding>) -> Vec<Finding> {
    let role_of = |f: &Finding| f.subject.split(' ').next().unwrap_or_default().to_owned();
    for (role, symptoms) in BY_ROLE {
        let sites: BTreeSet<String> = findings.iter().map(|f| f.site.clone()).collect();
        for site in sites {
            let down = |f: &Finding| f.site == site && f.is_any(SERVICE_DOWN) && role_of(f) == *role;
            let rank = |f: &Finding| SERVICE_DOWN.iter().position(|rule| *rule == f.rule);
            let found = findings.iter().enumerate().filter(|(_, f)| down(f)).min_by_key(|(_, f)| rank(f));
            let Some((at, _)) = found else { continue };
            let mut cause = findings.remove(at);
            let same = |f: &Finding| down(f) && f.subject == cause.subject;
            // What stands on a server that is down falls with it, also where nobody asks the server itself.
            let server = matches!(*role, "database" | "redis") && cause.level == Level::Critical;
            let falls = |f: &Finding| server && (f.is_any(WEB) || f.is_any(FALLS)) && is_no_server(f, f);
            let under = findings
                .extract_if(.., |f| f.site == site && (f.is_any(symptoms) || same(f) || falls(f)) && timely(&cause, f))
                .collect();
            take(&mut cause, under);
            findings.push(cause);
        }
    }
    findings
}

/// What logs say goes on being told for minutes: it follows from a cause only where it did not begin well before it.
fn timely(cause: &Finding, symptom: &Finding) -> bool {
    const OF_LOGS: [&str; 3] = ["errors-new", "worker-timeouts", "locks-time-out"];
    !OF_LOGS.contains(&symptom.rule.as_ref())
        || !cause.since.seen
        || symptom.since.at >= cause.since.at.plus_secs(-EARLIER_S)
}

/// Puts symptoms under a cause, with their own beside them: one level is read at a glance. The cause then is as bad as
/// the worst that follows from it.
fn take(cause: &mut Finding, under: Vec<Finding>) {
    for mut symptom in under {
        let further = std::mem::take(&mut symptom.symptoms);
        cause.symptoms.push(symptom);
        cause.symptoms.extend(further);
    }
    cause.level = cause.symptoms.iter().map(|f| f.level).fold(cause.level, Level::max);
    cause.symptoms.sort_by_key(|f| (std::cmp::Reverse(f.level), f.since.at));
}

/// Worst first, then the longest standing, then by name.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| b.level.cmp(&a.level).then(a.since.at.cmp(&b.since.at)).then_with(|| a.id().cmp(&b.id())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SourceKind;
    use crate::domain::time::Timestamp;
    use crate::triage::Since;

    fn finding(site: &str, rule: &str, subject: &str, evidence: &str) -> Finding {
        Finding {
            site: site.to_owned(),
            rule: rule.to_owned(),
            subject: subject.to_owned(),
            level: Level::Critical,
            title: rule.to_owned(),
            evidence: evidence.to_owned(),
            details: Vec::new(),
            since: Since::watched(Timestamp::from_millis(0), true),
            source: SourceKind::Host,
            suspected: false,
            symptoms: Vec::new(),
        }
    }

    /// The rules at the top, each with those below it.
    fn tree(findings: Vec<Finding>) -> Vec<(String, Vec<String>)> {
        let below = |f: &Finding| f.symptoms.iter().map(|s| s.rule.clone()).collect();
        fold(findings, &["web1"]).iter().map(|f| (f.rule.clone(), below(f))).collect()
    }

    #[test]
    fn connections_that_wait_at_a_frozen_database_are_a_part_of_it() {
        let queue =
            |port: u16| finding("web1", "accept-queue", &format!("127.0.0.1:{port}"), "1 postgres listens there");
        let down = || finding("shop", "database-down", "", "PostgreSQL at 127.0.0.1:5432 gave no answer within 3 s.");
        let web = || finding("shop", "web-hangs", "", "no answer from https://shop.example.org");
        let folded = tree(vec![queue(5432), down(), web()]);
        let [(top, below)] = folded.as_slice() else { unreachable!("one finding: {folded:?}") };
        assert_eq!(top, "database-down");
        assert!(below.iter().any(|rule| rule == "accept-queue") && below.len() == 2, "{below:?}");
        for other in [543, 54_321, 8000] {
            assert_eq!(tree(vec![queue(other), down()]).len(), 2, "another port: {other}");
        }
        let mut service = finding("shop", "process-stopped-state", "database postgresql", "all of its processes");
        service.source = SourceKind::Services;
        assert_eq!(tree(vec![queue(5432), down(), service]).len(), 1, "also where its service is the cause");
        assert_eq!(tree(vec![queue(5432)]).len(), 1, "and alone it stands by itself");
    }
}
