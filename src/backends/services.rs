//! The services of a site.

use crate::config::SiteConfig;
use crate::domain::reading::Seen;
use crate::domain::service::ServicesReading;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct ServicesProbe;

impl ServicesProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &SiteConfig) -> Self {
        Self
    }
}

impl Observe for ServicesProbe {
    type Value = ServicesReading;

    async fn observe(&mut self) -> Seen<ServicesReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
