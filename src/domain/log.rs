//! What is seen of the logs: a bounded window of lines, equal errors grouped, well-known messages recognised.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One look at all logs of a site. Never written to disk by midwatch: the window is shared by reference.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogReading {
    /// The newest lines of all sources, oldest first.
    #[serde(skip)]
    pub window: Arc<Vec<LogLine>>,
    /// Equal messages of level warning and above, grouped.
    pub groups: Vec<LogGroup>,
    /// Where the lines come from.
    pub sources: Vec<LogSource>,
}

/// How bad a line says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For developers.
    Debug,
    /// As usual, or not told.
    Info,
    /// A warning.
    Warning,
    /// An error.
    Error,
    /// Worse than an error.
    Critical,
}

/// One line, with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it says it was written, else when it was read.
    pub at: Timestamp,
    /// Index into [`LogReading::sources`].
    pub source: u16,
    /// How bad.
    pub severity: Severity,
    /// The text, redacted, without control characters; lines that continue it follow after `\n`.
    pub text: String,
}

/// Equal messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGroup {
    /// The message with its numbers, ids and quoted values masked.
    pub pattern: String,
    /// The newest of them, redacted.
    pub example: String,
    /// Index into [`LogReading::sources`].
    pub source: u16,
    /// How bad.
    pub severity: Severity,
    /// How many.
    pub count: u64,
    /// The first one seen.
    pub first: Timestamp,
    /// The last one.
    pub last: Timestamp,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSource {
    /// A short name: `pretix.log`, `gunicorn`, `nginx`.
    pub name: String,
    /// Where it is: a path, a unit, a container.
    pub place: String,
    /// Why it can't be read, and what would open it.
    pub unseen: Option<String>,
}
