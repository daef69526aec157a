//! What was, as series of points: the "since when" strips, on screen and on disk.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::observation::Observation;
use super::reading::Seen;
use super::time::Timestamp;

/// Seconds between two points of a series in memory and in the finest tier on disk.
pub const STEP_S: i64 = 10;

/// A point that comes later than this many steps means that the clock was set back.
const LATE_STEPS: i64 = 6;

/// A minute of points, and of steps.
const MINUTE: usize = 6;
const MINUTE_STEPS: i64 = 6;
/// So many steps after a jump there is a trend again.
const SETTLED_STEPS: i64 = 3;

/// What one step makes up of all changes where it is a jump.
const JUMP: f32 = 0.45;

/// Points kept per series in memory: three hours.
pub const POINTS: usize = 1080;

/// Queues of a site that have a series of their own.
pub const QUEUES: usize = 16;

/// The name of a series: `health`, `requests`, `errors`, `queue`, `disk:/var`, …
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesKey(pub String);

impl SeriesKey {
    /// A series by its fixed name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// Names of series that always mean the same.
pub mod names {
    /// [`crate::domain::health::HealthState::height`]; the worst within a step.
    pub const HEALTH: &str = "health";
    /// Latency of the healthcheck, ms.
    pub const LATENCY: &str = "latency";
    /// Requests per second.
    pub const REQUESTS: &str = "requests";
    /// Share of requests answered 5xx.
    pub const ERRORS: &str = "errors";
    /// Requests per second, as the access log has them.
    pub const LOGGED: &str = "logged";
    /// Share of requests answered 5xx, as the access log has them.
    pub const LOGGED_ERRORS: &str = "logged-errors";
    /// Tasks per second.
    pub const TASKS: &str = "tasks";
    /// Share of tasks that ended in an unforeseen error.
    pub const TASK_ERRORS: &str = "task-errors";
    /// Tasks waiting.
    pub const QUEUE: &str = "queue";
    /// Followed by a queue's name: tasks waiting in it.
    pub const QUEUE_OF: &str = "queue:";
    /// Workers connected to the broker.
    pub const WORKERS: &str = "workers";
    /// Sessions in the database.
    pub const SESSIONS: &str = "sessions";
    /// Sessions waiting for a lock.
    pub const LOCKS: &str = "locks";
    /// Busy share of the CPU.
    pub const CPU: &str = "cpu";
    /// Share of memory that is not available.
    pub const MEMORY: &str = "memory";
    /// Share of swap in use.
    pub const SWAP: &str = "swap";
    /// One-minute load average.
    pub const LOAD: &str = "load";
    /// Bytes received per second, all interfaces.
    pub const RECEIVED: &str = "received";
    /// Bytes sent per second, all interfaces.
    pub const SENT: &str = "sent";
    /// Followed by a mount point: used share of that file system.
    pub const DISK: &str = "disk:";
}

/// The worst (highest) value of each step, oldest first; steps nobody watched are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Series {
    points: VecDeque<Point>,
}

/// One step of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Number of the step: seconds since 1970 divided by [`STEP_S`].
    pub step: i64,
    /// The highest finite value seen in it.
    pub value: f32,
}

/// The step a time falls into.
pub const fn step_of(at: Timestamp) -> i64 {
    at.as_secs().div_euclid(STEP_S)
}

impl Series {
    /// Adds a value. Within one step the highest stays. A value that isn't finite, or older than the last step, is dropped.
    #[expect(clippy::cast_possible_truncation, reason = "a strip needs no more than 24 bits")]
    pub fn push(&mut self, at: Timestamp, value: f64) {
        if !value.is_finite() {
            return;
        }
        let (step, value) = (step_of(at), value as f32);
        match self.points.back_mut() {
            Some(last) if last.step == step => last.value = last.value.max(value),
            // A little late: another reading of the same source overtook it. Much: the clock was set back, and what lies
            // in its future now would hide everything until it comes round again.
            Some(last) if last.step > step && last.step.saturating_sub(step) <= LATE_STEPS => {}
            Some(last) if last.step > step => {
                while self.points.back().is_some_and(|p| p.step >= step) {
                    self.points.pop_back();
                }
                self.points.push_back(Point { step, value });
            }
            Some(_) | None => {
                if self.points.len() == POINTS {
                    self.points.pop_front();
                }
                self.points.push_back(Point { step, value });
            }
        }
    }

    /// Puts older points (from disk, ascending) before what is already there.
    pub fn prepend(&mut self, older: impl IntoIterator<Item = Point>) {
        let first = self.points.front().map_or(i64::MAX, |p| p.step);
        let mut all: VecDeque<Point> = older.into_iter().filter(|p| p.step < first && p.value.is_finite()).collect();
        all.append(&mut self.points);
        let surplus = all.len().saturating_sub(POINTS);
        self.points = all.split_off(surplus);
    }

