//! What the logs say: lines of many files, journals and containers in one order, equal errors together, well-known
//! messages recognised.
//!
//! Everything here is pure: text comes in with the time it was read at, and leaves redacted and without anything a
//! terminal could obey. Every part is bounded, however much is written.

pub mod assemble;
pub mod book;
pub mod calendar;
pub mod format;
pub mod group;
pub mod mask;
pub mod severity;
pub mod sign;
pub mod tally;
pub mod trigger;
pub mod window;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use group::Group;
pub use severity::Severity;
pub use sign::{Sign, SignKind};
pub use tally::Tally;
pub use trigger::Trigger;
pub use window::Window;

use super::time::Timestamp;

/// Most characters of a line's first row that are kept.
pub const TEXT_MAX: usize = 2_000;

/// One entry of a log: its first row, and what belongs to it (a traceback, a statement).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its number, in the order of reading; names it for as long as midwatch runs.
    pub id: u64,
    /// When it was written; when it was read, if it doesn't say.
    pub at: Timestamp,
    /// Whether it says itself when it was written.
    pub dated: bool,
    /// Which of [`LogReading::sources`] it is from.
    pub source: u16,
    /// How bad it is, by its own word.
    pub level: Severity,
    /// The first row without time and level: redacted, free of control characters, at most [`TEXT_MAX`] characters.
    pub text: Box<str>,
    /// The rows below it, joined by line feeds, redacted and free of other control characters; may be empty.
    pub more: Box<str>,
    /// The group it counts for, if it is in one.
    pub group: Option<u64>,
}

impl Line {
    /// The last row of a traceback, which names the exception; else nothing.
    pub fn exception(&self) -> Option<&str> {
        exception(&self.text, &self.more)
    }

    /// What it takes in memory, about, in bytes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.text.len() + self.more.len() + 2 * size_of::<usize>()
    }

    /// The sentence that tells most of it: the exception where there is one, then the first row.
    pub fn summary(&self) -> String {
        match self.exception() {
            Some(exception) => [exception, " — ", &self.text].concat(),
            None => self.text.to_string(),
        }
    }
}

/// The exception that a Python traceback ends with, below `text` or beginning with it.
pub fn exception<'a>(text: &str, more: &'a str) -> Option<&'a str> {
    const HEAD: &str = "Traceback (most recent call last)";
    if !more.contains(HEAD) && !text.starts_with(HEAD) {
        return None;
    }
    // What a database adds below (LINE 1, DETAIL) names no exception: exceptions aren't all capitals.
    let named = |row: &&str| {
        let name = row.split(':').next().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        name.chars().all(fits) && name.chars().any(|c| c.is_ascii_lowercase())
    };
    more.lines().rev().find(named)
}

/// Where lines come from, and how far they can be seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogSource {
    /// Its short name on the screen: `pretix.log`, `pretix-web.service`.
    pub name: String,
    /// Where it is: a path, a unit, a container.
    pub place: String,
    /// Why nothing, or nothing more, can be read of it, and what would open it.
    pub why: Option<String>,
    /// The time of the oldest line that was read of it.
    pub oldest: Option<Timestamp>,
    /// Whether it was read from its very beginning.
    pub whole: bool,
    /// The time of the newest line.
    pub newest: Option<Timestamp>,
    /// Bytes passed over because it grows faster than it is read.
    pub skipped: u64,
    /// How fast it grows, in bytes per second over the last minute; `None`: not known yet.
    pub rate: Option<f64>,
}

impl LogSource {
    /// A source of which nothing was read yet.
    pub const fn new(name: String, place: String) -> Self {
        Self { name, place, why: None, oldest: None, whole: false, newest: None, skipped: 0, rate: None }
    }
}

/// A trigger of the operator's that holds now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// Its name.
    pub name: String,
    /// What holds, in a sentence.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether its beginning was seen (else it began earlier).
    pub seen: bool,
    /// The line that shows it best.
    pub example: Option<Arc<Line>>,
    /// How bad it was told to be.
    pub level: super::level::Level,
}

/// Everything known from the logs of a site.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogReading {
    /// The sources, in the order of [`Line::source`].
    pub sources: Vec<LogSource>,
    /// The newest lines of all sources, the oldest first.
    pub window: Window,
    /// Equal warnings and errors together, the last seen first.
    pub groups: Vec<Group>,
    /// Well-known messages that were found.
    pub signs: Vec<Sign>,
    /// Triggers that hold.
    pub fired: Vec<Fired>,
}

impl LogReading {
    /// The name of a line's source.
    pub fn source(&self, line: &Line) -> &str {
        self.sources.get(usize::from(line.source)).map_or("?", |s| s.name.as_str())
    }

    /// A well-known message, if it was found.
    pub fn sign(&self, kind: SignKind) -> Option<&Sign> {
        self.signs.iter().find(|s| s.kind == kind)
    }
}
