//! What queues and workers say (FIELD INC-03, INC-04, INC-05).

use super::claim;
use crate::domain::history::{self, History, SeriesKey, names};
use crate::domain::level::Level;
use crate::domain::redis::{Broker, Labour, Parked, RedisReading, VISIBILITY_S, WaitingQueue};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::{Task, Traffic};
use crate::triage::{Claim, SiteFacts, Thresholds};

/// A worker that is being restarted is away for less than this (pretix' takes about 8 s, 15 s while it ends tasks).
const RESTART_S: u64 = 20;
/// One that ends its last tasks before it stops may take this long before anybody should look.
const LEAVING_S: u64 = 60;
/// A worker without heartbeats that holds tasks may just have a long one; from so many seconds on it is suspected.
const UNSURE_S: u64 = 120;
/// How far clocks of hosts may be apart, beside what Redis' own clock shows, in seconds.
const SKEW_S: u64 = 20;
/// For how long a queue must grow while workers take from it, in seconds (FIELD INC-04: 10 min).
const GROWING_S: i64 = 600;
/// A queue shorter than this is no backlog, however it grew.
const GROWING_TASKS: u64 = 20;
/// A task that takes this share of the workers' time is named.
const SLOW_SHARE: f64 = 0.4;

/// What the broker's side claims.
pub(super) fn claims(
    facts: &SiteFacts<'_>,
    redis: &RedisReading,
    at: Timestamp,
    limits: &Thresholds,
    out: &mut Vec<Claim>,
) {
    let Some(broker) = &redis.broker else { return };
    out.extend(workers(broker, facts, at));
    out.extend(unacked(redis, broker, facts, at));
    out.extend(broker.parked.iter().filter(|parked| parked.tasks > 0).map(|parked| aside(parked, at)));
    for queue in &broker.queues {
        out.extend(late(queue, broker, at, limits));
        out.extend(growing(queue, broker, facts, at));
    }
}

/// Worker dead or hung while every page is fine (INC-03; pretix' post-mortem of 2018-11-26).
fn workers(broker: &Broker, facts: &SiteFacts<'_>, at: Timestamp) -> Option<Claim> {
    let held = broker.unacked.filter(|n| *n > 0);
    let held = held.map(|n| format!(", {} held unacknowledged", text::count(n, "task"))).unwrap_or_default();
    let mut evidence = format!("{} in all queues{held}", text::tasks_wait(broker.waiting()));
    let waits = broker.waiting() > 0;
    let worse = if waits { Level::Critical } else { Level::Warning };
    let connected = broker.consumers.map_or(0, u64::from);
    match broker.labour() {
        Labour::Gone => match last_worker(facts.history, at) {
            Some(ago) if ago < RESTART_S => {
                let title = format!("No worker for {}: it may be restarting", text::span(ago * 1000));
                Some(claim("worker-gone", Level::Note, title, evidence, at))
            }
            // A Redis that may be a cache only: nothing waits in it, and nobody was ever seen to work for it.
            None if !waits && broker.unacked.unwrap_or(0) == 0 && !facts.has_workers() => None,
            Some(_) | None => {
                let shop = facts.app_name.starts_with("pretix");
                let what = if shop { "carts, orders and mail hang" } else { "background work stands still" };
                let title = format!("No worker takes tasks: {what} while pages work");
                Some(claim("worker-gone", Level::Critical, title, evidence, at))
            }
        },
        Labour::Hung(hung, idle) => {
            let level = if idle < RESTART_S { Level::Note } else { worse };
            let what = if broker.silent > 0 { "no heartbeat" } else { "no question for a task" };
            let title = format!("{}: {what} for {}", hang(hung), text::span(idle * 1000));
            let evidence = format!("{evidence}; {} connected", text::count(connected, "worker"));
            Some(claim("worker-hung", level, title, evidence, at).since(before(at, idle), true))
        }
        Labour::Leaving(leaving, idle) if idle >= LEAVING_S && u64::from(leaving) >= connected => {
            let title =
                format!("No worker takes tasks: the last one has been stopping for {}", text::span(idle * 1000));
            evidence.push_str("; it ends the tasks it has begun first");
            Some(claim("worker-gone", Level::Warning, title, evidence, at))
        }
        Labour::Unsure(unsure, idle) if idle >= UNSURE_S && waits => {
            let title = format!("{}: no question for a task for {}", hang(unsure), text::span(idle * 1000));
            evidence.push_str("; busy with a long task or hung: it sends no heartbeats");
            Some(claim("worker-hung", Level::Warning, title, evidence, at).suspected())
        }
        // A graceful stop takes a while; a worker that can't be seen is not one that is gone.
        Labour::Unknown | Labour::Asking | Labour::Busy(_) | Labour::Leaving(..) | Labour::Unsure(..) => None,
    }
}

