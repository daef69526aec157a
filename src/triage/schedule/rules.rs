//! The rules of the schedule, as the catalogue knows them.

use super::super::Rule;
use crate::domain::id::SourceKind;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "periodic-overlap",
        incidents: &["INC-09"],
        reads: &[SourceKind::Schedule],
        thresholds: &["periodic_runs_warning", "periodic_runs_critical"],
        meaning: "Several runs of one periodic job are under way, or one takes longer than until the next is due. Each \
                  holds memory and a session of the database; with a slow database they pile up until the host dies.",
        mend: "Hold the cron entry or timer, and note that it is held. End the oldest run with TERM. Find the slow task \
               (runperiodic --list-tasks, --tasks), and see one run end before the schedule goes on.",
        danger: "To kill a run in its midst can send reminders twice. A held schedule is easily forgotten.",
        runbook: None,
    },
    Rule {
        id: "periodic-silent",
        incidents: &["INC-10"],
        reads: &[SourceKind::Redis, SourceKind::App],
        thresholds: &["periodic_silent_s"],
        meaning: "The application's periodic tasks have not run for twice their interval, or for 12 hours where nothing \
                  is known of an interval: orders don't expire, reminders and failed mail are not sent.",
        mend: "Look at the crontab or timer, its environment and its last error; run it once by hand with -v2 and watch \
               it end.",
        danger: "A first run after days sends everything that has piled up.",
        runbook: None,
    },
    Rule {
        id: "timer-failed",
        incidents: &["INC-10", "INC-36"],
        reads: &[SourceKind::Schedule],
        thresholds: &[],
        meaning: "What a timer of systemd starts ended with an error when it last ran.",
        mend: "Read its log (journalctl -u UNIT), mend the cause, start the unit once by hand.",
        danger: "reset-failed hides the evidence.",
        runbook: None,
    },
    Rule {
        id: "cron-stopped",
        incidents: &["INC-10", "INC-36"],
        reads: &[SourceKind::Schedule],
        thresholds: &[],
        meaning: "Crontabs hold backups or periodic tasks, and no cron daemon runs that would start them.",
        mend: "Start cron, and see that it comes up with the machine.",
        danger: "Jobs of anacron that were missed start all at once.",
        runbook: None,
    },
    Rule {
        id: "reboot-needed",
        incidents: &[],
        reads: &[SourceKind::Updates],
        thresholds: &[],
        meaning: "A package that was upgraded, usually the kernel or the C library, is in use only after a reboot.",
        mend: "Plan it: see first that every service comes up with the machine.",
        danger: "A reboot in the midst of an incident loses what memory and processes show.",
        runbook: None,
    },
    Rule {
        id: "updates-pending",
        incidents: &[],
        reads: &[SourceKind::Updates],
        thresholds: &[],
        meaning: "Security updates are known on this host and not installed.",
        mend: "Install them in a quiet hour, with a backup that was proven.",
        danger: "An upgrade of PostgreSQL, Redis or Python restarts services or moves files below a running application.",
        runbook: None,
    },
];
