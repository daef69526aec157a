//! Readings and history on disk, and who may write them.
//!
//! On one host there is at most one poller per scope: whoever holds its [`PollLock`] polls and publishes through a
//! [`Recorder`]; every other midwatch reads with a [`Reader`]. One SQLite file per scope, written by the holder alone.

mod lock;
mod reader;
pub mod record;
mod recorder;
mod shared;
pub mod who;
mod writer;

pub use lock::{PollLock, holder, trouble};
pub use reader::Reader;
pub use recorder::Recorder;
pub use writer::{Past, Writer};

use std::path::{Path, PathBuf};

use crate::domain::id::Scope;

/// What can go wrong with the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file can't be opened, made or locked.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The database does not take or give what is asked.
    #[error("{}: {error}", .path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        error: sqlx::Error,
    },
    /// The database was written by a newer midwatch.
    #[error("{} was written by a newer midwatch (schema {found}, this one knows {known}): use that one, or another state directory", .path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
}

impl StoreError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::File { error, .. } => error.kind() == std::io::ErrorKind::StorageFull,
            // SQLITE_FULL.
            Self::Database { error, .. } => code(error).is_some_and(|code| code & 0xff == 13),
            Self::Newer { .. } => false,
        }
    }

    /// Whether the right to do it is missing.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::File { error, .. } => {
                matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
            }
            // SQLITE_PERM 3, SQLITE_READONLY 8, SQLITE_CANTOPEN 14.
            Self::Database { error, .. } => code(error).is_some_and(|code| matches!(code & 0xff, 3 | 8 | 14)),
            Self::Newer { .. } => false,
        }
    }

    /// One sentence for the screen.
    pub fn sentence(&self, dir: &Path) -> String {
        if self.is_full() {
            return format!("the disk of {} is full: history is kept in memory", dir.display());
        }
        format!("{self}: history is kept in memory")
    }
}

/// SQLite's result code; an extended one holds the plain one in its low byte.
fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)?.parse().ok()
}

fn database(dir: &Path, scope: &Scope) -> PathBuf {
    dir.join(format!("{}.db", scope.file_stem()))
}

fn lock_file(dir: &Path, scope: &Scope) -> PathBuf {
    dir.join(format!("{}.lock", scope.file_stem()))
}
