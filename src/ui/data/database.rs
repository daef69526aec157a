//! The database: connections, locks with the session at their root first, role, log, key space, size.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::facts::{self, Fact, bar, dotted, fact, sentence};
use super::{sessions, upkeep};
use crate::app::model::{Model, Site};
use crate::domain::database::DatabaseReading;
use crate::domain::id::SourceKind;
use crate::ui::canvas::{Canvas, Piece, piece, split_top};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::source::Source;
use crate::ui::theme::Role;

/// Clocks that differ by less say nothing about each other, in milliseconds.
const SKEW_MS: u64 = 1000;

/// Draws it, with its sessions below; the rest of the area.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, site: &Site, clock: &Clock) -> Rect {
    // Facts give way to sessions: whom to end is what one is here for.
    let wanted = sessions::height(model).min(area.height * 3 / 5);
    let most = area.height.saturating_sub(wanted);
    let below = facts(canvas, split_top(area, most).0, site, clock);
    let used = most - below.height;
    let current = Source::at(site, SourceKind::Database).is_current(clock.now);
    sessions::draw(canvas, split_top(area, used).1, model, current)
}

/// Draws its heading and its facts; the rest of the area.
pub(super) fn facts(canvas: &mut Canvas<'_>, area: Rect, site: &Site, clock: &Clock) -> Rect {
    let source = Source::at(site, SourceKind::Database);
    let mut title = vec![piece(Role::Title, "database")];
    if let Some(db) = site.database.value() {
        let text = format!("  {} {} · {}", db.engine.name(), db.version, format::latency(db.latency_ms / 1000.0));
        title.push(piece(Role::Muted, text));
    }
    let rest = super::heading(canvas, area, &source, &title, clock);
    let Some(db) = site.database.value() else { return rest };
    facts::draw(canvas, rest, &facts_of(db, rest.width, clock), source.is_current(clock.now))
}

fn facts_of(db: &DatabaseReading, width: u16, clock: &Clock) -> Vec<Fact> {
    let mut out = Vec::new();
    if let Some(sessions) = db.sessions {
        let share = db.usable_sessions.filter(|n| *n > 0).map(|n| f64::from(sessions) / f64::from(n));
        let of = db.usable_sessions.map(|n| format!(" of {n} usable")).unwrap_or_default();
        let text = piece(Role::Muted, format!("{sessions}{of}"));
        out.push(fact(0, "sessions", bar(width, share, [Some(text), None])));
    }
    out.extend(states(db));
    out.push(fact(0, "locks", locks(db)));
    out.push(fact(0, "writes", role(db)));
    out.extend(file(db));
    if let Some(wal) = &db.wal {
        out.extend(upkeep::wal(wal, clock));
    }
    if let Some(kept) = &db.upkeep {
        out.extend(upkeep::facts(kept));
    }
    out.extend(pulse(db, clock));
    out.extend(skew(db));
    out.extend(db.unseen.iter().map(|why| sentence(2, "? unseen", Role::Unknown, why)));
    out
}

/// Sessions by state, and by application where that tells more.
fn states(db: &DatabaseReading) -> Vec<Fact> {
    let (mut states, mut apps) = (BTreeMap::<&str, u32>::new(), BTreeMap::<&str, u32>::new());
    for crowd in &db.crowd {
        *states.entry(crowd.state.as_str()).or_default() += crowd.count;
        let app = if crowd.application.is_empty() { "unnamed" } else { crowd.application.as_str() };
        *apps.entry(app).or_default() += crowd.count;
    }
    let ranked = |counts: &BTreeMap<&str, u32>, role: fn(&str) -> Role| {
        let mut counts: Vec<(&str, u32)> = counts.iter().map(|(name, count)| (*name, *count)).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        dotted(counts.into_iter().take(5).map(|(name, count)| Some(piece(role(name), format!("{count} {name}")))))
    };
    let state = |name: &str| if name.starts_with("idle in transaction") { Role::Warning } else { Role::Text };
    [fact(1, "states", ranked(&states, state)), fact(4, "by", ranked(&apps, |_| Role::Muted))]
        .into_iter()
        .filter(|fact| !fact.is_empty())
        .collect()
}

