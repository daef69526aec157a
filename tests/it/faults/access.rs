//! Faults of the access.
