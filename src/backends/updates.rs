//! Pending updates of the host.

use crate::config::Config;
use crate::domain::reading::Seen;
use crate::domain::updates::UpdatesReading;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct UpdatesProbe;

impl UpdatesProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &Config) -> Self {
        Self
    }
}

impl Observe for UpdatesProbe {
    type Value = UpdatesReading;

    async fn observe(&mut self) -> Seen<UpdatesReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
