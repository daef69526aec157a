//! The application on disk.

use crate::config::SiteConfig;
use crate::domain::app_state::AppReading;
use crate::domain::reading::Seen;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct AppProbe;

impl AppProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &SiteConfig) -> Self {
        Self
    }
}

impl Observe for AppProbe {
    type Value = AppReading;

    async fn observe(&mut self) -> Seen<AppReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
