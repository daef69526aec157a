//! What the database, Redis and the workers say (FIELD INC-03, INC-04, INC-15, INC-16, INC-21, INC-22, INC-25, INC-28).

use super::{Claim, Since, SiteFacts, Thresholds};
use crate::domain::database::DatabaseReading;
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::redis::{Broker, RedisReading};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::share;

/// A live worker asks for tasks every second; one that has not for so long is hung (FIELD R-WORK: idle > 5 s).
pub const CONSUMER_HUNG_S: u64 = 5;

/// What the stack below the application claims.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    match facts.database {
        Reading::Fresh { value, at, .. } => database(value, *at, limits, &mut out),
        Reading::Stale { failed_since, why, .. } => out.push(gone(
            "database-down",
            "The database does not answer",
            why,
            *failed_since,
            SourceKind::Database,
            true,
        )),
        Reading::Failed { failed_since, why } => out.push(gone(
            "database-down",
            "The database does not answer",
            why,
            *failed_since,
            SourceKind::Database,
            false,
        )),
        Reading::Never | Reading::Unseen { .. } => {}
    }
    match facts.redis {
        Reading::Fresh { value, at, .. } => redis(value, *at, limits, &mut out),
        Reading::Stale { failed_since, why, .. } => {
            out.push(gone("redis-down", "Redis does not answer", why, *failed_since, SourceKind::Redis, true));
        }
        Reading::Failed { failed_since, why } => {
            out.push(gone("redis-down", "Redis does not answer", why, *failed_since, SourceKind::Redis, false));
        }
        Reading::Never | Reading::Unseen { .. } => {}
    }
    out
}

fn gone(rule: &'static str, title: &str, why: &str, at: Timestamp, source: SourceKind, seen: bool) -> Claim {
    Claim {
        rule,
        subject: String::new(),
        level: Level::Critical,
        title: title.to_owned(),
        evidence: why.to_owned(),
        source,
        at,
        since: Some(Since { at, seen }),
    }
}

fn claim(
    rule: &'static str,
    level: Level,
    title: String,
    evidence: String,
    source: SourceKind,
    at: Timestamp,
) -> Claim {
    Claim { rule, subject: String::new(), level, title, evidence, source, at, since: None }
}

fn database(db: &DatabaseReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let name = db.engine.name();
    if db.read_only {
        out.push(claim(
            "database-read-only",
            Level::Critical,
            format!("{name} refuses writes: it is read-only or a standby"),
            format!("{name} {}", db.version),
            SourceKind::Database,
            at,
        ));
    }
    if let (Some(used), Some(usable)) = (db.sessions, db.usable_sessions.filter(|n| *n > 0)) {
        let part = f64::from(used) / f64::from(usable);
        let level = if part >= limits.connections_critical {
            Some(Level::Critical)
        } else {
            (part >= limits.connections_warning).then_some(Level::Warning)
        };
        if let Some(level) = level {
            let title = format!("{name} has {used} of {usable} connections in use");
            let evidence = format!("{} of what an ordinary role can have", text::percent(part));
            out.push(claim("database-connections", level, title, evidence, SourceKind::Database, at));
        }
    }
    let worst = db.blockers.iter().max_by_key(|b| b.blocks);
    if let Some(root) = worst.filter(|b| b.transaction_s >= 5.0 || db.waiting.unwrap_or(0) > 0) {
        let level =
            if root.transaction_s >= limits.blocked_s || root.blocks >= 3 { Level::Critical } else { Level::Warning };
        let app = if root.application.is_empty() { String::new() } else { format!(" ({})", root.application) };
        let title =
            format!("A lock in {name}: session {}{app} blocks {}", root.pid, text::count(root.blocks.into(), "other"));
        let evidence = format!(
            "{} in a transaction of {}; nothing blocks it: it is the root",
            root.state,
            seconds(root.transaction_s)
        );
        let mut lock = claim("database-lock", level, title, evidence, SourceKind::Database, at);
        #[expect(clippy::cast_possible_truncation, reason = "a transaction's age in milliseconds fits")]
        let began = at.plus_millis(-((root.transaction_s * 1000.0) as i64));
        lock.since = Some(Since { at: began, seen: true });
        out.push(lock);
    } else if let Some(waiting) = db.waiting.filter(|n| *n > 0) {
        let title = format!(
            "{} in {name} for a lock",
            if waiting == 1 { "1 session waits".to_owned() } else { format!("{waiting} sessions wait") }
        );
        let evidence = "who blocks them can't be seen with this role".to_owned();
        out.push(claim("database-lock", Level::Warning, title, evidence, SourceKind::Database, at));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a span can show")]
fn seconds(s: f64) -> String {
    text::span((s.clamp(0.0, 1e12) * 1000.0) as u64)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn redis(redis: &RedisReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    if let Some(why) = &redis.refuses_writes {
        out.push(claim(
            "redis-refuses-writes",
            Level::Critical,
            format!("Redis refuses writes: {why}"),
            memory(redis),
            SourceKind::Redis,
            at,
        ));
    } else if let (Some(used), Some(max)) = (redis.server.used_memory, redis.server.max_memory.filter(|m| *m > 0))
        && share(used as f64, max as f64).is_some_and(|s| s >= limits.redis_memory_warning)
    {
        let title = format!("Redis has {} of {} in use", text::bytes(used), text::bytes(max));
        out.push(claim("redis-memory", Level::Warning, title, memory(redis), SourceKind::Redis, at));
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
            let mut late = claim("queue-late", level, title, evidence, SourceKind::Redis, at);
            late.subject.clone_from(&queue.name);
            late.since = Some(Since { at: at.plus_secs(-i64::try_from(oldest).unwrap_or(0)), seen: false });
            out.push(late);
        }
    }
}

fn memory(redis: &RedisReading) -> String {
    let limit = match redis.server.max_memory {
        Some(0) => "no limit".to_owned(),
        Some(max) => format!("of {}", text::bytes(max)),
        None => String::new(),
    };
    let used = redis.server.used_memory.map(text::bytes).unwrap_or_default();
    [used, limit, redis.server.policy.clone().unwrap_or_default()]
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
        out.push(claim("worker-gone", Level::Critical, title, evidence, SourceKind::Redis, at));
    } else if let Some(idle) = broker.consumer_idle_s.filter(|s| *s > CONSUMER_HUNG_S) {
        let title = format!("A worker hangs: it has not asked for a task for {}", text::span(idle * 1000));
        let level = if broker.waiting() > 0 { Level::Critical } else { Level::Warning };
        let evidence = format!("{evidence}; {} connected", text::count(consumers.into(), "worker"));
        out.push(claim("worker-hung", level, title, evidence, SourceKind::Redis, at));
    }
}
