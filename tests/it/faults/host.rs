//! Faults of the host.
