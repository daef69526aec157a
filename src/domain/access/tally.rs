//! Requests counted: by route over the last minutes, and in sum over the last hours.
//!
//! Invariants: routes, and what is kept of each, are bounded; a line of any age changes no more than its own step.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::entry::Entry;
use super::route::{Layout, route};
use super::{Part, Past, Since};
use crate::domain::counters::Histogram;
use crate::domain::history::{POINTS, Point, STEP_S, step_of};
use crate::domain::time::Timestamp;
use crate::domain::traffic::{Count, Route, Traffic, Window};

/// Rates and quantiles are taken over so many steps: one minute.
const WINDOW_STEPS: i64 = 6;
/// Shares of few requests are taken over so many steps: five minutes (FIELD INC-07: 502 above 1 % for 5 min).
const KEPT_STEPS: i64 = 30;
/// Routes told apart; further ones are counted as [`OTHER`].
const ROUTES: usize = 200;
/// What routes beyond the bound are counted as.
const OTHER: &str = "(other)";
/// What paths are counted as that nobody has ever been answered at: a scanner asks for thousands.
const NOWHERE: &str = "(no such page)";
/// The buckets pretix uses: 5 ms to 30 s, gunicorn's own limit.
const BOUNDS_S: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 30.0];
/// A share of errors that is worth a since.
const FAILING: f64 = 0.05;
/// So many steps without errors end a time of errors: two minutes.
const BREAK_STEPS: i64 = 12;

/// Counts what the logs of a site say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    layout: Layout,
    /// Paths that monitors ask for: they are no visitors.
    ignored: Vec<String>,
    totals: HashMap<Key, Total>,
    cells: VecDeque<Cell>,
    past: VecDeque<Sum>,
    last_request: Option<Timestamp>,
    left_out: u32,
}

type Key = (String, String);

#[derive(Debug, Clone, PartialEq, Default)]
struct Total {
    classes: [u64; 5],
    last_step: i64,
}

/// One step by route.
#[derive(Debug, Clone, PartialEq, Default)]
struct Cell {
    step: i64,
    routes: BTreeMap<Key, Counted>,
    gateway: Part,
    statics: Part,
    errors: Part,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Counted {
    classes: [u32; 5],
    /// Not cumulative; the last is above every bound.
    latency: [u32; BOUNDS_S.len() + 1],
    took_s: f64,
}

/// One step in sum.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sum {
    step: i64,
    requests: u32,
    errors: u32,
    gateway: u32,
}

impl Tally {
    /// For an application with these paths; requests for `ignored` ones (a healthcheck) are no visitors'.
    pub fn new(layout: Layout, ignored: Vec<String>) -> Self {
        Self { layout, ignored, ..Self::default() }
    }