fn locks(db: &DatabaseReading) -> Vec<Piece> {
    match db.waiting {
        None => vec![piece(Role::Muted, "not counted here")],
        Some(0) => vec![piece(Role::Ok, "✔ nobody waits for a lock")],
        Some(n) => {
            let longest = Some(db.longest_wait_s).filter(|s| *s > 0.0);
            dotted([
                Some(piece(Role::Critical, ["✖ ", &format::plural(n as usize, "session"), " waiting"].concat())),
                longest.map(|s| piece(Role::Text, ["longest ", &format::latency(s)].concat())),
                db.advisory_waiters.filter(|n| *n > 0).map(|n| piece(Role::Muted, format!("{n} for an advisory lock"))),
            ])
        }
    }
}

/// Whether writes are taken, and the role.
fn role(db: &DatabaseReading) -> Vec<Piece> {
    let identity = &db.identity;
    let writes = match (db.read_only, identity.in_recovery) {
        (true, true) => piece(Role::Critical, "✖ refused: a standby"),
        (true, false) => piece(Role::Critical, "✖ refused: read-only"),
        (false, _) => piece(Role::Ok, "✔ ok"),
    };
    let lag = identity.replay_lag_s.map(|s| piece(Role::Text, ["replays with ", &format::latency(s), " lag"].concat()));
    let replicas = db.wal.iter().flat_map(|wal| &wal.replicas).take(3).map(|replica| {
        let name = if replica.name.is_empty() { replica.client.as_str() } else { replica.name.as_str() };
        let behind = replica.behind_s.map(|s| [" ", &format::latency(s), " behind"].concat()).unwrap_or_default();
        let role = if replica.state == "streaming" { Role::Text } else { Role::Warning };
        Some(piece(role, ["replica ", name, " ", &replica.state, &behind].concat()))
    });
    dotted([Some(writes), lag].into_iter().chain(replicas))
}

/// What is beside a SQLite file.
fn file(db: &DatabaseReading) -> Vec<Fact> {
    let Some(file) = &db.file else { return Vec::new() };
    let wal = file.wal.map(|bytes| piece(Role::Muted, ["wal ", &format::bytes(bytes)].concat()));
    let locked = file.locked.then(|| piece(Role::Critical, "✖ locked by another process"));
    let parts = [locked, Some(piece(Role::Text, format::bytes(file.size))), wal];
    let path = Some(piece(Role::Muted, file.path.as_str()));
    let mut out = vec![fact(0, "file", dotted(parts.into_iter().chain([path])))];
    if let Some(damage) = file.damage.as_ref().filter(|damage| !damage.is_empty() && *damage != "ok") {
        out.push(sentence(0, "damage", Role::Critical, &["✖ ", damage].concat()));
    }
    out
}

/// What the site is for, and mail that is not sent.
fn pulse(db: &DatabaseReading, clock: &Clock) -> Vec<Fact> {
    let mut out = Vec::new();
    if let Some(pulse) = &db.pulse {
        let newest = pulse.newest.map_or_else(|| "none yet".to_owned(), |at| format::ago(at, clock.now));
        let usual = pulse.usual_per_minute.map(|n| piece(Role::Muted, ["usually ", &format::rate(n), "/min"].concat()));
        let hour = piece(Role::Text, format!("{} in the last hour", pulse.last_hour));
        let newest = piece(Role::Text, ["newest ", &pulse.what, " ", &newest].concat());
        out.push(fact(3, "pulse", dotted([Some(newest), Some(hour), usual])));
    }
    if let Some(mail) = &db.mail {
        let states = mail.states.iter().filter(|state| state.count > 0).take(4).map(|state| {
            let oldest = state.oldest.map(|at| [" since ", &clock.when(at)].concat()).unwrap_or_default();
            let role = if state.state == "failed" { Role::Warning } else { Role::Text };
            Some(piece(role, format!("{} {}{oldest}", state.count, state.state)))
        });
        let states = dotted(states);
        let states = if states.is_empty() { vec![piece(Role::Text, "none waits")] } else { states };
        out.push(fact(3, "mail", states));
    }
    out
}

fn skew(db: &DatabaseReading) -> Option<Fact> {
    let offset = db.clock_offset_ms.filter(|ms| ms.unsigned_abs() >= SKEW_MS)?;
    let way = if offset > 0 { "ahead" } else { "behind" };
    let text = ["▲ the server's clock is ", &crate::domain::text::span(offset.unsigned_abs()), " ", way].concat();
    Some(fact(1, "clock", vec![piece(Role::Warning, text)]))
}
