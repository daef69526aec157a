//! What the operator's key asks the runtime to do. Nothing here changes anything outside midwatch itself, but for a plan
//! that was approved: that is handed to a process of its own.

use serde::{Deserialize, Serialize};

use super::runbooks::desk::Errand;
use crate::domain::id::Scope;
use crate::domain::record::About;

/// Something the runtime shall do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// End the program.
    Quit,
    /// Give the terminal back and stop until continued (Ctrl-Z).
    Suspend,
    /// Clear the terminal and draw everything anew (Ctrl-L).
    Redraw,
    /// Look at every source as soon as its politeness allows.
    PollNow,
    /// Put this text on the operator's clipboard.
    Copy(String),
    /// Write this into the incident record.
    Note(Remark),
    /// Plan, start, or speak to a run.
    Errand(Errand),
    /// Put the whole screen as plain text on the operator's clipboard.
    CopyScreen,
}

/// What the operator says to the incident record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// As typed; [`crate::domain::record::said`] knows what it means.
    pub line: String,
    /// The site or host it is about; `None`: everything.
    pub scope: Option<Scope>,
    /// The finding it is about.
    pub about: Option<About>,
}
