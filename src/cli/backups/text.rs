//! For people: the findings, the restore points' parts one a line, and why one is not proven.

use super::Part;
use crate::domain::backup::kind::Subject;
use crate::domain::backup::proof::Proof;
use crate::domain::backup::seal::Seal;
use crate::domain::backup::{Backup, policy};
use crate::domain::text;
use crate::domain::time::Timestamp;

pub(super) fn render(parts: &[Part], now: Timestamp) -> String {
    let mut out = String::new();
    for part in parts {
        let mut lines = Vec::new();
        if let Some(site) = &part.site {
            lines.push(site.clone());
        }
        for claim in &part.claims {
            lines.push(format!("  {}: {} [{}]", claim.level.word(), claim.title, claim.rule));
            lines.push(format!("    {}", claim.evidence));
        }
        lines.extend(policies(part));
        let rows: Vec<[String; 6]> = part.reading.backups.iter().map(|b| row(b, now)).collect();
        let widths: Vec<usize> =
            (0..5).map(|at| rows.iter().filter_map(|r| r.get(at)).map(String::len).max().unwrap_or(0)).collect();
        for (row, backup) in rows.iter().zip(&part.reading.backups) {
            let cells = row.iter().enumerate().map(|(at, cell)| {
                let width = widths.get(at).copied().unwrap_or(0);
                if matches!(at, 2 | 3) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            lines.push(["  ", cells.collect::<Vec<_>>().join("  ").trim_end()].concat());
            lines.extend(backup.proof.why().map(|why| format!("      {why}")));
            if matches!(backup.proof, Proof::Complete { .. }) && backup.seal == Some(Seal::Nothing) {
                lines.extend(Seal::Nothing.told().map(|told| format!("      {told}")));
            }
            if backup.rowless() {
                lines.push("      warning: it holds no rows, the schema alone".to_owned());
            }
            lines.extend(backup.exposed.iter().map(|who| format!("      exposed: {who}")));
        }
        if part.reading.backups.is_empty() {
            lines.push("  no backup was found".to_owned());
        }
        for place in &part.reading.places {
            let why = place.unseen.as_ref().or(place.failed.as_ref());
            lines.extend(why.map(|why| format!("  not seen: {why}")));
            let shown = part.reading.backups.iter().filter(|b| b.place == index(part, place)).count();
            let more = place.backups.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
            if more > 0 {
                lines.push(format!("  {}: {} more, older", place.path, text::count(more, "backup")));
            }
        }
        lines.extend(part.reading.unseen.iter().map(|why| format!("  not seen: {why}")));
        for job in &part.reading.jobs {
            let last =
                job.last.map(|at| format!(", last {} ago", text::span(now.millis_since(at)))).unwrap_or_default();
            let failed = job.failure.as_ref().map(|why| format!(", failed: {why}")).unwrap_or_default();
            lines.push(format!("  made by {} ({}){last}{failed}", job.name, job.schedule));
        }
        lines.push(String::new());
        out.push_str(&lines.join("\n"));
    }
    out
}

fn index(part: &Part, place: &crate::domain::backup::Place) -> u32 {
    let at = part.reading.places.iter().position(|p| std::ptr::eq(p, place));
    at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
}

fn policies(part: &Part) -> Vec<String> {
    let needs = &part.reading.needs;
    let one = |subject: Subject| {
        let age = policy(needs.max_age_s(subject));
        Some(format!("  {}: {}, at most {age} old", subject.word(), needs.of(subject)?))
    };
    Subject::EACH.into_iter().filter_map(one).collect()
}

fn row(b: &Backup, now: Timestamp) -> [String; 6] {
    let proof = match &b.proof {
        Proof::Listed { .. } | Proof::Running { .. } | Proof::Complete { .. } | Proof::Restored { .. } => {
            b.proof.word().to_owned()
        }
        Proof::Broken { .. } => "BROKEN".to_owned(),
    };
    [
        b.subject.word().to_owned(),
        proof,
        text::span(now.millis_since(b.made)),
        b.bytes.map_or_else(|| "?".to_owned(), text::bytes),
        b.kind.word().to_owned(),
        b.path.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backup::BackupsReading;
    use crate::domain::backup::kind::Kind;

    #[test]
    fn who_else_can_read_a_backup_is_said() {
        let backup = Backup {
            path: "/srv/backups/shop.dump".to_owned(),
            subject: Subject::Database,
            kind: Kind::PgCustom,
            made: Timestamp::from_millis(0),
            changed: Timestamp::from_millis(0),
            named: None,
            bytes: Some(4096),
            proof: Proof::UNREAD,
            header: None,
            contents: None,
            digest: None,
            seal: None,
            owner: None,
            exposed: vec!["every user of this host can read it (mode 644)".to_owned()],
            stray_in: None,
            same_disk: None,
            off_host: false,
            place: 0,
        };
        let reading = BackupsReading { backups: vec![backup], ..BackupsReading::default() };
        let text = render(&[Part { site: None, reading, claims: Vec::new() }], Timestamp::from_millis(60_000));
        assert!(text.contains("\n      exposed: every user of this host can read it (mode 644)\n"), "{text}");
    }
}
