//! The journal: what runs intend, print and come to, on disk. What one user's runs do is in that user's file; the others
//! read it.
//!
//! Invariants: what is written is never changed (but for the last sign of life of a runner), and is on the disk before
//! the call returns. A journal stands in a directory that only its user can write: SQLite takes what lies beside a
//! database for part of it, so whoever may put a file there may write the journal. The journal is a record, no authority:
//! nothing is done because it says so, but for its own user as [`read_trusted`] reads it.

mod ballast;
mod bound;
mod copy;
mod place;
mod reader;
mod schema;
mod writer;

pub use bound::{HEAD as OUTPUT_HEAD, OutputBound};
pub use place::{End, ends, path, sign_end, trusted};
pub use reader::{Runs, output_after, past_ms, read, read_trusted, runs};
pub use writer::Journal;

use std::path::PathBuf;

/// The longest text of one row of output, in bytes.
pub const ROW_MAX: usize = 4 * 1024;

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file or directory can't be made, opened or read.
    #[error("the journal {} can't be used: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The database does not take or give what is asked.
    #[error("the journal {} can't be {}: {error}", .path.display(), if *.writing { "written" } else { "read" })]
    Database {
        /// Which.
        path: PathBuf,
        /// Whether it was being written.
        writing: bool,
        /// Why.
        error: sqlx::Error,
    },
    /// It was written by a newer midwatch.
    #[error("the journal {} was written by a newer midwatch (schema {found}, this one knows {known}): use that one", .path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Others could have written it, or could make it another.
    #[error("{0}")]
    Untrusted(String),
    /// No journal that can be read has such a run.
    #[error("there is no run {0} in the journals that can be read; `midwatch runbook log` lists them")]
    NoRun(String),
    /// Several runs begin like that.
    #[error("several runs begin with {prefix}: {}; give more of it", .runs.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Their ids, at most 10.
        runs: Vec<String>,
    },
    /// A run is there, and can't be understood.
    #[error("the run {run} can't be read: {why}")]
    Unreadable {
        /// Its id.
        run: String,
        /// Why.
        why: String,
    },
}

impl JournalError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::File { error, .. } => error.kind() == std::io::ErrorKind::StorageFull,
            // SQLITE_FULL.
            Self::Database { error, .. } => code(error).is_some_and(|code| code & 0xff == 13),
            Self::Newer { .. }
            | Self::Untrusted(_)
            | Self::NoRun(_)
            | Self::Ambiguous { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}

/// SQLite's result code; an extended one holds the plain one in its low byte.
fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)?.parse().ok()
}