    /// Puts points (ascending) where there are none yet: what somebody else wrote down while nobody watched.
    pub fn fill(&mut self, known: impl IntoIterator<Item = Point>) {
        let mut all: BTreeMap<i64, f32> =
            known.into_iter().filter(|p| p.value.is_finite()).map(|p| (p.step, p.value)).collect();
        // What was watched is right.
        all.extend(self.points.iter().map(|p| (p.step, p.value)));
        let surplus = all.len().saturating_sub(POINTS);
        self.points = all.into_iter().skip(surplus).map(|(step, value)| Point { step, value }).collect();
    }

    /// The points, oldest first.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = &Point> + ExactSizeIterator {
        self.points.iter()
    }

    /// The newest value.
    pub fn last(&self) -> Option<f32> {
        self.points.back().map(|p| p.value)
    }

    /// How fast it rose over about the last minute, per second. A jump is no trend: what it was before one says nothing of
    /// the pace after it. `None` where too little was seen, or too little since a jump.
    #[expect(clippy::cast_precision_loss, reason = "steps of a minute or two")]
    pub fn slope(&self) -> Option<f64> {
        let last = self.points.back()?;
        let newest = || self.points.iter().rev().take(2 * MINUTE);
        let first = newest().position(|p| last.step - p.step >= MINUTE_STEPS)?;
        let mut points: Vec<Point> = newest().take(first + 1).copied().collect();
        points.reverse();
        let mut jumped = false;
        while let Some(at) = jump(&points) {
            points.drain(..=at);
            jumped = true;
        }
        let first = points.first()?;
        let steps = last.step - first.step;
        if steps < if jumped { SETTLED_STEPS } else { MINUTE_STEPS } {
            return None;
        }
        Some(f64::from(last.value - first.value) / (steps * STEP_S) as f64)
    }

    /// `columns` cells that cover the time from `from` to `to`: the highest value of each, `None` where nobody watched.
    pub fn cells(&self, from: Timestamp, to: Timestamp, columns: usize) -> Vec<Option<f32>> {
        let mut cells = vec![None; columns];
        let from = step_of(from);
        let to = step_of(to).max(from.saturating_add(1));
        let span = usize::try_from(to.saturating_sub(from)).unwrap_or(1).max(1);
        for point in self.points.iter().rev() {
            if point.step <= from {
                break;
            }
            if point.step > to {
                continue;
            }
            let offset = usize::try_from(point.step.saturating_sub(from).saturating_sub(1)).unwrap_or(0);
            // A coarse cell takes several steps; a fine one (more columns than steps) stretches each step.
            let first = offset.saturating_mul(columns) / span;
            let last = offset.saturating_add(1).saturating_mul(columns).div_ceil(span).max(first + 1);
            for cell in cells.iter_mut().take(last).skip(first) {
                let highest: &mut Option<f32> = cell;
                *highest = Some(highest.map_or(point.value, |v: f32| v.max(point.value)));
            }
        }
        cells
    }
}

/// Where points (ascending) jump: the place of the last one before it. One step then makes up almost half of all that
/// changed in them, or more (there may be a jump back); over a time that nobody watched it can't be told.
fn jump(points: &[Point]) -> Option<usize> {
    let steps = || points.windows(2).filter_map(|pair| if let [a, b] = pair { Some((a, b)) } else { None });
    let by = |a: &Point, b: &Point| (b.value - a.value).abs();
    let all: f32 = steps().map(|(a, b)| by(a, b)).sum();
    steps().position(|(a, b)| b.step - a.step <= 2 && by(a, b) > all * JUMP)
}

/// All series of one scope.
pub type History = BTreeMap<SeriesKey, Series>;

/// What an observation tells of the time before it: oldest first, for [`Series::fill`].
pub fn earlier(what: &Observation) -> Vec<(SeriesKey, Vec<Point>)> {
    match what {
        Observation::Access(seen) => match &**seen {
            Seen::Value(access) if !access.past.is_empty() => vec![
                (SeriesKey::new(names::LOGGED), access.past.requests.clone()),
                (SeriesKey::new(names::LOGGED_ERRORS), access.past.errors.clone()),
            ],
            Seen::Value(_) | Seen::Failed(_) | Seen::Unseen(_) | Seen::Asking => Vec::new(),
        },
        Observation::Health(_)
        | Observation::Direct(_)
        | Observation::Traffic(_)
        | Observation::Database(_)
        | Observation::Redis(_)
        | Observation::Host(_)
        | Observation::Services(_)
        | Observation::Logs(_)
        | Observation::Backups(_)
        | Observation::App(_)
        | Observation::Changes(_)
        | Observation::Schedule(_)
        | Observation::Updates(_)
        | Observation::People(_) => Vec::new(),
    }
}

