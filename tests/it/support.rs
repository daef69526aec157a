//! What several test modules share.

use std::sync::Mutex;

/// The machine's locks are few, and shared: runs are made one after the other.
pub(crate) static LOCKS: Mutex<()> = Mutex::new(());

pub(crate) mod docker;
pub(crate) mod engine;
pub(crate) mod eyes;
pub(crate) mod fixtures;
pub(crate) mod nginx;
pub(crate) mod pty;
pub(crate) mod recorders;
pub(crate) mod servers;
pub(crate) mod site;
pub(crate) mod standins;
pub(crate) mod web;
