//! One JSON document: `schema_version`, RFC 3339 UTC, seconds and bytes as numbers.

use serde_json::{Value, json};

use super::{Part, seconds};
use crate::cli::status::SCHEMA_VERSION;
use crate::cli::status::json::rfc3339;
use crate::domain::backup::kind::Subject;
use crate::domain::backup::points::points;
use crate::domain::backup::proof::Proof;
use crate::domain::backup::seal::Seal;
use crate::domain::backup::{Backup, BackupsReading, Contents, Job, Place};
use crate::domain::level::Level;
use crate::domain::time::Timestamp;
use crate::triage::Claim;

pub(super) fn render(parts: &[Part], level: Level, code: u8, now: Timestamp) -> String {
    let each = |of: &dyn Fn(&Part) -> Vec<Value>| parts.iter().flat_map(of).collect::<Vec<Value>>();
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "generated_at": rfc3339(now),
        "level": level.word(),
        "exit_code": code,
        "backups": each(&|p| p.reading.backups.iter().map(|b| backup(p, b, now)).collect()),
        "restore_points": each(&|p| restore_points(p, now)),
        "policies": each(&|p| policies(p)),
        "places": each(&|p| p.reading.places.iter().map(|place| self::place(p, place)).collect()),
        "jobs": each(&|p| p.reading.jobs.iter().map(|job| self::job(p, job)).collect()),
        "strays": each(&|p| strays(p)),
        "unseen": each(&|p| p.reading.unseen.iter().map(|why| json!({ "site": p.site, "why": why })).collect()),
        "findings": each(&|p| p.claims.iter().map(|claim| finding(p, claim, now)).collect()),
    });
    let mut text = document.to_string();
    text.push('\n');
    text
}

/// The word of a proof: one of `listed`, `complete`, `restored`, `broken`; what is being written is listed only.
fn word(proof: &Proof) -> &'static str {
    if matches!(proof, Proof::Running { .. }) { "listed" } else { proof.word() }
}

fn backup(part: &Part, b: &Backup, now: Timestamp) -> Value {
    let flaw = match &b.proof {
        Proof::Broken { flaw, .. } => json!(flaw),
        Proof::Listed { .. } | Proof::Running { .. } | Proof::Complete { .. } | Proof::Restored { .. } => Value::Null,
    };
    let header = b.header.as_ref();
    json!({
        "site": part.site,
        "path": b.path,
        "name": b.name(),
        "subject": b.subject.word(),
        "kind": b.kind.word(),
        "proof": word(&b.proof),
        "running": matches!(b.proof, Proof::Running { .. }),
        "why": b.proof.why(),
        "flaw": flaw,
        "proven_at": b.proof.at().map(rfc3339),
        "took_ms": b.proof.took_ms(),
        "made_at": rfc3339(b.made),
        "age_s": seconds(now, b.made),
        "changed_at": rfc3339(b.changed),
        "named_at": b.named.map(rfc3339),
        "bytes": b.bytes,
        "sha256": b.digest,
        "unchecked": b.seal.and_then(Seal::unchecked),
        "database": header.and_then(|h| h.database.as_ref()),
        "server_version": header.and_then(|h| h.server.as_ref()),
        "tool_version": header.and_then(|h| h.tool.as_ref()),
        "format_version": header.and_then(|h| h.format).map(|(major, minor)| format!("{major}.{minor}")),
        "rows": header.and_then(|h| h.rows),
        "mode": b.owner.as_ref().map(|o| format!("{:04o}", o.mode)),
        "owner": b.owner.as_ref().map(|o| &o.user),
        "group": b.owner.as_ref().map(|o| &o.group),
        "exposed": b.exposed,
        "checkout": b.stray_in,
        "same_disk": b.same_disk,
        "off_host": b.off_host,
        "contents": b.contents.as_ref().map(contents),
        "place": usize::try_from(b.place).ok().and_then(|at| part.reading.places.get(at)).map(|p| &p.path),
    })
}

fn contents(c: &Contents) -> Value {
    json!({
        "files": c.files,
        "bytes": c.bytes,
        "newest_at": c.newest.map(rfc3339),
        "secret": c.secret,
        "media_files": c.media,
        "database": c.database,
        "missing": c.missing,
        "sample": c.sample,
    })
}

fn restore_points(part: &Part, now: Timestamp) -> Vec<Value> {
    let reading: &BackupsReading = &part.reading;
    let one = |point: &crate::domain::backup::points::Point<'_>| {
        json!({
            "site": part.site,
            "made_at": rfc3339(point.made()),
            "age_s": seconds(now, point.made()),
            "database": point.database.map(|b| &b.path),
            "files": point.files.map(|b| &b.path),
            "gap_s": point.gap_ms().map(|ms| ms / 1000),
        })
    };
    points(reading).iter().map(one).collect()
}

fn policies(part: &Part) -> Vec<Value> {
    let needs = &part.reading.needs;
    let one = |subject: Subject| {
        let what = needs.of(subject)?;
        Some(json!({ "site": part.site, "subject": subject.word(), "of": what, "max_age_s": needs.max_age_s(subject) }))
    };
    Subject::EACH.into_iter().filter_map(one).collect()
}

fn place(part: &Part, p: &Place) -> Value {
    json!({
        "site": part.site,
        "path": p.path,
        "found_by": p.found_by,
        "subject": p.subject.map(Subject::word),
        "backups": p.backups,
        "entries": p.entries,
        "bytes": p.bytes,
        "oldest_at": p.oldest.map(rfc3339),
        "off_host": p.off_host,
        "kept_days": p.kept_days,
        "error": p.unseen.as_ref().or(p.failed.as_ref()),
    })
}

fn job(part: &Part, j: &Job) -> Value {
    json!({
        "site": part.site,
        "name": j.name,
        "schedule": j.schedule,
        "command": j.command,
        "user": j.user,
        "last_at": j.last.map(rfc3339),
        "next_at": j.next.map(rfc3339),
        "failure": j.failure,
        "running": j.running,
    })
}

fn strays(part: &Part) -> Vec<Value> {
    let one = |s: &crate::domain::backup::Stray| json!({ "site": part.site, "path": s.path, "bytes": s.bytes, "changed_at": rfc3339(s.changed), "checkout": s.checkout });
    part.reading.strays.iter().map(one).collect()
}

fn finding(part: &Part, c: &Claim, now: Timestamp) -> Value {
    json!({
        "site": part.site,
        "rule": c.rule,
        "subject": c.subject,
        "level": c.level.word(),
        "title": c.title,
        "evidence": c.evidence,
        "details": c.details,
        "since": c.since.map(|s| rfc3339(s.at)),
        "age_s": c.since.map(|s| seconds(now, s.at)),
    })
}
