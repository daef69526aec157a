//! The time of the screen, and the zone its times are written in.

use jiff::tz::TimeZone;

use super::Look;
use super::format;
use crate::app::model::{Model, ZOOMS};
use crate::domain::time::Timestamp;

/// The time of the screen, and the zone its times are written in.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// The time ages are counted to.
    pub(super) now: Timestamp,
    /// The zone of every time in the body.
    pub(super) zone: TimeZone,
    /// The other one.
    pub(super) other: TimeZone,
    /// Whether `zone` is UTC.
    pub(super) utc: bool,
    /// The start of the strips.
    pub(super) from: Timestamp,
}

impl Clock {
    /// The clock of a model. While the screen is held still, so is the clock.
    pub(super) fn of(model: &Model, look: &Look) -> Self {
        let (utc, local) = (TimeZone::UTC, look.zone.clone());
        let (zone, other) = if model.utc_first { (utc, local) } else { (local, utc) };
        let now = model.shown_now();
        let span = ZOOMS.get(model.zoom).or(ZOOMS.last()).copied().unwrap_or(3600);
        Self { now, zone, other, utc: model.utc_first, from: now.plus_secs(-span) }
    }

    /// A time as seen from now.
    pub(super) fn when(&self, at: Timestamp) -> String {
        format::when(at, self.now, &self.zone)
    }

    /// The name of the zone at one's own place in the header.
    pub(super) const fn zone_name(&self) -> &'static str {
        if self.utc { "UTC" } else { "local" }
    }

    /// The name of the other one.
    pub(super) const fn other_name(&self) -> &'static str {
        if self.utc { "local" } else { "UTC" }
    }
}
