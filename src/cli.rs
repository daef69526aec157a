//! The command line: what can be typed, and what each command writes.

pub mod args;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod run;
pub mod screens;
pub mod status;

pub use run::run;
