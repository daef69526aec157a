//! A restore point, opened: everything that is known of its parts.

use ratatui::layout::Rect;

use super::row::{disk, proof, trend};
use crate::domain::backup::points::Point;
use crate::domain::backup::seal::Seal;
use crate::domain::backup::standing::usual_size;
use crate::domain::backup::{Backup, BackupsReading, Contents};
use crate::domain::text::{count, span};
use crate::ui::canvas::{Canvas, Piece, piece, split_left, split_top};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::format::bytes;
use crate::ui::theme::Role;

/// From so many columns on the two parts stand side by side.
const WIDE: u16 = 110;
/// Columns of the names of facts.
const NAMES: u16 = 10;

/// Draws it.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, point: &Point<'_>, reading: &BackupsReading, clock: &Clock) {
    let parts: Vec<&Backup> = point.parts().collect();
    let (head, mut rest) = split_top(area, 1);
    let gap = point.gap_ms().filter(|_| parts.len() > 1).map(|ms| format!(", {} apart", span(ms)));
    let what = match (point.database, point.files) {
        (Some(_), Some(_)) => format!("database and files{}", gap.unwrap_or_default()),
        (Some(_), None) => "database alone: no files were saved within a day of it".to_owned(),
        (None, _) => "files alone: no database was saved within a day of them".to_owned(),
    };
    canvas.put(head, &what, Role::Muted);
    if parts.len() > 1 && rest.width >= WIDE {
        let (left, right) = split_left(rest, rest.width / 2 - 1, 2);
        for (side, part) in [left, right].into_iter().zip(parts) {
            self::part(canvas, side, part, reading, clock);
        }
        return;
    }
    for part in parts {
        let used = self::part(canvas, rest, part, reading, clock);
        rest = split_top(rest, used).1;
    }
}

/// Draws one part; the rows it took.
fn part(canvas: &mut Canvas<'_>, area: Rect, b: &Backup, reading: &BackupsReading, clock: &Clock) -> u16 {
    let title = [piece(Role::Title, b.subject.word()), piece(Role::Muted, format!("  {}", b.kind.word()))];
    canvas.heading(area, &title, &[proof(&b.proof)]);
    let (_, mut rest) = split_top(area, 1);
    for (name, value, role) in facts(b, reading, clock) {
        if rest.height == 0 {
            break;
        }
        let (label, text) = split_left(rest, NAMES, 1);
        canvas.put(split_top(label, 1).0, name, Role::Muted);
        let used = canvas.paragraph(text, &value, role).max(1);
        rest = split_top(rest, used).1;
    }
    area.height - rest.height
}

type Fact = (&'static str, String, Role);

fn facts(b: &Backup, reading: &BackupsReading, clock: &Clock) -> Vec<Fact> {
    let mut out: Vec<Fact> = Vec::new();
    let now = clock.now;
    let ago = |at| format!("{} ({})", clock.when(at), format::ago(at, now));
    out.extend(b.proof.why().map(|why| ("why", why.to_owned(), proof(&b.proof).role)));
    out.push(("made", ago(b.made), Role::Accent));
    if b.changed.millis_since(b.made) > 3_600_000 {
        out.push(("changed", ago(b.changed), Role::Text));
    }
    let odd =
        |at: &crate::domain::time::Timestamp| at.millis_since(b.made).max(b.made.millis_since(*at)) > 36 * 3_600_000;
    if let Some(named) = b.named.filter(odd) {
        out.push(("its name", format!("says {}, which its content does not", clock.when(named)), Role::Warning));
    }
    let size = b.bytes.map_or_else(|| "not told".to_owned(), bytes);
    let usual = usual_size(reading, b).map(|usual| format!(", usually {}", bytes(usual))).unwrap_or_default();
    out.push(("size", format!("{size}{usual}  {}", trend(reading, b, 20)), Role::Text));
    out.push(("lies", b.path.clone(), Role::Text));
    let Piece { text: disk, role } = disk(b);
    let disk = match (b.off_host, b.same_disk) {
        (true, _) => "on another host".to_owned(),
        (false, Some(true)) => "the same as what it saves: they die together".to_owned(),
        (false, Some(false)) => "another than what it saves".to_owned(),
        (false, None) => disk,
    };
    out.push(("disk", disk, role));
    if let (Some(at), Some(took)) = (b.proof.at(), b.proof.took_ms()) {
        let unchecked = b.seal.and_then(Seal::unchecked).map(|word| format!(", {word}")).unwrap_or_default();
        out.push(("checked", format!("{}, took {}{unchecked}", clock.when(at), span(took)), Role::Text));
    }
    if let Some(h) = &b.header {
        out.extend(h.database.as_ref().map(|name| ("of", name.clone(), Role::Text)));
        out.extend(h.server.as_ref().map(|v| ("server", v.clone(), Role::Text)));
        out.extend(h.tool.as_ref().map(|v| ("tool", v.clone(), Role::Text)));
        let entries = h.entries.map(|n| format!(", {n} entries")).unwrap_or_default();
        out.extend(h.format.map(|(major, minor)| ("format", format!("{major}.{minor}{entries}"), Role::Text)));
    }
    if b.rowless() {
        out.push(("rows", "none: it holds the schema alone".to_owned(), Role::Warning));
    }
    if let Some(o) = &b.owner {
        out.push(("owner", format!("{}:{} {:04o}", o.user, o.group, o.mode), Role::Text));
    }
    out.extend(b.exposed.iter().map(|why| ("exposed", why.clone(), Role::Warning)));
    out.extend(
        b.stray_in.as_ref().map(|root| ("checkout", format!("it lies in the code checkout {root}"), Role::Warning)),
    );
    out.extend(b.contents.iter().flat_map(|c| contents(c, reading, clock)));
    out.extend(b.digest.as_ref().map(|digest| ("sha256", digest.clone(), Role::Muted)));
    out
}

fn contents(c: &Contents, reading: &BackupsReading, clock: &Clock) -> Vec<Fact> {
    let mut out: Vec<Fact> = Vec::new();
    if c.files > 0 {
        let newest = c.newest.map(|at| format!(", newest of {}", clock.when(at))).unwrap_or_default();
        out.push(("holds", format!("{}, {}{newest}", count(c.files, "file"), bytes(c.bytes)), Role::Text));
        let needs = &reading.needs;
        let had = |name: &str, has: bool, needed: Option<bool>| match (has, needed) {
            (true, _) => (format!("{name} is in it"), Role::Ok),
            (false, Some(true)) => (format!("{name} is missing"), Role::Warning),
            (false, Some(false) | None) => (format!("no {name}"), Role::Muted),
        };
        let (text, role) = had(".secret", c.secret, needs.secret_file);
        out.push((".secret", text, role));
        let (text, role) = had("media", c.media > 0, needs.media);
        let files = if c.media > 0 { format!(", {}", count(c.media, "file")) } else { String::new() };
        out.push(("media", [text, files].concat(), role));
        if c.database {
            out.push(("database", "a dump is in it".to_owned(), Role::Text));
        }
    }
    if let Some(missing) = c.missing {
        let role = if missing == 0 { Role::Ok } else { Role::Warning };
        out.push(("compared", format!("{} of the live folder are missing or differ", count(missing, "file")), role));
    }
    out.extend((!c.sample.is_empty()).then(|| ("names", c.sample.join("  "), Role::Muted)));
    out
}
