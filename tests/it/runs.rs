//! Runbooks for real: planned, approved, run, cut off, taken up.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it expects by failing, and looks for one thing among many"
)]

mod approvals;
mod compose;
mod drill;
mod exclusion;
mod files;
mod full;
mod ground;
mod images;
mod in_place;
mod kills;
mod managers;
mod maria;
mod points;
mod releases;
mod restore;
mod shop;
mod storms;
mod tasks;
mod terminals;
mod upgrades;
