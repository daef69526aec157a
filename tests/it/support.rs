//! What several test modules share.

pub(crate) mod eyes;
pub(crate) mod fixtures;
pub(crate) mod nginx;
pub(crate) mod pty;
pub(crate) mod servers;
pub(crate) mod site;
pub(crate) mod standins;
pub(crate) mod web;
