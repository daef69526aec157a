//! Who else is on the host.

use crate::config::Config;
use crate::domain::people::PeopleReading;
use crate::domain::reading::Seen;
use crate::ports::Observe;

/// Looks at it.
#[derive(Debug)]
pub struct PeopleProbe;

impl PeopleProbe {
    /// A probe for this configuration.
    pub const fn new(_config: &Config) -> Self {
        Self
    }
}

impl Observe for PeopleProbe {
    type Value = PeopleReading;

    async fn observe(&mut self) -> Seen<PeopleReading> {
        Seen::Unseen("nothing looks at it yet".to_owned())
    }
}