    /// Counts one request.
    pub fn note(&mut self, entry: &Entry<'_>) {
        let path = entry.path.split(['?', '#']).next().unwrap_or_default();
        if self.ignored.iter().any(|ignored| ignored == path) {
            return;
        }
        self.last_request = self.last_request.max(Some(entry.at));
        let step = step_of(entry.at);
        let failed = entry.status >= 500;
        let gateway = matches!(entry.status, 502 | 504);
        if let Some(sum) = sum_at(&mut self.past, step) {
            sum.requests = sum.requests.saturating_add(1);
            sum.errors = sum.errors.saturating_add(u32::from(failed));
            sum.gateway = sum.gateway.saturating_add(u32::from(gateway));
        }
        let class = usize::from(entry.status / 100).clamp(1, 5) - 1;
        let key = self.key(entry, step);
        if let Some(count) = self.totals.get_mut(&key).and_then(|t| t.classes.get_mut(class)) {
            *count = count.saturating_add(1);
        }
        let Some(cell) = cell_at(&mut self.cells, step) else { return };
        cell.gateway.note(gateway, entry.at);
        cell.errors.note(failed, entry.at);
        if key.0.starts_with("/static/") {
            cell.statics.note(entry.status == 404, entry.at);
        }
        let counted = cell.routes.entry(key).or_default();
        if let Some(count) = counted.classes.get_mut(class) {
            *count = count.saturating_add(1);
        }
        if let Some(took) = entry.took_s {
            let bucket = BOUNDS_S.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS_S.len());
            if let Some(count) = counted.latency.get_mut(bucket) {
                *count = count.saturating_add(1);
            }
            counted.took_s += took;
        }
    }

    /// Under which route a request is counted.
    fn key(&mut self, entry: &Entry<'_>, step: i64) -> Key {
        let key = (route(&entry.path, self.layout), entry.method.to_string());
        if let Some(total) = self.totals.get_mut(&key) {
            total.last_step = total.last_step.max(step);
            return key;
        }
        let key = if entry.status == 404 && !key.0.starts_with("/static/") {
            (NOWHERE.to_owned(), String::new())
        } else {
            key
        };
        if self.totals.len() >= ROUTES && !self.totals.contains_key(&key) {
            // Those that nobody has asked for lately make room.
            self.totals.retain(|_, total| total.last_step > step - KEPT_STEPS);
        }
        let key = if self.totals.len() >= ROUTES && !self.totals.contains_key(&key) {
            self.left_out = self.left_out.saturating_add(1);
            (OTHER.to_owned(), String::new())
        } else {
            key
        };
        let total = self.totals.entry(key.clone()).or_default();
        total.last_step = total.last_step.max(step);
        key
    }

    /// Requests by route as they are at `now`, most requested first. `since`: when the logs begin, if within the window.
    #[expect(clippy::cast_precision_loss, reason = "counts of a minute, and steps of this age")]
    pub fn traffic(&self, now: Timestamp, since: Option<Timestamp>) -> Traffic {
        let end = step_of(now);
        let first = end - WINDOW_STEPS + 1;
        // From the beginning of the first step until now.
        let begun = Timestamp::from_millis(first.saturating_mul(STEP_S * 1000)).max(since.unwrap_or_default());
        let window_s = (now.millis_since(begun) as f64 / 1000.0).max(1.0);
        let mut routes: Vec<Route> = self
            .totals
            .iter()
            .map(|((path, method), total)| {
                let key = (path.clone(), method.clone());
                let mut within = Counted::default();
                let mut spark = Vec::new();
                for step in (end - KEPT_STEPS + 1)..=end {
                    let counted = self.cells.iter().find(|c| c.step == step).and_then(|c| c.routes.get(&key));
                    if let Some(counted) = counted.filter(|_| step >= first) {
                        within.add(counted);
                    }
                    spark.push(counted.map_or(0.0, |c| c.all() as f32 / STEP_S as f32));
                }
                let mut classes = [Count::default(); 5];
                for ((count, total), now) in classes.iter_mut().zip(total.classes).zip(within.classes) {
                    *count = Count { total: total as f64, in_window: f64::from(now) };
                }
                let rate = Some(within.all() as f64 / window_s);
                let latency = within.histogram().latency(&BOUNDS_S);
                Route { url_name: path.clone(), method: method.clone(), classes, rate, latency, spark }
            })
            .collect();
        routes.sort_by(|a, b| {
            let by = |r: &Route| (r.all_in_window(), r.total());
            let ((a_now, a_all), (b_now, b_all)) = (by(a), by(b));
            b_now
                .total_cmp(&a_now)
                .then(b_all.total_cmp(&a_all))
                .then_with(|| (&a.url_name, &a.method).cmp(&(&b.url_name, &b.method)))
        });
        Traffic { routes, window: Window::Seconds(window_s), left_out: self.left_out, ..Traffic::default() }
    }

    /// Requests answered 5xx within the last five minutes.
    pub fn errors(&self, now: Timestamp) -> Part {
        self.part(now, |cell| cell.errors)
    }

    /// Proxies' 502 and 504 within the last five minutes.
    pub fn gateway(&self, now: Timestamp) -> Part {
        self.part(now, |cell| cell.gateway)
    }

    /// 404 below `/static/` within the last five minutes.
    pub fn statics(&self, now: Timestamp) -> Part {
        self.part(now, |cell| cell.statics)
    }

    fn part(&self, now: Timestamp, of: impl Fn(&Cell) -> Part) -> Part {
        let first = step_of(now) - KEPT_STEPS + 1;
        self.cells.iter().filter(|c| c.step >= first).map(of).fold(Part::default(), Part::plus)
    }

    /// The last request of a visitor.
    pub const fn last_request(&self) -> Option<Timestamp> {
        self.last_request
    }

    /// Since when a twentieth of all requests fail.
    pub fn errors_since(&self, now: Timestamp) -> Option<Since> {
        self.since(now, |sum| f64::from(sum.errors) >= FAILING * f64::from(sum.requests) && sum.errors > 0)
    }

    /// Since when proxies answer 502 or 504.
    pub fn gateway_since(&self, now: Timestamp) -> Option<Since> {
        self.since(now, |sum| sum.gateway > 0)
    }

    /// The beginning of the time in which `bad` has held up to `now`; steps without requests say nothing either way.
    fn since(&self, now: Timestamp, bad: impl Fn(&Sum) -> bool) -> Option<Since> {
        let mut begun: Option<i64> = None;
        let mut seen = false;
        let mut edge = step_of(now);
        for sum in self.past.iter().rev().filter(|sum| sum.requests > 0) {
            if bad(sum) {
                begun = Some(sum.step);
                edge = sum.step;
                seen = false;
            } else {
                seen = begun.is_some();
                if edge - sum.step >= BREAK_STEPS {
                    break;
                }
            }
        }
        let at = Timestamp::from_millis(begun?.saturating_mul(STEP_S * 1000));
        Some(Since { at, seen })
    }

    /// Every step there is, for the strips: the one under way is left to the readings.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a strip needs no more than 24 bits"
    )]
    pub fn past(&self, now: Timestamp) -> Past {
        let end = step_of(now);
        let mut past = Past::default();
        let mut next: Option<i64> = None;
        for sum in self.past.iter().filter(|sum| sum.step < end) {
            // Between two requests nobody asked: that is known, where the log goes on.
            for step in next.unwrap_or(sum.step)..sum.step {
                past.requests.push(Point { step, value: 0.0 });
            }
            past.requests.push(Point { step: sum.step, value: sum.requests as f32 / STEP_S as f32 });
            if sum.requests > 0 {
                let share = f64::from(sum.errors) / f64::from(sum.requests);
                past.errors.push(Point { step: sum.step, value: share as f32 });
            }
            next = Some(sum.step + 1);
        }
        let surplus = past.requests.len().saturating_sub(POINTS);
        past.requests.drain(..surplus);
        past
    }
}

