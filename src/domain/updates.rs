//! Pending updates of a host: a note, never an alarm.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One look at pending updates.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdatesReading {
    /// Packages that could be upgraded.
    pub pending: Option<u32>,
    /// Those of them that mend security faults.
    pub security: Option<u32>,
    /// Some of them, those that mend security faults first: `openssl 3.0.17 → 3.0.18`; at most 20.
    pub packages: Vec<String>,
    /// When the lists of packages were last fetched.
    pub listed: Option<Timestamp>,
    /// Why a reboot is needed, if one is.
    pub reboot: Option<String>,
    /// What is installed without anybody asking.
    pub policy: Policy,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

/// What is installed without anybody asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// That is not known.
    #[default]
    Unknown,
    /// Nothing.
    Nothing,
    /// What mends security faults.
    Security,
    /// Everything.
    Everything,
}

impl Policy {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unknown => "what is installed by itself is not known",
            Self::Nothing => "nothing is installed by itself",
            Self::Security => "security updates are installed by themselves",
            Self::Everything => "all updates are installed by themselves",
        }
    }
}
