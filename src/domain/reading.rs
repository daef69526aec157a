//! A value together with its age, or the reason why there is none.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What one look at a source brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen<T> {
    /// An answer.
    Value(T),
    /// The question was put and failed; a sentence that says what, where and what to do.
    Failed(String),
    /// It can't be seen at all: no permission, not configured, switched off.
    Unseen(String),
    /// The question is under way since the observation's time and has not been answered yet.
    Asking,
}

/// The last thing known from a source. No number leaves it without its age.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reading")]
pub enum Reading<T> {
    /// Nothing has come yet.
    #[default]
    Never,
    /// The last look succeeded.
    Fresh {
        /// What was seen.
        value: T,
        /// When.
        at: Timestamp,
        /// How long the look took, in milliseconds.
        took_ms: u32,
    },
    /// The last look failed; this is what the one before it saw.
    Stale {
        /// What was seen last.
        value: T,
        /// When it was seen.
        at: Timestamp,
        /// When looking first failed since.
        failed_since: Timestamp,
        /// Why.
        why: String,
    },
    /// Looking has failed and nothing was seen before.
    Failed {
        /// Since when.
        failed_since: Timestamp,
        /// Why.
        why: String,
    },
    /// It can't be seen: no permission, not configured, switched off.
    Unseen {
        /// Why, and what would open it.
        why: String,
    },
}

impl<T> Reading<T> {
    /// The value, fresh or stale.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Fresh { value, .. } | Self::Stale { value, .. } => Some(value),
            Self::Never | Self::Failed { .. } | Self::Unseen { .. } => None,
        }
    }

    /// The value, only if the last look succeeded.
    pub const fn fresh(&self) -> Option<&T> {
        match self {
            Self::Fresh { value, .. } => Some(value),
            Self::Never | Self::Stale { .. } | Self::Failed { .. } | Self::Unseen { .. } => None,
        }
    }

    /// When the value was seen.
    pub const fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Fresh { at, .. } | Self::Stale { at, .. } => Some(*at),
            Self::Never | Self::Failed { .. } | Self::Unseen { .. } => None,
        }
    }

    /// Why there is no fresh value.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Stale { why, .. } | Self::Failed { why, .. } | Self::Unseen { why } => Some(why),
            Self::Never | Self::Fresh { .. } => None,
        }
    }

    /// Since when looking has failed.
    pub const fn failed_since(&self) -> Option<Timestamp> {
        match self {
            Self::Stale { failed_since, .. } | Self::Failed { failed_since, .. } => Some(*failed_since),
            Self::Never | Self::Fresh { .. } | Self::Unseen { .. } => None,
        }
    }

    /// Takes in what a later look brought. [`Seen::Asking`] changes nothing.
    pub fn absorb(&mut self, seen: Seen<T>, at: Timestamp, took_ms: u32) {
        let before = std::mem::take(self);
        *self = match (seen, before) {
            (Seen::Asking, before) => before,
            (Seen::Value(value), _) => Self::Fresh { value, at, took_ms },
            (Seen::Unseen(why), _) => Self::Unseen { why },
            (Seen::Failed(why), Self::Fresh { value, at: seen_at, .. }) => {
                Self::Stale { value, at: seen_at, failed_since: at, why }
            }
            (Seen::Failed(why), Self::Stale { value, at, failed_since, .. }) => {
                Self::Stale { value, at, failed_since, why }
            }
            (Seen::Failed(why), Self::Failed { failed_since, .. }) => Self::Failed { failed_since, why },
            (Seen::Failed(why), Self::Never | Self::Unseen { .. }) => Self::Failed { failed_since: at, why },
        };
    }
}
