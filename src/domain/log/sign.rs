//! Well-known messages, recognised by what is always in them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Line, Tally};

/// A message that says something certain about the stack, whoever wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    /// gunicorn gave up on a worker that had not answered for its limit.
    WorkerTimeout,
    /// gunicorn killed a worker; its guess at memory is only that.
    WorkerKilled,
    /// A worker lost its broker.
    BrokerLost,
    /// A worker was given a task its code doesn't know: it is older than the web process.
    UnregisteredTask,
    /// The database ended itself.
    DatabasePanic,
    /// A file system is full, or out of inodes.
    NoSpace,
    /// The database has no connection left.
    ConnectionsUsedUp,
    /// The database is up but not ready.
    DatabaseStarting,
    /// Transaction ids run out.
    Wraparound,
    /// A number is too large for its column, or a sequence is at its end.
    KeySpace,
    /// Writes go to a standby, or to a database made read-only.
    ReadOnlyDatabase,
    /// Redis can't write its snapshot and refuses writes.
    RedisMisconf,
    /// Redis is full.
    RedisFull,
    /// The application waited for its own locks in vain.
    LocksTimedOut,
    /// The code asks for a column or table that isn't there.
    SchemaBehind,
    /// Built files are missing, and pages fail for it.
    StaticMissing,
    /// The list of built files can't be read: pages come without them.
    ManifestUnread,
    /// The proxy got no answer from the application.
    UpstreamFails,
    /// A name does not resolve.
    NameUnresolved,
    /// A file system is read-only.
    ReadOnlyFiles,
    /// Sessions can't be read: signed with another secret, or damaged.
    SessionCorrupt,
    /// The kernel killed a process for memory.
    OomKill,
    /// systemd gave up on a unit.
    StartLimit,
}

use SignKind as Kind;

/// What is in a message of each kind: one of these.
const KNOWN: &[(Kind, &[&str])] = &[
    (Kind::WorkerTimeout, &["WORKER TIMEOUT (pid:"]),
    (Kind::WorkerKilled, &["was sent SIGKILL! Perhaps out of memory?"]),
    (Kind::BrokerLost, &["Connection to broker lost", "consumer: Cannot connect to"]),
    (Kind::UnregisteredTask, &["Received unregistered task"]),
    (Kind::DatabasePanic, &["could not write to file \"pg_wal", "database system was shut down due to PANIC"]),
    (Kind::NoSpace, &["No space left on device"]),
    (
        Kind::ConnectionsUsedUp,
        &["remaining connection slots are reserved", "sorry, too many clients already", "1040, 'Too many connections'"],
    ),
    (
        Kind::DatabaseStarting,
        &[
            "the database system is starting up",
            "the database system is not yet accepting connections",
            "the database system is in recovery mode",
        ],
    ),
    (Kind::Wraparound, &["must be vacuumed within", "to avoid wraparound data loss"]),
    (Kind::KeySpace, &["reached maximum value of sequence", "integer out of range", "Out of range value for column"]),
    (
        Kind::ReadOnlyDatabase,
        &[
            "in a read-only transaction",
            "--read-only option so it cannot execute",
            "READONLY You can't write against a read only replica",
        ],
    ),
    (Kind::RedisMisconf, &["MISCONF Redis is configured to save", "MISCONF Errors writing to the AOF"]),
    (Kind::RedisFull, &["OOM command not allowed when used memory"]),
    (Kind::LocksTimedOut, &["Waiting for locks timed out", "LockTimeoutException"]),
    (Kind::StaticMissing, &["OfflineGenerationError", "Missing staticfiles manifest entry"]),
    (Kind::ManifestUnread, &["Error reading vite manifest"]),
    (
        Kind::UpstreamFails,
        &[
            "upstream prematurely closed connection",
            "upstream timed out",
            "no live upstreams",
            ") while connecting to upstream",
            "has no server available!",
        ],
    ),
    (
        Kind::NameUnresolved,
        &[
            "Name or service not known",
            "Temporary failure in name resolution",
            "could not translate host name",
            "No address associated with hostname",
            "EAI_AGAIN",
            "NameResolutionError",
        ],
    ),
    (Kind::ReadOnlyFiles, &["Read-only file system", "Remounting filesystem read-only"]),
    (Kind::SessionCorrupt, &["Session data corrupted"]),
    (
        Kind::OomKill,
        &[
            "Out of memory: Killed process",
            "Memory cgroup out of memory: Killed",
            "killed by the OOM killer",
            "Out of memory: Kill process",
        ],
    ),
    (Kind::StartLimit, &["Start request repeated too quickly"]),
];

impl SignKind {
    /// Which well-known messages a line has, in its first row or in one that names an exception.
    pub fn of(text: &str, more: &str) -> Vec<Self> {
        let mut found = Vec::new();
        let outer = |row: &&str| !row.starts_with([' ', '\t']) && !row.is_empty();
        for row in std::iter::once(text).chain(more.lines().filter(outer)) {
            for (kind, patterns) in KNOWN {
                if !found.contains(kind) && patterns.iter().any(|pattern| has(row, pattern)) {
                    found.push(*kind);
                }
            }
            if !found.contains(&Self::SchemaBehind) && names_what_is_not_there(row) {
                found.push(Self::SchemaBehind);
            }
        }
        found
    }
}

