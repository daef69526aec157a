//! The database: connections, locks with the session at their root first, role.

use ratatui::layout::Rect;

use super::facts::{self, Fact, bar, dotted, fact};
use super::sessions;
use crate::app::model::{Model, Site};
use crate::domain::database::DatabaseReading;
use crate::domain::id::SourceKind;
use crate::ui::canvas::{Canvas, piece, split_top};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::source::Source;
use crate::ui::theme::Role;

/// Draws it, with its sessions below; the rest of the area.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, site: &Site, clock: &Clock) -> Rect {
    let source = Source::at(site, SourceKind::Database);
    let mut title = vec![piece(Role::Title, "database")];
    if let Some(db) = site.database.value() {
        let text = format!("  {} {} · {}", db.engine.name(), db.version, format::latency(db.latency_ms / 1000.0));
        title.push(piece(Role::Muted, text));
    }
    let rest = super::heading(canvas, area, &source, &title, clock);
    let Some(db) = site.database.value() else { return rest };
    let current = source.is_current(clock.now);
    let wanted = sessions::height(model);
    // Facts give way to blockers: whom to end is what one is here for.
    let most = rest.height.saturating_sub(wanted.min(rest.height * 2 / 3));
    let below = facts::draw(canvas, split_top(rest, most).0, &facts_of(db, rest.width), current);
    let used = most - below.height;
    sessions::draw(canvas, split_top(rest, used).1, model, current)
}

fn facts_of(db: &DatabaseReading, width: u16) -> Vec<Fact> {
    let mut out = Vec::new();
    if let Some(sessions) = db.sessions {
        let share = db.usable_sessions.filter(|n| *n > 0).map(|n| f64::from(sessions) / f64::from(n));
        let of = db.usable_sessions.map(|n| format!(" of {n} usable")).unwrap_or_default();
        let text = piece(Role::Muted, format!("{sessions}{of}"));
        out.push(fact(0, "sessions", bar(width, share, [Some(text), None])));
    }
    let writes = if db.read_only {
        piece(Role::Critical, "✖ refused: read-only, or a standby")
    } else {
        piece(Role::Ok, "✔ ok")
    };
    out.push(fact(1, "writes", vec![writes]));
    let locks = match db.waiting {
        None => piece(Role::Muted, "not counted here"),
        Some(0) => piece(Role::Ok, "✔ nobody waits for a lock"),
        Some(n) => piece(Role::Critical, ["✖ ", &format::plural(n as usize, "session"), " waiting"].concat()),
    };
    out.push(fact(0, "locks", dotted([Some(locks)])));
    out
}
