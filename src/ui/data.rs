//! Database and Redis, side by side where there is room, else one above the other.

mod database;
mod facts;
mod redis;
mod sessions;
mod upkeep;

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, piece, split_left, split_top};
use super::clock::Clock;
use super::detail::empty;
use super::source::{Source, State};
use super::strip;
use super::strips;
use super::theme::Role;
use crate::app::model::{Model, Site};
use crate::app::view;
use crate::domain::history::History;
use crate::domain::id::SourceKind;

/// From this width on the two stand side by side.
const WIDE: u16 = 118;
/// From this height on there are strips below them.
const HIGH: u16 = 26;

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let Some(site) = model.site() else {
        let text = "No application is watched, so there is no database to show. Now (1) says why none was found.";
        empty(canvas, area, text);
        return;
    };
    if let Some(id) = &model.data.open {
        one(canvas, area, model, site, id, clock);
        return;
    }
    let area = if area.height >= HIGH { above(canvas, area, site, clock) } else { area };
    let has = |kind| site.sources.contains(&kind);
    match (has(SourceKind::Database), has(SourceKind::Redis)) {
        (true, true) => both(canvas, area, model, site, clock),
        (false, true) => {
            redis::draw(canvas, area, site, clock);
        }
        (true | false, false) => {
            database::draw(canvas, area, model, site, clock);
        }
    }
}

fn both(canvas: &mut Canvas<'_>, area: Rect, model: &Model, site: &Site, clock: &Clock) {
    let rows = sessions::height(model);
    if area.width >= WIDE {
        // Sessions have the whole width below, where their pages and statements can be read.
        let (top, _) = split_top(area, area.height.saturating_sub(rows.min(area.height / 2)));
        let (left, right) = split_left(top, top.width / 2 - 1, 3);
        let left = database::facts(canvas, left, site, clock);
        let right = redis::draw(canvas, right, site, clock);
        let spare = left.height.min(right.height).saturating_sub(1);
        let below = split_top(area, top.height - spare).1;
        sessions::draw(canvas, below, model, Source::at(site, SourceKind::Database).is_current(clock.now));
        return;
    }
    // The database needs more where sessions block each other; each keeps what it needs least.
    let share = match rows {
        0 => area.height / 2,
        _ if area.height < 14 => area.height * 7 / 10,
        _ => area.height * 3 / 5,
    };
    let rest = database::draw(canvas, split_top(area, share).0, model, site, clock);
    let used = share - rest.height;
    let gap = u16::from(area.height > 14);
    redis::draw(canvas, split_top(area, used + gap).1, site, clock);
}

/// A heading, and why there is nothing or nothing new below it: in full where nothing else needs the room, since that
/// sentence also says what would open it.
fn heading(canvas: &mut Canvas<'_>, area: Rect, source: &Source<'_>, title: &[Piece], clock: &Clock) -> Rect {
    canvas.heading(area, title, &[piece(Role::Muted, [source.kind.name(), " "].concat()), source.age(clock)]);
    let rest = split_top(area, 1).1;
    let Some((text, role)) = source.trouble(clock) else { return rest };
    let bare = !matches!(source.state, State::Fresh(_) | State::Stale(..));
    let most = if bare || rest.height > 12 { 4 } else { u16::from(rest.height > 6) + 1 };
    let used = canvas.paragraph(split_top(rest, most).0, &text, role);
    split_top(rest, used).1
}

/// What was, above what is.
fn above(canvas: &mut Canvas<'_>, area: Rect, site: &Site, clock: &Clock) -> Rect {
    let strips: Vec<(strip::Strip, &History)> =
        strips::of_data(site, clock).into_iter().map(|strip| (strip, &site.history)).collect();
    let used = strip::draw(canvas, split_top(area, area.height / 4).0, &strips, clock);
    split_top(area, if used > 0 { used + 1 } else { 0 }).1
}

fn one(canvas: &mut Canvas<'_>, area: Rect, model: &Model, site: &Site, id: &str, clock: &Clock) {
    let source = Source::at(site, SourceKind::Database);
    let title = [piece(Role::Title, ["session ", id].concat())];
    let rest = source.heading(canvas, area, &title, clock);
    let rows = view::data::sessions(model);
    match rows.iter().position(|row| view::data::id(row.session) == id) {
        Some(at) => sessions::one(canvas, rest, &rows, at, clock),
        None => empty(canvas, rest, "This session blocks nobody any more and has no long transaction. Esc goes back."),
    }
}
