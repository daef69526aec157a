//! The hands: the only part of midwatch that acts. Only the runner's process and its shims reach it, and a runner is
//! started for one approved plan.
//!
//! Whatever runs on behalf of a run holds the target's lock ([`lock`]): the runner, and by inheritance what it starts
//! ([`shim`], [`child`]). So what outlives a killed runner is found, told and ended before anybody else acts, and a lock
//! that can be had means that nobody does.
//!
//! Invariant: a signal goes to a process that is known by number, boot and beginning, never to a number.

mod acts;
mod advisory;
mod cache;
pub mod child;
mod drill;
pub mod exchange;
mod files;
mod leftovers;
pub mod lock;
mod mysql;
pub mod order;
mod postgres;
pub mod releases;
mod retag;
pub mod runner;
mod session;
pub mod shim;
mod signal;
mod space;
mod tasks;
mod upgrade;
mod work;
