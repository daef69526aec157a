//! How often something was seen, and when.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// Most times that are remembered one by one.
pub const TIMES_MAX: usize = 64;
/// A silence of so many milliseconds ends what went on: what comes after it began anew.
pub const STREAK_GAP_MS: u64 = 10 * 60_000;

/// How often something was seen, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// When what goes on began: the first time after a silence of [`STREAK_GAP_MS`].
    pub streak: Timestamp,
    /// The last times, at most [`TIMES_MAX`], the oldest first.
    pub times: Vec<Timestamp>,
}

impl Tally {
    /// Seen once.
    pub fn once(at: Timestamp) -> Self {
        Self { count: 1, first: at, last: at, streak: at, times: vec![at] }
    }

    /// Seen once more. Times come nearly in order.
    pub fn add(&mut self, at: Timestamp) {
        self.count = self.count.saturating_add(1);
        let begins_anew = at.millis_since(self.last) > STREAK_GAP_MS;
        let goes_before = at < self.streak && self.streak.millis_since(at) <= STREAK_GAP_MS;
        if begins_anew || goes_before {
            self.streak = at;
        }
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        let place = self.times.iter().rposition(|t| *t <= at).map_or(0, |before| before + 1);
        if self.times.len() < TIMES_MAX {
            self.times.insert(place, at);
        } else if place > 0 {
            self.times.insert(place, at);
            self.times.remove(0);
        }
    }

    /// How often within `millis` before `now`; at least so often, when it is [`TIMES_MAX`].
    pub fn within(&self, millis: u64, now: Timestamp) -> u64 {
        let recent = self.times.iter().rev().take_while(|t| now.millis_since(**t) <= millis);
        u64::try_from(recent.count()).unwrap_or(u64::MAX)
    }

    /// How often per minute, lately: over the remembered times of the last ten minutes before `now`.
    pub fn per_minute(&self, now: Timestamp) -> f64 {
        let recent = self.within(STREAK_GAP_MS, now);
        let full = self.times.len() >= TIMES_MAX && recent >= TIMES_MAX as u64;
        let oldest = if full { self.times.first().copied() } else { None };
        let span = oldest.map_or(STREAK_GAP_MS, |oldest| now.millis_since(oldest)).max(1_000);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let rate = recent as f64 * 60_000.0 / span as f64;
        rate
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    #[test]
    fn what_goes_on_begins_anew_after_a_silence() {
        let mut tally = Tally::once(at(0));
        for secs in [300, 500] {
            tally.add(at(secs));
        }
        assert_eq!(tally.streak, at(0));
        tally.add(at(1_200));
        tally.add(at(1_300));
        assert_eq!((tally.streak, tally.first, tally.count), (at(1_200), at(0), 5));
        assert_eq!((tally.within(150_000, at(1_310)), tally.within(5_000, at(1_310))), (2, 0));
    }

    #[test]
    fn many_in_a_short_time_have_the_rate_of_that_time() {
        let mut tally = Tally::once(at(0));
        for secs in 1..=120 {
            tally.add(at(secs));
        }
        let rate = tally.per_minute(at(120));
        assert!((60.0..63.0).contains(&rate), "{rate}");
    }

    proptest! {
        #[test]
        fn counts_are_exact_as_far_as_times_are_remembered(times in proptest::collection::vec(0_i64..4_000, 1..200)) {
            let mut tally = Tally::once(at(times[0]));
            for secs in &times[1..] {
                tally.add(at(*secs));
            }
            let last = *times.iter().max().unwrap();
            prop_assert_eq!(tally.last, at(last));
            prop_assert_eq!(tally.count, u64::try_from(times.len()).unwrap());
            prop_assert!(tally.times.is_sorted() && tally.times.len() <= TIMES_MAX);
            let close = times.iter().filter(|t| last - **t <= 300).count();
            prop_assert_eq!(tally.within(300_000, at(last)), u64::try_from(close.min(TIMES_MAX)).unwrap());
        }
    }
}
