//! Pending updates of a host: a note, never an alarm.

use serde::{Deserialize, Serialize};

/// One look at pending updates.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UpdatesReading {
    /// Packages that could be upgraded.
    pub pending: Option<u32>,
    /// Those of them that mend security faults.
    pub security: Option<u32>,
    /// Why a reboot is needed, if one is.
    pub reboot: Option<String>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}
