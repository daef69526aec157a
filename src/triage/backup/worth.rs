//! Of each subject: whether there is a backup, how old it is, and what it is worth.

use super::{FILES_COST, Look};
use crate::domain::backup::kind::Subject;
use crate::domain::backup::proof::{Flaw, Proof};
use crate::domain::backup::standing::{Standing, standing, usual_size};
use crate::domain::backup::{Backup, policy};
use crate::domain::level::Level;
use crate::domain::text;
use crate::triage::Claim;

/// A policy's warning, and from when it is critical: FIELD INC-36 has 26 h and 48 h.
const CRITICAL: (u64, u64) = (24, 13);

pub(super) fn claims(look: &Look<'_>, subject: Subject, what: &str, out: &mut Vec<Claim>) {
    let standing = standing(look.reading, subject);
    let word = subject.word();
    let broken = newer_broken(look, &standing);
    if let Some(broken) = broken {
        out.push(useless(look, &standing, broken).of(word));
    } else if standing.usable.is_none() {
        // The first one is on its way.
        if standing.running.is_none() {
            out.push(none(look, subject, what).of(word));
        }
    } else if let Some(claim) = old(look, &standing) {
        out.push(claim.of(word));
    }
    let Some(usable) = standing.usable.filter(|_| broken.is_none()) else { return };
    // That it is small goes without saying where it holds no rows.
    let lacks = rowless(look, subject, usable).or_else(|| small(look, subject, usable));
    out.extend(lacks.map(|claim| claim.of(word)));
    out.extend(unproven(look, subject, usable).map(|claim| claim.of(word)));
}

/// The newest broken one, if nothing usable is newer.
fn newer_broken<'a>(look: &Look<'a>, standing: &Standing<'a>) -> Option<&'a Backup> {
    let broken =
        look.reading.backups.iter().filter(|b| b.saves(standing.subject) && matches!(b.proof, Proof::Broken { .. }));
    let newer = broken.filter(|b| standing.usable.is_none_or(|usable| b.made > usable.made));
    newer.max_by_key(|b| b.made)
}

fn late(look: &Look<'_>, subject: Subject, backup: &Backup) -> Level {
    let limit = look.reading.needs.max_age_s(subject).saturating_mul(1000);
    let age = look.now.millis_since(backup.made);
    if age > limit.saturating_mul(CRITICAL.0) / CRITICAL.1 {
        Level::Critical
    } else if age > limit {
        Level::Warning
    } else {
        Level::Ok
    }
}

fn useless(look: &Look<'_>, standing: &Standing<'_>, broken: &Backup) -> Claim {
    let Proof::Broken { flaw, why, .. } = &broken.proof else {
        return look.claim("backup-broken", Level::Warning, "The newest backup is broken", broken.name());
    };
    let (rule, how) = match flaw {
        Flaw::Empty => ("backup-empty", "is empty"),
        Flaw::Truncated => ("backup-broken", "is cut off"),
        Flaw::Damaged => ("backup-broken", "is damaged"),
        Flaw::Unfinished => ("backup-broken", "was never finished"),
        Flaw::Failed => ("backup-broken", "failed"),
    };
    let word = standing.subject.word();
    let (level, good) = match standing.usable {
        // Yesterday's is within its policy: there is time to mend the job.
        Some(usable) if late(look, standing.subject, usable) < Level::Warning => {
            (Level::Warning, format!("last good: {}; at risk: {}", look.told(usable), look.age(usable)))
        }
        Some(usable) => (Level::Critical, format!("last good: {}; at risk: {}", look.told(usable), look.age(usable))),
        None => (Level::Critical, "there is no good one".to_owned()),
    };
    let title = format!("The newest backup of the {word} {how}: {}", broken.name());
    let details = [
        format!("broken: {} ({})", broken.path, look.told(broken)),
        standing.usable.map_or_else(
            || "no other one".to_owned(),
            |b| format!("last that is not broken: {} ({})", b.path, look.told(b)),
        ),
        standing.proven.map_or_else(
            || "none was ever proven".to_owned(),
            |b| format!("last proven: {} ({})", b.path, look.told(b)),
        ),
    ];
    look.claim(rule, level, title, format!("{why}; {good}")).since(broken.made, true).with(details)
}

