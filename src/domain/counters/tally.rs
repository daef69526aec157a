//! The running tally of a page: every label set apart until the page ends, since each lacks other buckets.
//!
//! Invariant: a sample of a known series is taken without allocating; unknown ones allocate until a limit is met.

mod labels;
mod series;

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use super::dialect::{self, Figure, Meaning};
use super::{Counters, Limits, RouteCounter, TaskCounter};
use crate::domain::exposition::Sample;
use crate::domain::traffic::{Page, Queue};
use labels::Picked;
use series::{Bounds, Durations, RouteSeries};

/// Left-out names remembered so that each counts once: half a megabyte.
const LEFT_OUT_REMEMBERED: usize = 65_536;

/// An age above this is no age: pretix puts the Unix time there (FIELD T-08).
const YEAR_S: f64 = 366.0 * 86_400.0;

/// Why a well-formed sample counts as bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Objection {
    #[error("a counter is negative or not a number")]
    NotACount,
    #[error("the label that says what is counted is missing")]
    NoSubject,
    #[error("the status is unknown")]
    Status,
    #[error("the bucket's bound is missing or not a number")]
    Bound,
    #[error("there are too many different bounds")]
    TooManyBounds,
    #[error("it repeats an earlier series, and the later value counts")]
    Repeated,
}

/// What is known of the page so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    limits: Limits,
    /// By URL name, NUL, method: where in `routes`.
    route_keys: HashMap<String, usize>,
    routes: Vec<RouteSeries>,
    label_sets: usize,
    route_bounds: Bounds,
    tasks: HashMap<String, TaskSeries>,
    task_bounds: Bounds,
    queues: Vec<QueueSeries>,
    models: HashMap<String, f64>,
    left_out: HashSet<u64>,
    /// The key being looked up; kept to spare its allocation.
    key: String,
}

#[derive(Debug, Default)]
struct TaskSeries {
    outcomes: [Option<f64>; 3],
    durations: Durations,
}

#[derive(Debug)]
struct QueueSeries {
    name: String,
    waiting: Option<f64>,
    age_s: Option<f64>,
}

impl Tally {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes one sample; those of metrics without meaning are passed over.
    pub(super) fn take(&mut self, sample: &Sample<'_>) -> Result<(), Objection> {
        let Some((meaning, names)) = dialect::look_up(&sample.name) else { return Ok(()) };
        let picked = Picked::of(sample, names)?;
        let value = sample.value;
        match meaning {
            Meaning::Route(figure) => self.take_route(figure, &picked, count(value)?),
            Meaning::Task(figure) => self.take_task(figure, &picked, count(value)?),
            Meaning::QueueWaiting => {
                let waiting = count(value)?;
                self.queue(&picked).map_or(Ok(()), |queue| put(&mut queue.waiting, waiting))
            }
            Meaning::QueueAge => self.queue(&picked).map_or(Ok(()), |queue| put(&mut queue.age_s, value)),
            Meaning::ModelRows => self.take_model(&picked, value),
        }
    }

    fn take_route(&mut self, figure: Figure, picked: &Picked<'_>, value: f64) -> Result<(), Objection> {
        let status = if picked.status.is_empty() { 0 } else { status_code(&picked.status)? };
        let bound = self.route_bounds.place(figure, picked.le.as_deref(), self.limits.bounds)?;
        self.key.clear();
        self.key.push_str(&picked.subject);
        self.key.push('\0');
        self.key.push_str(&picked.method);
        let index = match self.route_keys.get(&self.key) {
            Some(index) => *index,
            None if self.routes.len() >= self.limits.routes => {
                self.leave_out(0);
                return Ok(());
            }
            None => {
                self.route_keys.insert(self.key.clone(), self.routes.len());
                self.routes.push(RouteSeries::default());
                self.routes.len() - 1
            }
        };
        let Some(route) = self.routes.get_mut(index) else { return Ok(()) };
        if !route.has(status) {
            if self.label_sets >= self.limits.label_sets {
                self.leave_out(status);
                return Ok(());
            }
            self.label_sets += 1;
            route.begin(status);
        }
        let Some(series) = route.of_code(status) else { return Ok(()) };
        match figure {
            Figure::Total => put(&mut series.requests, value),
            Figure::Sum => put(&mut series.durations.sum_s, value),
            Figure::Count => put(&mut series.durations.count, value),
            Figure::Bucket => series.durations.bucket(bound, value, self.route_bounds.len()),
        }
    }

