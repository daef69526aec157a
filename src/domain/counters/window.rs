//! What consecutive pages say together: increases, rates and quantiles over the last minute.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Counters, Histogram, Metered, RouteCounter, TaskCounter};
use crate::domain::traffic::{Count, Route, Task, Traffic, Window};

/// Seconds of pages the window spans, as long as two are within.
const SPAN_S: f64 = 60.0;

/// Pages kept at most: a page of 5,000 routes takes about a megabyte.
const PAGES: usize = 12;

/// Bounds shared by all pages of a window; beyond, the window begins anew.
const BOUNDS: usize = 128;

/// Rates kept per route and task.
const SPARK: usize = 40;

/// The pages of the last minute; at least the last two, however far apart.
#[derive(Debug, Clone, Default)]
pub struct TrafficWindow {
    /// With the time each was had, ascending; all over the same bounds.
    pages: VecDeque<(f64, Counters)>,
    routes: Sparks,
    tasks: Sparks,
}

impl TrafficWindow {
    /// An empty window.
    pub fn new() -> Self {
        Self::default()
    }

    /// A window that begins with a page had earlier, at `at_s` on the clock that [`push`](Self::push) uses.
    pub fn seeded(page: Counters, at_s: f64) -> Self {
        Self { pages: VecDeque::from([(at_s, page)]), ..Self::default() }
    }

    /// Takes the page had at `at_s` (seconds on a clock that never goes back) and says what the window now shows. Pages
    /// that claim to be as late or later are dropped.
    pub fn push(&mut self, mut page: Counters, at_s: f64) -> Traffic {
        while self.pages.back().is_some_and(|(then_s, _)| then_s.total_cmp(&at_s).is_ge()) {
            self.pages.pop_back();
        }
        self.align(&mut page);
        self.pages.push_back((at_s, page));
        while self.pages.len() > PAGES
            || (self.pages.len() > 2 && self.pages.front().is_some_and(|(then_s, _)| at_s - then_s > SPAN_S))
        {
            self.pages.pop_front();
        }
        self.traffic()
    }

    /// Brings all pages over the same bounds.
    fn align(&mut self, page: &mut Counters) {
        let Some((_, last)) = self.pages.back() else { return };
        let route_bounds = union(&last.route_bounds_s, &page.route_bounds_s);
        let task_bounds = union(&last.task_bounds_s, &page.task_bounds_s);
        if route_bounds.len().max(task_bounds.len()) > BOUNDS {
            self.pages.clear();
            return;
        }
        for page in self.pages.iter_mut().map(|(_, page)| page).chain(std::iter::once(page)) {
            widen(&mut page.route_bounds_s, &route_bounds, page.routes.iter_mut().map(|route| &mut route.latency));
            widen(&mut page.task_bounds_s, &task_bounds, page.tasks.iter_mut().map(|task| &mut task.latency));
        }
    }

    fn traffic(&mut self) -> Traffic {
        let (Some((first_s, _)), Some((last_s, newest))) = (self.pages.front(), self.pages.back()) else {
            return Traffic::default();
        };
        let before_last = self.pages.iter().rev().nth(1);
        let span = Span {
            seconds: before_last.map(|_| last_s - first_s),
            last_step_s: before_last.map(|(then_s, _)| last_s - then_s),
        };
        let pages: Vec<_> = self.pages.iter().map(|(_, page)| page).collect();
        let routes = increases(&pages, |page| page.routes.as_slice());
        let tasks = increases(&pages, |page| page.tasks.as_slice());
        let reset = routes.iter().any(|i| i.reset) || tasks.iter().any(|i| i.reset);
        let route_sparks = self.routes.next(&routes, span);
        let task_sparks = self.tasks.next(&tasks, span);
        let mut routes: Vec<_> =
            routes.iter().zip(route_sparks).map(|(i, spark)| route(i, span, &newest.route_bounds_s, spark)).collect();
        let mut tasks: Vec<_> =
            tasks.iter().zip(task_sparks).map(|(i, spark)| task(i, span, &newest.task_bounds_s, spark)).collect();
        routes.sort_by(|a, b| descending((a.all_in_window(), a.total()), (b.all_in_window(), b.total())));
        tasks.sort_by(|a, b| descending((a.all_in_window(), a.total()), (b.all_in_window(), b.total())));
        Traffic {
            routes,
            tasks,
            queues: newest.queues.clone(),
            models: newest.models.clone(),
            window: span.seconds.map_or(Window::SinceStart, Window::Seconds),
            left_out: newest.left_out,
            reset,
            page: newest.page.clone(),
        }
    }
}

/// Seconds from the window's first page to its last, and from the last but one; `None` with one page only.
#[derive(Debug, Clone, Copy)]
struct Span {
    seconds: Option<f64>,
    last_step_s: Option<f64>,
}

/// What a series did within the window.
struct Increase<'a, T> {
    /// As it was last seen.
    last: &'a T,
    /// By class or outcome.
    counts: Vec<f64>,
    latency: Histogram,
    /// Of all counts, from the last page but one to the last.
    newest: f64,
    reset: bool,
}