fn has(row: &str, pattern: &str) -> bool {
    memchr::memmem::find(row.as_bytes(), pattern.as_bytes()).is_some()
}

/// `column a.b does not exist`, `relation "x" does not exist`, `no such column: x`, `Unknown column 'x'`, as PostgreSQL,
/// SQLite and MySQL put it; a relation of PostgreSQL's own, or one asked for by hand, is none of the application's.
fn names_what_is_not_there(row: &str) -> bool {
    let postgres = has(row, " does not exist") && (has(row, "column ") || has(row, "relation \""));
    let system = has(row, "relation \"pg_") || has(row, "relation \"information_schema");
    (postgres && !system)
        || has(row, "no such column: ")
        || has(row, "no such table: ")
        || has(row, "1054, \"Unknown column")
        || (has(row, "1146, \"Table '") && has(row, "doesn't exist"))
}

/// A well-known message: how often, since when, and the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// Which.
    pub kind: SignKind,
    /// How often, and when.
    pub tally: Tally,
    /// The last of them.
    pub example: Arc<Line>,
    /// Whether its source had been read for some time before what goes on began: then its beginning was seen.
    pub seen: bool,
}

/// All well-known messages found so far.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    found: Vec<Sign>,
}

impl Signs {
    /// Counts those of a line; `covered` says whether its source had been read for some time before it.
    pub fn push(&mut self, line: &Arc<Line>, covered: bool) {
        for kind in Kind::of(&line.text, &line.more) {
            let Some(sign) = self.found.iter_mut().find(|s| s.kind == kind) else {
                let tally = Tally::once(line.at);
                self.found.push(Sign { kind, tally, example: Arc::clone(line), seen: covered });
                continue;
            };
            let streak = sign.tally.streak;
            if line.at >= sign.tally.last {
                sign.example = Arc::clone(line);
            }
            sign.tally.add(line.at);
            if sign.tally.streak != streak {
                sign.seen = covered;
            }
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Sign> {
        self.found.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::SignKind as Kind;

    #[test]
    fn messages_as_they_are_written() {
        for (text, kind) in [
            ("WORKER TIMEOUT (pid:21020)", Kind::WorkerTimeout),
            ("Worker (pid:21020) was sent SIGKILL! Perhaps out of memory?", Kind::WorkerKilled),
            ("consumer: Connection to broker lost. Trying to re-establish the connection...", Kind::BrokerLost),
            ("Received unregistered task of type 'pretix.x'.", Kind::UnregisteredTask),
            ("could not write to file \"pg_wal/xlogtemp.9\": No space left on device", Kind::DatabasePanic),
            (
                "remaining connection slots are reserved for non-replication superuser connections",
                Kind::ConnectionsUsedUp,
            ),
            ("database \"x\" must be vacuumed within 39000000 transactions", Kind::Wraparound),
            ("nextval: reached maximum value of sequence \"log_id_seq\" (2147483647)", Kind::KeySpace),
            ("cannot execute INSERT in a read-only transaction", Kind::ReadOnlyDatabase),
            ("relation \"pretixbase_x\" does not exist at character 15", Kind::SchemaBehind),
            ("column pretixbase_event.new does not exist", Kind::SchemaBehind),
            ("django.db.utils.OperationalError: no such column: x.y", Kind::SchemaBehind),
            (
                "connect() failed (111: Connection refused) while connecting to upstream, client: 1.2.3.4",
                Kind::UpstreamFails,
            ),
            ("upstream timed out (110: Connection timed out) while reading response header", Kind::UpstreamFails),
            ("could not translate host name \"db1\" to address: Name or service not known", Kind::NameUnresolved),
            ("Out of memory: Killed process 123 (celery)", Kind::OomKill),
            ("testbed.service: Start request repeated too quickly.", Kind::StartLimit),
        ] {
            assert!(Kind::of(text, "").contains(&kind), "{text}");
        }
    }

    #[test]
    fn the_exception_below_counts_too_and_code_does_not() {
        let more = "Traceback (most recent call last):\n  raise X('No space left on device')\ndjango.db.utils.ProgrammingError: column a.b does not exist\nLINE 1: SELECT";
        assert_eq!(Kind::of("Internal Server Error: /", more), [Kind::SchemaBehind]);
    }

    #[test]
    fn ordinary_lines_are_no_sign() {
        for text in [
            "Task x succeeded in 0.04s: None",
            "relation \"pg_foo\" does not exist at character 15",
            "file does not exist",
            "checkpoint complete: wrote 4 buffers",
            "Unauthorized: /api/v1/organizers/",
        ] {
            assert_eq!(Kind::of(text, ""), [], "{text}");
        }
    }
}
