//! When a file system will be full, judged by the pace of the last hour.
//!
//! Invariant: the samples are bounded (one in 30 s, one hour of them) and their times only rise.

use std::collections::VecDeque;

/// Only this much of the past counts.
const SPAN_S: u64 = 3600;
/// Samples are at least this far apart.
const SPACING_S: u64 = 30;
/// No forecast from less than this.
const ENOUGH_S: u64 = 600;
/// Fuller than this far ahead is not worth a word.
const HORIZON_S: f64 = 30.0 * 86_400.0;

/// The free space of one file system over the last hour.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FillTrend {
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    at_s: u64,
    available: u64,
}

impl FillTrend {
    /// Notes the bytes `available` at `at_s` (seconds of any clock that never goes back; an earlier time is ignored).
    ///
    /// A rise by a tenth or more means that somebody made room or the disk grew: what was before says nothing
    /// about the pace from here, and is forgotten.
    pub fn note(&mut self, at_s: u64, available: u64) {
        if let Some(last) = self.samples.back().copied() {
            if at_s < last.at_s {
                return;
            }
            if available > last.available.saturating_add(last.available / 10) {
                self.samples.clear();
            } else if at_s - last.at_s < SPACING_S {
                return;
            }
        }
        self.samples.push_back(Sample { at_s, available });
        while self.samples.front().is_some_and(|first| at_s - first.at_s > SPAN_S) {
            self.samples.pop_front();
        }
    }

    /// Seconds until nothing of the bytes `available` now is left, at the pace of the least-squares line through the
    /// samples; `None` while there are less than 10 minutes of them, when it isn't filling, or beyond 30 days.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes need no more than 52 bits here; the seconds are within 0 and the horizon"
    )]
    pub fn full_in_s(&self, available: u64) -> Option<u64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if last.at_s - first.at_s < ENOUGH_S {
            return None;
        }
        let count = self.samples.len() as f64;
        let time = |sample: &Sample| (sample.at_s - first.at_s) as f64;
        let mean_time = self.samples.iter().map(time).sum::<f64>() / count;
        let mean_space = self.samples.iter().map(|s| s.available as f64).sum::<f64>() / count;
        let (mut covariance, mut variance) = (0.0, 0.0);
        for sample in &self.samples {
            let off = time(sample) - mean_time;
            covariance += off * (sample.available as f64 - mean_space);
            variance += off * off;
        }
        let pace = -covariance / variance;
        let left = available as f64 / pace;
        (pace > 0.0 && left.is_finite() && left <= HORIZON_S).then_some(left as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::FillTrend;

    const GIB: u64 = 1 << 30;

    fn filled(seconds: u64, every: u64, available: impl Fn(u64) -> u64) -> FillTrend {
        let mut trend = FillTrend::default();
        for at in (0..=seconds).step_by(usize::try_from(every).unwrap()) {
            trend.note(at, available(at));
        }
        trend
    }

    #[test]
    fn a_steady_pace_gives_the_time_left() {
        let trend = filled(600, 2, |at| 10 * GIB - at * 1_000_000);
        assert_eq!(trend.full_in_s(3_600_000_000), Some(3600));
        assert_eq!(trend.full_in_s(0), Some(0));
    }

    #[test]
    fn ten_minutes_have_to_be_seen() {
        assert_eq!(filled(570, 2, |at| 10 * GIB - at * 1_000_000).full_in_s(GIB), None);
        assert_eq!(FillTrend::default().full_in_s(GIB), None);
    }

    #[test]
    fn what_does_not_fill_has_no_end() {
        assert_eq!(filled(1200, 30, |_| GIB).full_in_s(GIB), None);
        assert_eq!(filled(1200, 30, |at| GIB + at).full_in_s(GIB), None);
    }

    #[test]
    fn beyond_thirty_days_is_no_forecast() {
        let trend = filled(1200, 30, |at| 10 * GIB - at * 100);
        assert_eq!(trend.full_in_s(100 * 86_400 * 30), Some(30 * 86_400));
        assert_eq!(trend.full_in_s(100 * 86_400 * 31), None);
    }

    #[test]
    fn only_the_last_hour_counts() {
        // filled fast for an hour, then stood still for an hour
        let trend = filled(7260, 30, |at| 100 * GIB - at.min(3600) * 1_000_000);
        assert_eq!(trend.full_in_s(GIB), None);
        assert!(trend.samples.len() <= 121);
    }

    #[test]
    fn made_room_ends_the_alarm_at_once() {
        let mut trend = filled(1200, 30, |at| 2 * GIB - at * 1_000_000);
        assert!(trend.full_in_s(GIB).is_some());
        trend.note(1201, 20 * GIB);
        assert_eq!(trend.full_in_s(20 * GIB), None);
    }

    #[test]
    fn a_time_before_the_last_is_ignored() {
        let mut trend = filled(1200, 30, |at| 2 * GIB - at * 1_000_000);
        let before = trend.clone();
        trend.note(30, 0);
        assert_eq!(trend, before);
    }
}
