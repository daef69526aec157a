//! What several test modules share.

pub(crate) mod fixtures;
pub(crate) mod servers;
