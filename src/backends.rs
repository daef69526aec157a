//! The real adapters: where sources are asked and state is kept.
//!
//! Invariant: nothing here changes anything outside midwatch's own state directory; sources are asked, never told.

pub mod store;
