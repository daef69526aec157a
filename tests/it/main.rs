//! All integration tests in one binary: it links once.

mod architecture;
mod backups;
mod catalogue;
mod config;
mod demo;
mod exposition;
mod faults;
mod hands;
mod host;
mod pty;
mod record;
mod render;
mod runs;
mod services;
mod status;
mod store;
mod support;
mod terminal;
mod transitions;
mod watch;
mod web;
