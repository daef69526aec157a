//! Pure rules from what was seen to what is wrong: `Site` and `Host` in, [`Finding`]s out, causes with their symptoms
//! folded under them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::level::Level;
use crate::domain::time::Timestamp;

/// Something that is wrong, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's stable id: `web-down`, `disk-full`, …
    pub rule: String,
    /// Of what, where one rule can hold for several things: a mount point, a URL.
    pub subject: String,
    /// How bad.
    pub level: Level,
    /// One plain sentence that says what is wrong.
    pub title: String,
    /// The numbers behind it, with source and age.
    pub evidence: String,
    /// Since when.
    pub since: Since,
    /// What follows from it.
    pub symptoms: Vec<Self>,
    /// The name of the site, or of the host.
    pub site: String,
}

impl Finding {
    /// Its identity: rule, site and subject.
    pub fn id(&self) -> String {
        [self.site.as_str(), self.rule.as_str(), self.subject.as_str()].join("/")
    }
}

/// Since when something holds, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The time.
    pub at: Timestamp,
    /// Whether the change itself was seen (else it began earlier than `at`, by an unknown time).
    pub seen: bool,
}

/// What the rules remember between two looks: since when each rule has held, how often in a row it did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// By rule and subject.
    pub marks: BTreeMap<String, Mark>,
}

/// What is remembered of one rule and subject.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Since when it holds.
    pub since: Since,
    /// Looks in a row it has held.
    pub looks: u32,
    /// When it was last seen to hold.
    pub last: Timestamp,
}

/// When a number is a warning, when critical.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Thresholds {}
