//! The real adapters: where sources are asked and state is kept. Each source fulfils a trait of [`crate::ports`] and
//! explains its failures in plain sentences.
//!
//! Invariant: nothing here changes anything outside midwatch's own state directory; sources are asked, never told (pip and git
//! lay what they look at into a temporary directory of theirs, which goes again). What a
//! run does to them is the hands' ([`crate::hands`]), who keep their [`journal`] here.

pub mod access;
pub mod app_state;
pub mod backups;
pub mod changes;
mod command_line;
pub mod compose;
pub(crate) mod contained;
pub mod database;
mod errand;
pub mod git;
pub mod host;
pub mod http;
pub mod images;
pub mod journal;
pub mod logind;
pub mod logs;
pub mod look;
mod nginx;
pub mod people;
pub mod pip;
mod place;
pub(crate) mod plain;
pub mod process_id;
mod processes;
mod program;
pub mod redis;
mod roll;
pub mod schedule;
pub mod services;
mod session;
mod stamps;
pub mod store;
pub mod updates;
