//! Each rule about services, on a model.

use super::{claims, host_claims};
use crate::domain::health::{HealthCheck, HealthState};
use crate::domain::history::History;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::service::{FailedUnit, Manager, Role, Service, ServicesReading, State, Stuck, StuckHow};
use crate::domain::time::Timestamp;
use crate::triage::{Claim, HostFacts, SiteFacts, Thresholds, rule};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

const NOW: i64 = 100_000;

fn fresh<T>(value: T) -> Reading<T> {
    Reading::Fresh { value, at: at(NOW), took_ms: 3 }
}

fn service(role: Role, state: State) -> Service {
    let mut service = Service::new("x", role, Manager::Systemd, "x.service");
    service.state = state;
    service.since = Some(at(NOW - 600));
    service
}

fn check(state: HealthState) -> Reading<HealthCheck> {
    let detail = String::new();
    fresh(HealthCheck {
        state,
        status: None,
        latency_ms: 1.0,
        detail,
        url: String::new(),
        tls: None,
        clock_offset_ms: None,
    })
}

fn told(service: Service, health: &Reading<HealthCheck>) -> Vec<Claim> {
    let services = fresh(ServicesReading { services: vec![service], ..ServicesReading::default() });
    let history = History::new();
    let facts = SiteFacts { services: &services, health, ..SiteFacts::unseen("", &history, at(NOW)) };
    let claims = claims(&facts, &Thresholds::default());
    assert!(claims.iter().all(|claim| rule::rule(claim.rule).is_some()));
    claims
}

/// The only claim about a service.
fn one(service: Service) -> (&'static str, Level, String) {
    let mut all = told(service, &Reading::Never);
    assert_eq!(all.len(), 1, "{all:?}");
    let claim = all.remove(0);
    (claim.rule, claim.level, claim.title)
}

#[test]
fn what_is_down_is_told_by_how_it_came_down() {
    let mut failed = service(Role::Web, State::Failed);
    failed.exit = Some("exit status 3".to_owned());
    let all = told(failed.clone(), &Reading::Never);
    assert_eq!((all[0].rule, all[0].level, all[0].subject.as_str()), ("service-failed", Level::Critical, "web x"));
    assert_eq!(all[0].title, "x has failed (exit status 3): nothing answers requests");
    assert_eq!(all[0].since.unwrap().at, at(NOW - 600));
    failed.state = State::GaveUp;
    failed.restarts = Some(5);
    let (rule, level, title) = one(failed);
    assert_eq!((rule, level), ("service-crash-loop", Level::Critical));
    assert_eq!(title, "systemd gave x up after 5 restarts (exit status 3): nothing answers requests");
    assert_eq!(one(service(Role::Worker, State::Stopped)).0, "service-stopped");
    assert_eq!(one(service(Role::Beat, State::Stopped)).1, Level::Warning);
    assert_eq!(
        one(service(Role::Web, State::Missing)),
        ("service-missing", Level::Warning, "x is not there: systemd knows nothing of it".to_owned())
    );
    assert!(told(service(Role::Other, State::Stopped), &Reading::Never).is_empty(), "a job that is done is no news");
}

#[test]
fn one_that_was_stopped_a_moment_ago_may_be_on_its_way_back() {
    let mut stopped = service(Role::Web, State::Stopped);
    stopped.since = Some(at(NOW - 5));
    assert_eq!(one(stopped.clone()).1, Level::Note);
    (stopped.since, stopped.at_boot) = (None, Some(false));
    assert_eq!(one(stopped).1, Level::Note, "nor is one alarming that was never started and is not enabled");
}

#[test]
fn what_answers_all_the_same_weighs_less() {
    let level = |service, state| told(service, &check(state)).remove(0).level;
    let down = || service(Role::Web, State::Stopped);
    assert_eq!(level(down(), HealthState::Unreachable), Level::Critical);
    assert_eq!(level(down(), HealthState::Ok), Level::Warning);
    let mut proxy = service(Role::Proxy, State::Stopped);
    proxy.shared = true;
    assert_eq!(level(proxy.clone(), HealthState::Ok), Level::Note, "another proxy is the one that is used");
    assert_eq!(level(proxy, HealthState::Unreachable), Level::Critical);
}

