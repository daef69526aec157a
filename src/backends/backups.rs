//! The backups of a site.

use crate::config::SiteConfig;
use crate::domain::backup::BackupsReading;
use crate::domain::reading::Seen;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct BackupsProbe;

impl BackupsProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &SiteConfig) -> Self {
        Self
    }
}

impl Observe for BackupsProbe {
    type Value = BackupsReading;

    async fn observe(&mut self) -> Seen<BackupsReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
