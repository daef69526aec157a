//! Redis: is it writable, how full, is it saved, who is connected, what waits.

use ratatui::layout::Rect;

use super::facts::{self, Fact, bar, dotted, fact, sentence};
use crate::app::model::Site;
use crate::domain::history::names;
use crate::domain::id::SourceKind;
use crate::domain::redis::{Broker, Counter, PERIODIC_KEY_S, RedisReading, RedisServer, WaitingQueue};
use crate::ui::canvas::{Canvas, Piece, piece, split_top};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::source::Source;
use crate::ui::strip::slope;
use crate::ui::theme::Role;
use crate::ui::workers;

/// From so many spare rows on the queues have a table of their own.
const TABLE: u16 = 5;
/// Clocks that differ by less say nothing about each other.
const SKEW_MS: i64 = 1000;

/// Draws it; the rest of the area.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, site: &Site, clock: &Clock) -> Rect {
    let source = Source::at(site, SourceKind::Redis);
    let mut title = vec![piece(Role::Title, "redis")];
    if let Some(redis) = site.redis.value() {
        let text = format!("  {} · {}", redis.server.version, format::latency(redis.latency_ms / 1000.0));
        title.push(piece(Role::Muted, text));
    }
    let rest = super::heading(canvas, area, &source, &title, clock);
    let Some(redis) = site.redis.value() else { return rest };
    let current = source.is_current(clock.now);
    let rest = facts::draw(canvas, rest, &facts_of(site, redis, rest.width), current);
    let table = split_top(rest, 1).1;
    if redis.broker.is_none() || table.height < TABLE {
        return rest;
    }
    let used = workers::queues(canvas, table, site);
    split_top(table, used).1
}

fn facts_of(site: &Site, redis: &RedisReading, width: u16) -> Vec<Fact> {
    let mut out = vec![writes(redis)];
    if let Some(broker) = &redis.broker {
        out.push(fact(0, "workers", workers::line(broker)));
        out.push(fact(0, "queues", queues(site, broker)));
    }
    let two = redis.broker_server.is_some();
    for (index, (what, server)) in redis.servers().enumerate() {
        if two {
            let place = dotted([Some(piece(Role::Accent, what)), Some(piece(Role::Muted, server.place.as_str()))]);
            out.push(fact(1, "server", place));
        }
        let lower = u8::from(index > 0 || two);
        out.extend(of_server(server, width, lower));
        if index == 0 {
            out.extend(stale_socket(redis));
        }
    }
    out.extend(redis.periodic_age_s.map(|age| periodic(age, redis.periodic_at_least)));
    out.extend(redis.unseen.iter().map(|why| sentence(1, "? unseen", Role::Unknown, why)));
    out
}

fn writes(redis: &RedisReading) -> Fact {
    let role = match redis.server.role.as_str() {
        "" | "unknown" => piece(Role::Unknown, "? role unknown"),
        "slave" => piece(Role::Critical, "✖ replica"),
        role => piece(Role::Text, role),
    };
    match &redis.refuses_writes {
        Some(why) => sentence(0, "writes", Role::Critical, &["✖ refused: ", why].concat()),
        None if redis.server.role == "unknown" => {
            fact(0, "writes", vec![piece(Role::Unknown, "? INFO may not be asked: unknown whether they are taken")])
        }
        None => fact(0, "writes", dotted([Some(piece(Role::Ok, "✔ ok")), Some(role), link(&redis.server)])),
    }
}

/// Its replicas, or its link to the master.
fn link(server: &RedisServer) -> Option<Piece> {
    match &server.master {
        Some(master) if master.linked => Some(piece(Role::Text, ["follows ", &master.place].concat())),
        Some(master) => Some(piece(Role::Critical, ["✖ lost its master ", &master.place].concat())),
        None => server.replicas.filter(|n| *n > 0).map(|n| piece(Role::Text, format::plural(n as usize, "replica"))),
    }
}

fn of_server(server: &RedisServer, width: u16, lower: u8) -> Vec<Fact> {
    let mut out = vec![memory(server, width)];
    out.extend(saved(server, lower));
    out.push(fact(2 + lower, "clients", clients(server)));
    out.extend(lost(server, lower));
    out.extend(keys(server, lower));
    out.push(fact(4 + lower, "work", work(server)));
    out.retain(|fact| !fact.is_empty());
    out
}

fn memory(server: &RedisServer, width: u16) -> Fact {
    let policy = server.policy.as_deref().unwrap_or("policy unknown");
    let Some(used) = server.used_memory else {
        return fact(0, "memory", vec![piece(Role::Unknown, "? unknown")]);
    };
    let policy = piece(Role::Muted, policy);
    let Some(limit) = server.max_memory.filter(|limit| *limit > 0) else {
        let used = piece(Role::Accent, format::bytes(used));
        return fact(0, "memory", dotted([Some(used), Some(piece(Role::Muted, "no limit")), Some(policy)]));
    };
    let used = piece(Role::Muted, format!("{} of {}", format::bytes(used), format::bytes(limit)));
    fact(0, "memory", bar(width, server.memory_share(), [Some(used), Some(policy)]))
}

