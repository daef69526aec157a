//! Each test is one bad night: what was seen, and what the rules make of it.

use super::*;
use crate::domain::database::{Blocker, Engine};
use crate::domain::health::{Certificate, HealthState};
use crate::domain::host::{Disk, DiskSpace};
use crate::domain::reading::Seen;
use crate::domain::redis::{Broker, QUIET_S, RedisReading, RedisServer, WaitingQueue};
use crate::domain::traffic::{Count, Queue, Route, Task, Window};

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

struct World {
    health: Reading<HealthCheck>,
    direct: Reading<HealthCheck>,
    traffic: Reading<Traffic>,
    database: Reading<DatabaseReading>,
    redis: Reading<RedisReading>,
    asking: Vec<(SourceKind, Timestamp)>,
    history: History,
    memory: Memory,
    now: Timestamp,
}

fn fresh<T>(value: T) -> Reading<T> {
    Reading::Fresh { value, at: T0, took_ms: 3 }
}

fn failed<T>(why: &str) -> Reading<T> {
    Reading::Failed { failed_since: T0, why: why.to_owned() }
}

fn answer(state: HealthState, status: Option<u16>) -> HealthCheck {
    let url = "https://tickets.example.org/healthcheck/".to_owned();
    HealthCheck {
        state,
        status,
        latency_ms: 3.0,
        detail: state.word().to_owned(),
        url,
        tls: None,
        clock_offset_ms: None,
    }
}

fn postgres() -> DatabaseReading {
    DatabaseReading {
        sessions: Some(8),
        usable_sessions: Some(57),
        waiting: Some(0),
        ..DatabaseReading::new(Engine::Postgresql, "15.18", 0.4)
    }
}

fn redis(broker: Broker) -> RedisReading {
    RedisReading {
        latency_ms: 0.2,
        server: RedisServer {
            version: "7.0.15".to_owned(),
            role: "master".to_owned(),
            used_memory: Some(2_000_000),
            max_memory: Some(0),
            policy: Some("noeviction".to_owned()),
            ..RedisServer::default()
        },
        broker: Some(broker),
        ..RedisReading::default()
    }
}

fn broker(waiting: u64, oldest: Option<u64>, consumers: u32, idle: Option<u64>) -> Broker {
    let queue = WaitingQueue { name: "checkout".to_owned(), waiting, oldest_at_least_s: oldest };
    Broker {
        queues: vec![queue],
        unacked: Some(0),
        consumers: Some(consumers),
        consumer_idle_s: idle,
        quiet: u32::from(idle.is_some_and(|idle| idle > QUIET_S)),
        ..Broker::default()
    }
}

impl World {
    fn healthy() -> Self {
        Self {
            health: fresh(answer(HealthState::Ok, Some(200))),
            direct: Reading::Never,
            traffic: fresh(Traffic { window: Window::Seconds(60.0), ..Traffic::default() }),
            database: fresh(postgres()),
            redis: fresh(redis(broker(0, None, 2, Some(0)))),
            asking: Vec::new(),
            history: History::new(),
            memory: Memory::default(),
            now: T0.plus_secs(4),
        }
    }

    fn findings(&mut self) -> Vec<Finding> {
        let facts = SiteFacts {
            name: "tickets",
            health: &self.health,
            direct: &self.direct,
            traffic: &self.traffic,
            database: &self.database,
            redis: &self.redis,
            asking: &self.asking,
            heard: Some(self.now),
            silent_after_ms: 45_000,
            ..SiteFacts::unseen("pretix", &self.history, self.now)
        };
        fold::fold(site(&facts, &Thresholds::default(), &mut self.memory), &[])
    }

    /// `rule[symptom,symptom]` of each finding, in order.
    fn rules(&mut self) -> Vec<String> {
        fn one(f: &Finding) -> String {
            let under: Vec<String> = f.symptoms.iter().map(one).collect();
            if under.is_empty() { f.rule.clone() } else { format!("{}[{}]", f.rule, under.join(",")) }
        }
        self.findings().iter().map(one).collect()
    }
}

#[test]
fn a_healthy_site_has_no_finding() {
    assert_eq!(World::healthy().rules(), [""; 0]);
}

#[test]
fn a_database_that_is_gone_takes_the_healthcheck_and_the_metrics_under_it() {
    let mut w = World::healthy();
    w.health = fresh(answer(HealthState::ServerError, Some(500)));
    w.traffic = failed("metrics answered 500");
    w.database = failed("connection refused");
    assert_eq!(w.rules(), ["database-down[web-error,metrics-blind]"]);
    assert_eq!(w.findings()[0].level, Level::Critical);
}