    fn take_task(&mut self, figure: Figure, picked: &Picked<'_>, value: f64) -> Result<(), Objection> {
        let bound = self.task_bounds.place(figure, picked.le.as_deref(), self.limits.bounds)?;
        if !self.tasks.contains_key(&*picked.subject) {
            if self.tasks.len() >= self.limits.tasks {
                self.leave_out_named(&picked.subject);
                return Ok(());
            }
            self.tasks.insert(picked.subject.to_string(), TaskSeries::default());
        }
        let Some(task) = self.tasks.get_mut(&*picked.subject) else { return Ok(()) };
        match figure {
            Figure::Total => {
                let outcome = outcome(&picked.status)?;
                task.outcomes.get_mut(outcome).map_or(Ok(()), |slot| put(slot, value))
            }
            Figure::Sum => put(&mut task.durations.sum_s, value),
            Figure::Count => put(&mut task.durations.count, value),
            Figure::Bucket => task.durations.bucket(bound, value, self.task_bounds.len()),
        }
    }

    fn take_model(&mut self, picked: &Picked<'_>, rows: f64) -> Result<(), Objection> {
        if !rows.is_finite() {
            return Err(Objection::NotACount);
        }
        if let Some(known) = self.models.get_mut(&*picked.subject) {
            *known = rows;
            return Err(Objection::Repeated);
        }
        if self.models.len() >= self.limits.models {
            self.leave_out_named(&picked.subject);
        } else {
            self.models.insert(picked.subject.to_string(), rows);
        }
        Ok(())
    }

    fn queue(&mut self, picked: &Picked<'_>) -> Option<&mut QueueSeries> {
        let known = self.queues.iter().position(|queue| queue.name == picked.subject);
        if known.is_none() && self.queues.len() >= self.limits.queues {
            self.leave_out_named(&picked.subject);
            return None;
        }
        let index = known.unwrap_or_else(|| {
            self.queues.push(QueueSeries { name: picked.subject.to_string(), waiting: None, age_s: None });
            self.queues.len() - 1
        });
        self.queues.get_mut(index)
    }

    fn leave_out_named(&mut self, name: &str) {
        self.key.clear();
        self.key.push_str(name);
        self.leave_out(0);
    }

    /// Counts what `key` names once; with a status code if only that part of it is left out.
    fn leave_out(&mut self, status: u16) {
        if self.left_out.len() < LEFT_OUT_REMEMBERED {
            let hash = self.route_keys.hasher().hash_one((&self.key, status));
            self.left_out.insert(hash);
        }
    }

    /// Everything merged, in the order [`Counters`] promises.
    pub(super) fn finish(self, page: Page) -> Counters {
        let mut routes: Vec<_> = self
            .route_keys
            .into_iter()
            .filter_map(|(key, index)| {
                let (url_name, method) = key.split_once('\0')?;
                let (classes, latency) = self.routes.get(index)?.merged(&self.route_bounds);
                Some(RouteCounter { url_name: url_name.to_owned(), method: method.to_owned(), classes, latency })
            })
            .collect();
        routes.sort_unstable_by(|a, b| (&a.url_name, &a.method).cmp(&(&b.url_name, &b.method)));
        let merged = |(name, series): (String, TaskSeries)| {
            let outcomes = series.outcomes.map(Option::unwrap_or_default);
            TaskCounter { name, outcomes, latency: series.durations.histogram(&self.task_bounds) }
        };
        let mut tasks: Vec<_> = self.tasks.into_iter().map(merged).collect();
        tasks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut models: Vec<_> = self.models.into_iter().filter(|(_, rows)| *rows >= 0.0).collect();
        models.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Counters {
            routes,
            tasks,
            queues: self.queues.into_iter().filter_map(QueueSeries::known).collect(),
            models,
            route_bounds_s: self.route_bounds.ascending(),
            task_bounds_s: self.task_bounds.ascending(),
            left_out: u32::try_from(self.left_out.len()).unwrap_or(u32::MAX),
            page,
        }
    }
}

impl QueueSeries {
    fn known(self) -> Option<Queue> {
        let oldest_s = self.age_s.filter(|age| (0.0..=YEAR_S).contains(age));
        self.waiting.map(|waiting| Queue { name: self.name, waiting: whole(waiting), oldest_s })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count is not negative; beyond 2^64 saturates"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

fn count(value: f64) -> Result<f64, Objection> {
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(Objection::NotACount) }
}

fn put(slot: &mut Option<f64>, value: f64) -> Result<(), Objection> {
    if slot.replace(value).is_some() { Err(Objection::Repeated) } else { Ok(()) }
}

fn status_code(text: &str) -> Result<u16, Objection> {
    text.parse().ok().filter(|code| (100..=599).contains(code)).ok_or(Objection::Status)
}

fn outcome(text: &str) -> Result<usize, Objection> {
    match text {
        "success" => Ok(0),
        "error" => Ok(1),
        "expected-error" => Ok(2),
        _ => Err(Objection::Status),
    }
}
