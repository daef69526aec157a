//! Faults of the services.
