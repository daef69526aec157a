//! The clock, and what this host's local time means.

use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;

/// The time now.
pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// From a local date and time, taken for UTC, to the true time. Of two (when clocks are set back) it is the first.
pub(super) fn local(taken_for_utc: Timestamp) -> Timestamp {
    let civil = jiff::Timestamp::from_millisecond(taken_for_utc.as_millis()).map(|t| TimeZone::UTC.to_datetime(t));
    let meant = civil.and_then(|civil| civil.to_zoned(TimeZone::system()));
    meant.map_or(taken_for_utc, |zoned| Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}