#[test]
fn redis_that_is_gone_does_too() {
    let mut w = World::healthy();
    w.health = fresh(answer(HealthState::Hanging, None));
    w.traffic = failed("not asked while the healthcheck hangs");
    w.redis = failed("accepts connections and has not answered for 2 s");
    assert_eq!(w.rules(), ["redis-down[web-hangs,metrics-blind]"]);
}

#[test]
fn two_causes_stay_two_and_both_are_named() {
    let mut w = World::healthy();
    w.database = failed("connection refused");
    w.health = fresh(answer(HealthState::ServerError, Some(500)));
    w.redis = fresh(redis(broker(40, Some(90), 0, None)));
    assert_eq!(w.rules(), ["database-down[web-error]", "worker-gone[queue-late]"].map(str::to_owned));
}

#[test]
fn a_lock_names_its_root_and_since_when_its_transaction_runs() {
    let mut w = World::healthy();
    w.asking = vec![(SourceKind::Health, T0.plus_secs(-12))];
    let root = Blocker {
        pid: 4711,
        application: "psql".to_owned(),
        state: "idle in transaction".to_owned(),
        transaction_s: 60.0,
        blocks: 6,
        ..Blocker::default()
    };
    w.database = fresh(DatabaseReading { waiting: Some(6), blockers: vec![root], ..postgres() });
    assert_eq!(w.rules(), ["database-lock[web-hangs]"]);
    let f = &w.findings()[0];
    assert!(f.title.contains("session 4711 (psql) blocks 6 others"), "{}", f.title);
    assert_eq!(f.since.at, T0.plus_secs(-60));
}

#[test]
fn a_cause_is_as_bad_as_the_worst_that_follows_from_it() {
    let mut w = World::healthy();
    w.asking = vec![(SourceKind::Health, T0.plus_secs(-6))];
    let root = Blocker {
        pid: 4711,
        application: String::new(),
        state: "idle in transaction".to_owned(),
        transaction_s: 6.0,
        blocks: 1,
        ..Blocker::default()
    };
    w.database = fresh(DatabaseReading { waiting: Some(1), blockers: vec![root], ..postgres() });
    assert_eq!(w.rules(), ["database-lock[web-hangs]"]);
    assert_eq!(w.findings()[0].level, Level::Critical);
}

#[test]
fn a_dead_worker_is_seen_while_every_page_is_fine() {
    let mut w = World::healthy();
    w.redis = fresh(redis(broker(0, None, 0, None)));
    assert_eq!(w.rules(), ["worker-gone"], "even before anything waits");
    w.redis = fresh(redis(broker(300, None, 2, Some(40))));
    assert_eq!(w.rules(), ["worker-hung"]);
    assert_eq!(w.findings()[0].level, Level::Critical);
}

#[test]
fn without_a_view_of_the_broker_tasks_that_wait_while_none_is_done_show_it() {
    let mut w = World::healthy();
    w.redis = Reading::Unseen { why: "not configured".to_owned() };
    let queue = |waiting| Queue { name: "checkout".to_owned(), waiting, oldest_s: Some(40.0) };
    let idle = Task { name: "t".to_owned(), success: Count { total: 9.0, in_window: 0.0 }, ..Task::default() };
    let traffic =
        Traffic { queues: vec![queue(12)], tasks: vec![idle], window: Window::Seconds(45.0), ..Traffic::default() };
    w.traffic = fresh(traffic.clone());
    assert_eq!(w.rules(), ["worker-silent"]);
    w.traffic = fresh(Traffic { window: Window::Seconds(15.0), ..traffic.clone() });
    assert_eq!(w.rules(), [""; 0], "a quarter of a minute says nothing");
    w.traffic = fresh(Traffic { queues: vec![queue(0)], ..traffic });
    assert_eq!(w.rules(), [""; 0]);
}

#[test]
fn expected_errors_of_tasks_are_no_alarm() {
    let mut w = World::healthy();
    let task = |error, expected| Task {
        name: "add_items_to_cart".to_owned(),
        success: Count { total: 100.0, in_window: 100.0 },
        error: Count { total: error, in_window: error },
        expected_error: Count { total: expected, in_window: expected },
        ..Task::default()
    };
    let with = |tasks| fresh(Traffic { tasks, window: Window::Seconds(60.0), ..Traffic::default() });
    w.traffic = with(vec![task(0.0, 90.0)]);
    assert_eq!(w.rules(), [""; 0]);
    w.traffic = with(vec![task(30.0, 0.0)]);
    assert_eq!(w.rules(), ["tasks-fail"]);
}

