//! When a backup was made, from what its content, its state and its name say.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::backup::header::Civil;
use crate::domain::time::Timestamp;

/// When a file was last changed.
pub(super) fn changed(meta: &Metadata) -> Timestamp {
    Timestamp::from_millis(meta.mtime().saturating_mul(1000).saturating_add(meta.mtime_nsec() / 1_000_000))
}

/// The same in nanoseconds.
pub(super) fn changed_ns(meta: &Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
}

/// A date and time in a zone, as a point in time.
pub(super) fn at(civil: Civil, zone: &TimeZone) -> Option<Timestamp> {
    let date = DateTime::new(civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second, 0).ok()?;
    let zoned = date.to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

/// When the content was true. A dump says when it was begun, in the local time of whoever made it: on this host, or in a
/// container that lives in UTC. It can't have been begun after its file was last changed; of what is left, the later.
pub(super) fn made(created: Option<Civil>, changed: Timestamp, zone: &TimeZone) -> Timestamp {
    let Some(created) = created else { return changed };
    let possible = [at(created, zone), at(created, &TimeZone::UTC)].into_iter().flatten();
    // File systems round times, and clocks of two hosts differ.
    possible.filter(|at| *at <= changed.plus_secs(5)).max().map_or(changed, |at| at.min(changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_was_made_when_it_was_begun_wherever_that_was() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let created = Civil::new((2026, 7, 1), (10, 0, 0));
        let utc = |hour, minute| at(Civil::new((2026, 7, 1), (hour, minute, 0)).unwrap(), &TimeZone::UTC).unwrap();
        // Made here, in local time: 8:00 UTC, ended a minute later.
        assert_eq!(made(created, utc(8, 1), &zone), utc(8, 0));
        // Made in a container that lives in UTC.
        assert_eq!(made(created, utc(10, 1), &zone), utc(10, 0));
        // Copied a day later without its times.
        assert_eq!(made(created, utc(10, 1).plus_secs(86_400), &zone), utc(10, 0));
        // A clock that is wrong: the file's own time.
        assert_eq!(made(created, utc(3, 0), &zone), utc(3, 0));
        assert_eq!(made(None, utc(3, 0), &zone), utc(3, 0));
    }
}
