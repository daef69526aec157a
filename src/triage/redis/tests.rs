//! Each test is one state of Redis, its queues and workers, and what the rules make of it.

use crate::domain::history::{History, SeriesKey, names};
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::redis::{Broker, Counter, Master, Parked, Persistence, RedisReading, RedisServer, WaitingQueue};
use crate::domain::time::Timestamp;
use crate::domain::traffic::{Latency, Task, Traffic};
use crate::triage::fold::fold;
use crate::triage::{Finding, Memory, SiteFacts, Thresholds, site};

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);
const MB: u64 = 1 << 20;

fn server() -> RedisServer {
    RedisServer {
        version: "7.0.15".to_owned(),
        role: "master".to_owned(),
        used_memory: Some(40 * MB),
        max_memory: Some(100 * MB),
        policy: Some("noeviction".to_owned()),
        ..RedisServer::default()
    }
}

fn queue(name: &str, waiting: u64, oldest_at_least_s: Option<u64>) -> WaitingQueue {
    WaitingQueue { name: name.to_owned(), waiting, oldest_at_least_s }
}

/// Two workers that wait for tasks.
fn broker(queues: Vec<WaitingQueue>) -> Broker {
    Broker {
        queues,
        unacked: Some(0),
        consumers: Some(2),
        consumer_age_s: Some(9000),
        consumer_idle_s: Some(0),
        beating: 2,
        subscriptions: Some(4),
        ..Broker::default()
    }
}

/// None at all.
fn nobody(queues: Vec<WaitingQueue>, unacked: u64) -> Broker {
    Broker {
        queues,
        unacked: Some(unacked),
        unacked_oldest_s: (unacked > 0).then_some(600),
        consumers: Some(0),
        subscriptions: Some(0),
        ..Broker::default()
    }
}

fn reading(broker: Broker) -> RedisReading {
    RedisReading { server: server(), broker: Some(broker), ..RedisReading::default() }
}

fn findings_of(redis: RedisReading, traffic: &Reading<Traffic>, history: &History) -> Vec<Finding> {
    findings_in("pretix", redis, traffic, history)
}

fn findings_in(app_name: &str, redis: RedisReading, traffic: &Reading<Traffic>, history: &History) -> Vec<Finding> {
    let redis = Reading::Fresh { value: redis, at: T0, took_ms: 3 };
    let facts = SiteFacts {
        name: "tickets",
        redis: &redis,
        heard: Some(T0),
        silent_after_ms: 45_000,
        traffic,
        ..SiteFacts::unseen(app_name, history, T0.plus_secs(1))
    };
    fold(site(&facts, &Thresholds::default(), &mut Memory::default()), &[])
}

fn findings(redis: RedisReading) -> Vec<Finding> {
    findings_of(redis, &Reading::Never, &History::new())
}

/// `level rule[symptom,symptom]` of each finding.
fn named(findings: &[Finding]) -> Vec<String> {
    let one = |f: &Finding| {
        let under: Vec<&str> = f.symptoms.iter().map(|f| f.rule.as_str()).collect();
        let under = if under.is_empty() { String::new() } else { format!("[{}]", under.join(",")) };
        format!("{} {}{under}", f.level.word(), f.rule)
    };
    findings.iter().map(one).collect()
}

fn rules(redis: RedisReading) -> Vec<String> {
    named(&findings(redis))
}

/// A series with a value for each of the last steps, the oldest first.
fn history(name: &str, values: impl DoubleEndedIterator<Item = f64> + ExactSizeIterator) -> History {
    let mut history = History::new();
    let series = history.entry(SeriesKey::new(name)).or_default();
    let steps = i64::try_from(values.len()).unwrap();
    for (step, value) in (0_i64..).zip(values) {
        series.push(T0.plus_secs((step + 1 - steps) * 10), value);
    }
    history
}

#[test]
fn two_workers_and_empty_queues_are_fine() {
    assert_eq!(rules(reading(broker(vec![queue("default", 0, None)]))), [""; 0]);
}

#[test]
fn no_worker_is_the_cause_of_what_waits_and_of_what_is_held() {
    let late = nobody(vec![queue("checkout", 40, Some(90)), queue("mail", 3, Some(90))], 7);
    assert_eq!(rules(reading(late)), ["critical worker-gone[queue-late,tasks-unacked]"]);
    assert_eq!(rules(reading(nobody(vec![], 0))), ["critical worker-gone"]);
}

#[test]
fn a_worker_that_is_restarted_is_a_note_for_twenty_seconds() {
    let gone_for = |steps: usize| {
        let values = std::iter::repeat_n(2.0, 30).chain(std::iter::repeat_n(0.0, steps)).collect::<Vec<_>>();
        named(&findings_of(reading(nobody(vec![], 4)), &Reading::Never, &history(names::WORKERS, values.into_iter())))
    };
    assert_eq!(gone_for(1), ["note worker-gone[tasks-unacked]"]);
    assert_eq!(gone_for(4), ["critical worker-gone[tasks-unacked]"]);
}

