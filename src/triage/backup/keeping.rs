//! Where backups lie, who can read them, what they lack, how they rotate, and whether their jobs run.

use super::Look;
use crate::domain::backup::kind::{Kind, Subject};
use crate::domain::backup::proof::Proof;
use crate::domain::backup::standing::standing;
use crate::domain::backup::{Backup, Contents, Place};
use crate::domain::level::Level;
use crate::domain::text;
use crate::triage::Claim;

/// From so many backups on, the oldest so old, nothing seems to be rotated: 60 and 90 days.
const UNROTATED: (u64, u64) = (60, 90 * 86_400);
/// Of so many the oldest tells how long they are kept.
const RETENTION_LEAST: usize = 5;
const DAY_S: u64 = 86_400;

pub(super) fn claims(look: &Look<'_>, out: &mut Vec<Claim>) {
    for subject in Subject::EACH {
        if look.reading.needs.of(subject).is_some() {
            out.extend(same_disk(look, subject));
            out.extend(last_good(look, subject));
        }
    }
    out.extend(exposed(look));
    out.extend(in_checkout(look));
    out.extend(contents(look));
    out.extend(look.reading.places.iter().filter_map(|place| unrotated(look, place)));
    for job in &look.reading.jobs {
        if let Some(failure) = job.failure.as_ref().filter(|_| !job.running) {
            let title = format!("The backup job failed: {}", job.name);
            let when =
                job.last.map(|at| format!(", {} ago", text::span(look.now.millis_since(at)))).unwrap_or_default();
            let claim = look
                .claim("backup-job-failed", Level::Warning, title, format!("{failure}{when}"))
                .of(job.name.clone())
                .with([format!("runs {}: {}", job.schedule, job.command)]);
            out.push(match job.last {
                Some(at) => claim.since(at, true),
                None => claim,
            });
        }
    }
}

fn same_disk(look: &Look<'_>, subject: Subject) -> Option<Claim> {
    // A practice site lies in one directory with all that it has.
    if look.reading.needs.practice {
        return None;
    }
    let mut usable = look.reading.backups.iter().filter(|b| b.saves(subject) && b.usable()).peekable();
    let newest = *usable.peek()?;
    if !usable.all(|b| b.same_disk == Some(true) && !b.off_host) {
        return None;
    }
    let word = subject.word();
    let title = format!("Every backup of the {word} lies on the same disk as the {word}");
    let evidence =
        format!("{} and what it saves are on one file system; no copy on another host is known", newest.path);
    Some(look.claim("backup-same-disk", Level::Warning, title, evidence).of(word))
}

fn exposed(look: &Look<'_>) -> Option<Claim> {
    let all: Vec<&Backup> = look.reading.backups.iter().filter(|b| !b.exposed.is_empty()).collect();
    let first = all.first()?;
    let rest = all.len() - 1;
    let title = match rest {
        0 => format!("A backup is exposed: {}", first.name()),
        _ => format!("{} backups are exposed, the newest is {}", all.len(), first.name()),
    };
    let lines = all.iter().map(|b| format!("{}: {}", b.path, b.exposed.join("; ")));
    let evidence = format!("{}: {}", first.path, first.exposed.join("; "));
    Some(look.claim("backup-exposed", Level::Warning, title, evidence).with(lines.collect::<Vec<_>>()))
}

fn in_checkout(look: &Look<'_>) -> Option<Claim> {
    let lain = look.reading.backups.iter().filter_map(|b| Some((b.path.as_str(), b.changed, b.stray_in.as_deref()?)));
    let strays = look.reading.strays.iter().map(|s| (s.path.as_str(), s.changed, s.checkout.as_str()));
    let all: Vec<_> = lain.chain(strays).collect();
    let (path, changed, root) = *all.first()?;
    let n = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let (dumps, lie) = (text::count(n, "dump"), if n == 1 { "lies" } else { "lie" });
    let title = format!("{dumps} {lie} in the code checkout {root}");
    let age = |at| text::span(look.now.millis_since(at));
    let evidence = format!("{path}, {} old", age(changed));
    let lines: Vec<String> = all.iter().map(|(path, at, _)| format!("{path}, {} old", age(*at))).collect();
    Some(look.claim("backup-in-checkout", Level::Warning, title, evidence).with(lines))
}

