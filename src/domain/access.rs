//! What access logs say: requests where an application has no metrics of its own, or can't answer for them.

mod entry;
mod format;
mod route;
mod stamp;
mod tally;

use serde::{Deserialize, Serialize};

pub use self::entry::Entry;
pub use self::format::{Format, Template};
pub use self::route::{Layout, route};
pub use self::tally::Tally;

use super::history::Point;
use super::time::Timestamp;
use super::traffic::Traffic;

/// What the access logs of one site say together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AccessReading {
    /// Requests by masked path and method: rates, classes, quantiles, over the last minute.
    pub traffic: Traffic,
    /// The logs read.
    pub logs: Vec<LogFile>,
    /// Answers of a proxy that had none from the application (502, 504), over the last five minutes.
    pub gateway: Part,
    /// Requests below `/static/` answered 404, of all below it, over the same time.
    pub statics: Part,
    /// Requests answered 5xx, over the same time.
    pub errors: Part,
    /// The last request of anybody but a monitor.
    pub last_request: Option<Timestamp>,
    /// Since when at least a twentieth of the requests end in a server error, without a break of two minutes.
    pub errors_since: Option<Since>,
    /// Since when proxies have answered 502 or 504, in the same way.
    pub gateway_since: Option<Since>,
    /// Requests per second and share of errors of every past [`super::history::STEP_S`] seconds: only the first reading
    /// brings them, for the strips.
    #[serde(default, skip_serializing_if = "Past::is_empty")]
    pub past: Past,
}

/// A beginning that a log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// When.
    pub at: Timestamp,
    /// Whether the log shows it to have been well before; else it began earlier.
    pub seen: bool,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Part {
    /// Those meant.
    pub bad: u64,
    /// All.
    pub all: u64,
    /// When the last of those meant was.
    pub last_bad: Option<Timestamp>,
}

impl Part {
    /// Counts one more.
    pub(super) fn note(&mut self, bad: bool, at: Timestamp) {
        self.all += 1;
        if bad {
            self.bad += 1;
            self.last_bad = self.last_bad.max(Some(at));
        }
    }

    /// Both together.
    #[must_use]
    pub(super) fn plus(self, other: Self) -> Self {
        Self { bad: self.bad + other.bad, all: self.all + other.all, last_bad: self.last_bad.max(other.last_bad) }
    }

    /// Their share; `None` if there are none at all.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.bad as f64 / self.all as f64)
    }
}

/// What was before this watching began, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Past {
    /// Requests per second.
    pub requests: Vec<Point>,
    /// Share of requests answered 5xx.
    pub errors: Vec<Point>,
}

impl Past {
    /// Whether there is nothing.
    pub const fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.errors.is_empty()
    }
}

/// One access log.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogFile {
    /// Its path.
    pub path: String,
    /// Whose configuration names it: `nginx`, `gunicorn 1234`, `midwatch.toml`.
    pub by: String,
    /// Lines that are requests, since this watching began.
    pub requests: u64,
    /// Lines that are none.
    pub others: u64,
    /// Whether its lines tell how long requests took.
    pub timed: bool,
    /// Other host names whose requests are in it too and can't be told apart.
    pub shared_with: Vec<String>,
    /// Bytes that were passed over because more came than are read.
    pub skipped: u64,
    /// Why it can't be read, and what would open it.
    pub trouble: Option<String>,
}