#[test]
fn a_worker_is_hung_only_where_it_neither_asks_nor_beats() {
    let quiet = |beating, silent, idle| Broker {
        unacked: Some(8),
        unacked_oldest_s: Some(idle),
        quiet: 1,
        consumer_idle_s: Some(idle),
        beating,
        silent,
        ..broker(vec![queue("default", 12, Some(20))])
    };
    assert_eq!(rules(reading(quiet(2, 0, 900))), [""; 0], "busy with a long task");
    assert_eq!(rules(reading(quiet(1, 1, 900))), ["critical worker-hung"]);
    assert_eq!(rules(reading(quiet(1, 1, 9))), ["note worker-hung"], "it may just be restarting");
    let unsure = findings(reading(quiet(0, 0, 900)));
    assert_eq!(named(&unsure), ["warning worker-hung"]);
    assert!(unsure[0].suspected && unsure[0].title.starts_with("Suspected: "), "{unsure:?}");
    let stopping = |idle| Broker { quiet: 2, subscriptions: Some(0), ..quiet(0, 2, idle) };
    assert_eq!(rules(reading(stopping(30))), [""; 0], "a graceful stop ends its tasks first");
    assert_eq!(rules(reading(stopping(90))), ["warning worker-gone"]);
}

#[test]
fn tasks_of_a_dead_worker_are_told_though_a_new_one_is_there() {
    let held = |worker, oldest| Broker {
        unacked: Some(3),
        unacked_oldest_s: Some(oldest),
        consumer_age_s: Some(worker),
        ..broker(vec![])
    };
    let told = findings(reading(held(300, 1500)));
    assert_eq!(named(&told), ["warning tasks-unacked"]);
    assert!(told[0].evidence.contains("for 25m00s; given to another worker in about 35m00s"), "{}", told[0].evidence);
    assert_eq!(told[0].since.at, T0.plus_secs(-1500));
    assert_eq!(rules(reading(held(9000, 1500))), [""; 0], "a worker may hold what is not due yet");
}

#[test]
fn a_backlog_that_grows_while_workers_take_names_the_slow_task() {
    let task = |name: &str, rate, mean_s| Task {
        name: name.to_owned(),
        rate: Some(rate),
        latency: Latency { mean_s: Some(mean_s), ..Latency::default() },
        ..Task::default()
    };
    let traffic =
        Traffic { tasks: vec![task("mail.send", 2.0, 0.1), task("tickets.generate", 0.5, 4.0)], ..Traffic::default() };
    let traffic = Reading::Fresh { value: traffic, at: T0, took_ms: 3 };
    let name = [names::QUEUE_OF, "background"].concat();
    let told = |values: Vec<f64>, now: u64| {
        let redis = reading(broker(vec![queue("background", now, Some(12))]));
        findings_of(redis, &traffic, &history(&name, values.into_iter()))
    };
    let growing = told((0..60).map(|n| f64::from(n * 3)).collect(), 180);
    assert_eq!(named(&growing), ["warning queue-growing"]);
    assert!(growing[0].title.contains("by 18 a minute"), "{}", growing[0].title);
    assert!(growing[0].evidence.contains("91 % of their time goes to tickets.generate (4.00 s each)"), "{growing:?}");
    let drains: Vec<f64> = (0..60).map(|n| f64::from(if n < 30 { n * 6 } else { 360 - n * 6 })).collect();
    assert_eq!(named(&told(drains, 40)), [""; 0], "a rush that is being worked off");
    assert_eq!(named(&told((0..20).map(|n| f64::from(n * 9)).collect(), 180)), [""; 0], "watched for three minutes");
    assert_eq!(named(&told((0..60).map(f64::from).collect(), 12)), [""; 0], "no backlog");
}

#[test]
fn a_full_redis_refuses_and_a_nearly_full_one_says_what_comes() {
    let filled = |used, policy: &str| {
        let mut redis = reading(broker(vec![]));
        redis.server.used_memory = Some(used * MB);
        redis.server.policy = Some(policy.to_owned());
        redis
    };
    assert_eq!(rules(filled(95, "noeviction")), ["warning redis-memory"]);
    assert_eq!(rules(filled(95, "allkeys-lru")), ["warning redis-memory"]);
    assert_eq!(rules(filled(95, "volatile-lru")), [""; 0], "room is made by what may go");
    let cache = RedisReading { broker: None, ..filled(100, "allkeys-lru") };
    assert_eq!(rules(cache), [""; 0], "a full cache is as it should be");
    let full = RedisReading { refuses_writes: Some("memory is used up".to_owned()), ..filled(100, "noeviction") };
    assert_eq!(rules(full), ["critical redis-refuses-writes"]);
}

