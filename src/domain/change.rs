//! What changed on a host: packages, versions, units, configuration, reboots.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One look at what changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChangesReading {
    /// The newest changes, newest first.
    pub changes: Vec<Change>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// A package of the system.
    Package,
    /// The application itself.
    App,
    /// A unit file.
    Unit,
    /// A configuration file.
    Config,
    /// A service was started anew.
    Restart,
    /// The machine was started anew.
    Boot,
    /// A database migration.
    Migration,
    /// A crontab or timer.
    Schedule,
    /// A certificate.
    Certificate,
    /// Somebody logged in.
    Login,
    /// The kernel killed a process.
    Kill,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What kind.
    pub kind: ChangeKind,
    /// One line: `apt: openssl 3.0.17 → 3.0.18`.
    pub text: String,
    /// Who, where that is known.
    pub who: Option<String>,
}
