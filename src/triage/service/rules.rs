//! What the rules about services mean, and what mends them.

use crate::domain::id::SourceKind;
use crate::triage::Rule;

const READS: &[SourceKind] = &[SourceKind::Services];
/// Those that weigh a service against what else is seen.
const WEIGHED: &[SourceKind] = &[SourceKind::Services, SourceKind::Health, SourceKind::Database, SourceKind::Redis];
const RESTART: Option<&str> = Some("restart-services");

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "service-failed",
        incidents: &["INC-01"],
        reads: WEIGHED,
        thresholds: &[],
        meaning: "A service ended badly and stays down; nobody starts it again.",
        mend: "Read its last log lines and how it ended, mend that, then start it and see it answer.",
        danger: "Starting it again without reading why hides the first error and a broken upgrade.",
        runbook: RESTART,
    },
    Rule {
        id: "service-stopped",
        incidents: &["INC-01", "INC-03"],
        reads: WEIGHED,
        thresholds: &[],
        meaning: "A service does not run and did not fail: somebody stopped it, it never came up, or its process is gone.",
        mend: "Ask who stopped it (what changed, who is here), then start it.",
        danger: "It may be stopped on purpose: for a migration, a restore, a move.",
        runbook: RESTART,
    },
    Rule {
        id: "service-missing",
        incidents: &["INC-01"],
        reads: WEIGHED,
        thresholds: &[],
        meaning: "A service that should be here is unknown to its manager: not installed, renamed, its container removed.",
        mend: "Put it back (install the unit, compose up), or say in midwatch.toml what it is called now.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "service-crash-loop",
        incidents: &["INC-02"],
        reads: WEIGHED,
        thresholds: &[],
        meaning: "A service ends by itself again and again: more than 2 starts in 5 minutes (suspected), or its manager has given \
                  it up.",
        mend: "Read the first error, not the last; mend its cause (configuration, package, dependency); then reset-failed and start.",
        danger: "reset-failed wipes the counter that proves the loop; another restart only hides the first error.",
        runbook: RESTART,
    },
    Rule {
        id: "service-restarting",
        incidents: &["INC-02"],
        reads: READS,
        thresholds: &[],
        meaning: "A service was started anew in the last 5 minutes, or is about to be: by a person, an upgrade, or after a crash.",
        mend: "Nothing, unless it happens again.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "service-slow-start",
        incidents: &["INC-01"],
        reads: READS,
        thresholds: &[],
        meaning: "A service has been starting for more than a minute: it waits for a lock, migrates, or its probe never succeeds.",
        mend: "See in its log what it waits for; a migration that waits for a lock needs that lock's holder gone.",
        danger: "Killing it in the middle of a migration leaves half of it.",
        runbook: None,
    },
    Rule {
        id: "service-unhealthy",
        incidents: &["INC-01", "INC-28"],
        reads: READS,
        thresholds: &[],
        meaning: "A container runs and its own healthcheck fails.",
        mend: "Read the probe's last output, and whether what it asks for (database, Redis) answers.",
        danger: "A restart does not mend what it depends on.",
        runbook: RESTART,
    },
    Rule {
        id: "service-oom",
        incidents: &["INC-08"],
        reads: READS,
        thresholds: &[],
        meaning: "The kernel killed in this service for want of memory in the last 30 minutes: not a crash of its own.",
        mend: "See what grew; stop the newest heavy job; give it a limit it can live within.",
        danger: "Killing the database instead of the cron job.",
        runbook: None,
    },
    Rule {
        id: "service-memory",
        incidents: &["INC-08"],
        reads: READS,
        thresholds: &["service_memory_warning"],
        meaning: "A service is close to its own memory limit; at the limit the kernel kills in it.",
        mend: "See what grows in it; restart its worker gracefully, or raise the limit if the machine has room.",
        danger: "",
        runbook: RESTART,
    },
    Rule {
        id: "service-disabled",
        incidents: &["INC-01"],
        reads: READS,
        thresholds: &[],
        meaning: "A service runs, but would not come up after a reboot.",
        mend: "systemctl enable it; in a compose file, restart: unless-stopped.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "process-stopped-state",
        incidents: &["INC-03"],
        reads: READS,
        thresholds: &[],
        meaning: "The processes of a service are there and do nothing: stopped by a signal, paused, stuck in the kernel, or dead and \
                  not collected.",
        mend: "Stopped: find who sent SIGSTOP, then SIGCONT. Paused: unpause. Stuck in the kernel: mend the disk or mount.",
        danger: "SIGKILL to a stopped worker loses the task it holds.",
        runbook: None,
    },
    Rule {
        id: "services-unseen",
        incidents: &[],
        reads: READS,
        thresholds: &[],
        meaning: "Docker, systemd or supervisord has stopped to answer: how the services are is not known.",
        mend: "See whether the daemon runs; the services may run without it.",
        danger: "Restarting Docker restarts every container.",
        runbook: None,
    },
    Rule {
        id: "unit-failed",
        incidents: &["INC-10"],
        reads: READS,
        thresholds: &[],
        meaning: "A unit of the machine that is no site's has failed. A warning where its name says that somebody counts on it \
                  (backups, certificates, databases, proxies), else a note.",
        mend: "Read its log, mend it, start it; or reset-failed once it is understood.",
        danger: "",
        runbook: None,
    },
];