#[test]
fn one_restart_is_a_note_and_three_are_a_loop() {
    let mut web = service(Role::Web, State::Running);
    web.restarted = Some(at(NOW - 20));
    assert_eq!(one(web.clone()), ("service-restarting", Level::Note, "x was started anew".to_owned()));
    web.crashed = vec![at(NOW - 20)];
    web.exit = Some("killed by SIGSEGV".to_owned());
    let (rule, level, title) = one(web.clone());
    assert_eq!((rule, level), ("service-restarting", Level::Note));
    assert_eq!(title, "x ended and was started again (killed by SIGSEGV)");
    web.crashed = vec![at(NOW - 40), at(NOW - 30), at(NOW - 20)];
    let all = told(web.clone(), &Reading::Never);
    assert_eq!((all[0].rule, all[0].level, all[0].suspected), ("service-crash-loop", Level::Warning, true));
    assert_eq!(all[0].since.unwrap().at, at(NOW - 40));
    web.state = State::Restarting;
    assert_eq!(one(web.clone()).1, Level::Critical);
    web.crashed = vec![at(NOW - 900), at(NOW - 800), at(NOW - 700)];
    web.restarts = Some(1);
    assert_eq!(one(web.clone()).0, "service-restarting", "those are long ago");
    // On a cold start the count alone tells, of one that is down just now.
    (web.crashed, web.restarts) = (Vec::new(), Some(7));
    assert_eq!(one(web.clone()).0, "service-crash-loop");
    (web.state, web.restarted) = (State::Running, None);
    assert!(told(web, &Reading::Never).is_empty(), "restarts of unknown age say nothing of one that runs");
}

#[test]
fn an_ordinary_restart_by_hand_is_never_a_warning() {
    for state in [State::Running, State::Stopping, State::Starting, State::Restarting] {
        let mut web = service(Role::Web, state);
        (web.since, web.restarted, web.restarts) = (Some(at(NOW - 3)), Some(at(NOW - 3)), Some(0));
        let all = told(web, &check(HealthState::Ok));
        assert!(all.iter().all(|claim| claim.level <= Level::Note), "{all:?}");
    }
}

#[test]
fn memory_is_told_when_it_is_short_and_when_it_killed() {
    let mut worker = service(Role::Worker, State::Running);
    (worker.memory, worker.memory_max) = (Some(95), Some(100));
    assert_eq!(one(worker.clone()).0, "service-memory");
    worker.memory = Some(80);
    assert!(told(worker.clone(), &Reading::Never).is_empty());
    worker.oom = Some(at(NOW - 60));
    assert_eq!(one(worker).0, "service-oom");
}

#[test]
fn processes_that_do_nothing_are_told() {
    let stuck = |how, main, since| {
        let mut worker = service(Role::Worker, State::Running);
        worker.stuck = Some(Stuck { how, processes: 1, of: 5, main, since: at(since) });
        told(worker, &Reading::Never)
    };
    let level = |all: Vec<Claim>| all.first().map(|claim| (claim.rule, claim.level));
    let rule = "process-stopped-state";
    assert_eq!(level(stuck(StuckHow::Stopped, true, NOW)), Some((rule, Level::Critical)));
    assert_eq!(level(stuck(StuckHow::Stopped, false, NOW)), Some((rule, Level::Warning)));
    assert_eq!(level(stuck(StuckHow::DiskSleep, true, NOW - 5)), None);
    assert_eq!(level(stuck(StuckHow::DiskSleep, true, NOW - 60)), Some((rule, Level::Critical)));
    assert_eq!(level(stuck(StuckHow::Zombie, false, NOW - 600)), None, "a child that its parent collects late");
    assert_eq!(level(stuck(StuckHow::Paused, true, NOW)), Some((rule, Level::Critical)));
}

