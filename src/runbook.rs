//! Runbooks: what is done about an incident, as data. Pure: files, clocks and processes are others' business.
//!
//! A [`spec::Runbook`] is a file; with every parameter known and everything looked up it becomes a [`plan::Plan`], which
//! is what a person reads; their [`approval::Answer`] to it is worth one run of exactly that plan. What happens is a
//! [`run::Entry`] after the other in the journal, and [`run::Progress`] says from those what is to be done next: there is
//! no other state, so a run that was cut off is taken up where its journal ends.

pub mod approval;
pub mod card;
pub mod kept;
pub mod plan;
pub mod run;
pub mod spec;
pub mod template;
