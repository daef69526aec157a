//! Faults of the logs.
