//! Faults of the backups.