#[test]
fn a_share_of_errors_among_a_handful_says_nothing() {
    let mut w = World::healthy();
    let route = |n: f64| {
        let mut route =
            Route { url_name: "presale:event.index".to_owned(), method: "GET".to_owned(), ..Route::default() };
        route.classes[4] = Count { total: n, in_window: n };
        route
    };
    let with = |n| fresh(Traffic { routes: vec![route(n)], window: Window::Seconds(60.0), ..Traffic::default() });
    w.traffic = with(10.0);
    assert_eq!(w.rules(), [""; 0]);
    w.traffic = with(40.0);
    assert_eq!(w.rules(), ["requests-fail"]);
}

#[test]
fn certificates_warn_in_time_and_say_why_they_are_not_trusted() {
    let mut w = World::healthy();
    let tls = |days: i64, distrust: Option<&str>| {
        let certificate = Certificate {
            not_after: w.now.plus_secs(days * 86_400 + 60),
            subject: "tickets.example.org".to_owned(),
            issuer: "R11".to_owned(),
            distrust: distrust.map(str::to_owned),
            on_disk: None,
        };
        fresh(HealthCheck { tls: Some(certificate), ..answer(HealthState::Ok, Some(200)) })
    };
    let (fine, soon, late, bad) = (tls(60, None), tls(10, None), tls(2, None), tls(-3, Some("expired 3 days ago")));
    w.health = fine;
    assert_eq!(w.rules(), [""; 0]);
    w.health = soon;
    assert_eq!(w.findings()[0].level, Level::Warning);
    w.health = late;
    assert_eq!(w.findings()[0].level, Level::Critical);
    w.health = bad;
    assert!(w.findings()[0].title.contains("expired 3 days ago"));
}

#[test]
fn the_fault_is_put_on_the_right_side_of_the_proxy() {
    let mut w = World::healthy();
    w.health = fresh(answer(HealthState::ServerError, Some(502)));
    w.direct = fresh(answer(HealthState::Ok, Some(200)));
    assert_eq!(w.rules(), ["web-error[proxy-fault]"]);
    w.health = fresh(answer(HealthState::Ok, Some(200)));
    w.direct = fresh(answer(HealthState::Unreachable, None));
    assert_eq!(w.rules(), ["own-port-fault"]);
}

#[test]
fn since_is_when_it_began_not_when_it_was_last_seen() {
    let mut w = World::healthy();
    w.findings();
    w.health = Reading::Fresh { value: answer(HealthState::Unreachable, None), at: T0.plus_secs(5), took_ms: 1 };
    w.now = T0.plus_secs(5);
    w.findings();
    w.health = Reading::Fresh { value: answer(HealthState::Unreachable, None), at: T0.plus_secs(60), took_ms: 1 };
    w.now = T0.plus_secs(61);
    let since = w.findings()[0].since;
    assert_eq!((since.at, since.seen), (T0.plus_secs(5), true));
}

#[test]
fn what_was_already_so_when_watching_began_says_at_least() {
    let mut w = World::healthy();
    w.health = fresh(answer(HealthState::Unreachable, None));
    assert!(!w.findings()[0].since.seen);
}

#[test]
fn the_errors_of_an_outage_are_not_told_again_when_it_is_over() {
    let mut w = World::healthy();
    let mut route = Route { url_name: "index".to_owned(), method: "GET".to_owned(), ..Route::default() };
    route.classes[4] = Count { total: 40.0, in_window: 40.0 };
    w.traffic = fresh(Traffic { routes: vec![route], window: Window::Seconds(60.0), ..Traffic::default() });
    w.database = failed("connection refused");
    assert_eq!(w.rules(), ["database-down[requests-fail]"]);
    w.database = fresh(postgres());
    w.now = T0.plus_secs(20);
    assert_eq!(w.rules(), [""; 0]);
    w.now = T0.plus_secs(120);
    assert_eq!(w.rules(), ["requests-fail"], "what goes on failing is told");
}

#[test]
fn readings_that_nobody_renews_are_not_fine_but_unknown() {
    let w = World::healthy();
    let facts = |heard| SiteFacts {
        name: "tickets",
        health: &w.health,
        direct: &w.direct,
        traffic: &w.traffic,
        database: &w.database,
        redis: &w.redis,
        heard: Some(heard),
        silent_after_ms: 45_000,
        ..SiteFacts::unseen("pretix", &w.history, T0.plus_secs(60))
    };
    assert_eq!(site(&facts(T0.plus_secs(30)), &Thresholds::default(), &mut Memory::default()), []);
    let found = site(&facts(T0), &Thresholds::default(), &mut Memory::default());
    assert_eq!((found[0].rule.as_str(), found[0].level), ("no-readings", Level::Unknown));
}

