//! What changed on the host.

use crate::config::Config;
use crate::domain::change::ChangesReading;
use crate::domain::reading::Seen;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct ChangesProbe;

impl ChangesProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &Config) -> Self {
        Self
    }
}

impl Observe for ChangesProbe {
    type Value = ChangesReading;

    async fn observe(&mut self) -> Seen<ChangesReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
