//! Runbooks as the screens know them: the catalogue, the runs that were and are, what one of them prints.

pub mod desk;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::record::Who;
use crate::domain::time::Timestamp;
use crate::runbook::kept::Printed;
use crate::runbook::plan::Plan;
use crate::runbook::run::{Entry, Outcome, Progress, StepState, What};
use crate::runbook::spec::Risk;

/// Runs that are kept, the newest.
pub const RUNS: usize = 50;
/// Entries of a run that are kept, the newest.
pub const ENTRIES: usize = 200;
/// Lines of output that are kept of the run that is watched, the newest.
pub const LINES: usize = 400;

/// A runbook of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// Its id.
    pub id: String,
    /// What it does and when it helps.
    pub summary: String,
    /// What it does to the world.
    pub risk: Risk,
    /// Whether it acts on the host.
    pub host: bool,
    /// The rules whose findings it treats.
    pub treats: Vec<String>,
    /// Names of parameters that take a service.
    pub services: Vec<String>,
    /// How many steps it has, as it is written.
    pub steps: usize,
    /// Whether it ships with midwatch.
    pub built_in: bool,
}

/// A run, read from its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// What is done.
    pub plan: Plan,
    /// Who approved it.
    pub by: Who,
    /// When it began.
    pub began: Timestamp,
    /// Where it stands, by all of its entries.
    pub progress: Progress,
    /// How it ended, and when.
    pub ended: Option<(Outcome, Timestamp)>,
    /// How long it took, where it was done in one go.
    pub took_ms: Option<u64>,
    /// The newest entries, oldest first, at most [`ENTRIES`].
    pub entries: Vec<Entry>,
    /// Whether its runner lives.
    pub lives: bool,
    /// Whose journal it is in.
    pub owner: String,
    /// Whether that is this midwatch's own user: who may speak to it.
    pub mine: bool,
}

/// How a run is, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Running,
    /// It waits for an answer.
    Asks,
    /// Its runner is gone in the middle of it.
    Lost,
    /// It has ended.
    Ended(Outcome),
}

impl Standing {
    /// Words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Asks => "asks",
            Self::Lost => "runner gone",
            Self::Ended(outcome) => outcome.word(),
        }
    }
}

impl Run {
    /// How it is.
    pub fn standing(&self) -> Standing {
        match self.ended {
            Some((outcome, _)) => Standing::Ended(outcome),
            None if !self.lives => Standing::Lost,
            None if self.progress.asking.is_some() => Standing::Asks,
            None => Standing::Running,
        }
    }

    /// The site it acts on, or the host.
    pub fn on(&self) -> &str {
        self.plan.site.as_deref().unwrap_or(&self.plan.host.name)
    }

    /// The step it is at, from 1 on: the one that is done, or failed, or the last that was.
    pub fn step(&self) -> usize {
        let at = |wanted: fn(&StepState) -> bool| self.progress.steps.iter().position(wanted).map(|at| at + 1);
        let done = || self.progress.steps.iter().rposition(|state| *state != StepState::Waiting).map_or(0, |at| at + 1);
        let over = matches!(self.ended, Some((Outcome::Done | Outcome::Unverified, _)));
        let here = at(|state| matches!(state, StepState::Begun(_) | StepState::Failed(..)));
        here.filter(|_| !over).unwrap_or_else(done)
    }

    /// How long it has gone on, or took, in milliseconds.
    pub fn elapsed_ms(&self, now: Timestamp) -> u64 {
        self.ended.map_or(now, |(_, at)| at).millis_since(self.began)
    }

    /// When an attempt at a step began, and when it ended, as far as the entries tell.
    pub fn times(&self, of: usize) -> (Option<Timestamp>, Option<Timestamp>) {
        let (mut began, mut ended) = (None, None);
        for entry in &self.entries {
            if matches!(&entry.what, What::Intended { step, .. } if *step == of) {
                (began, ended) = (Some(entry.at), None);
            }
            let (What::Done { step, .. }
            | What::Failed { step, .. }
            | What::NotDone { step, .. }
            | What::Reverted { step, .. }) = &entry.what
            else {
                continue;
            };
            if *step == of {
                ended = Some(entry.at);
            }
        }
        (began, ended)
    }