/// What the files' backups lack, judged by those whose content is known, of the newest round.
fn contents(look: &Look<'_>) -> Vec<Claim> {
    let needs = &look.reading.needs;
    let files: Vec<&Backup> = look.reading.backups.iter().filter(|b| b.saves(Subject::Files) && b.usable()).collect();
    let Some(newest) = files.iter().map(|b| b.made).max() else { return Vec::new() };
    let round = || files.iter().filter(|b| newest.secs_since(b.made) <= needs.files_max_age_s);
    let known = |b: &Backup| matches!(b.kind, Kind::Tar | Kind::Folder) && b.contents.is_some();
    // One whose content can't be seen may hold what is missed.
    if !round().all(|b| known(b)) {
        return Vec::new();
    }
    let has = |test: &dyn Fn(&Contents) -> bool| round().filter_map(|b| b.contents.as_ref()).any(test);
    let names: Vec<&str> = round().map(|b| b.name()).collect();
    let mut out = Vec::new();
    if needs.secret_file == Some(true) && !has(&|c| c.secret) {
        out.push(look.claim(
            "backup-secret-missing",
            Level::Warning,
            "No backup holds .secret",
            format!(
                "not in {}; the configuration has no secret either: once it is lost every session and every link in sent mails dies",
                names.join(", ")
            ),
        ));
    }
    if needs.media == Some(true) && !has(&|c| c.media > 0) {
        out.push(look.claim(
            "backup-media-missing",
            Level::Warning,
            "No backup holds the uploaded media",
            format!(
                "nothing of media/ in {}: invoices must be kept by law and uploads can't be made again, only tickets can",
                names.join(", ")
            ),
        ));
    }
    out
}

/// Whether rotation is about to delete the last good backup while the newer ones are broken.
fn last_good(look: &Look<'_>, subject: Subject) -> Option<Claim> {
    let good = standing(look.reading, subject).usable?;
    let of = || look.reading.backups.iter().filter(|b| b.place == good.place && b.saves(subject));
    if !of().any(|b| b.made > good.made && matches!(b.proof, Proof::Broken { .. })) {
        return None;
    }
    let place = usize::try_from(good.place).ok().and_then(|at| look.reading.places.get(at))?;
    let told = place.kept_days.map(|days| u64::from(days) * DAY_S);
    let seen = || {
        let oldest = of().map(|b| b.made).min()?;
        (of().count() >= RETENTION_LEAST).then(|| look.now.secs_since(oldest))
    };
    let kept = told.or_else(seen)?;
    let age = look.now.secs_since(good.made);
    if age + 2 * DAY_S < kept {
        return None;
    }
    let title = format!("Rotation is about to delete the last good backup of the {}", subject.word());
    let days = kept.div_ceil(DAY_S);
    let evidence =
        format!("{}; kept for about {}; everything newer is broken", look.told(good), text::count(days, "day"));
    let claim = look.claim("backup-rotation", Level::Warning, title, evidence).of(subject.word());
    Some(if told.is_some() { claim } else { claim.suspected() })
}

fn unrotated(look: &Look<'_>, place: &Place) -> Option<Claim> {
    let oldest = place.oldest.map(|at| look.now.secs_since(at))?;
    if place.kept_days.is_some() || place.backups <= UNROTATED.0 || oldest < UNROTATED.1 {
        return None;
    }
    let title = format!("Nothing rotates the backups in {}", place.path);
    let evidence = format!(
        "{}, {} at least, the oldest seen {} old",
        text::count(place.backups, "backup"),
        text::bytes(place.bytes),
        text::span(oldest.saturating_mul(1000))
    );
    Some(look.claim("backup-rotation", Level::Note, title, evidence).of(place.path.clone()))
}
