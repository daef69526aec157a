//! Several things that change hands together: all of them or none, and one right after the other.

use serde::{Deserialize, Serialize};

use super::{Act, Probe};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// What is done.
    pub act: Act,
    /// Whether it is done.
    pub done: Probe,
    /// What undoes it, wherever it has got to.
    pub back: Act,
}

/// Does each in turn; where one fails, what was done before it is undone.
pub fn forth(turns: &[Turn]) -> Act {
    Act::Together(turns.to_vec())
}

/// Undoes all of them, the last one first.
pub fn back(turns: &[Turn]) -> Act {
    Act::InTurn(turns.iter().rev().map(|turn| turn.back.clone()).collect())
}

/// Whether all of them are done.
pub fn done(turns: &[Turn]) -> Probe {
    Probe::All(turns.iter().map(|turn| turn.done.clone()).collect())
}