#[test]
fn what_would_not_come_up_by_itself_is_a_note() {
    let mut web = service(Role::Web, State::Running);
    web.at_boot = Some(false);
    assert_eq!(one(web.clone()).0, "service-disabled");
    assert_eq!(one(web).1, Level::Note);
}

#[test]
fn failed_units_of_the_host_weigh_by_who_counts_on_them() {
    let unit = |unit: &str| FailedUnit {
        unit: unit.to_owned(),
        description: "d".to_owned(),
        exit: "exit status 1".to_owned(),
        since: Some(at(10)),
        user: false,
    };
    let units = fresh(ServicesReading {
        others: vec![unit("man-db.service"), unit("pretix-backup.service")],
        ..ServicesReading::default()
    });
    let facts = HostFacts {
        name: "h",
        reading: &Reading::Never,
        changes: &Reading::Never,
        schedule: &Reading::Never,
        units: &units,
        updates: &Reading::Never,
        people: &Reading::Never,
        heard: None,
        silent_after_ms: 1,
        now: at(NOW),
    };
    let all: Vec<_> = host_claims(&facts).into_iter().map(|c| (c.rule, c.level, c.subject)).collect();
    let expected = [
        ("unit-failed", Level::Note, "man-db.service".to_owned()),
        ("unit-failed", Level::Warning, "pretix-backup.service".to_owned()),
    ];
    assert_eq!(all, expected);
}

mod folding {
    use super::{NOW, at};
    use crate::domain::id::SourceKind;
    use crate::domain::level::Level;
    use crate::triage::{Finding, Since, fold};

    fn finding(rule: &str, subject: &str, level: Level) -> Finding {
        Finding {
            rule: rule.to_owned(),
            subject: subject.to_owned(),
            level,
            title: String::new(),
            evidence: String::new(),
            details: Vec::new(),
            suspected: false,
            source: SourceKind::Services,
            since: Since::watched(at(NOW), true),
            symptoms: Vec::new(),
            site: "shop".to_owned(),
        }
    }

    fn tree(findings: &[Finding]) -> Vec<String> {
        let below = |f: &Finding| format!("{}({})", f.rule, tree(&f.symptoms).join(" "));
        findings.iter().map(below).collect()
    }

    #[test]
    fn what_follows_from_a_service_stands_under_it() {
        let fold = |findings| fold::fold(findings, &[]);
        let folded = fold(vec![
            finding("web-error", "", Level::Critical),
            finding("database-down", "", Level::Critical),
            finding("service-failed", "database postgresql", Level::Critical),
            finding("service-disabled", "web pretix-web", Level::Note),
        ]);
        assert_eq!(tree(&folded), ["service-failed(database-down() web-error())", "service-disabled()"]);
        let folded = fold(vec![
            finding("queue-late", "mail", Level::Warning),
            finding("worker-gone", "", Level::Critical),
            finding("service-crash-loop", "worker pretix-worker", Level::Warning),
            finding("web-unreachable", "", Level::Critical),
        ]);
        assert_eq!(tree(&folded), ["service-crash-loop(worker-gone() queue-late())", "web-unreachable()"]);
        assert_eq!(folded[0].level, Level::Critical);
        let folded = fold(vec![
            finding("database-down", "", Level::Critical),
            finding("service-crash-loop", "web shop", Level::Critical),
            finding("web-unreachable", "", Level::Critical),
            finding("service-crash-loop", "database postgresql", Level::Critical),
        ]);
        assert_eq!(tree(&folded), ["service-crash-loop(database-down() service-crash-loop() web-unreachable())"]);
        let folded = fold(vec![
            finding("web-error", "", Level::Critical),
            finding("service-unhealthy", "web backend", Level::Warning),
            finding("service-stopped", "redis redis", Level::Critical),
        ]);
        assert_eq!(tree(&folded), ["service-stopped(web-error() service-unhealthy())"]);
        let folded = fold(vec![
            finding("service-stopped", "web a", Level::Note),
            finding("service-oom", "web a", Level::Warning),
            finding("service-failed", "worker b", Level::Critical),
        ]);
        assert_eq!(tree(&folded), ["service-failed()", "service-oom(service-stopped())"]);
    }
}