fn before(at: Timestamp, secs: u64) -> Timestamp {
    at.plus_secs(-i64::try_from(secs).unwrap_or(0))
}

fn hang(n: u32) -> String {
    if n == 1 { "A worker hangs".to_owned() } else { format!("{n} workers hang") }
}

/// How many seconds before `at` a worker was last there, as far as history knows.
fn last_worker(history: &History, at: Timestamp) -> Option<u64> {
    let series = history.get(&SeriesKey::new(names::WORKERS))?;
    let last = series.points().rev().find(|point| point.value >= 1.0)?;
    // The end of its step, which may lie ahead.
    let end = Timestamp::from_millis((last.step + 1).saturating_mul(history::STEP_S * 1000));
    Some(at.secs_since(end))
}

/// Tasks that belong to a worker that is gone (INC-05, FIELD T-15).
fn unacked(redis: &RedisReading, broker: &Broker, facts: &SiteFacts<'_>, at: Timestamp) -> Option<Claim> {
    let held = broker.unacked.filter(|n| *n > 0)?;
    let gone = broker.labour() == Labour::Gone;
    let ahead = redis.broker_home().and_then(|home| home.clock_ahead_ms).map_or(0, |ms| ms.unsigned_abs() / 1000);
    let orphaned = broker.orphaned_s(SKEW_S + ahead);
    if !gone && orphaned.is_none() {
        return None;
    }
    let title = match (gone, held) {
        (true, 1) => "1 task is held by a worker that is gone".to_owned(),
        (true, n) => format!("{n} tasks are held by workers that are gone"),
        (false, n) => format!("Of {} in hand, some belong to a worker that is gone", text::count(n, "task")),
    };
    let back = match broker.unacked_oldest_s {
        Some(age) if age < VISIBILITY_S => {
            let left = text::span((VISIBILITY_S - age) * 1000);
            format!("the oldest for {}; given to another worker in about {left}", text::span(age * 1000))
        }
        Some(age) => format!("the oldest for {}; given to another worker any moment", text::span(age * 1000)),
        None => "given to another worker after an hour".to_owned(),
    };
    let restarting = gone && last_worker(facts.history, at).is_some_and(|ago| ago < RESTART_S);
    let level = if restarting { Level::Note } else { Level::Warning };
    let evidence =
        format!("{back}, where the visibility timeout is the usual 1 h and a worker runs; they may run twice");
    let claim = claim("tasks-unacked", level, title, evidence, at);
    Some(match orphaned {
        Some(age) => claim.since(before(at, age), false),
        None => claim,
    })
}

/// What a restore has put aside, and nobody has given back or dropped.
fn aside(parked: &Parked, at: Timestamp) -> Claim {
    let verb = if parked.tasks == 1 { "is" } else { "are" };
    let since = text::span(at.millis_since(parked.since));
    let title = format!("{} {verb} parked since a restore {since} ago", text::count(parked.tasks, "task"));
    let evidence = format!("put aside with {}; nobody does them", text::plain(&parked.with, 120));
    claim("tasks-parked", Level::Note, title, evidence, at).of(parked.with.as_str()).since(parked.since, true)
}

