//! Prometheus text and OpenMetrics, parsed borrowed; bad lines are counted, never fatal.
