//! The application as it lies on disk: which version, which migrations, which secrets are there.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One look at the application's files. It is never started for that.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AppReading {
    /// The version installed.
    pub version: Option<String>,
    /// When it was installed.
    pub installed: Option<Timestamp>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}
