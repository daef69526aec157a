//! Faults of the pairs.
