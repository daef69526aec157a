//! The catalogue of what is concluded from logs.

use super::super::Rule;
use crate::domain::id::SourceKind;

const LOGS: &[SourceKind] = &[SourceKind::Logs];

const fn rule(id: &'static str, incidents: &'static [&'static str], thresholds: &'static [&'static str]) -> Rule {
    Rule { id, incidents, reads: LOGS, thresholds, meaning: "", mend: "", danger: "", runbook: None }
}

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        reads: &[SourceKind::Logs, SourceKind::Database],
        meaning: "gunicorn killed workers that had not answered for its limit. Its \"Perhaps out of memory?\" is a guess.",
        mend: "Follow to what the workers wait for: a lock in the database, Redis, another host. A restart is the second step.",
        danger: "A restart empties the queue for a minute and loses the evidence.",
        runbook: Some("restart-services"),
        ..rule("worker-timeouts", &["INC-06"], &["log_window_s", "worker_timeouts_count"])
    },
    Rule {
        meaning: "The proxy is up and gets no answer from the application, or a broken one.",
        mend: "Ask the application's own port; if it answers, the fault is between the two. Test the proxy's configuration before it is reloaded.",
        danger: "Reloading a broken configuration on the last good proxy.",
        ..rule("proxy-upstream-errors", &["INC-07"], &["log_window_s", "upstream_errors_count"])
    },
    Rule {
        meaning: "Buyers of the same event wait for each other's locks until they give up: expected under a rush, no fault of the database.",
        mend: "Nothing, or a waiting room at the proxy.",
        danger: "Ending the sessions of paying buyers.",
        ..rule("locks-time-out", &["INC-13"], &["log_window_s", "locks_timed_out_count"])
    },
    Rule {
        meaning: "The code asks for a column or table that the database does not have: an upgrade without its migrations, or an old dump.",
        mend: "Compare the version on disk with the schema, take a backup, migrate, restart web and worker.",
        danger: "Migrating twice at once, or without a proven backup.",
        runbook: Some("upgrade"),
        ..rule("schema-behind-code", &["INC-12"], &["log_window_s", "schema_errors_count"])
    },
    Rule {
        meaning: "A worker was given a task that its code does not know: it runs older code than the web process.",
        mend: "Restart the worker.",
        danger: "The refused tasks are lost: look for what they were.",
        runbook: Some("restart-services"),
        ..rule("worker-older", &["INC-12"], &["log_window_s"])
    },
    Rule {
        meaning: "Built files (styles, scripts, their manifest) are missing, and pages fail or come without them.",
        mend: "Run rebuild as the application's user, then reload the web process.",
        danger: "",
        ..rule("static-missing", &["INC-14"], &["log_window_s", "static_errors_count"])
    },
    Rule {
        meaning: "Names do not resolve for the application.",
        mend: "Ask each server of resolv.conf; reach the service by its address to tell the two apart.",
        danger: "Writing addresses into hosts and forgetting them.",
        ..rule("name-resolution", &["INC-33"], &["log_window_s", "unresolved_names_count"])
    },
    Rule {
        meaning: "Many sessions can't be read: the secret they are signed with may have changed.",
        mend: "Put the old .secret back, with its owner and mode, and restart.",
        danger: "Starting the application without its .secret makes a new one.",
        ..rule("sessions-corrupt", &["INC-40"], &["log_window_s", "corrupt_sessions_count"])
    },
    Rule {
        meaning: "An error that was not in the logs before now comes again and again.",
        mend: "Open it on Logs; what changed just before it began is the first suspect.",
        danger: "",
        ..rule("errors-new", &[], &["log_window_s", "new_errors_count"])
    },
    Rule {
        meaning: "The same error comes often. It was in the logs already when they were first read.",
        mend: "Open it on Logs.",
        danger: "",
        ..rule("errors-repeat", &[], &["log_window_s", "repeated_errors_count"])
    },
    Rule {
        meaning: "A log grows so fast that it will fill its disk and hides all else.",
        mend: "See what writes it; rotate it with copytruncate rather than removing it.",
        danger: "Removing a log that is open frees nothing.",
        ..rule("log-flood", &["INC-29"], &["log_flood_mb"])
    },
    Rule {
        meaning: "A trigger of your own holds ([[triggers]] in midwatch.toml).",
        mend: "What you know of it.",
        danger: "",
        ..rule("trigger", &[], &[])
    },
];
