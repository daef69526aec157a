//! What of a host is looked at seldom.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// One look at what takes longer, or changes slowly.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Depth {
    /// When.
    pub at: Timestamp,
    /// Files that have no name any more and that a process holds open, largest first, at most 40: those above 10 MB, and
    /// any of a site's data.
    pub deleted: Vec<DeletedFile>,
    /// What all of them take together, in bytes.
    pub deleted_bytes: u64,
    /// Processes whose open files may not be looked at; what they hold is not in the sum.
    pub hidden_processes: u32,
    /// Kills for want of memory.
    pub oom: OomKills,
    /// What the kernel and its time service say of the clock.
    pub clock: Clock,
    /// How the names that sites are configured with resolve.
    pub lookups: Vec<Lookup>,
}

/// A deleted file that is still open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedFile {
    /// The process that holds it.
    pub pid: u32,
    /// Its descriptor there: the content is at `/proc/PID/fd/FD`.
    pub fd: u32,
    /// The process' command line, shortened.
    pub command: String,
    /// What it was called.
    pub path: String,
    /// Where its file system is mounted, if that can be told.
    pub mount: String,
    /// What it takes on disk, in bytes.
    pub bytes: u64,
    /// The data directory it was part of, if it looks like data: no log, cache or temporary file.
    pub data_of: Option<String>,
}

/// Kills for want of memory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OomKills {
    /// Within the last 30 minutes, as far as this was watched or the kernel's log says, newest first, at most 10.
    pub recent: Vec<OomKill>,
    /// Why it can't be said who was killed, and what would open it.
    pub victims_unseen: Option<String>,
}

/// One kill, or several that were counted at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomKill {
    /// When.
    pub at: Timestamp,
    /// How many.
    pub count: u64,
    /// Who: `1234 celery`, where the kernel's log says.
    pub victim: Option<String>,
    /// The control group whose limit it was, where that is known: `system.slice/pretix-worker.service`.
    pub group: Option<String>,
}

/// The clock of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    /// Whether a time service keeps it in step; `None`: it can't be told.
    pub synchronised: Option<bool>,
    /// How far it is from its time service's, in milliseconds, positive when it is ahead; `None`: it can't be told.
    pub offset_ms: Option<i64>,
    /// Who says so, or why it can't be told.
    pub by: String,
}

/// How one name resolves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The name.
    pub name: String,
    /// What for: `database of shop`.
    pub used_for: String,
    /// How many addresses it has, or why it has none.
    pub result: Result<u32, String>,
    /// How long the last answer took, or is waited for, in milliseconds.
    pub took_ms: u64,
    /// How many times in a row it failed.
    pub failures: u32,
    /// How many times in a row it took longer than a second.
    pub slow: u32,
    /// Since when it fails.
    pub failing_since: Option<Timestamp>,
}
