//! Counters of a metrics page, aggregated while it is read, and what consecutive pages say together.
//!
//! A [`PageReader`] takes a page in chunks as they arrive and keeps only what midwatch shows: requests by route, tasks
//! by name, queues, rows per model. Its [`Counters`] are cumulative since the application's counters began. A
//! [`TrafficWindow`] turns the counters of the last pages into rates, shares and quantiles. Invariant: memory is
//! bounded by [`Limits`], whatever the page holds, and every number kept is finite.

mod dialect;
mod histogram;
mod page;
mod tally;
mod window;

use serde::{Deserialize, Serialize};

use super::traffic::{Page, Queue};

pub use histogram::Histogram;
pub use page::{Flow, PageReader};
pub use window::TrafficWindow;

/// How much of a page is read and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes read, after decompression.
    pub bytes: usize,
    /// Bytes of one line; a longer one is bad.
    pub line_bytes: usize,
    /// Routes, each with one method.
    pub routes: usize,
    /// Label sets of routes: route, method and status code.
    pub label_sets: usize,
    /// Tasks.
    pub tasks: usize,
    /// Queues.
    pub queues: usize,
    /// Models.
    pub models: usize,
    /// Finite bounds of a histogram.
    pub bounds: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            line_bytes: 1 << 20,
            routes: 5_000,
            label_sets: 20_000,
            tasks: 2_000,
            queues: 256,
            models: 2_000,
            bounds: 64,
        }
    }
}

/// What one page says, since the application's counters began.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// By URL name, then method.
    pub routes: Vec<RouteCounter>,
    /// By name.
    pub tasks: Vec<TaskCounter>,
    /// In the page's order.
    pub queues: Vec<Queue>,
    /// Rows per model, by name; never analysed ones (-1) left out.
    pub models: Vec<(String, f64)>,
    /// Finite upper bounds of every route's histogram, in seconds, ascending.
    pub route_bounds_s: Vec<f64>,
    /// Finite upper bounds of every task's histogram, in seconds, ascending.
    pub task_bounds_s: Vec<f64>,
    /// Routes, tasks, queues and models left out because there were too many.
    pub left_out: u32,
    /// Facts about the page itself.
    pub page: Page,
}

impl Counters {
    /// Whether a series missing here may have been on the page all the same.
    pub fn is_partial(&self) -> bool {
        self.left_out > 0 || self.page.bad_lines > 0 || self.page.cut.is_some()
    }
}

/// Requests of one route and method.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RouteCounter {
    /// The URL's name.
    pub url_name: String,
    /// `GET`, `POST`, …
    pub method: String,
    /// Requests by status class: index 0 is 1xx, index 4 is 5xx.
    pub classes: [f64; 5],
    /// Durations over all status codes; bounds are [`Counters::route_bounds_s`].
    pub latency: Histogram,
}

/// Runs of one task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskCounter {
    /// Its dotted name.
    pub name: String,
    /// Runs by outcome: success, error, expected error.
    pub outcomes: [f64; 3],
    /// Durations; bounds are [`Counters::task_bounds_s`].
    pub latency: Histogram,
}

/// A counter with a name and a histogram: what routes and tasks have in common.
trait Metered {
    fn key(&self) -> (&str, &str);
    fn counts(&self) -> &[f64];
    fn latency(&self) -> &Histogram;
}

impl Metered for RouteCounter {
    fn key(&self) -> (&str, &str) {
        (&self.url_name, &self.method)
    }

    fn counts(&self) -> &[f64] {
        &self.classes
    }

    fn latency(&self) -> &Histogram {
        &self.latency
    }
}

impl Metered for TaskCounter {
    fn key(&self) -> (&str, &str) {
        (&self.name, "")
    }

    fn counts(&self) -> &[f64] {
        &self.outcomes
    }

    fn latency(&self) -> &Histogram {
        &self.latency
    }
}
