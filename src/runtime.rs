//! Runs the pure program against the world: the terminal, the clock, signals, the event channel, the sandbox.
//!
//! Invariant: the event loop never blocks. Drawing happens on a thread of its own, so that a terminal that is slow, or
//! stopped by Ctrl-S, holds up neither keys nor signals nor polling.

pub mod clock;
pub mod driver;
pub mod input;
pub mod log;
pub mod panic;
pub mod sandbox;
pub mod screen;
pub mod terminal;