/// Every series that any of the pages has, by key. With one page, what it says counts as increase.
fn increases<'a, T: Metered>(pages: &[&'a Counters], of: impl Fn(&'a Counters) -> &'a [T]) -> Vec<Increase<'a, T>> {
    let mut series: BTreeMap<(&str, &str), Vec<Option<&T>>> = BTreeMap::new();
    for (index, page) in pages.iter().enumerate() {
        for item in of(page) {
            let looks = series.entry(item.key()).or_insert_with(|| vec![None; pages.len()]);
            if let Some(look) = looks.get_mut(index) {
                *look = Some(item);
            }
        }
    }
    let doubtful: Vec<_> =
        pages.iter().zip(pages.iter().skip(1)).map(|(a, b)| a.is_partial() || b.is_partial()).collect();
    series.into_values().filter_map(|looks| increase(&looks, &doubtful)).collect()
}

fn increase<'a, T: Metered>(looks: &[Option<&'a T>], doubtful: &[bool]) -> Option<Increase<'a, T>> {
    let last = looks.iter().rev().copied().flatten().next()?;
    let mut sum = Increase {
        last,
        counts: vec![0.0; last.counts().len()],
        latency: Histogram::default(),
        newest: 0.0,
        reset: false,
    };
    if let [Some(only)] = looks {
        sum.counts = only.counts().to_vec();
        sum.latency = only.latency().clone();
        return Some(sum);
    }
    for ((earlier, later), doubtful) in looks.iter().zip(looks.iter().skip(1)).zip(doubtful) {
        sum.step(*earlier, *later, *doubtful);
    }
    Some(sum)
}

impl<T: Metered> Increase<'_, T> {
    /// Adds what happened between two looks. Where one of them may be missing lines, a series that appears or falls
    /// says nothing: taking it for new or restarted would show all it ever counted as one burst.
    fn step(&mut self, earlier: Option<&T>, later: Option<&T>, doubtful: bool) {
        self.newest = 0.0;
        let Some(later) = later else {
            self.reset |= earlier.is_some() && !doubtful;
            return;
        };
        let nothing = Histogram::default();
        let before = match earlier {
            Some(earlier) => earlier.latency(),
            None if doubtful => return,
            None => &nothing,
        };
        let then = earlier.map_or(&[][..], Metered::counts).iter().copied().chain(std::iter::repeat(0.0));
        for ((sum, now), then) in self.counts.iter_mut().zip(later.counts()).zip(then) {
            let fell = *now < then;
            self.reset |= fell && !doubtful;
            let grown = match (fell, doubtful) {
                (false, _) => now - then,
                (true, false) => *now,
                (true, true) => 0.0,
            };
            *sum += grown;
            self.newest += grown;
        }
        match (later.latency().fell_since(before), doubtful) {
            (false, _) => self.latency.add(&later.latency().since(before)),
            (true, false) => {
                self.reset = true;
                self.latency.add(later.latency());
            }
            (true, true) => {}
        }
    }

    fn count(&self, index: usize) -> Count {
        let at = |counts: &[f64]| counts.get(index).copied().unwrap_or_default();
        Count { total: at(self.last.counts()), in_window: at(&self.counts) }
    }

    fn rate(&self, span: Span) -> Option<f64> {
        span.seconds.map(|seconds| self.counts.iter().sum::<f64>() / seconds)
    }
}

fn route(of: &Increase<'_, RouteCounter>, span: Span, bounds_s: &[f64], spark: Vec<f32>) -> Route {
    Route {
        url_name: of.last.url_name.clone(),
        method: of.last.method.clone(),
        classes: std::array::from_fn(|index| of.count(index)),
        rate: of.rate(span),
        latency: of.latency.latency(bounds_s),
        spark,
    }
}

fn task(of: &Increase<'_, TaskCounter>, span: Span, bounds_s: &[f64], spark: Vec<f32>) -> Task {
    Task {
        name: of.last.name.clone(),
        success: of.count(0),
        error: of.count(1),
        expected_error: of.count(2),
        rate: of.rate(span),
        latency: of.latency.latency(bounds_s),
        spark,
    }
}

fn descending(a: (f64, f64), b: (f64, f64)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
}

/// Rates at the last pages, by name, NUL, method.
#[derive(Debug, Clone, Default)]
struct Sparks(HashMap<String, VecDeque<f32>>);

impl Sparks {
    /// Adds the newest rates and gives the rates of each series; series that are no more are forgotten.
    fn next<T: Metered>(&mut self, series: &[Increase<'_, T>], span: Span) -> Vec<Vec<f32>> {
        let mut before = std::mem::take(&mut self.0);
        series
            .iter()
            .map(|increase| {
                let (name, method) = increase.last.key();
                let key = format!("{name}\0{method}");
                let mut spark = before.remove(&key).unwrap_or_default();
                spark.extend(span.last_step_s.map(|seconds| rate_of_mark(increase.newest / seconds)));
                while spark.len() > SPARK {
                    spark.pop_front();
                }
                let shown = spark.iter().copied().collect();
                self.0.insert(key, spark);
                shown
            })
            .collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a sparkline needs no more digits")]
fn rate_of_mark(rate: f64) -> f32 {
    rate as f32
}

fn union(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut both = [a, b].concat();
    both.sort_unstable_by(f64::total_cmp);
    both.dedup_by(|a, b| a.total_cmp(b).is_eq());
    both
}

fn widen<'a>(bounds: &mut Vec<f64>, to: &[f64], histograms: impl Iterator<Item = &'a mut Histogram>) {
    if bounds != to {
        for histogram in histograms {
            histogram.widen(bounds, to);
        }
        bounds.clear();
        bounds.extend_from_slice(to);
    }
}

#[cfg(test)]
mod tests;
