//! Histograms: cumulative buckets over shared bounds, their increase between two pages, and quantiles.

use serde::{Deserialize, Serialize};

use crate::domain::traffic::{Bucket, Latency, Quantile};

/// Observations at most each bound. The bounds are kept once for all histograms of a page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// Observations at most each finite bound; never descending.
    pub at_most: Vec<f64>,
    /// All observations.
    pub count: f64,
    /// Their sum in seconds.
    pub sum_s: f64,
}

impl Histogram {
    /// Adds `other`, taken over the same bounds.
    pub(super) fn add(&mut self, other: &Self) {
        if self.at_most.len() < other.at_most.len() {
            self.at_most.resize(other.at_most.len(), 0.0);
        }
        for (mine, theirs) in self.at_most.iter_mut().zip(&other.at_most) {
            *mine += theirs;
        }
        self.count += other.count;
        self.sum_s += other.sum_s;
    }

    /// The same observations over `to`, a superset of its own bounds `from`: an absent bound has what the next lower
    /// one has.
    pub(super) fn widen(&mut self, from: &[f64], to: &[f64]) {
        let mut own = from.iter().zip(&self.at_most).peekable();
        let mut below = 0.0;
        let mut wide = Vec::with_capacity(to.len());
        for bound in to {
            while let Some((_, at_most)) = own.next_if(|(own_bound, _)| *own_bound <= bound) {
                below = *at_most;
            }
            wide.push(below);
        }
        self.at_most = wide;
    }

    /// Whether something here is less than in `earlier`: the counter began anew in between.
    pub(super) fn fell_since(&self, earlier: &Self) -> bool {
        self.count < earlier.count || self.at_most.iter().zip(&earlier.at_most).any(|(now, then)| now < then)
    }

    /// What was observed since `earlier`, which is not [later](Self::fell_since).
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let earlier_at_most = earlier.at_most.iter().copied().chain(std::iter::repeat(0.0));
        let mut floor = 0.0_f64;
        let at_most = self.at_most.iter().zip(earlier_at_most).map(|(now, then)| {
            floor = floor.max(now - then);
            floor
        });
        let at_most = at_most.collect();
        let count = (self.count - earlier.count).max(floor);
        Self { at_most, count, sum_s: (self.sum_s - earlier.sum_s).max(0.0) }
    }

    /// Quantiles, mean and bars; everything unknown and no bars if nothing was observed.
    pub(crate) fn latency(&self, bounds_s: &[f64]) -> Latency {
        if self.count <= 0.0 {
            return Latency::default();
        }
        let quantile = |q| self.quantile(q, bounds_s);
        Latency {
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            buckets: self.bars(bounds_s),
            mean_s: (self.sum_s > 0.0).then(|| self.sum_s / self.count),
        }
    }

    /// The `q`-quantile as Prometheus' `histogram_quantile` estimates it: linear within the bucket it falls into, from
    /// zero within the first.
    fn quantile(&self, q: f64, bounds_s: &[f64]) -> Quantile {
        let rank = q * self.count;
        let mut lower = 0.0;
        let mut below = 0.0;
        for (upper, at_most) in bounds_s.iter().copied().zip(self.at_most.iter().copied()) {
            if at_most >= rank && at_most > below {
                let share = ((rank - below) / (at_most - below)).clamp(0.0, 1.0);
                let inside = if upper > lower { lower + (upper - lower) * share } else { upper };
                return Quantile::Seconds(inside);
            }
            lower = upper;
            below = at_most;
        }
        bounds_s.last().map_or(Quantile::Unknown, |highest| Quantile::Above(*highest))
    }

    /// Observations per bucket, the one above every bound last.
    fn bars(&self, bounds_s: &[f64]) -> Vec<Bucket> {
        if bounds_s.is_empty() {
            return Vec::new();
        }
        let mut below = 0.0;
        let bounds = bounds_s.iter().copied().map(Some).zip(self.at_most.iter().copied());
        bounds
            .chain(std::iter::once((None, self.count)))
            .map(|(le_s, at_most)| {
                let count = (at_most - below).max(0.0);
                below = at_most;
                Bucket { le_s, count }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 3] = [0.1, 0.5, 1.0];

    fn histogram(at_most: [f64; 3], count: f64) -> Histogram {
        Histogram { at_most: at_most.to_vec(), count, sum_s: count }
    }

    #[test]
    fn a_quantile_is_linear_within_its_bucket() {
        let latency = histogram([10.0, 20.0, 20.0], 20.0).latency(&BOUNDS);
        assert_eq!(latency.p50, Quantile::Seconds(0.1));
        let Quantile::Seconds(p95) = latency.p95 else { panic!("{:?}", latency.p95) };
        assert!((p95 - 0.46).abs() < 1e-9);
        assert_eq!(latency.mean_s, Some(1.0));
    }

    #[test]
    fn the_first_bucket_begins_at_zero() {
        assert_eq!(histogram([8.0, 8.0, 8.0], 8.0).latency(&BOUNDS).p50, Quantile::Seconds(0.05));
    }

    #[test]
    fn above_the_highest_bound_only_the_bound_is_known() {
        let latency = histogram([0.0, 0.0, 1.0], 10.0).latency(&BOUNDS);
        assert_eq!((latency.p50, latency.p99), (Quantile::Above(1.0), Quantile::Above(1.0)));
        assert_eq!(latency.buckets.last(), Some(&Bucket { le_s: None, count: 9.0 }));
    }

    #[test]
    fn nothing_observed_is_unknown() {
        assert_eq!(histogram([0.0; 3], 0.0).latency(&BOUNDS), Latency::default());
        assert_eq!(Histogram { at_most: vec![], count: 5.0, sum_s: 1.0 }.latency(&[]).p50, Quantile::Unknown);
    }

    #[test]
    fn bars_are_not_cumulative() {
        let counts: Vec<_> =
            histogram([1.0, 3.0, 3.0], 7.0).latency(&BOUNDS).buckets.iter().map(|b| (b.le_s, b.count)).collect();
        assert_eq!(counts, [(Some(0.1), 1.0), (Some(0.5), 2.0), (Some(1.0), 0.0), (None, 4.0)]);
    }

    #[test]
    fn a_bound_that_was_absent_has_what_the_next_lower_one_had() {
        let mut narrow = Histogram { at_most: vec![2.0, 5.0], count: 6.0, sum_s: 1.0 };
        narrow.widen(&[0.1, 1.0], &[0.05, 0.1, 0.5, 1.0, 2.0]);
        assert_eq!(narrow.at_most, [0.0, 2.0, 2.0, 5.0, 5.0]);
    }
}
