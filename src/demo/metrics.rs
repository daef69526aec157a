//! The practice site's counters, printed with pretix' metric names.

use std::collections::BTreeMap;

/// Upper bounds of the histograms in seconds (pretix' own).
pub const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The names of the counters one observation of a histogram adds 1 to, and its sum: `NAME_bucket{LABELS,le="…"}`, …
pub fn observation(name: &str, labels: &str, seconds: f64) -> Vec<(String, f64)> {
    let mut out: Vec<(String, f64)> = BOUNDS
        .iter()
        .filter(|bound| seconds <= **bound)
        .map(|bound| (format!("{name}_bucket{{{labels},le=\"{bound:?}\"}}"), 1.0))
        .collect();
    out.push((format!("{name}_bucket{{{labels},le=\"+Inf\"}}"), 1.0));
    out.push((format!("{name}_count{{{labels}}}"), 1.0));
    out.push((format!("{name}_sum{{{labels}}}"), seconds));
    out
}

/// The web process's own counters.
#[derive(Debug, Default)]
pub struct Requests {
    counters: BTreeMap<String, f64>,
}

impl Requests {
    /// Counts one request.
    pub fn observe(&mut self, url_name: &str, method: &str, status: u16, seconds: f64) {
        let labels = format!("status_code=\"{status}\",method=\"{method}\",url_name=\"{url_name}\"");
        for (name, by) in observation("pretix_view_duration_seconds", &labels, seconds) {
            *self.counters.entry(name).or_default() += by;
        }
    }

    /// The page: these counters, the worker's, and the queues.
    pub fn page(&self, worker: &[(String, f64)], queues: &[(String, i64, f64)], orders: i64) -> String {
        let own = self.counters.iter().map(|(name, value)| (name.as_str(), *value));
        let theirs = worker.iter().map(|(name, value)| (name.as_str(), *value));
        let mut out = String::new();
        for (name, value) in own.chain(theirs) {
            out.push_str(&[name, " ", &value.to_string(), "\n"].concat());
        }
        for queue in ["checkout", "mail"] {
            let (waiting, age) = queues.iter().find(|q| q.0 == queue).map_or((0, 0.0), |q| (q.1, q.2));
            let labels = format!("{{queue=\"{queue}\"}}");
            out.push_str(&["pretix_celery_tasks_queued_count", &labels, " ", &waiting.to_string(), "\n"].concat());
            out.push_str(&["pretix_celery_tasks_queued_age_seconds", &labels, " ", &age.to_string(), "\n"].concat());
        }
        out.push_str(&["pretix_model_instances{model=\"practice.order\"} ", &orders.to_string(), "\n"].concat());
        out
    }
}