fn none(look: &Look<'_>, subject: Subject, what: &str) -> Claim {
    let word = subject.word();
    let places = || look.reading.places.iter().filter(|place| place.subject.is_none_or(|s| s.covers(subject)));
    let closed: Vec<String> = places()
        .filter_map(|place| place.unseen.as_ref().or(place.failed.as_ref()).filter(|_| place.unseen.is_some()).cloned())
        .chain(look.reading.unseen.iter().cloned())
        .collect();
    if let Some(first) = closed.first() {
        let title = format!("Whether the {word} is backed up can't be seen");
        return look.claim("backup-unseen", Level::Unknown, title, first.clone()).with(closed);
    }
    let cost = if subject == Subject::Files { format!("; {FILES_COST}") } else { String::new() };
    let jobs = || look.reading.jobs.iter().filter(|job| job.subject.is_none_or(|s| s.covers(subject)));
    let expected: Vec<&str> = places()
        .filter(|place| place.named)
        .map(|place| place.path.as_str())
        .chain(jobs().map(|job| job.name.as_str()))
        .collect();
    match expected.first() {
        // A place may be meant for the database alone, and a job may copy another application's files.
        Some(first) if subject == Subject::Database || places().any(|p| p.named && p.subject.is_some()) => {
            let title = format!("There is no backup of the {word}, and there should be one");
            let evidence = format!("{what}: {first} has brought none{cost}");
            let lines: Vec<String> = expected.iter().map(|name| format!("should have brought one: {name}")).collect();
            look.claim("backup-none", Level::Critical, title, evidence).with(lines)
        }
        Some(_) | None => {
            let title = format!("No backup of the {word} is known");
            let evidence = format!("{what}: no job, no usual place and no configuration names one{cost}");
            look.claim("backup-none", Level::Warning, title, evidence)
        }
    }
}

fn old(look: &Look<'_>, standing: &Standing<'_>) -> Option<Claim> {
    let usable = standing.usable?;
    let level = late(look, standing.subject, usable);
    // A dump that runs is about to mend it.
    if level < Level::Warning || (level == Level::Warning && standing.running.is_some()) {
        return None;
    }
    let word = standing.subject.word();
    let limit = look.reading.needs.max_age_s(standing.subject);
    let policy = policy(limit);
    let title = format!("The newest backup of the {word} is {} old", look.age(usable));
    let job = look.reading.jobs.iter().find(|job| job.subject.is_none_or(|s| s.covers(standing.subject)));
    let job = job.map(|job| format!("; made by {} ({})", job.name, job.schedule)).unwrap_or_default();
    let evidence = format!("{}, {}; policy {policy}{job}", usable.name(), usable.proof.word());
    let since = usable.made.plus_secs(i64::try_from(limit).unwrap_or(i64::MAX));
    let running = standing.running.map(|b| format!("one is being written: {}", b.path));
    let last = (!usable.proven()).then(|| match standing.proven {
        Some(proven) => format!("last proven: {} ({})", proven.path, look.told(proven)),
        None => "none was ever proven".to_owned(),
    });
    Some(look.claim("backup-old", level, title, evidence).since(since, true).with(running).with(last))
}

/// A dump of the schema alone is whole, and brings nothing back.
fn rowless(look: &Look<'_>, subject: Subject, usable: &Backup) -> Option<Claim> {
    if !usable.rowless() {
        return None;
    }
    let title = format!("The newest backup of the {} holds no rows: {}", subject.word(), usable.name());
    let full = look.reading.backups.iter().filter(|b| b.saves(subject) && b.usable() && !b.rowless());
    let evidence = match full.max_by_key(|b| b.made) {
        Some(full) => format!("the schema alone; the last other one: {}", look.told(full)),
        None => "the schema alone; there is no other one".to_owned(),
    };
    Some(look.claim("backup-empty", Level::Warning, title, evidence).since(usable.made, true))
}

fn small(look: &Look<'_>, subject: Subject, usable: &Backup) -> Option<Claim> {
    let (bytes, usual) = (usable.bytes?, usual_size(look.reading, usable)?);
    #[expect(clippy::cast_precision_loss, reason = "a share of two sizes")]
    let share = bytes as f64 / usual.max(1) as f64;
    if share >= look.limits.backup_small_share {
        return None;
    }
    let title = format!("The newest backup of the {} is far smaller than usual", subject.word());
    let evidence = format!(
        "{}: {}; median of the last ones {} ({})",
        usable.name(),
        text::bytes(bytes),
        text::bytes(usual),
        text::percent(share)
    );
    Some(look.claim("backup-small", Level::Warning, title, evidence).since(usable.made, true))
}

/// How long a new backup may wait for its check before that is worth a word, in milliseconds.
const WAITS_MS: u64 = 600_000;

fn unproven(look: &Look<'_>, subject: Subject, usable: &Backup) -> Option<Claim> {
    let Proof::Listed { why: Some(why) } = &usable.proof else { return None };
    if look.now.millis_since(usable.changed) < WAITS_MS {
        return None;
    }
    let title = format!("The newest backup of the {} is not proven", subject.word());
    Some(look.claim("backup-unproven", Level::Note, title, format!("{}: {why}", usable.name())))
}
