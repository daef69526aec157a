//! The rules of the application on disk, as the catalogue knows them.

use super::super::Rule;
use crate::domain::id::SourceKind;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "code-newer-than-processes",
        incidents: &["INC-12"],
        reads: &[SourceKind::App],
        thresholds: &["upgrade_settle_s"],
        meaning: "The code on disk was installed after the processes that run it began: the old code still runs, and a \
                  worker that is replaced meets the new one. The healthcheck stays green meanwhile.",
        mend: "See that migrations are applied and static files are rebuilt, then restart web and worker.",
        danger: "A restart before the migrations puts the new code on the old schema.",
        runbook: None,
    },
    Rule {
        id: "migrations-pending",
        incidents: &["INC-12"],
        reads: &[SourceKind::App, SourceKind::Database],
        thresholds: &["upgrade_settle_s"],
        meaning: "Migrations come with the code on disk and are not in the database. Where the new code already runs, \
                  what needs the new schema fails.",
        mend: "Take a backup and prove it, stop the worker, migrate with a lock timeout, rebuild, restart web and worker.",
        danger: "Never migrate from two servers at once. The way back is the dump and the old package together.",
        runbook: None,
    },
    Rule {
        id: "schema-newer-than-code",
        incidents: &["INC-12", "INC-38"],
        reads: &[SourceKind::App, SourceKind::Database],
        thresholds: &["upgrade_settle_s"],
        meaning: "The database has seen migrations that the code on disk does not know: the package went back without \
                  its dump, or another server already runs newer code.",
        mend: "Install the version the schema belongs to; or restore the dump from before the upgrade beside, and swap.",
        danger: "Migrating backwards is promised by no release; older code writes rows the newer one can't read.",
        runbook: None,
    },
    Rule {
        id: "secret-changed",
        incidents: &["INC-40"],
        reads: &[SourceKind::App],
        thresholds: &[],
        meaning: "The file that signs sessions and links was written anew: who is logged in loses his session, reset \
                  links and signed tickets of old are refused as soon as processes have started with it.",
        mend: "Put the old file back from a backup, with its owner and mode 0600, and restart.",
        danger: "A start of the application without the file makes a new secret.",
        runbook: None,
    },
    Rule {
        id: "secret-missing",
        incidents: &["INC-40"],
        reads: &[SourceKind::App],
        thresholds: &[],
        meaning: "Neither the configuration nor the data directory holds the secret. What runs still has it in memory.",
        mend: "Restore .secret from a backup, with its owner and mode 0600, before anything starts anew.",
        danger: "Every start makes a new one, also that of a management command, or of a worker that is replaced.",
        runbook: None,
    },
    Rule {
        id: "secret-exposed",
        incidents: &["INC-40"],
        reads: &[SourceKind::App],
        thresholds: &[],
        meaning: "Who reads the secret can sign sessions of any user.",
        mend: "chmod 600 it; where others had access to this host, plan a new one.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "config-newer",
        incidents: &["INC-40"],
        reads: &[SourceKind::App],
        thresholds: &[],
        meaning: "The configuration file was written after the processes began: they don't know what is in it.",
        mend: "See what changed, and restart when that is wanted.",
        danger: "A restart takes in a mistake in the file too.",
        runbook: None,
    },
    Rule {
        id: "static-root-missing",
        incidents: &["INC-14"],
        reads: &[SourceKind::App],
        thresholds: &[],
        meaning: "A directory that nginx or the application serves static files from is not there, as after an upgrade \
                  of Python, or before a rebuild.",
        mend: "Point nginx to the directory that is there (nginx -t, then reload), or run rebuild.",
        danger: "To remove the old environment while it still serves.",
        runbook: None,
    },
    Rule {
        id: "debug-on",
        incidents: &[],
        reads: &[SourceKind::App],
        thresholds: &[],
        meaning: "Error pages show source and settings to every visitor, and memory grows with each query.",
        mend: "Switch it off in the configuration and restart.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "profiling-on",
        incidents: &[],
        reads: &[SourceKind::App],
        thresholds: &[],
        meaning: "A share of the requests is profiled: they are slower, and files pile up in the data directory.",
        mend: "Take the setting out when the profile is taken, restart, and clear the directory.",
        danger: "",
        runbook: None,
    },
];
