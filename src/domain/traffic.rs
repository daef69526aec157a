//! Requests, tasks and queues as the application's own metrics show them: rates, shares, quantiles.

use serde::{Deserialize, Serialize};

/// What two or more looks at `/metrics` say together (or one look: then everything counts since the counters' start).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests by route and method, most requested first.
    pub routes: Vec<Route>,
    /// Background tasks by name, most run first.
    pub tasks: Vec<Task>,
    /// Queues, as the application reports them.
    pub queues: Vec<Queue>,
    /// Rows per model (pretix: approximate on PostgreSQL; tables never analysed are left out).
    pub models: Vec<(String, f64)>,
    /// Over what time rates, shares, quantiles and histograms are taken.
    pub window: Window,
    /// Routes and tasks left out because there were too many.
    pub left_out: u32,
    /// Whether a counter went backwards within the window (the application's Redis was flushed).
    pub reset: bool,
    /// Facts about the page itself.
    pub page: Page,
}

impl Traffic {
    /// Requests per second over all routes; `None` until two looks were had.
    pub fn request_rate(&self) -> Option<f64> {
        sum(self.routes.iter().map(|r| r.rate))
    }

    /// Requests answered 5xx per second over all routes.
    pub fn error_rate(&self) -> Option<f64> {
        sum(self.routes.iter().map(|r| r.rate.map(|_| r.class_rate(5))))
    }

    /// Share of requests answered 5xx within the window; `None` if there were none, or there is no window yet: what went
    /// wrong since the counters began says nothing about tonight.
    pub fn error_share(&self) -> Option<f64> {
        if self.window == Window::SinceStart {
            return None;
        }
        share(self.routes.iter().map(|r| r.in_window(5)).sum(), self.routes.iter().map(Route::all_in_window).sum())
    }

    /// Tasks finished per second over all names.
    pub fn task_rate(&self) -> Option<f64> {
        sum(self.tasks.iter().map(|t| t.rate))
    }

    /// Share of tasks that ended in `error` (not `expected-error`) within the window; `None` as for requests.
    pub fn task_error_share(&self) -> Option<f64> {
        if self.window == Window::SinceStart {
            return None;
        }
        share(self.tasks.iter().map(|t| t.error.in_window).sum(), self.tasks.iter().map(Task::all_in_window).sum())
    }

    /// Tasks waiting in all queues the application reports.
    pub fn waiting(&self) -> Option<u64> {
        (!self.queues.is_empty()).then(|| self.queues.iter().fold(0_u64, |sum, q| sum.saturating_add(q.waiting)))
    }
}

fn sum(parts: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    parts.flatten().fold(None, |acc, part| Some(acc.unwrap_or(0.0) + part))
}

/// `part / whole`; `None` if there is no whole.
pub fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Over what time a number is taken.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Since the counters began: only one look was had yet.
    #[default]
    SinceStart,
    /// Over the last so many seconds.
    Seconds(f64),
}

/// A counter: its value since it began, and its increase within the window (equal to the total for
/// [`Window::SinceStart`]).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Since the counter began.
    pub total: f64,
    /// Within the window.
    pub in_window: f64,
}

/// Requests of one route and method.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Route {
    /// The URL's name: `presale:event.index`.
    pub url_name: String,
    /// `GET`, `POST`, …
    pub method: String,
    /// Requests by status class: index 0 is 1xx, index 4 is 5xx.
    pub classes: [Count; 5],
    /// Requests per second within the window; `None` until two looks were had.
    pub rate: Option<f64>,
    /// Latency within the window.
    pub latency: Latency,
    /// Requests per second at the last looks, oldest first, at most 40.
    pub spark: Vec<f32>,
}

impl Route {
    /// Requests answered with this class (1 to 5) within the window.
    pub fn in_window(&self, class: usize) -> f64 {
        class.checked_sub(1).and_then(|i| self.classes.get(i)).map_or(0.0, |c| c.in_window)
    }

    /// Requests within the window.
    pub fn all_in_window(&self) -> f64 {
        self.classes.iter().map(|c| c.in_window).sum()
    }

    /// Requests since the counters began.
    pub fn total(&self) -> f64 {
        self.classes.iter().map(|c| c.total).sum()
    }

    /// Share of 5xx within the window.
    pub fn error_share(&self) -> Option<f64> {
        share(self.in_window(5), self.all_in_window())
    }

    /// Requests per second answered with this class (1 to 5).
    pub fn class_rate(&self, class: usize) -> f64 {
        let rate = self.rate.unwrap_or(0.0);
        share(self.in_window(class), self.all_in_window()).map_or(0.0, |share| rate * share)
    }
}

/// Runs of one background task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Task {
    /// Its dotted name.
    pub name: String,
    /// Ended well.
    pub success: Count,
    /// Ended in an error nobody foresaw.
    pub error: Count,
    /// Ended in an error the application expects (sold out, …): no alarm.
    pub expected_error: Count,
    /// Runs per second within the window; `None` until two looks were had.
    pub rate: Option<f64>,
    /// Duration of successful runs within the window (pretix does not observe failed ones).
    pub latency: Latency,
    /// Runs per second at the last looks, oldest first, at most 40.
    pub spark: Vec<f32>,
}

impl Task {
    /// Runs within the window.
    pub fn all_in_window(&self) -> f64 {
        self.success.in_window + self.error.in_window + self.expected_error.in_window
    }

    /// Runs since the counters began.
    pub fn total(&self) -> f64 {
        self.success.total + self.error.total + self.expected_error.total
    }

    /// Share of runs within the window that ended in an unforeseen error.
    pub fn error_share(&self) -> Option<f64> {
        share(self.error.in_window, self.all_in_window())
    }
}

/// A queue as the application reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Tasks waiting.
    pub waiting: u64,
    /// Age of the oldest in seconds; `None` where the application's figure is absurd (over a year: pretix puts the
    /// Unix time there, FIELD T-08) or absent.
    pub oldest_s: Option<f64>,
}

/// A latency distribution.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Half were at most this.
    pub p50: Quantile,
    /// 95 % were at most this.
    pub p95: Quantile,
    /// 99 % were at most this.
    pub p99: Quantile,
    /// Observations per bucket within the window, not cumulative, ascending bounds; the last may be above every bound.
    pub buckets: Vec<Bucket>,
    /// Mean in seconds; `None` if nothing was observed.
    pub mean_s: Option<f64>,
}

/// One bar of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Upper bound in seconds; `None`: above every bound (`+Inf`).
    pub le_s: Option<f64>,
    /// Observations in it.
    pub count: f64,
}

/// A quantile estimated from buckets (linear interpolation within one).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantile {
    /// Nothing was observed.
    #[default]
    Unknown,
    /// So many seconds.
    Seconds(f64),
    /// More than the highest finite bound, in seconds.
    Above(f64),
}

/// Facts about the metrics page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Page {
    /// Samples understood.
    pub samples: u64,
    /// Lines that are neither sample, comment nor blank.
    pub bad_lines: u64,
    /// The first of them: its number and what is wrong with it, in one sentence.
    pub first_bad: Option<String>,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Why reading stopped before the page's end, if it did.
    pub cut: Option<String>,
}