/// Snapshots and the append-only file: what a crash would lose.
fn saved(server: &RedisServer, lower: u8) -> Option<Fact> {
    let kept = &server.persistence;
    kept.snapshot_failed?;
    let failure = kept.failure().map(|failure| piece(Role::Warning, ["▲ ", failure].concat()));
    let bad = failure.is_some();
    let age = kept.snapshot_age_s.map(|secs| piece(Role::Text, ["snapshot ", &format::span(secs), " ago"].concat()));
    let changes = kept.changes.map(|n| piece(Role::Text, [&count(n), " changes since"].concat()));
    let log =
        kept.append_only.map(|on| piece(Role::Muted, if on { "append-only file" } else { "no append-only file" }));
    Some(fact(if bad { 0 } else { 1 + lower }, "saved", dotted([failure, age, changes, log])))
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn count(n: u64) -> String {
    format::count(n as f64)
}

fn clients(server: &RedisServer) -> Vec<Piece> {
    let of = |most: u64| [" of ", &count(most)].concat();
    let used = server.clients.map(|n| {
        let text = [count(n), server.max_clients.map(of).unwrap_or_default()].concat();
        piece(Role::Text, text)
    });
    let blocked = server.blocked_clients.map(|n| piece(Role::Muted, [&count(n), " blocked"].concat()));
    let refused = server.rejected.filter(|n| n.total > 0).map(|n| counter(n, "refused"));
    dotted([used, blocked, refused])
}

/// What was thrown away or refused; only where it happened, or could.
fn lost(server: &RedisServer, lower: u8) -> Option<Fact> {
    let limited = server.max_memory.is_some_and(|limit| limit > 0);
    let evicted = server.evicted.filter(|n| limited || n.total > 0);
    let refused = server.oom_errors.filter(|n| n.total > 0);
    let failed = server.misconf_errors.filter(|n| n.total > 0);
    let bad = [evicted, refused, failed].iter().flatten().any(|n| n.recent > 0);
    let pieces = dotted([
        evicted.map(|n| counter(n, "evicted")),
        refused.map(|n| counter(n, "writes refused (memory)")),
        failed.map(|n| counter(n, "writes refused (snapshot)")),
    ]);
    (!pieces.is_empty()).then(|| fact(if bad { 0 } else { 2 + lower }, "lost", pieces))
}

/// How often something happened, and whether lately.
fn counter(counter: Counter, what: &str) -> Piece {
    if counter.recent > 0 {
        piece(Role::Warning, format!("▲ {} {what} in 10 min", count(counter.recent)))
    } else {
        piece(Role::Muted, format!("{} {what}", count(counter.total)))
    }
}

fn keys(server: &RedisServer, lower: u8) -> Option<Fact> {
    let databases: Vec<Option<Piece>> = server
        .keys
        .iter()
        .map(|keys| Some(piece(Role::Text, format!("db{} {}", keys.database, count(keys.count)))))
        .collect();
    (!databases.is_empty()).then(|| fact(3 + lower, "keys", dotted(databases)))
}

fn work(server: &RedisServer) -> Vec<Piece> {
    let muted = |text: String| piece(Role::Muted, text);
    let skew = server.clock_ahead_ms.filter(|ms| ms.abs() >= SKEW_MS).map(|ms| {
        let way = if ms > 0 { "ahead" } else { "behind" };
        piece(Role::Warning, format!("▲ its clock is {} {way}", format::millis(ms.unsigned_abs())))
    });
    dotted([
        skew,
        server.ops_per_s.map(|n| muted([&count(n), " ops/s"].concat())),
        server.hit_share.map(|share| muted([&format::share(share), " hits"].concat())),
        server.slow_entries.map(|n| muted([&count(n), " in slow log"].concat())),
        server.uptime_s.map(|secs| muted(["up ", &format::span(secs)].concat())),
    ])
}

fn stale_socket(redis: &RedisReading) -> Option<Fact> {
    let why = redis.stale_socket.as_ref()?;
    Some(sentence(0, "socket", Role::Critical, &["✖ ", why].concat()))
}

/// What waits, the longest queue first.
fn queues(site: &Site, broker: &Broker) -> Vec<Piece> {
    let total = broker.waiting();
    let role = if total > 0 { Role::Accent } else { Role::Text };
    let pace = slope(&site.history, names::QUEUE).filter(|pace| pace.abs() >= 0.05).map(|pace| {
        let (role, way) = if pace > 0.0 { (Role::Warning, "↑ ") } else { (Role::Text, "↓ ") };
        piece(role, [way, &format::rate(pace.abs()), "/s"].concat())
    });
    let mut longest: Vec<&WaitingQueue> = broker.queues.iter().filter(|queue| queue.waiting > 0).collect();
    longest.sort_by(|a, b| b.waiting.cmp(&a.waiting).then_with(|| a.name.cmp(&b.name)));
    let each = longest.into_iter().take(4).map(|queue| {
        let oldest = queue.oldest_at_least_s.filter(|secs| *secs > 0);
        let oldest = oldest.map(|secs| [" ≥ ", &format::span(secs)].concat()).unwrap_or_default();
        Some(piece(Role::Text, [queue.name.as_str(), " ", &count(queue.waiting), &oldest].concat()))
    });
    dotted([Some(piece(role, [&count(total), " waiting"].concat())), pace].into_iter().chain(each))
}

fn periodic(age_s: u64, at_least: bool) -> Fact {
    let span = format::span(age_s);
    let text = if at_least && age_s >= PERIODIC_KEY_S {
        piece(Role::Warning, ["▲ no run for ", &span, " or longer"].concat())
    } else if at_least {
        piece(Role::Unknown, ["? no run in the ", &span, " this server remembers"].concat())
    } else {
        piece(Role::Text, ["ran ", &span, " ago"].concat())
    };
    fact(3, "periodic", vec![text])
}
