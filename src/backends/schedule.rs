//! What runs by the clock on the host.

use crate::config::Config;
use crate::domain::reading::Seen;
use crate::domain::schedule::ScheduleReading;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct ScheduleProbe;

impl ScheduleProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &Config) -> Self {
        Self
    }
}

impl Observe for ScheduleProbe {
    type Value = ScheduleReading;

    async fn observe(&mut self) -> Seen<ScheduleReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
