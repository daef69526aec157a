//! What Redis and its servers say (FIELD INC-25 to INC-28).

use super::{Claim, Rule, SiteFacts, Thresholds};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::redis::{RedisReading, RedisServer};
use crate::domain::text;
use crate::domain::time::Timestamp;

mod tasks;

/// Used share of the clients a server admits that is a warning (awesome-prometheus-alerts: 90 %).
const CLIENTS_WARNING: f64 = 0.90;

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
        id: "redis-evicts",
        incidents: &["INC-26"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "The server that holds the queues throws away any key for room (allkeys-*): queued tasks get lost without an error.",
        mend: "Set maxmemory-policy to noeviction or volatile-lru and give it memory; then look for lost work (mail, orders without a ticket).",
        danger: "Nothing tells which tasks are lost.",
        runbook: None,
    },
    Rule {
        id: "redis-snapshot",
        incidents: &["INC-27"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "Redis can't write its snapshot or its append-only file; a crash now loses what changed since, and it may begin to refuse writes.",
        mend: "Find out why in its log: disk full, or no permission. Then see a BGSAVE succeed.",
        danger: "stop-writes-on-bgsave-error switched off hides it and is forgotten.",
        runbook: None,
    },
    Rule {
        id: "redis-wrong-role",
        incidents: &["INC-28"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "The application is connected to a replica: its writes are refused, or lost at the next sync.",
        mend: "Find out which node is the master and who switched; point the application there, or hand over to who runs the cluster.",
        danger: "REPLICAOF NO ONE on the wrong node makes two masters.",
        runbook: None,
    },
    Rule {
        id: "redis-stale-socket",
        incidents: &["INC-28"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "Redis made its socket anew, and a container still sees the directory that was removed.",
        mend: "Restart that container only.",
        danger: "Restarting Redis again repeats the fault.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "redis-clients",
        incidents: &["INC-28"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "Redis has, or nearly has, as many clients as it admits (maxclients); it refuses more.",
        mend: "See who holds them (CLIENT LIST); restart what leaks connections.",
        danger: "CLIENT KILL of a worker's connection sends its tasks out twice.",
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
        meaning: "A worker is connected, but has stopped asking for tasks and sending heartbeats; a busy one sends them.",
        mend: "See what it does, then restart it: TERM first.",
        danger: "KILL loses the running task.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "tasks-unacked",
        incidents: &["INC-05"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "Tasks are held by a worker that is gone; they come back after the visibility timeout (an hour) and may run twice.",
        mend: "Start a worker and wait; do not edit the keys.",
        danger: "Pushing them back by hand takes payments or sends mail twice.",
        runbook: Some("restart-services"),
    },
    Rule {
        id: "queue-growing",
        incidents: &["INC-04"],
        reads: &[SourceKind::Redis, SourceKind::Traffic],
        thresholds: &[],
        meaning: "A queue has grown for ten minutes although workers live: too few of them, or one slow task takes their time.",
        mend: "Start another worker for that queue (-Q); see which task takes the time.",
        danger: "Purging the wrong queue loses orders.",
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
    Rule {
        id: "tasks-parked",
        incidents: &["INC-38"],
        reads: &[SourceKind::Redis],
        thresholds: &[],
        meaning: "Tasks that waited when a database was restored are still put aside: nobody does them.",
        mend: "Put the database they are about back (swap-back), which gives them back; or give them back to the one in use \
               (give-back-tasks); or drop them (drop-tasks).",
        danger: "Workers do them on a database that may lack what they are about: mail about orders that are not there.",
        runbook: Some("give-back-tasks"),
    },
];

/// What Redis, its queues and its workers claim.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    match facts.redis {
        Reading::Fresh { value, at, .. } => {
            servers(value, *at, limits, &mut out);
            tasks::claims(facts, value, *at, limits, &mut out);
        }
        Reading::Stale { failed_since, why, .. } => out.push(down(why, *failed_since, true)),
        Reading::Failed { failed_since, why } => out.push(down(why, *failed_since, false)),
        Reading::Never | Reading::Unseen { .. } => {}
    }
    out
}

fn down(why: &str, at: Timestamp, seen: bool) -> Claim {
    Claim::new("redis-down", Level::Critical, "Redis does not answer", why, SourceKind::Redis, at).since(at, seen)
}

/// A claim of Redis about the site as a whole.
fn claim(rule: &'static str, level: Level, title: String, evidence: String, at: Timestamp) -> Claim {
    Claim::new(rule, level, title, evidence, SourceKind::Redis, at)
}

fn servers(redis: &RedisReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    if let Some(why) = &redis.stale_socket {
        let title = "Redis answers here, and a container of the application sees its old directory".to_owned();
        out.push(claim("redis-stale-socket", Level::Critical, title, why.clone(), at));
    }
    let replica = redis.servers().any(|(_, server)| server.is_replica());
    for (index, (what, server)) in redis.servers().enumerate() {
        let holds_queues = redis.broker.is_some() && (index > 0 || redis.broker_server.is_none());
        let subject = if index == 0 { String::new() } else { what.to_owned() };
        let mut add = |rule, level, title, evidence| {
            out.push(claim(rule, level, title, evidence, at).of(subject.as_str()));
        };
        if let Some((level, title, evidence)) = role(server) {
            add("redis-wrong-role", level, title, evidence);
        }
        let evicts = evictions(server, holds_queues);
        // One that makes room is always nearly full.
        let full = if evicts.is_none() { fills(server, holds_queues, limits) } else { None };
        if let Some((level, title)) = evicts {
            add("redis-evicts", level, title, memory(server));
        }
        if redis.refuses_writes.is_none() {
            if let Some((level, title)) = full {
                add("redis-memory", level, title, memory(server));
            }
            if let Some(failure) = server.persistence.failure() {
                let title = format!("Redis can't save its data: {failure}");
                add("redis-snapshot", Level::Warning, title, unsaved(server));
            }
        }
        if let Some((level, title, evidence)) = clients(server) {
            add("redis-clients", level, title, evidence);
        }
    }
    // A replica refuses writes because it is one: said once.
    if let Some(why) = redis.refuses_writes.as_ref().filter(|_| !replica) {
        let title = format!("Redis refuses writes: {why}");
        let home = redis.broker_server.as_ref().filter(|_| why.starts_with("broker: ")).unwrap_or(&redis.server);
        let failure = home.persistence.failure().map(|_| unsaved(home));
        out.push(claim("redis-refuses-writes", Level::Critical, title, failure.unwrap_or_else(|| memory(home)), at));
    }
}

/// A replica where the application writes (INC-28).
fn role(server: &RedisServer) -> Option<(Level, String, String)> {
    if !server.is_replica() {
        return None;
    }
    let master = server.master.clone().unwrap_or_default();
    let of = if master.place.is_empty() { "another server".to_owned() } else { master.place.clone() };
    let link = match (master.linked, master.down_s) {
        (true, _) => "its link to the master is up".to_owned(),
        (false, Some(secs)) => format!("it has lost its master for {}", text::span(secs * 1000)),
        (false, None) => "it has lost its master".to_owned(),
    };
    Some(if master.read_only {
        let title = format!("The application is connected to a read-only replica of {of}: Redis refuses writes");
        (Level::Critical, title, link)
    } else {
        let title = format!("The application writes to a replica of {of}: what it writes is lost at the next sync");
        (Level::Warning, title, link)
    })
}

/// A broker that throws queued tasks away (INC-26). A cache may evict: that is what it is for.
fn evictions(server: &RedisServer, holds_queues: bool) -> Option<(Level, String)> {
    if !holds_queues || !server.evicts_all() {
        return None;
    }
    let evicted = server.evicted.filter(|evicted| evicted.total > 0)?;
    let policy = server.policy.as_deref().unwrap_or_default();
    Some(if evicted.recent > 0 {
        let keys = text::count(evicted.recent, "key");
        (
            Level::Critical,
            format!("Redis throws data away for room ({policy}): {keys} lately; queued tasks may be among them"),
        )
    } else {
        let keys = text::count(evicted.total, "key");
        (Level::Warning, format!("Redis threw {keys} away since it started ({policy}); queued tasks may be among them"))
    })
}

/// Memory that nears its limit, where reaching it does harm.
fn fills(server: &RedisServer, holds_queues: bool, limits: &Thresholds) -> Option<(Level, String)> {
    let (used, limit) = (server.used_memory?, server.max_memory?);
    server.memory_share().filter(|share| *share >= limits.redis_memory_warning)?;
    let then = match server.policy.as_deref() {
        None | Some("noeviction") => "then it refuses writes",
        Some(_) if server.evicts_all() && holds_queues => "then it throws queued tasks away",
        // A cache that is full and makes room is as it should be.
        Some(_) => return None,
    };
    Some((Level::Warning, format!("Redis has {} of {} in use; {then}", text::bytes(used), text::bytes(limit))))
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn clients(server: &RedisServer) -> Option<(Level, String, String)> {
    let (used, most) = (server.clients?, server.max_clients.filter(|most| *most > 0));
    let of = most.map(|most| format!(" of {most}")).unwrap_or_default();
    let evidence = format!("{used}{of} clients connected");
    if let Some(refused) = server.rejected.filter(|rejected| rejected.recent > 0) {
        let title = format!(
            "Redis refused {} lately: it has no room for more clients",
            text::count(refused.recent, "connection")
        );
        return Some((Level::Critical, title, evidence));
    }
    let share = used as f64 / most? as f64;
    (share >= CLIENTS_WARNING)
        .then(|| (Level::Warning, format!("Redis has {used}{of} client connections in use"), evidence))
}

/// What a crash would lose.
fn unsaved(server: &RedisServer) -> String {
    let kept = &server.persistence;
    let changes = kept.changes.map(|n| format!("{} not saved", text::count(n, "change")));
    let age = kept.snapshot_age_s.map(|secs| format!("last good snapshot {} ago", text::span(secs * 1000)));
    let hint = "disk full, or its directory can't be written".to_owned();
    changes.into_iter().chain(age).chain([hint]).collect::<Vec<_>>().join(" · ")
}

fn memory(server: &RedisServer) -> String {
    let limit = match server.max_memory {
        Some(0) => "no limit".to_owned(),
        Some(max) => format!("of {}", text::bytes(max)),
        None => String::new(),
    };
    let used = server.used_memory.map(text::bytes).unwrap_or_default();
    let refused = server.oom_errors.filter(|errors| errors.recent > 0);
    let refused = refused.map(|errors| format!("{} refused lately", text::count(errors.recent, "write")));
    [used, limit, server.policy.clone().unwrap_or_default(), refused.unwrap_or_default()]
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

#[cfg(test)]
mod tests;
