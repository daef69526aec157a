//! Series of one label set, and how the label sets of a route become one.

use super::{Objection, put};
use crate::domain::counters::Histogram;
use crate::domain::counters::dialect::Figure;

/// The finite bounds of all histograms of one kind, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Bounds(Vec<f64>);

/// Where a bucket belongs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// At this one of the [`Bounds`].
    At(usize),
    /// Above them all.
    Above,
}

impl Bounds {
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Where the bucket with this `le` belongs; of no meaning if the series is no bucket.
    pub(super) fn place(&mut self, figure: Figure, le: Option<&str>, most: usize) -> Result<Place, Objection> {
        if figure != Figure::Bucket {
            return Ok(Place::Above);
        }
        let bound: f64 = le.and_then(|le| le.parse().ok()).ok_or(Objection::Bound)?;
        if bound.is_nan() || bound < 0.0 {
            return Err(Objection::Bound);
        }
        if bound.is_infinite() {
            return Ok(Place::Above);
        }
        if let Some(index) = self.0.iter().position(|known| known.total_cmp(&bound).is_eq()) {
            return Ok(Place::At(index));
        }
        if self.0.len() >= most {
            return Err(Objection::TooManyBounds);
        }
        self.0.push(bound);
        Ok(Place::At(self.0.len() - 1))
    }

    /// The bounds in ascending order.
    pub(super) fn ascending(&self) -> Vec<f64> {
        let mut bounds = self.0.clone();
        bounds.sort_unstable_by(f64::total_cmp);
        bounds
    }

    /// Their places in ascending order of the bounds.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<_> = self.0.iter().copied().enumerate().collect();
        order.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
        order.into_iter().map(|(index, _)| index).collect()
    }
}

/// A histogram as it came: scattered, unsorted, with buckets missing.
#[derive(Debug, Default)]
pub(super) struct Durations {
    pub(super) count: Option<f64>,
    pub(super) sum_s: Option<f64>,
    /// The `+Inf` bucket.
    all: Option<f64>,
    /// By place of the bound; NaN: absent. A flat vector, as there are tens of thousands of these.
    buckets: Vec<f64>,
}

impl Durations {
    /// Takes one bucket; `bounds`: how many bounds are known by now.
    pub(super) fn bucket(&mut self, place: Place, value: f64, bounds: usize) -> Result<(), Objection> {
        let Place::At(index) = place else { return put(&mut self.all, value) };
        if self.buckets.len() <= index {
            self.buckets.reserve_exact(bounds.saturating_sub(self.buckets.len()));
            self.buckets.resize(index + 1, f64::NAN);
        }
        let Some(slot) = self.buckets.get_mut(index) else { return Ok(()) };
        let before = std::mem::replace(slot, value);
        if before.is_nan() { Ok(()) } else { Err(Objection::Repeated) }
    }

    fn is_empty(&self) -> bool {
        self.count.is_none() && self.all.is_none() && self.buckets.is_empty()
    }

    /// Buckets in order, gaps filled: below the lowest there is nothing, and a missing one has what the next lower has.
    pub(super) fn histogram(&self, bounds: &Bounds) -> Histogram {
        let mut floor = 0.0_f64;
        let fill = |index| {
            // `max` passes over NaN
            floor = floor.max(self.buckets.get(index).copied().unwrap_or_default());
            floor
        };
        let at_most = bounds.order().into_iter().map(fill).collect();
        let count = self.count.or(self.all).unwrap_or_default().max(floor);
        Histogram { at_most, count, sum_s: self.sum_s.unwrap_or_default() }
    }
}

/// One status code of a route.
#[derive(Debug, Default)]
pub(super) struct CodeSeries {
    /// From a counter of its own or an alias.
    pub(super) requests: Option<f64>,
    pub(super) durations: Durations,
}

/// A route with one method.
#[derive(Debug, Default)]
pub(super) struct RouteSeries {
    /// By status code; 0 where series have none.
    codes: Vec<(u16, CodeSeries)>,
}

impl RouteSeries {
    pub(super) fn has(&self, code: u16) -> bool {
        self.codes.iter().any(|(known, _)| *known == code)
    }

    pub(super) fn begin(&mut self, code: u16) {
        self.codes.push((code, CodeSeries::default()));
    }

    pub(super) fn of_code(&mut self, code: u16) -> Option<&mut CodeSeries> {
        self.codes.iter_mut().find(|(known, _)| *known == code).map(|(_, series)| series)
    }

    /// Requests by status class, and one histogram. Series without a status code give the histogram only if those with
    /// one have none: they would count everything twice.
    pub(super) fn merged(&self, bounds: &Bounds) -> ([f64; 5], Histogram) {
        let mut classes = [0.0; 5];
        let mut latency = Histogram { at_most: vec![0.0; bounds.len()], ..Histogram::default() };
        let by_code = self.codes.iter().any(|(code, series)| *code != 0 && !series.durations.is_empty());
        for (code, series) in &self.codes {
            let durations = &series.durations;
            let class = usize::from(code / 100).checked_sub(1).and_then(|index| classes.get_mut(index));
            if let Some(class) = class {
                *class += durations.count.or(series.requests).or(durations.all).unwrap_or_default();
            }
            if (*code != 0) == by_code {
                latency.add(&durations.histogram(bounds));
            }
        }
        (classes, latency)
    }
}
