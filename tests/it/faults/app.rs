//! Faults of the app.
