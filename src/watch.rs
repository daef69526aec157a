//! Puts the parts together: for each site and host one task that polls and publishes, or reads what another midwatch
//! polls. The only layer besides [`crate::cli`] that knows backends and runtime at once.

pub mod emit;
pub mod scope;
pub mod site;
