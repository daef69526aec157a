//! What access logs say: requests by route where the application has no metrics.

use serde::{Deserialize, Serialize};

use super::traffic::Traffic;

/// One look at the access logs of a site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessReading {
    /// Requests by masked path, in the same shape as the metrics'.
    pub traffic: Traffic,
    /// The files read.
    pub files: Vec<String>,
}
