//! What the eyes hand to a runner through the pipe it is started with, and what it says back.

use serde::{Deserialize, Serialize};

use crate::domain::record::Who;
use crate::runbook::approval::Answer;
use crate::runbook::plan::Plan;
use crate::runbook::run::Word;

/// Longest order that is read, in bytes.
pub const MOST: u64 = 4 * 1024 * 1024;

/// One plan, approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The run's id.
    pub run: String,
    /// What was shown.
    pub plan: Plan,
    /// What the operator said to it.
    pub answer: Answer,
    /// Who that was.
    pub by: Who,
    /// For a run that was begun before: how it goes on.
    pub again: Option<Again>,
}

/// How a run that was begun before goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Again {
    /// The last entry of its journal when that was approved: it must still be the last.
    pub seq: u64,
    /// What becomes of the step that failed, or of the run.
    pub choice: Option<Word>,
    /// Why it is taken up, or over.
    pub why: String,
}

/// What the runner says before it lets go of the terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It has the lock and the permission, and begins.
    Begun,
    /// It does nothing.
    Refused {
        /// The exit code for that.
        code: u8,
        /// Why.
        why: String,
    },
}