impl Counted {
    fn all(&self) -> u64 {
        self.classes.iter().map(|n| u64::from(*n)).sum()
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.classes.iter_mut().zip(other.classes) {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in self.latency.iter_mut().zip(other.latency) {
            *mine = mine.saturating_add(theirs);
        }
        self.took_s += other.took_s;
    }

    fn histogram(&self) -> Histogram {
        let mut below = 0.0;
        let at_most = self.latency.iter().take(BOUNDS_S.len()).map(|n| {
            below += f64::from(*n);
            below
        });
        let at_most = at_most.collect();
        Histogram { at_most, count: self.latency.iter().map(|n| f64::from(*n)).sum(), sum_s: self.took_s }
    }
}

/// The sum of a step; `None` where it is too old to be kept. Logs of several processes come a little out of order.
fn sum_at(past: &mut VecDeque<Sum>, step: i64) -> Option<&mut Sum> {
    let newest = past.back().map_or(step, |sum| sum.step.max(step));
    let kept = i64::try_from(POINTS).unwrap_or(i64::MAX);
    if step <= newest - kept {
        return None;
    }
    let at = past.partition_point(|sum| sum.step < step);
    if past.get(at).is_none_or(|sum| sum.step != step) {
        past.insert(at, Sum { step, ..Sum::default() });
    }
    // What a clock far ahead has left behind would push out everything else: then the oldest go.
    while past.len() > POINTS {
        past.pop_front();
    }
    let at = past.partition_point(|sum| sum.step < step);
    past.get_mut(at).filter(|sum| sum.step == step)
}

fn cell_at(cells: &mut VecDeque<Cell>, step: i64) -> Option<&mut Cell> {
    let newest = cells.back().map_or(step, |cell| cell.step.max(step));
    if step <= newest - KEPT_STEPS {
        return None;
    }
    while cells.front().is_some_and(|cell| cell.step <= newest - KEPT_STEPS) {
        cells.pop_front();
    }
    let at = cells.partition_point(|cell| cell.step < step);
    if cells.get(at).is_none_or(|cell| cell.step != step) {
        cells.insert(at, Cell { step, ..Cell::default() });
    }
    cells.get_mut(at)
}

#[cfg(test)]
mod tests;
