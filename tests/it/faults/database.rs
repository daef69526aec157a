//! Faults of the database.