#[test]
fn a_number_that_cannot_be_had_is_unknown_not_critical() {
    let mut w = World::healthy();
    w.traffic = failed("metrics answered 401: switched off or wrong password");
    assert_eq!(w.rules(), ["metrics-blind"]);
    assert_eq!(w.findings()[0].level, Level::Unknown);
}

fn host_with(disks: Vec<Disk>) -> Vec<Finding> {
    let reading =
        fresh(HostReading { memory_total: 8 << 30, memory_available: 4 << 30, disks, ..HostReading::default() });
    let found = host(
        &HostFacts {
            name: "web1",
            reading: &reading,
            changes: &Reading::Never,
            schedule: &Reading::Never,
            units: &Reading::Never,
            updates: &Reading::Never,
            people: &Reading::Never,
            heard: Some(T0),
            silent_after_ms: 45_000,
            now: T0,
        },
        &Thresholds::default(),
        &mut Memory::default(),
    );
    fold::fold(found, &["web1"])
}

fn disk(space: Result<DiskSpace, String>) -> Disk {
    Disk {
        mount: "/var".to_owned(),
        device: "/dev/vda1".to_owned(),
        kind: "ext4".to_owned(),
        turned_read_only: None,
        space,
    }
}

const SPACE: DiskSpace = DiskSpace {
    total: 100 << 30,
    available: 50 << 30,
    reserved: 0,
    inodes: 1_000_000,
    inodes_available: 900_000,
    read_only: false,
    full_in_s: None,
    inodes_full_in_s: None,
};

#[test]
fn disks_are_judged_by_space_inodes_and_pace() {
    let rules = |space: DiskSpace| {
        host_with(vec![disk(Ok(space))]).iter().map(|f| (f.rule.clone(), f.level)).collect::<Vec<_>>()
    };
    assert_eq!(rules(SPACE), []);
    assert_eq!(rules(DiskSpace { available: 8 << 30, ..SPACE }), [("disk-full".to_owned(), Level::Warning)]);
    // As `df`: of 100 GiB with 40 kept for root, 50 free are a sixth used.
    assert!((DiskSpace { reserved: 40 << 30, ..SPACE }.used_share() - 1.0 / 6.0).abs() < 1e-9);
    assert_eq!(rules(DiskSpace { available: 0, ..SPACE }), [("disk-full".to_owned(), Level::Critical)]);
    assert_eq!(rules(DiskSpace { inodes_available: 10, ..SPACE }), [("inodes-full".to_owned(), Level::Critical)]);
    let filling = DiskSpace { available: 30 << 30, full_in_s: Some(7_200), ..SPACE };
    assert_eq!(rules(filling), [("disk-filling".to_owned(), Level::Warning)]);
    assert_eq!(rules(DiskSpace { inodes: 0, inodes_available: 0, ..SPACE }), [], "no inode limit is no full one");
}

#[test]
fn a_hung_mount_is_told_and_the_others_still_judged() {
    let findings = host_with(vec![
        disk(Err("statvfs has not answered for 12 s".to_owned())),
        Disk { mount: "/srv".to_owned(), ..disk(Ok(DiskSpace { available: 0, ..SPACE })) },
    ]);
    let rules: Vec<_> = findings.iter().map(|f| f.rule.as_str()).collect();
    assert_eq!(rules, ["disk-full", "mount-hangs"], "{findings:?}");
}

#[test]
fn asking_changes_no_reading() {
    let mut reading = fresh(1);
    reading.absorb(Seen::Asking, T0.plus_secs(9), 0);
    assert_eq!(reading, fresh(1));
}

#[test]
fn every_edge_of_the_fold_names_rules_of_the_catalogue_and_every_rule_says_what_it_means() {
    let ids: Vec<&str> = super::rules().map(|r| r.id).collect();
    for (at, rule) in super::rules().enumerate() {
        assert!(!ids.iter().take(at).any(|id| *id == rule.id), "{} twice", rule.id);
        assert!(rule.meaning.ends_with('.') && rule.mend.ends_with('.'), "{}", rule.id);
        assert!(rule.danger.is_empty() || rule.danger.ends_with('.'), "{}", rule.id);
        assert!(!rule.reads.is_empty(), "{}", rule.id);
        let limits = serde_json::to_value(Thresholds::default()).unwrap();
        assert!(rule.thresholds.iter().all(|t| limits.get(t).is_some()), "{}: {:?}", rule.id, rule.thresholds);
    }
}
