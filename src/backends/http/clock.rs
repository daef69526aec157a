//! How far a server's clock is from this host's (FIELD H-TIME).

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::{AGE, DATE, HeaderMap};

/// Less than this is the roundness of a header that has whole seconds.
const ROUND_MS: i64 = 1_500;

/// How far the `Date` of an answer that came at `now` is ahead, in milliseconds. An answer out of a cache says when it was
/// made, not what the time is.
pub(super) fn offset_ms(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    if headers.contains_key(AGE) {
        return None;
    }
    let date = headers.get(DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    let ours = i64::try_from(now.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    let offset = theirs.saturating_add(500).saturating_sub(ours);
    Some(if offset.abs() < ROUND_MS { 0 } else { offset })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use reqwest::header::{AGE, DATE, HeaderMap, HeaderValue};

    use super::offset_ms;

    #[test]
    fn only_a_real_difference_counts() {
        let answer = |date: &'static str| HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))]);
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        let noon = "Sat, 21 Nov 2026 12:00:00 GMT";
        assert_eq!(offset_ms(&answer(noon), at(1_795_262_400_900)), Some(0));
        assert_eq!(offset_ms(&answer(noon), at(1_795_262_399_100)), Some(0));
        assert_eq!(offset_ms(&answer(noon), at(1_795_262_820_000)), Some(-419_500));
        assert_eq!(offset_ms(&answer("yesterday"), at(0)), None);
        let mut kept = answer(noon);
        kept.insert(AGE, HeaderValue::from_static("30"));
        assert_eq!(offset_ms(&kept, at(0)), None);
    }
}
