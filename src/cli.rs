//! The command line: what can be typed, and what each command writes.

pub mod args;
pub mod status;
