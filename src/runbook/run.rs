//! A run: what has happened, and from that what comes next.

use serde::{Deserialize, Serialize};

use super::plan::{OnFailure, Plan};
use crate::domain::record::Who;
use crate::domain::time::Timestamp;

/// One process, told from every other that ever had its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// The boot it runs in.
    pub boot: String,
    /// When it began, in clock ticks since that boot (field 22 of `/proc/PID/stat`).
    pub started: u64,
}

/// Something that happened in a run. Never changed, never taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, from 1 on.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What can happen in a run. Steps are told by their place in the plan, attempts counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A runner takes it up.
    Began {
        /// Which.
        runner: ProcessId,
        /// Who approved that.
        by: Who,
        /// Why, where it is not the first.
        why: Option<String>,
    },
    /// A step is about to be done. Written durably before anything is.
    Intended {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
    },
    /// Its program runs.
    Started {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// The process.
        child: ProcessId,
    },
    /// What it did is done; its verification is not.
    Acted {
        /// The step.
        step: usize,
        /// How it ended: `exit 0`.
        how: String,
    },
    /// It is done, and seen to be where it can be seen.
    Done {
        /// The step.
        step: usize,
        /// How that is known.
        how: String,
        /// Whether a probe has seen it.
        verified: bool,
    },
    /// It was not begun: there was nothing to do.
    Spared {
        /// The step.
        step: usize,
        /// How that is known.
        how: String,
    },
    /// It failed.
    Failed {
        /// The step.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// Why.
        why: String,
    },
    /// The runner was gone in the middle of it, and its probe has said that it was not done.
    NotDone {
        /// The step.
        step: usize,
        /// How that is known.
        how: String,
    },
    /// What it did is about to be undone.
    Undoing {
        /// The step.
        step: usize,
    },
    /// What it did was undone.
    Reverted {
        /// The step.
        step: usize,
        /// How.
        how: String,
    },
    /// The operator is asked.
    Asked {
        /// The step.
        step: usize,
        /// What.
        question: String,
    },
    /// The operator has said something.
    Said {
        /// Who.
        by: Who,
        /// What.
        word: Word,
    },
    /// Something worth knowing: what was ended, what was found, that nothing is printed.
    Note(String),
    /// The run is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// The state it leaves, in a sentence.
        left: String,
    },
}

/// What an operator can say to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Yes, go on.
    Proceed,
    /// No: end the run here.
    Decline,
    /// Stop after this step.
    StopAfter,
    /// Stop now: end what runs.
    StopNow,
    /// Try the failed step again.
    Retry,
    /// Go on without the failed step.
    Skip,
    /// Undo what was done.
    Revert,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything done, and verified wherever a step can be.
    Done,
    /// Everything done; something that should have been verified was not.
    Unverified,
    /// A step failed.
    Failed,
    /// What the plan counted on has changed: nothing was done.
    Refused,
    /// Stopped by the operator.
    Cancelled,
    /// Undone.
    Reverted,
}

impl Outcome {
    /// Its exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed | Self::Reverted => 1,
            Self::Refused => 12,
            Self::Unverified => 14,
            Self::Cancelled => 130,
        }
    }

    /// A word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unverified => "done, not verified",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Reverted => "reverted",
        }
    }
}

/// How a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// Begun: this attempt. After its runner is gone nobody knows whether it was done.
    Begun(u32),
    /// Done; whether a probe has seen it.
    Done(bool),
    /// It failed in this attempt, for this reason.
    Failed(u32, String),
    /// Left out by the operator.
    Skipped,
    /// Undone.
    Reverted,
}

impl StepState {
    /// A word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun(_) => "running",
            Self::Done(true) => "verified",
            Self::Done(false) => "done",
            Self::Failed(..) => "failed",
            Self::Skipped => "skipped",
            Self::Reverted => "reverted",
        }
    }
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This step is done, in this attempt.
    Do(usize, u32),
    /// Nobody knows whether this step was done, in this attempt: its probe is asked.
    Settle(usize, u32),
    /// This step is undone.
    Undo(usize),
    /// The run is over.
    End(Outcome),
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How every step is.
    pub steps: Vec<StepState>,
    /// How often each has been begun.
    pub attempts: Vec<u32>,
    /// How it ended, if its last runner said so.
    pub ended: Option<(Outcome, String)>,
    /// Whether it is being undone.
    pub reverting: bool,
    /// The step whose way back was begun and has not ended.
    pub undoing: Option<usize>,
    /// Whether any way back was ever begun: then the run does not go on.
    pub undone: bool,
    /// Whether it shall stop before the next step.
    pub stopping: bool,
    /// The question that waits for an answer: of which step.
    pub asking: Option<usize>,
    /// Whether what each does was done, its verification aside.
    pub acted: Vec<bool>,
    /// What was said to the last question.
    pub answer: Option<bool>,
    /// Attempts each step has more than it is allowed: on the operator's word, and for those that were cut off.
    pub granted: Vec<u32>,
}

