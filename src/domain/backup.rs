//! Backups: what is protected by which copy, and what that copy is worth.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One look at the backups of a site.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BackupsReading {
    /// The newest backups of each subject, newest first.
    pub backups: Vec<Backup>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

/// One backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Where it lies.
    pub place: String,
    /// When it was made.
    pub at: Timestamp,
    /// Its size in bytes.
    pub size: u64,
}
