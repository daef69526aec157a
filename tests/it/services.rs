//! The database and Redis sources against real servers that the tests start themselves.
#![cfg(test)]

mod mariadb;
mod postgres;
mod redis;
mod sqlite;

use midwatch::domain::reading::Seen;

/// The value of a look that must have succeeded.
fn value<T: std::fmt::Debug>(seen: Seen<T>) -> T {
    let Seen::Value(value) = seen else { panic!("{seen:?}") };
    value
}

/// The sentence of a look that must have failed.
fn failed<T: std::fmt::Debug>(seen: Seen<T>) -> String {
    let Seen::Failed(why) = seen else { panic!("{seen:?}") };
    why
}
