//! The rules of the database, as they are written down.

use crate::domain::id::SourceKind;
use crate::triage::Rule;

/// A rule that reads the database alone.
const fn rule(id: &'static str, incidents: &'static [&'static str], thresholds: &'static [&'static str]) -> Rule {
    Rule { id, incidents, reads: &[SourceKind::Database], thresholds, meaning: "", mend: "", danger: "", runbook: None }
}

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        meaning: "The database does not answer: it is stopped or refuses.",
        mend: "Read why in its log first. Where the disk of its data is full, free room elsewhere on it; then start it.",
        danger: "Deleting files of pg_wal destroys the database; so does moving its directory half awake.",
        runbook: Some("restart-services"),
        ..rule("database-down", &["INC-20", "INC-21"], &[])
    },
    Rule {
        meaning: "The database is there and takes no sessions yet: it starts, or replays its log after a crash.",
        mend: "Wait and watch it advance; read in its log why it went down.",
        danger: "A restart during recovery begins it anew.",
        runbook: None,
        ..rule("database-recovering", &["INC-20", "INC-21"], &[])
    },
    Rule {
        meaning: "The application is connected to a standby or to a server that was set read-only: every write fails.",
        mend: "Find out which node is the primary and who switched; hand over to who runs the cluster.",
        danger: "Promoting the stale node loses data.",
        ..rule("database-read-only", &["INC-22"], &[])
    },
    Rule {
        meaning: "The slots an ordinary role can have are nearly or wholly in use; new sessions are refused.",
        mend: "End the oldest idle-in-transaction sessions, then the idle ones of one application; stop what leaks.",
        danger: "max_connections changes only with a restart, which drops everybody.",
        runbook: Some("unblock-locks"),
        ..rule("database-connections", &["INC-16"], &["connections_warning", "connections_critical"])
    },
    Rule {
        meaning: "A session holds a lock that others wait for; the one at the root waits for nobody.",
        mend: "Cancel what is first behind the root if it is a change of a table: the rest goes on at once. Then the root, \
               terminating it only if cancelling is not enough; check pid and backend start again right before.",
        danger: "Ending the visible victim mends nothing; kill -9 of a backend resets every session; deleting SQLite's \
                 -journal or -wal loses commits.",
        runbook: Some("unblock-locks"),
        ..rule("database-lock", &["INC-15", "INC-24"], &["lock_wait_s", "blocked_s"])
    },
    Rule {
        meaning: "Sessions wait for advisory locks, by which the application puts buyers of one event in a row.",
        mend: "Nothing, or fewer visitors at once at the proxy: it passes with the rush.",
        danger: "Ending these sessions ends orders of paying buyers.",
        ..rule("advisory-lock-waiters", &["INC-13"], &["advisory_waiters_warning", "blocked_s"])
    },
    Rule {
        meaning: "A session began a transaction and does nothing: it keeps its locks, and vacuum from cleaning up.",
        mend: "Find whose it is; end it if nobody is at it.",
        danger: "Ending a session undoes what its transaction did.",
        runbook: Some("unblock-locks"),
        ..rule("database-idle-transaction", &["INC-15"], &["idle_transaction_s"])
    },
    Rule {
        meaning: "A transaction works for long. Dumps, which do so by nature, are left out.",
        mend: "See what it does; an export or a report is waited for.",
        danger: "A migration that is ended half way has to be undone first.",
        ..rule("database-long-transaction", &["INC-15"], &["long_transaction_s"])
    },
    Rule {
        meaning: "A key's values are nearly used up: of its sequence, its column, or a foreign key that refers to it.",
        mend: "Where only the sequence is too narrow, ALTER SEQUENCE … AS bigint is instant. A column is widened in a \
               planned window.",
        danger: "ALTER COLUMN TYPE rewrites the table and locks it for hours.",
        runbook: None,
        ..rule("key-space", &["INC-17"], &["key_space_warning", "key_space_critical", "key_space_left_days"])
    },
    Rule {
        meaning: "Foreign keys are of a narrower type than the key they refer to: they end first.",
        mend: "Widen them in a planned window, before the key gets there.",
        ..rule("key-types", &["INC-17"], &[])
    },
    Rule {
        meaning: "The oldest transaction id is very old: near two thousand million the server refuses every write.",
        mend: "Remove who holds it back (slot, prepared transaction, old session), then VACUUM (FREEZE) the largest tables.",
        danger: "Cancelling the anti-wraparound vacuum; restarting again and again.",
        ..rule("txid-wraparound", &["INC-18"], &["txid_age_warning", "txid_age_critical"])
    },
    Rule {
        meaning: "A replication slot that nobody reads keeps the write-ahead log from being reused: it fills the disk.",
        mend: "Ask whose it is. Bring its consumer back, or drop the slot: the consumer then has to be built anew.",
        danger: "Deleting files in pg_wal destroys the database; dropping the slot of a live standby costs its rebuild.",
        ..rule("wal-slot", &["INC-19"], &["slot_retained_warning", "slot_full_hours"])
    },
    Rule {
        meaning: "The write-ahead log is not archived any more: it piles up, and point-in-time recovery ends here.",
        mend: "Run archive_command by hand as its user and read what it says.",
        danger: "Setting archive_command to nothing loses the chain of backups.",
        ..rule("wal-archive", &["INC-19", "INC-36"], &[])
    },
    Rule {
        meaning: "A replica has not replayed what the primary wrote: a failover now would lose that.",
        mend: "See what it waits for: its disk, its network, a long query on it.",
        ..rule("replica-lag", &["INC-22"], &["replica_lag_s"])
    },
    Rule {
        meaning: "Tables have rows and no statistics, as after a restore: queries are planned blindly.",
        mend: "ANALYZE: it is safe and takes a minute.",
        danger: "VACUUM FULL locks the tables.",
        ..rule("never-analyzed", &["INC-23"], &[])
    },
    Rule {
        meaning: "A table has more dead rows than live ones: vacuum does not come, or is held back.",
        mend: "See who holds transactions open; VACUUM the table.",
        danger: "VACUUM FULL locks the table.",
        ..rule("dead-rows", &["INC-23"], &[])
    },
    Rule {
        meaning: "Mails wait in the database and are not sent.",
        mend: "See whether the mail server takes connections; mend the route and let the application try again.",
        danger: "A mass retry sends tickets twice and gets the sender blocked.",
        ..rule("mail-stuck", &["INC-11"], &["mail_wait_warning_s", "mail_wait_critical_s"])
    },
    Rule {
        meaning: "The database is damaged.",
        mend: "Stop the writers, copy the file with its -wal as it is, then recover from the copy or restore a backup.",
        danger: "Deleting -journal or -wal loses commits; every write makes it worse.",
        ..rule("database-corrupt", &["INC-24"], &[])
    },
    Rule {
        meaning: "The -wal file of SQLite grows and is not taken back into the database.",
        mend: "Find the reader that never ends.",
        danger: "Deleting the -wal loses commits.",
        ..rule("sqlite-wal", &["INC-24"], &[])
    },
    Rule {
        reads: &[SourceKind::Database, SourceKind::Services],
        meaning: "An application that is meant for a database server keeps its data in a SQLite file: it takes one where \
                  its configuration names no database, or can't be read.",
        mend: "Compare the [database] section with what was meant. Before switching back, keep the file: it has the \
               orders made meanwhile.",
        danger: "Deleting the file loses what was sold since the fallback.",
        ..rule("database-sqlite-fallback", &["INC-40"], &[])
    },
    Rule {
        reads: &[SourceKind::Database, SourceKind::App],
        meaning: "The database server was set up after the application had started: the application now writes into \
                  another one than it began with, as after a restore or a changed address.",
        mend: "Compare the server's address and its newest rows with what was meant, before anything else is written. \
               Where it was meant so, start web and workers anew.",
        danger: "Every order that is taken meanwhile is in the wrong database; restoring over it loses them.",
        ..rule("database-another", &["INC-38"], &[])
    },
];