/// The points an observation adds to its scope's history.
#[expect(clippy::cast_precision_loss, reason = "a strip needs no more than 24 bits")]
pub fn points(what: &Observation) -> Vec<(SeriesKey, f64)> {
    let mut out = Vec::new();
    let mut add = |name: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            out.push((SeriesKey::new(name), value));
        }
    };
    match what {
        Observation::Health(Seen::Value(check)) => {
            add(names::HEALTH, Some(f64::from(check.state.height())));
            add(names::LATENCY, Some(check.latency_ms));
        }
        Observation::Traffic(Seen::Value(traffic)) => {
            add(names::REQUESTS, traffic.request_rate());
            add(names::ERRORS, traffic.request_rate().and(traffic.error_share()));
            add(names::TASKS, traffic.task_rate());
            add(names::TASK_ERRORS, traffic.task_rate().and(traffic.task_error_share()));
            add(names::QUEUE, traffic.waiting().map(|n| n as f64));
        }
        Observation::Database(seen) => {
            if let Seen::Value(db) = &**seen {
                add(names::SESSIONS, db.sessions.map(f64::from));
                add(names::LOCKS, db.waiting.map(f64::from));
            }
        }
        Observation::Redis(seen) => {
            if let Seen::Value(redis) = &**seen
                && let Some(broker) = &redis.broker
            {
                add(names::QUEUE, Some(broker.waiting() as f64));
                add(names::WORKERS, broker.consumers.map(f64::from));
                for queue in broker.queues.iter().take(QUEUES) {
                    add(&[names::QUEUE_OF, &queue.name].concat(), Some(queue.waiting as f64));
                }
            }
        }
        Observation::Host(seen) => {
            if let Seen::Value(host) = &**seen {
                add(names::CPU, host.cpu);
                add(names::LOAD, host.load.map(|l| l[0]));
                let used = |total: u64, free: u64| (total > 0).then(|| 1.0 - free as f64 / total as f64);
                add(names::MEMORY, used(host.memory_total, host.memory_available));
                add(names::SWAP, used(host.swap_total, host.swap_total.saturating_sub(host.swap_used)));
                add(names::RECEIVED, Some(host.networks.iter().map(|n| n.received_per_s).sum()));
                add(names::SENT, Some(host.networks.iter().map(|n| n.sent_per_s).sum()));
                for disk in &host.disks {
                    if let Ok(space) = &disk.space {
                        add(&format!("{}{}", names::DISK, disk.mount), Some(space.used_share()));
                    }
                }
            }
        }
        Observation::Access(seen) => {
            if let Seen::Value(access) = &**seen {
                add(names::LOGGED, access.traffic.request_rate());
                add(names::LOGGED_ERRORS, access.traffic.request_rate().and(access.traffic.error_share()));
            }
        }
        Observation::Health(_)
        | Observation::Direct(_)
        | Observation::Traffic(_)
        | Observation::Services(_)
        | Observation::Logs(_)
        | Observation::Backups(_)
        | Observation::App(_)
        | Observation::Changes(_)
        | Observation::Schedule(_)
        | Observation::Updates(_)
        | Observation::People(_) => {}
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slope of a series that had these values in steps one after the other.
    fn slope(values: &[f64]) -> Option<f64> {
        let mut series = Series::default();
        for (value, step) in values.iter().zip(0..) {
            series.push(Timestamp::from_millis(step * STEP_S * 1000), *value);
        }
        series.slope()
    }

    #[test]
    fn a_trend_goes_by_the_last_minute() {
        assert_eq!(slope(&[0.0, 10.0, 20.0, 30.0, 40.0, 50.0]), None, "not a minute yet");
        assert_eq!(slope(&[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]), Some(1.0));
        assert_eq!(slope(&[9.0, 60.0, 52.0, 38.0, 31.0, 22.0, 9.0, 0.0]), Some(-1.0), "what was before is over");
        assert_eq!(slope(&[5.0; 9]), Some(0.0));
    }

    #[test]
    fn a_jump_is_no_trend() {
        let jumped = |after: &[f64]| slope(&[&[0.0, 2.0, 0.0, 1.0, 2.0, 1.0, 2.0], after].concat());
        assert_eq!(jumped(&[900.0]), None);
        assert_eq!(jumped(&[900.0, 900.0, 901.0]), None, "too soon to say");
        assert_eq!(jumped(&[900.0, 890.0, 880.0, 870.0]), Some(-1.0), "from the points after it");
        assert_eq!(jumped(&[300.0, 900.0, 890.0, 880.0, 870.0]), Some(-1.0), "over the edge of a step");
        assert_eq!(jumped(&[900.0, 890.0, 880.0, 870.0, 0.0, 0.0]), None, "and down again");
    }

    #[test]
    fn over_a_time_nobody_watched_there_is_a_trend_and_no_jump() {
        let mut series = Series::default();
        for (secs, value) in [(0, 0.0), (70, 70.0), (80, 80.0)] {
            series.push(Timestamp::from_millis(secs * 1000), value);
        }
        assert_eq!(series.slope(), Some(1.0));
    }
}
