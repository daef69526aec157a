//! From a wish to a run that goes on: what is asked, shown and typed on the way. Nothing here acts: what is approved leaves
//! as an errand, which is checked again by who carries it out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::app::line::Line;
use crate::domain::time::Timestamp;
use crate::runbook::approval::Challenge;
use crate::runbook::plan::Plan;
use crate::runbook::run::Word;

/// A plan that is wished for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wish {
    /// The number of the question.
    pub number: u64,
    /// The runbook's id.
    pub book: String,
    /// The site; `None`: the only one, or the host.
    pub site: Option<String>,
    /// The parameters that are known.
    pub given: BTreeMap<String, String>,
}

/// Something that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What is given then.
    pub value: String,
    /// What it is.
    pub label: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoPlan {
    /// A parameter has no value, or a wrong one.
    Parameter {
        /// Its name.
        name: String,
        /// What it is, or what is wrong with what was given.
        says: String,
        /// What can be given; none: a line of text.
        choices: Vec<Choice>,
    },
    /// It can't be.
    Impossible(String),
}

/// What is asked of who plans, starts and speaks to runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Errand {
    /// Make a plan.
    Plan(Wish),
    /// Start a run of it: this was typed to that challenge.
    Start {
        /// The number of the question.
        number: u64,
        /// What was shown.
        plan: Box<Plan>,
        /// What it asked for.
        challenge: Challenge,
        /// What was typed.
        typed: String,
        /// The run it takes up; `None`: a new one.
        again: Option<Again>,
    },
    /// Say this to a run; an answer only to the question of this step.
    Tell {
        /// Its id.
        run: String,
        /// What.
        word: Word,
        /// The step whose question is answered.
        step: Option<usize>,
    },
    /// Read what this run prints, and no other.
    Follow(Option<String>),
}

/// How a run that was begun before is taken up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// The run.
    pub run: String,
    /// What becomes of the step that failed, or of the run; `None`: it goes on.
    pub choice: Option<Word>,
    /// What that means.
    pub says: String,
    /// The place of its last entry when this was chosen: it must still stand there.
    pub seq: u64,
}

/// A plan that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The number of the question it answers.
    pub number: u64,
    /// The plan.
    pub plan: Plan,
    /// The run it takes up; `None`: a new one.
    pub again: Option<Again>,
    /// What its approval takes; `None`: nothing can be approved here.
    pub challenge: Option<Challenge>,
    /// Whether it has been drawn: what was typed before is no answer to it.
    pub seen: bool,
    /// Lines scrolled by.
    pub scroll: usize,
    /// What was typed.
    pub line: Line,
    /// What is said to what was typed.
    pub said: Option<String>,
}

impl Card {
    /// What has to be typed. Where the plan only looks there is nothing to confirm, and Enter alone still does nothing.
    pub fn wanted(&self) -> &str {
        match self.plan.confirm.text() {
            "" => "y",
            text => text,
        }
    }
}

/// What covers the screen between a wish and a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desk {
    /// Several runbooks treat a finding: which?
    Which {
        /// The finding's identity.
        finding: String,
        /// Their ids and summaries.
        choices: Vec<Choice>,
        /// The selected one.
        selected: usize,
    },
    /// What is done with a restore point?
    Point {
        /// Its identity.
        point: String,
        /// The runbooks, and what each does with it.
        choices: Vec<Choice>,
        /// The selected one.
        selected: usize,
    },
    /// How is a run taken up that stands still?
    Ways {
        /// The run.
        run: String,
        /// The ways.
        choices: Vec<Choice>,
        /// The selected one.
        selected: usize,
    },
    /// The plan is being made.
    Planning {
        /// Of what.
        wish: Wish,
        /// Since when.
        since: Timestamp,
    },
    /// A parameter is chosen.
    Choose {
        /// What is known.
        wish: Wish,
        /// The parameter.
        name: String,
        /// What it is, or what is wrong.
        says: String,
        /// What can be given.
        choices: Vec<Choice>,
        /// The selected one.
        selected: usize,
    },
    /// A parameter is typed.
    Fill {
        /// What is known.
        wish: Wish,
        /// The parameter.
        name: String,
        /// What it is, or what is wrong.
        says: String,
        /// What was typed.
        line: Line,
    },
    /// A plan is shown.
    Card(Box<Card>),
    /// A runner is being started.
    Starting {
        /// The number of the question.
        number: u64,
        /// What it does.
        title: String,
        /// Since when.
        since: Timestamp,
    },
    /// There is no plan, or no run.
    Refused {
        /// Of what.
        title: String,
        /// Why, in full.
        why: String,
        /// Lines scrolled by.
        scroll: usize,
    },
    /// What shall become of a run that is watched?
    Leave {
        /// The run.
        run: String,
    },
    /// A run's question is answered.
    Answer {
        /// The run.
        run: String,
        /// The step.
        step: usize,
        /// The question.
        question: String,
        /// What was typed.
        line: Line,
        /// What is said to what was typed.
        said: Option<String>,
    },
}
