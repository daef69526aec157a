//! What Redis, the queues and the workers say (FIELD INC-03, INC-04, INC-25, INC-28).

use super::{Claim, Rule, Since, SiteFacts, Thresholds};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::redis::{Broker, RedisReading};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::share;

/// A live worker asks for tasks every second; one that has not for so long is hung (FIELD R-WORK: idle > 5 s).
pub const CONSUMER_HUNG_S: u64 = 5;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "redis-down",
        incidents: &["INC-28"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "Redis does not answer: sessions, cache, metrics and queues are gone with it.",
        mend: "Read its log; start it only if it is stopped. If it answers on the host but not to a container, restart the container.",
        danger: "A flush logs everybody out and deletes queued tasks.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "redis-refuses-writes",
        incidents: &["INC-25", "INC-27", "INC-28"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "Redis answers but takes no writes: it is full, its snapshot fails, or it is a replica.",
        mend: "Give it memory or repair its disk, then see a write succeed.",
        danger: "FLUSHALL deletes orders in flight; stop-writes-on-bgsave-error switched off is forgotten.",
        runbook: None,
    },
    Rule {
        id: "redis-memory",
        incidents: &["INC-25"],
        reads: &[SourceKind::Redis],
        thresholds: &["redis_memory_warning"],
        meaning: "Redis comes near its memory limit; with noeviction it will then refuse writes.",
        mend: "See what grows; raise maxmemory as far as the host has memory.",
        danger: "FLUSHALL deletes orders in flight.",
        runbook: None,
    },
    Rule {
        id: "worker-gone",
        incidents: &["INC-03"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "No worker asks for tasks: pages work, but carts, orders and mail hang.",
        mend: "Restart the worker: TERM first, KILL only with a count of the tasks that would be lost.",
        danger: "KILL loses the running task; a flush destroys orders in flight.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "worker-hung",
        incidents: &["INC-03"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "A worker is connected but has stopped asking for tasks.",
        mend: "See what it does, then restart it: TERM first.",
        danger: "KILL loses the running task.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "queue-late",
        incidents: &["INC-03", "INC-04"],
        reads: &[SourceKind::Redis],
        thresholds: &[
            "checkout_wait_warning_s",
            "checkout_wait_critical_s",
            "queue_wait_warning_s",
            "queue_wait_critical_s",
        ],
        meaning: "Tasks wait longer than the application itself finds bearable.",
        mend: "See whether workers are alive; add one for the late queue, or find the task that takes all their time.",
        danger: "Purging the wrong queue loses orders.",
        runbook: Some("restart-services"),
    },
];

/// What Redis claims.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    match facts.redis {
        Reading::Fresh { value, at, .. } => redis(value, *at, limits, &mut out),
        Reading::Stale { failed_since, why, .. } => out.push(gone(why, *failed_since, true)),
        Reading::Failed { failed_since, why } => out.push(gone(why, *failed_since, false)),
        Reading::Never | Reading::Unseen { .. } => {}
    }
    out
}

fn gone(why: &str, at: Timestamp, seen: bool) -> Claim {
    Claim::new("redis-down", Level::Critical, "Redis does not answer", why, SourceKind::Redis, at).since(at, seen)
}

fn claim(rule: &'static str, level: Level, title: String, evidence: String, at: Timestamp) -> Claim {
    Claim::new(rule, level, title, evidence, SourceKind::Redis, at)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn redis(redis: &RedisReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    if let Some(why) = &redis.refuses_writes {
        out.push(claim(
            "redis-refuses-writes",
            Level::Critical,
            format!("Redis refuses writes: {why}"),
            memory(redis),
            at,
        ));
    } else if let (Some(used), Some(max)) = (redis.used_memory, redis.max_memory.filter(|m| *m > 0))
        && share(used as f64, max as f64).is_some_and(|s| s >= limits.redis_memory_warning)
    {
        let title = format!("Redis has {} of {} in use", text::bytes(used), text::bytes(max));
        out.push(claim("redis-memory", Level::Warning, title, memory(redis), at));
    }
    if let Some(broker) = &redis.broker {
        workers(broker, at, out);
        for queue in &broker.queues {
            let money = queue.name == "checkout";
            let (warning, critical) = if money {
                (limits.checkout_wait_warning_s, limits.checkout_wait_critical_s)
            } else {
                (limits.queue_wait_warning_s, limits.queue_wait_critical_s)
            };
            let Some(oldest) = queue.oldest_at_least_s.filter(|s| *s >= warning && queue.waiting > 0) else { continue };
            let level = if oldest >= critical { Level::Critical } else { Level::Warning };
            let title = format!(
                "{} in queue {}, the oldest ≥ {}",
                text::tasks_wait(queue.waiting),
                queue.name,
                text::span(oldest * 1000)
            );
            let evidence = if money { "carts and orders wait for this queue" } else { "" }.to_owned();
            let mut late = claim("queue-late", level, title, evidence, at);
            late.subject.clone_from(&queue.name);
            late.since = Some(Since { at: at.plus_secs(-i64::try_from(oldest).unwrap_or(0)), seen: false });
            out.push(late);
        }
    }
}

fn memory(redis: &RedisReading) -> String {
    let limit = match redis.max_memory {
        Some(0) => "no limit".to_owned(),
        Some(max) => format!("of {}", text::bytes(max)),
        None => String::new(),
    };
    let used = redis.used_memory.map(text::bytes).unwrap_or_default();
    [used, limit, redis.policy.clone().unwrap_or_default()]
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

/// Worker dead or hung while every page is fine (INC-03; pretix' post-mortem of 2018-11-26).
fn workers(broker: &Broker, at: Timestamp, out: &mut Vec<Claim>) {
    let held = broker.unacked.filter(|n| *n > 0);
    let held = held.map(|n| format!(", {} held unacknowledged", text::count(n, "task"))).unwrap_or_default();
    let evidence = format!("{} in all queues{held}", text::tasks_wait(broker.waiting()));
    // Who may not list clients does not know; that is not "no worker".
    let Some(consumers) = broker.consumers else { return };
    if consumers == 0 {
        let title = "No worker takes tasks: carts, orders and mail hang while pages work".to_owned();
        out.push(claim("worker-gone", Level::Critical, title, evidence, at));
    } else if let Some(idle) = broker.consumer_idle_s.filter(|s| *s > CONSUMER_HUNG_S) {
        let title = format!("A worker hangs: it has not asked for a task for {}", text::span(idle * 1000));
        let level = if broker.waiting() > 0 { Level::Critical } else { Level::Warning };
        let evidence = format!("{evidence}; {} connected", text::count(consumers.into(), "worker"));
        out.push(claim("worker-hung", level, title, evidence, at));
    }
}
