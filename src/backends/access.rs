//! The access logs of a site.

use crate::config::SiteConfig;
use crate::domain::access::AccessReading;
use crate::domain::reading::Seen;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct AccessProbe;

impl AccessProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &SiteConfig) -> Self {
        Self
    }
}

impl Observe for AccessProbe {
    type Value = AccessReading;

    async fn observe(&mut self) -> Seen<AccessReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
