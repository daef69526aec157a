//! The logs of a site.

use crate::config::SiteConfig;
use crate::domain::log::LogReading;
use crate::domain::reading::Seen;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct LogProbe;

impl LogProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &SiteConfig) -> Self {
        Self
    }
}

impl Observe for LogProbe {
    type Value = LogReading;

    async fn observe(&mut self) -> Seen<LogReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
