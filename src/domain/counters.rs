//! Counters of a metrics page, aggregated while it is read, and what consecutive pages say together.

/// placeholder of the skeleton
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Counters {}
