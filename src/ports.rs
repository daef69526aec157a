//! What the runtime needs from the outside world, as traits: real adapters and simulated ones satisfy the same suite.

use std::future::Future;

use crate::domain::counters::Counters;
use crate::domain::health::HealthCheck;
use crate::domain::reading::Seen;

/// A source that answers one kind of reading. Never blocks the thread; ends by itself within its own time limit.
pub trait Observe: Send {
    /// What it sees.
    type Value: Send;

    /// Looks once. Errors are part of the answer, told in a sentence.
    fn observe(&mut self) -> impl Future<Output = Seen<Self::Value>> + Send;
}

/// The site's HTTP side. Its caller sees to it that at most one of these is under way per site.
pub trait Web: Send {
    /// Asks the healthcheck on the public URL once, waiting up to the configured hang limit.
    fn health(&mut self) -> impl Future<Output = HealthCheck> + Send;

    /// The same on the application's own port; `None` where it has none of its own.
    fn direct(&mut self) -> impl Future<Output = Option<HealthCheck>> + Send;

    /// Reads the metrics page once, aggregated while it streams in.
    fn metrics(&mut self) -> impl Future<Output = Seen<Counters>> + Send;

    /// Whether a TCP connection to the application can be had now: the cheapest sign of life, no request is made.
    fn connects(&mut self) -> impl Future<Output = bool> + Send;
}
