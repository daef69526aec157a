//! Faults of the schedule.
