//! How bad something is.

use serde::{Deserialize, Serialize};

/// How bad something is, from fine to worst. Unknown is never green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Seen, and fine.
    Ok,
    /// Worth knowing, nothing to do tonight.
    Note,
    /// Could not be seen, or not yet.
    Unknown,
    /// Needs a look soon.
    Warning,
    /// Broken now.
    Critical,
}

impl Level {
    /// The word for it: a level is never shown by colour alone.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}