fn late(queue: &WaitingQueue, broker: &Broker, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let money = queue.name == "checkout";
    let (warning, critical) = if money {
        (limits.checkout_wait_warning_s, limits.checkout_wait_critical_s)
    } else {
        (limits.queue_wait_warning_s, limits.queue_wait_critical_s)
    };
    let oldest = queue.oldest_at_least_s.filter(|s| *s >= warning && queue.waiting > 0)?;
    let level = if oldest >= critical { Level::Critical } else { Level::Warning };
    let title = format!(
        "{} in queue {}, the oldest ≥ {}",
        text::tasks_wait(queue.waiting),
        queue.name,
        text::span(oldest * 1000)
    );
    let mut evidence = Vec::new();
    if money {
        evidence.push("carts and orders wait for this queue".to_owned());
    }
    if let Labour::Busy(n) = broker.labour() {
        evidence.push(format!(
            "{} busy and alive: too few, or one slow task",
            if n == 1 { "a worker is" } else { "workers are" }
        ));
    }
    let late = claim("queue-late", level, title, evidence.join("; "), at);
    Some(late.of(queue.name.as_str()).since(before(at, oldest), false))
}

/// A backlog that grows although workers take from it (INC-04).
fn growing(queue: &WaitingQueue, broker: &Broker, facts: &SiteFacts<'_>, at: Timestamp) -> Option<Claim> {
    if queue.waiting < GROWING_TASKS || !matches!(broker.labour(), Labour::Asking | Labour::Busy(_)) {
        return None;
    }
    let per_minute = growth(facts.history, &queue.name, at)?;
    let (name, waiting, pace) = (&queue.name, text::tasks_wait(queue.waiting), rounded(per_minute));
    let title = format!("Queue {name} has grown for 10 min, by {pace} a minute: {waiting}");
    let workers = text::count(broker.consumers.map_or(0, u64::from), "worker");
    let slow = facts.traffic.value().and_then(slowest).unwrap_or_default();
    let evidence =
        [format!("{workers} alive"), slow].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("; ");
    let growing = claim("queue-growing", Level::Warning, title, evidence, at);
    Some(growing.of(queue.name.as_str()).since(at.plus_secs(-GROWING_S), false))
}

fn rounded(per_minute: f64) -> String {
    if per_minute < 9.95 { format!("{per_minute:.1}") } else { format!("{per_minute:.0}") }
}

/// Tasks a minute by which a queue grew over the last [`GROWING_S`], if each third of that time was longer than the one
/// before and all of it was watched.
fn growth(history: &History, queue: &str, at: Timestamp) -> Option<f64> {
    let series = history.get(&SeriesKey::new([names::QUEUE_OF, queue].concat()))?;
    let (to, steps) = (history::step_of(at), GROWING_S / history::STEP_S);
    let mut thirds = [Vec::new(), Vec::new(), Vec::new()];
    for point in series.points().rev().take_while(|point| to - point.step <= steps) {
        let third = usize::try_from((to - point.step) * 3 / (steps + 1)).unwrap_or(0);
        if let Some(values) = thirds.get_mut(third) {
            values.push(f64::from(point.value));
        }
    }
    let enough = usize::try_from(steps / 3).unwrap_or(usize::MAX) / 2;
    let [newest, middle, oldest] = thirds.map(|values| (values.len() >= enough).then(|| median(values)).flatten());
    let (newest, middle, oldest) = (newest?, middle?, oldest?);
    // From the middle of the oldest third to the middle of the newest.
    #[expect(clippy::cast_precision_loss, reason = "ten minutes in seconds")]
    let minutes = GROWING_S as f64 * 2.0 / 3.0 / 60.0;
    (oldest < middle && middle < newest).then(|| (newest - oldest) / minutes)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The task that takes most of the workers' time, where one does.
fn slowest(traffic: &Traffic) -> Option<String> {
    let time = |task: &Task| task.rate.unwrap_or(0.0) * task.latency.mean_s.unwrap_or(0.0);
    let all: f64 = traffic.tasks.iter().map(time).sum();
    let most = traffic.tasks.iter().max_by(|a, b| time(a).total_cmp(&time(b)))?;
    let share = if all > 0.0 { time(most) / all } else { 0.0 };
    let mean = most.latency.mean_s.unwrap_or(0.0) * 1000.0;
    (share >= SLOW_SHARE)
        .then(|| format!("{} of their time goes to {} ({} each)", text::percent(share), most.name, text::latency(mean)))
}
