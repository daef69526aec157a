//! The real adapters: where sources are asked and state is kept. Each source fulfils a trait of [`crate::ports`] and
//! explains its failures in plain sentences.
//!
//! Invariant: nothing here changes anything outside midwatch's own state directory; sources are asked, never told.

pub mod database;
pub mod host;
pub mod http;
pub mod redis;
pub mod services;
pub mod store;

mod command_line;
mod errand;
mod place;
mod session;