    /// The question that waits for an answer, and its step.
    pub fn question(&self) -> Option<(usize, String)> {
        let step = self.progress.asking.filter(|_| self.standing() == Standing::Asks)?;
        let asked = self.entries.iter().rev().find_map(|entry| {
            if let What::Asked { question, .. } = &entry.what { Some(question.clone()) } else { None }
        });
        Some((step, asked.unwrap_or_else(|| "shall it go on?".to_owned())))
    }

    /// How it can be taken up: the flag of `runbook resume`, and what that does; none where it goes on, or is over for
    /// good.
    pub fn ways_on(&self) -> Vec<(&'static str, &'static str)> {
        let revert = self.plan.steps.iter().zip(&self.progress.steps).any(|(step, state)| {
            step.revert.is_some() && matches!(state, StepState::Done(_) | StepState::Begun(_) | StepState::Failed(..))
        });
        let failed = self.progress.steps.iter().any(|state| matches!(state, StepState::Failed(..)));
        let mut out = match self.standing() {
            Standing::Running
            | Standing::Asks
            | Standing::Ended(Outcome::Done | Outcome::Reverted | Outcome::Refused | Outcome::Unverified) => {
                return Vec::new();
            }
            Standing::Lost | Standing::Ended(Outcome::Cancelled) if !failed => vec![("", "goes on with it")],
            Standing::Lost | Standing::Ended(Outcome::Cancelled | Outcome::Failed) => Vec::new(),
        };
        if failed {
            out.push(("--retry", "tries the failed step again"));
            out.push(("--skip", "goes on without it"));
        }
        if revert {
            out.push(("--revert", "undoes what was done"));
        }
        out
    }
}

/// The newest lines that a run printed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tail {
    /// The run.
    pub run: String,
    /// What it printed, oldest first; together at most [`LINES`] lines.
    pub printed: Arc<Vec<Printed>>,
}

impl Tail {
    /// How many lines that is.
    pub fn lines(&self) -> usize {
        self.printed.iter().map(|part| part.text.lines().count()).sum()
    }
}

/// All that is known of runbooks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Runbooks {
    /// The catalogue, in the order of ids.
    pub books: Vec<Book>,
    /// Why files of the operator's own can't be used.
    pub broken: Vec<String>,
    /// Runs, the newest first, at most [`RUNS`]; `None`: not read yet.
    pub runs: Option<Vec<Arc<Run>>>,
    /// Why journals can't be read, or there are none.
    pub unread: Vec<String>,
    /// What the watched run prints.
    pub tail: Tail,
    /// How many of its newest lines are scrolled out of sight; 0: the newest is shown.
    pub back: usize,
    /// The number of the last question to who plans and starts: an answer to another one comes too late.
    pub asked: u64,
}

impl Runbooks {
    /// A run by its id.
    pub fn run(&self, id: &str) -> Option<&Run> {
        self.runs.iter().flatten().find(|run| run.id == id).map(AsRef::as_ref)
    }

    /// Takes what a run has printed; what is looked at further up stays where it is.
    pub fn printed(&mut self, tail: Tail) {
        let more = if tail.run == self.tail.run { tail.lines().saturating_sub(self.tail.lines()) } else { 0 };
        self.back = if tail.run != self.tail.run || self.back == 0 { 0 } else { self.back.saturating_add(more) };
        self.tail = tail;
    }

    /// Scrolls what it has printed: up for a negative number of lines.
    pub fn scroll(&mut self, by: isize) {
        self.back = self.back.saturating_add_signed(by.saturating_neg()).min(self.tail.lines().saturating_sub(1));
    }
}
