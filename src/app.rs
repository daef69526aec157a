//! The program as a pure state machine: [`model::Model`] plus [`event::Event`] gives a new model and [`effect::Effect`]s.
//!
//! Invariant: nothing here reads a clock, a file, the environment or a socket; everything arrives in events and
//! leaves as effects, so that a session can be recorded and replayed.

pub mod action;
pub mod effect;
pub mod event;
pub mod key;
pub mod keymap;
pub mod line;
pub mod model;
pub mod record;
pub mod runbooks;
pub mod sight;
pub mod table;
pub mod update;
pub mod view;
