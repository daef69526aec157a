//! How far a backup is proven: listed, complete, restored; or broken, and why.

use serde::{Deserialize, Serialize};

use super::super::time::Timestamp;

/// How far a backup is proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "proof")]
pub enum Proof {
    /// It is there; nobody has read it to its end. `why`: what keeps that from being done, if anything does.
    Listed {
        /// What keeps it from being checked, and what would mend that; `None`: it has not come to it yet.
        why: Option<String>,
    },
    /// It is being written: nothing can be said of it.
    Running {
        /// How that is known.
        why: String,
    },
    /// Its whole content was read and is whole.
    Complete {
        /// When.
        at: Timestamp,
        /// How long that took, in milliseconds.
        took_ms: u64,
    },
    /// It was restored in a drill.
    Restored {
        /// When the drill ended.
        at: Timestamp,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// Nothing, or not everything, can be restored from it.
    Broken {
        /// In which way.
        flaw: Flaw,
        /// One sentence.
        why: String,
        /// When that was found out.
        at: Timestamp,
    },
}

/// In which way a backup is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// It holds nothing.
    Empty,
    /// It ends too early.
    Truncated,
    /// Its content is damaged.
    Damaged,
    /// A job began it and never ended it.
    Unfinished,
    /// The tool that made it says that it failed.
    Failed,
}

impl Proof {
    /// Not looked into yet.
    pub const UNREAD: Self = Self::Listed { why: None };

    /// The word for people and JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Listed { .. } => "listed",
            Self::Running { .. } => "running",
            Self::Complete { .. } => "complete",
            Self::Restored { .. } => "restored",
            Self::Broken { .. } => "broken",
        }
    }

    /// Why it is no better.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Listed { why } => why.as_deref(),
            Self::Running { why } | Self::Broken { why, .. } => Some(why),
            Self::Complete { .. } | Self::Restored { .. } => None,
        }
    }

    /// When it was found out.
    pub const fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Complete { at, .. } | Self::Restored { at, .. } | Self::Broken { at, .. } => Some(*at),
            Self::Listed { .. } | Self::Running { .. } => None,
        }
    }

    /// How long finding out took, in milliseconds.
    pub const fn took_ms(&self) -> Option<u64> {
        match self {
            Self::Complete { took_ms, .. } | Self::Restored { took_ms, .. } => Some(*took_ms),
            Self::Listed { .. } | Self::Running { .. } | Self::Broken { .. } => None,
        }
    }
}
