//! What a journal keeps of a run, as others read it.

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::run::{Entry, Outcome, ProcessId, Progress, What, Word};
use crate::domain::record::Who;
use crate::domain::time::Timestamp;

/// The beginning of a run. Never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its name: unique, of letters, digits and `-`.
    pub id: String,
    /// What is done.
    pub plan: Plan,
    /// The plan's digest when it was approved.
    pub digest: String,
    /// Who approved it.
    pub by: Who,
    /// When it began.
    pub began: Timestamp,
}

impl RunRecord {
    /// A run of this plan.
    pub fn new(id: String, plan: Plan, by: Who, began: Timestamp) -> Self {
        Self { id, digest: plan.digest(), plan, by, began }
    }
}

/// The last sign of life of a run's runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// When.
    pub at: Timestamp,
    /// The runner.
    pub runner: ProcessId,
}

/// A run as its journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// Its beginning.
    pub record: RunRecord,
    /// What has happened, oldest first.
    pub entries: Vec<Entry>,
    /// The last sign of life.
    pub beat: Option<Beat>,
    /// The user id whose journal it is: who may answer and resume it.
    pub owner: u32,
}

impl RunView {
    /// Where it stands.
    pub fn progress(&self) -> Progress {
        Progress::of(&self.record.plan, &self.entries)
    }

    /// The runner that took it up last.
    pub fn runner(&self) -> Option<&ProcessId> {
        let began = self
            .entries
            .iter()
            .rev()
            .find_map(|entry| if let What::Began { runner, .. } = &entry.what { Some(runner) } else { None });
        began.or_else(|| self.beat.as_ref().map(|beat| &beat.runner))
    }

    /// How it ended, and when; `None` where it goes on, or its runner is gone.
    pub fn ended(&self) -> Option<(Outcome, Timestamp)> {
        let last =
            self.entries.iter().rev().find(|entry| matches!(entry.what, What::Began { .. } | What::Ended { .. }))?;
        if let What::Ended { outcome, .. } = last.what { Some((outcome, last.at)) } else { None }
    }

    /// How long it took from beginning to end, in milliseconds; `None` where it was interrupted, or was not done.
    pub fn took_ms(&self) -> Option<u64> {
        let begun = self.entries.iter().filter(|entry| matches!(entry.what, What::Began { .. })).count();
        let (outcome, at) = self.ended()?;
        let done = matches!(outcome, Outcome::Done | Outcome::Unverified);
        (done && begun <= 1).then(|| at.millis_since(self.record.began))
    }
}

/// Which of a program's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// As it is kept: `out`, `err`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

/// Some lines that a step's program printed; secrets taken out, safe for a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// When they were read.
    pub at: Timestamp,
    /// The step.
    pub step: usize,
    /// The attempt.
    pub attempt: u32,
    /// Which output.
    pub stream: Stream,
    /// The lines, `\n` between them.
    pub text: String,
}

/// Something an operator has said to a run that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// Its place, from 1 on.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Who,
    /// What.
    pub word: Word,
}
