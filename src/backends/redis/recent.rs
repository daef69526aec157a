//! Counters of a server, with what they grew by in the last ten minutes.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::info::Info;
use crate::domain::redis::Counter;

/// How far back "recent" reaches.
const WINDOW: Duration = Duration::from_mins(10);
/// Samples closer together than this are not kept: at most about 40 per counter are.
const APART: Duration = Duration::from_secs(15);

/// Past values of a server's counters, by name.
#[derive(Debug, Default)]
pub(super) struct Recent {
    past: BTreeMap<&'static str, VecDeque<(Instant, u64)>>,
}

impl Recent {
    /// The counter `name`, which is `field` of `INFO`.
    pub(super) fn counter(&mut self, name: &'static str, info: &Info) -> Option<Counter> {
        Some(self.at(name, info.count(name)?, Instant::now()))
    }

    fn at(&mut self, name: &'static str, total: u64, now: Instant) -> Counter {
        let past = self.past.entry(name).or_default();
        if past.back().is_some_and(|(_, last)| *last > total) {
            // The server was started again.
            past.clear();
        }
        while past.len() > 1 && past.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            past.pop_front();
        }
        if past.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= APART) {
            past.push_back((now, total));
        }
        let first = past.front().map_or(total, |(_, first)| *first);
        Counter { total, recent: total.saturating_sub(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_recent_for_ten_minutes() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        let mut at = |total, secs| recent.at("evicted_keys", total, start + Duration::from_secs(secs));
        assert_eq!(at(7, 0), Counter { total: 7, recent: 0 }, "older ones are nobody's news");
        assert_eq!(at(9, 5), Counter { total: 9, recent: 2 });
        assert_eq!(at(9, 590), Counter { total: 9, recent: 2 });
        assert_eq!(at(9, 1200), Counter { total: 9, recent: 0 });
        assert_eq!(at(1, 1205), Counter { total: 1, recent: 0 }, "the server was restarted");
        assert_eq!(at(3, 1206), Counter { total: 3, recent: 2 });
        for secs in 1300..5000 {
            at(3, secs);
        }
        assert!(recent.past["evicted_keys"].len() <= 42);
    }
}