impl Progress {
    /// What the journal says of a run of this plan.
    pub fn of<'a>(plan: &Plan, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let count = plan.steps.len();
        let mut now = Self {
            steps: vec![StepState::Waiting; count],
            attempts: vec![0; count],
            ended: None,
            reverting: false,
            undoing: None,
            undone: false,
            stopping: false,
            asking: None,
            acted: vec![false; count],
            answer: None,
            granted: vec![0; count],
        };
        for entry in entries {
            now.take(&entry.what);
        }
        now
    }

    fn set(&mut self, step: usize, state: StepState) {
        if let Some(slot) = self.steps.get_mut(step) {
            *slot = state;
        }
    }

    /// One thing more has happened.
    pub fn take(&mut self, what: &What) {
        match what {
            What::Began { .. } => {
                self.ended = None;
                self.stopping = false;
                self.asking = None;
            }
            What::Intended { step, attempt } => {
                self.set(*step, StepState::Begun(*attempt));
                if let Some(slot) = self.acted.get_mut(*step) {
                    *slot = false;
                }
                if let Some(slot) = self.attempts.get_mut(*step) {
                    *slot = *attempt;
                }
            }
            What::Spared { step, .. } => self.set(*step, StepState::Done(true)),
            What::Done { step, verified, .. } => self.set(*step, StepState::Done(*verified)),
            What::Failed { step, attempt, why } => {
                if let Some(slot) = self.attempts.get_mut(*step) {
                    *slot = (*slot).max(*attempt);
                }
                self.set(*step, StepState::Failed(*attempt, why.clone()));
            }
            What::NotDone { step, .. } => {
                self.set(*step, StepState::Waiting);
                // The attempt that was cut off has not failed: it is none of those that are allowed.
                if let Some(slot) = self.granted.get_mut(*step) {
                    *slot = slot.saturating_add(1);
                }
            }
            What::Undoing { step } => {
                self.undoing = Some(*step);
                self.undone = true;
            }
            What::Reverted { step, .. } => {
                self.undoing = None;
                self.set(*step, StepState::Reverted);
            }
            What::Asked { step, .. } => {
                self.asking = Some(*step);
                self.answer = None;
            }
            What::Said { word, .. } => self.said(*word),
            What::Ended { outcome, left } => self.ended = Some((*outcome, left.clone())),
            What::Acted { step, .. } => {
                if let Some(slot) = self.acted.get_mut(*step) {
                    *slot = true;
                }
            }
            What::Started { .. } | What::Note(_) => {}
        }
    }

    /// Whether what a step does was done, its verification aside.
    pub fn acted(&self, step: usize) -> bool {
        self.acted.get(step).copied().unwrap_or(false)
    }

    fn said(&mut self, word: Word) {
        // The last one: those before it were passed by, for their runbook says so.
        let failed = self.steps.iter().rposition(|state| matches!(state, StepState::Failed(..)));
        match word {
            Word::Proceed | Word::Decline => {
                if self.asking.take().is_some() {
                    self.answer = Some(word == Word::Proceed);
                }
            }
            Word::StopAfter | Word::StopNow => self.stopping = true,
            Word::Retry => {
                // Of what was to be undone, nothing was begun: it goes on where it was.
                self.reverting &= self.undone;
                if let Some(slot) = failed.and_then(|step| self.granted.get_mut(step)) {
                    *slot = slot.saturating_add(1);
                }
            }
            Word::Skip => {
                if let Some(step) = failed {
                    self.set(step, StepState::Skipped);
                }
            }
            Word::Revert => {
                self.reverting = true;
                self.undoing = None;
            }
        }
    }

    /// What a runner does next.
    pub fn next(&self, plan: &Plan) -> Next {
        if self.reverting {
            // Its runner was gone in the middle of a way back, or it failed: the operator says whether it is gone again.
            if self.undoing.is_some() {
                return Next::End(Outcome::Failed);
            }
            // What was never begun, because there was nothing to do, has nothing to undo.
            let begun = |step: usize| self.attempts.get(step).is_some_and(|tried| *tried > 0);
            let undo = (0..plan.steps.len()).rev().find(|&step| {
                let (planned, state) = (plan.steps.get(step), self.steps.get(step));
                begun(step) && planned.is_some_and(|s| s.revert.is_some()) && state != Some(&StepState::Reverted)
            });
            return undo.map_or(Next::End(Outcome::Reverted), Next::Undo);
        }
        let mut verified = true;
        for (index, (step, state)) in plan.steps.iter().zip(&self.steps).enumerate() {
            let tried = self.attempts.get(index).copied().unwrap_or(0);
            match state {
                StepState::Begun(attempt) => return Next::Settle(index, *attempt),
                StepState::Waiting if self.stopping => return Next::End(Outcome::Cancelled),
                StepState::Waiting => return Next::Do(index, tried.saturating_add(1)),
                StepState::Failed(..) => {
                    let allowed = step.max_attempts.saturating_add(self.granted.get(index).copied().unwrap_or(0));
                    if self.stopping {
                        return Next::End(Outcome::Cancelled);
                    }
                    if tried < allowed {
                        return Next::Do(index, tried.saturating_add(1));
                    }
                    if step.on_failure == OnFailure::Stop {
                        return Next::End(Outcome::Failed);
                    }
                    verified = false;
                }
                StepState::Done(seen) => verified &= *seen || step.verify.is_none(),
                StepState::Skipped => verified = false,
                StepState::Reverted => {}
            }
        }
        Next::End(if verified { Outcome::Done } else { Outcome::Unverified })
    }
}
