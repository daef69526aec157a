//! Faults made for real: each is named by the right rule as the top finding, and the finding goes when the fault does.
//! `tests/FAULTS.md` says which class of incident is tested how.

mod access;
mod app;
mod backups;
mod database;
mod host;
mod logs;
mod pairs;
mod redis;
mod schedule;
mod services;
