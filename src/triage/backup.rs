//! What the backups say (FIELD INC-36, INC-37; S0-01 to S0-07, S1-10, S2-01 to S2-03, S3-09 to S3-11).

mod keeping;
mod worth;

#[cfg(test)]
mod tests;

use super::{Claim, Rule, SiteFacts, Thresholds};
use crate::domain::backup::kind::Subject;
use crate::domain::backup::{Backup, BackupsReading};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::text;
use crate::domain::time::Timestamp;

const READS: &[SourceKind] = &[SourceKind::Backups];
const INC_36: &[&str] = &["INC-36"];
const INC_37: &[&str] = &["INC-37"];
const TAKE: Option<&str> = Some("take-backup");

const fn rule(
    id: &'static str,
    incidents: &'static [&'static str],
    meaning: &'static str,
    mend: &'static str,
    danger: &'static str,
    runbook: Option<&'static str>,
) -> Rule {
    Rule { id, incidents, reads: READS, thresholds: &[], meaning, mend, danger, runbook }
}

/// The rules of this module.
pub const RULES: &[Rule] = &[
    rule(
        "backup-none",
        INC_36,
        "No backup of the database, or of the files, is known; critical where a job or the configuration says that there should be one.",
        "Take one now, beside the others and under a name that says it is not finished, read it, then rename it; then set up a daily job. If backups are kept where this host can't see them, name the place in midwatch.toml.",
        "A rescue dump onto the database's own disk can fill it.",
        TAKE,
    ),
    rule(
        "backup-unseen",
        &[],
        "Whether there are backups can't be seen: a directory may not be entered, or a repository may not be asked.",
        "Open the grant that is named, or run midwatch as root.",
        "",
        None,
    ),
    rule(
        "backup-old",
        INC_36,
        "The newest backup that could be restored is older than its policy allows: 26 h unless max_age says otherwise; critical at 24/13 of that (48 h).",
        "Find out why the job did not run, take one now, then mend the job.",
        "Restarting the job over the last good one.",
        TAKE,
    ),
    rule(
        "backup-broken",
        INC_36,
        "The newest backup was read and is cut off or damaged, however it is named and listed.",
        "Take one now beside it, have it read, then mend the job (pipefail, disk space, the version of pg_dump).",
        "Trusting the newest time of change; overwriting the last good one; rotation that deletes it.",
        TAKE,
    ),
    rule(
        "backup-empty",
        INC_36,
        "The newest backup holds nothing: a job failed and left an empty file behind, or it dumps the schema without any rows.",
        "Take one now beside it, then mend the job: an exit status through a pipe needs pipefail; --schema-only and --no-data leave all rows out.",
        "Trusting the newest time of change; rotation that deletes the last good one.",
        TAKE,
    ),
    Rule {
        id: "backup-small",
        incidents: INC_36,
        reads: READS,
        thresholds: &["backup_small_share"],
        meaning: "The newest backup is much smaller than the last seven of its series.",
        mend: "See what is missing in it before the older ones rotate away; restore it into a throw-away database.",
        danger: "Taking a whole file for a whole database.",
        runbook: Some("prove-backup"),
    },
    rule(
        "backup-unproven",
        INC_36,
        "The newest backup can't be read to its end here, so nobody knows what it is worth.",
        "Install the program that is named, or restore it in a drill.",
        "",
        Some("prove-backup"),
    ),
    rule(
        "backup-same-disk",
        INC_37,
        "Every backup lies on the disk of what it saves, and no copy elsewhere is known: they die together.",
        "Copy it to another host; if that is done already, say off_host = true for the place in midwatch.toml.",
        "A second copy on the same disk fills it and helps nobody.",
        None,
    ),
    rule(
        "backup-exposed",
        INC_37,
        "A backup can be read by every user of the host, or lies where a web server publishes it. It holds customers' data and secrets.",
        "chmod o-rwx, and umask 027 in the job; move it out of the web root and look into the access log for who took it.",
        "Deleting it before there is another good one.",
        None,
    ),
    rule(
        "backup-in-checkout",
        INC_37,
        "A dump lies in a checkout of code: it gets committed, deployed and read, and grows stale.",
        "Move it away, and see whether it was ever committed.",
        "Deleting it before there is another good one.",
        None,
    ),
    rule(
        "backup-secret-missing",
        INC_36,
        "The files' backups hold no .secret, and the configuration has no secret either.",
        "Add .secret to what is saved, or write the secret into the configuration.",
        "",
        None,
    ),
    rule(
        "backup-media-missing",
        INC_36,
        "The files' backups hold nothing of media/.",
        "Add media/ to what is saved: invoices must be kept by law, uploads can't be made again.",
        "",
        None,
    ),
    rule(
        "backup-rotation",
        INC_36,
        "Rotation will delete the last good backup while the newer ones are broken; or nothing is ever rotated.",
        "Copy the last good one elsewhere, then mend the job.",
        "Letting the job run on.",
        None,
    ),
    rule(
        "backup-job-failed",
        INC_36,
        "The last run of a backup job failed, as systemd or its own log says.",
        "Read its log, mend the cause, run it by hand.",
        "Running it over the last good backup.",
        TAKE,
    ),
];

/// What is claimed.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let (Some(reading), Some(at)) = (facts.backups.value(), facts.backups.at()) else { return Vec::new() };
    judged(reading, at, facts.now, limits)
}

/// What is claimed of one reading, seen at `at`.
pub fn judged(reading: &BackupsReading, at: Timestamp, now: Timestamp, limits: &Thresholds) -> Vec<Claim> {
    // A practice site has no backups but those that somebody named.
    if reading.needs.practice && !reading.places.iter().any(|place| place.named) {
        return Vec::new();
    }
    let look = Look { reading, limits, now, at };
    let mut out = Vec::new();
    for subject in Subject::EACH {
        if let Some(what) = reading.needs.of(subject) {
            worth::claims(&look, subject, what, &mut out);
        }
    }
    keeping::claims(&look, &mut out);
    out
}

/// What all rules of backups look at.
struct Look<'a> {
    reading: &'a BackupsReading,
    limits: &'a Thresholds,
    now: Timestamp,
    at: Timestamp,
}

impl Look<'_> {
    fn claim(&self, rule: &'static str, level: Level, title: impl Into<String>, evidence: impl Into<String>) -> Claim {
        Claim::new(rule, level, title, evidence, SourceKind::Backups, self.at)
    }

    fn age(&self, backup: &Backup) -> String {
        text::span(self.now.millis_since(backup.made))
    }

    /// `pretix.dump, 3h05m old, complete`.
    fn told(&self, backup: &Backup) -> String {
        format!("{}, {} old, {}", backup.name(), self.age(backup), backup.proof.word())
    }
}

/// What it costs to lose the files, and what of it can be made again (pretix' administrator documentation).
const FILES_COST: &str = "without the files uploads and invoices are gone, and without .secret every session and every link in sent mails dies";