#[test]
fn a_broker_that_evicts_loses_tasks_a_cache_does_not() {
    let evicting = |total, recent| {
        let mut redis = reading(broker(vec![]));
        redis.server.policy = Some("allkeys-lru".to_owned());
        redis.server.evicted = Some(Counter { total, recent });
        redis
    };
    let mut full = evicting(120, 9);
    full.server.used_memory = Some(99 * MB);
    assert_eq!(rules(full), ["critical redis-evicts"], "said once");
    assert_eq!(rules(evicting(120, 9)), ["critical redis-evicts"]);
    assert_eq!(rules(evicting(120, 0)), ["warning redis-evicts"]);
    assert_eq!(rules(evicting(0, 0)), [""; 0]);
    let behind = RedisReading { broker_server: Some(server()), ..evicting(120, 9) };
    assert_eq!(rules(behind), [""; 0], "the queues are on another server");
    let mut before = reading(broker(vec![]));
    before.broker_server = Some(evicting(120, 9).server);
    let told = findings(before);
    assert_eq!((named(&told), told[0].subject.as_str()), (vec!["critical redis-evicts".to_owned()], "queues"));
}

#[test]
fn tasks_that_a_restore_has_put_aside_are_a_note_for_each() {
    let parked = |with: &str, tasks, ago: i64| Parked { with: with.to_owned(), tasks, since: T0.plus_secs(-ago) };
    let all = vec![parked("pretix_held_2", 1_204, 7_200), parked("pretix_held_1", 0, 9_000), parked("/b/last", 1, 60)];
    let told = findings(reading(Broker { parked: all, ..broker(vec![]) }));
    assert_eq!(named(&told), ["note tasks-parked", "note tasks-parked"]);
    let titles: Vec<&str> = told.iter().map(|finding| finding.title.as_str()).collect();
    assert!(titles.contains(&"1204 tasks are parked since a restore 2h00m ago"), "{titles:?}");
    assert!(
        told.iter().any(|finding| finding.evidence.contains("with /b/last") && finding.title.starts_with("1 task is"))
    );
}

#[test]
fn a_failed_snapshot_is_told_before_and_after_it_blocks_writes() {
    let mut redis = reading(broker(vec![]));
    redis.server.persistence = Persistence {
        snapshot_failed: Some(true),
        changes: Some(812),
        snapshot_age_s: Some(5400),
        ..Persistence::default()
    };
    let told = findings(redis.clone());
    assert_eq!(named(&told), ["warning redis-snapshot"]);
    assert!(told[0].evidence.contains("812 changes not saved · last good snapshot 1h30m ago"), "{}", told[0].evidence);
    redis.refuses_writes = Some("its last snapshot could not be written".to_owned());
    let told = findings(redis);
    assert_eq!(named(&told), ["critical redis-refuses-writes"]);
    assert!(told[0].evidence.contains("812 changes"), "{}", told[0].evidence);
}

#[test]
fn a_replica_and_a_stale_socket_are_told_once() {
    let mut redis = reading(broker(vec![]));
    redis.server.role = "slave".to_owned();
    redis.server.master =
        Some(Master { place: "10.0.0.2:6379".to_owned(), linked: false, down_s: Some(40), read_only: true });
    redis.refuses_writes = Some("it is a read-only replica of 10.0.0.2".to_owned());
    let told = findings(redis.clone());
    assert_eq!(named(&told), ["critical redis-wrong-role"]);
    assert!(told[0].evidence.contains("lost its master for 40 s"), "{}", told[0].evidence);
    redis.server.master.as_mut().unwrap().read_only = false;
    redis.refuses_writes = None;
    assert_eq!(rules(redis), ["warning redis-wrong-role"]);

    let stale = RedisReading { stale_socket: Some("process 41 sees …".to_owned()), ..reading(broker(vec![])) };
    assert_eq!(rules(stale), ["critical redis-stale-socket"]);
}

#[test]
fn connections_that_run_out_are_told() {
    let with = |clients, recent| {
        let mut redis = reading(broker(vec![]));
        (redis.server.clients, redis.server.max_clients) = (Some(clients), Some(100));
        redis.server.rejected = Some(Counter { total: 3, recent });
        redis
    };
    assert_eq!(rules(with(50, 0)), [""; 0], "refused once, long ago");
    assert_eq!(rules(with(93, 0)), ["warning redis-clients"]);
    assert_eq!(rules(with(93, 2)), ["critical redis-clients"]);
    assert_eq!(findings(with(93, 2))[0].level, Level::Critical);
}

#[test]
fn a_redis_that_may_be_a_cache_only_lacks_no_worker() {
    let found = |app: &str, broker: Broker| {
        let findings = findings_in(app, reading(broker), &Reading::Never, &History::new());
        findings.iter().any(|finding| finding.rule == "worker-gone")
    };
    let empty = Broker { consumers: Some(0), subscriptions: Some(0), ..Broker::default() };
    assert!(!found("web application", empty.clone()));
    assert!(found("pretix 2026.8.0", empty.clone()), "pretix never does without");
    assert!(found("web application", Broker { unacked: Some(3), ..empty }), "somebody took tasks there");
}
