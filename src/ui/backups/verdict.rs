//! The lines above the table: how old the newest proven backup of each subject is, against its policy.

use ratatui::layout::Rect;

use crate::domain::backup::kind::Subject;
use crate::domain::backup::standing::standing;
use crate::domain::backup::{BackupsReading, policy};
use crate::ui::canvas::{Canvas, Piece, piece, split_top};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::theme::Role;

/// Draws one line for each subject, and one for what is being read; the rows they took.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, reading: &BackupsReading, clock: &Clock) -> u16 {
    let mut rest = area;
    for subject in Subject::EACH {
        let Some(pieces) = line(reading, subject, clock) else { continue };
        let (row, below) = split_top(rest, 1);
        canvas.pieces(row, &pieces);
        rest = below;
    }
    if let Some(checking) = &reading.checking {
        let (row, below) = split_top(rest, 1);
        let name = checking.path.rsplit('/').next().unwrap_or(&checking.path);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let far = checking.done as f64 / checking.total.max(1) as f64;
        let more = if reading.waiting > 1 { format!(", {} more wait", reading.waiting - 1) } else { String::new() };
        let far = format::share(far.min(1.0));
        canvas.put(row, &format!("· reading {name}: {far} since {}{more}", clock.when(checking.since)), Role::Note);
        rest = below;
    }
    area.height - rest.height
}

fn line(reading: &BackupsReading, subject: Subject, clock: &Clock) -> Option<Vec<Piece>> {
    let needs = &reading.needs;
    let standing = standing(reading, subject);
    let wanted = needs.of(subject).is_some();
    if !wanted && standing.count == 0 {
        return None;
    }
    let limit = needs.max_age_s(subject);
    let allowed = if wanted { format!(": policy {}", policy(limit)) } else { String::new() };
    let word = format!("{:<9}", subject.word());
    let age = |at| clock.now.secs_since(at);
    let (mark, role, said) = match (standing.proven, standing.usable) {
        (Some(proven), usable) => {
            let late = wanted && age(proven.made) > limit;
            let newer = usable
                .filter(|u| u.made > proven.made)
                .map(|u| format!(", newest listed {} old", format::span(age(u.made))));
            let said =
                format!("newest proven {} old{allowed}{}", format::span(age(proven.made)), newer.unwrap_or_default());
            if late { ("▲ ", Role::Warning, said) } else { ("✔ ", Role::Ok, said) }
        }
        (None, Some(usable)) => {
            let late = wanted && age(usable.made) > limit;
            let said = format!("none is proven, newest {} old{allowed}", format::span(age(usable.made)));
            if late { ("▲ ", Role::Warning, said) } else { ("? ", Role::Unknown, said) }
        }
        (None, None) if standing.count > 0 => {
            ("✖ ", Role::Critical, format!("every one of {} is broken", standing.count))
        }
        (None, None) if standing.running.is_some() => {
            ("· ", Role::Note, format!("the first one is being written{allowed}"))
        }
        (None, None) => ("▲ ", Role::Warning, format!("none is known{allowed}")),
    };
    // The newest that can't be restored comes first: it is what would be taken for a backup.
    let broken = standing.newest.filter(|b| !b.usable() && standing.usable.is_some());
    let (mark, role, said) = match broken {
        Some(_) => ("✖ ", Role::Critical, ["newest is broken, ", &said].concat()),
        None => (mark, role, said),
    };
    let mut out = vec![piece(role, [mark, &word].concat()), piece(role, said)];
    if standing.running.is_some() && standing.count > 0 {
        out.push(piece(Role::Note, " · one is being written"));
    }
    Some(out)
}
