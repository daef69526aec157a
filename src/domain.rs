//! Pure facts and rules: what was seen on a site and a host, when, and what follows from it.
//!
//! Invariant: no input or output, no clock, no terminal, no runtime. Time comes in as a [`time::Timestamp`].
//! Everything may use this layer; it uses nothing but serde, thiserror and memchr.

pub mod access;
pub mod app_state;
pub mod backup;
pub mod change;
pub mod counters;
pub mod database;
pub mod exposition;
pub mod health;
pub mod history;
pub mod host;
pub mod host_trend;
pub mod id;
pub mod level;
pub mod log;
pub mod observation;
pub mod pace;
pub mod people;
pub mod reading;
pub mod record;
pub mod redact;
pub mod redis;
pub mod repository;
pub mod schedule;
pub mod service;
pub mod text;
pub mod time;
pub mod traffic;
pub mod updates;
