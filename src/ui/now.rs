//! Now: what is wrong, since when, and whether everything was seen.

use ratatui::layout::Rect;

use super::canvas::{Canvas, columns, piece, split_left, split_top};
use super::changes;
use super::clock::Clock;
use super::disks;
use super::finding;
use super::findings;
use super::format;
use super::grid::{self, Column, Window};
use super::host;
use super::hoststrips;
use super::requests;
use super::source::Source;
use super::sources;
use super::strip;
use super::strips;
use super::tasks;
use super::theme::Role;
use super::workers;
use crate::app::model::{Host, Model, Site};
use crate::domain::history::History;
use crate::domain::id::SourceKind;
use crate::domain::traffic::{Route, Task, Traffic};

/// From this size on there are two columns.
const WIDE: (u16, u16) = (130, 28);

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    if let Some(id) = &model.now_table.open {
        finding::draw(canvas, area, model, id, clock);
        return;
    }
    let area = if model.site().is_some() { area } else { nothing_found(canvas, area, model) };
    if area.width >= WIDE.0 && area.height >= WIDE.1 {
        let (left, right) = split_left(area, area.width * 3 / 5, 3);
        let rest = essentials(canvas, left, model, clock);
        let rest = gap(lane(canvas, rest, model, clock));
        match model.site() {
            Some(site) => {
                let rest = busiest(canvas, rest, site, clock);
                busiest_tasks(canvas, gap(rest), site, clock);
            }
            None => host::processes(canvas, rest, model, clock, None),
        }
        beside(canvas, right, model, clock);
        return;
    }
    let rest = essentials(canvas, area, model, clock);
    let rest = lane(canvas, rest, model, clock);
    let wanted = columns(sources::of(model).len()) + 1;
    if rest.height >= wanted {
        let rest = if rest.height > wanted { gap(rest) } else { rest };
        let used = sources::panel(canvas, rest, model, clock);
        let rest = gap(split_top(rest, used).1);
        match model.site() {
            Some(site) if rest.height > 3 => {
                busiest(canvas, rest, site, clock);
            }
            None if rest.height > 3 => host::processes(canvas, rest, model, clock, None),
            Some(_) | None => {}
        }
    } else if rest.height > 0 {
        let (_, last) = split_top(rest, rest.height - 1);
        sources::line(canvas, last, model, clock);
    }
}

/// The rest of an area after a blank row.
const fn gap(area: Rect) -> Rect {
    split_top(area, 1).1
}

/// Why there is no application; the rest of the area.
fn nothing_found(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> Rect {
    let why = model.no_site.as_deref().unwrap_or("no application is configured");
    let text = format!("No application found: {why}. `midwatch doctor` tells where was looked and what can be done.");
    let used = canvas.paragraph(split_top(area, area.height / 2).0, &text, Role::Unknown);
    split_top(area, used + u16::from(area.height > 12)).1
}

/// Findings and strips; the rest of the area.
fn essentials(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) -> Rect {
    let mut shown: Vec<(strip::Strip, &History)> = Vec::new();
    let with = |site: &'_ Site| strips::of_site(site, clock);
    if let Some(site) = model.site() {
        shown.extend(with(site).into_iter().map(|s| (s, &site.history)));
    }
    let hosts: Option<&Host> = model.host();
    if let Some(host) = hosts {
        let all = model.site().is_none();
        shown.extend(hoststrips::of_host(host, clock, all).into_iter().map(|s| (s, &host.history)));
    }
    let strips_want = columns(shown.len()) + 1;
    let findings_want = findings::wanted(model);
    // Both have a right to half of the room; what one does not need is the other's.
    let half = area.height / 2;
    let between = u16::from(area.height >= 14 && findings_want > 0);
    let room = area.height - between;
    let strip_rows = strips_want.min(room.saturating_sub(findings_want).max(half.min(strips_want)));
    let finding_rows = findings_want.min(room.saturating_sub(strip_rows));
    let (top, rest) = split_top(area, finding_rows);
    findings::draw(canvas, top, model, clock);
    let (_, rest) = split_top(rest, between);
    let used = strip::draw(canvas, split_top(rest, strip_rows).0, &shown, clock);
    split_top(rest, used).1
}

/// What changed, where there is room for it; the rest of the area.
fn lane(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) -> Rect {
    let wanted = changes::wanted(model);
    let room = if area.height > wanted + 8 { gap(area) } else { area };
    if wanted == 0 || room.height < 3 {
        return area;
    }
    let used = changes::draw(canvas, split_top(room, wanted.min(room.height.max(6) - 1)).0, model, clock);
    split_top(room, used).1
}

/// The most requested routes; the rest of the area.
fn busiest(canvas: &mut Canvas<'_>, area: Rect, site: &Site, clock: &Clock) -> Rect {
    let Some(traffic) = site.traffic.value() else { return area };
    let rows: Vec<&Route> = traffic.routes.iter().take(15).collect();
    table(canvas, area, "busiest routes", (site, traffic), requests::COLUMNS, &rows, clock)
}

/// The tasks run most; the rest of the area.
fn busiest_tasks(canvas: &mut Canvas<'_>, area: Rect, site: &Site, clock: &Clock) {
    let Some(traffic) = site.traffic.value().filter(|_| area.height > 3) else { return };
    let rows: Vec<&Task> = traffic.tasks.iter().collect();
    table(canvas, area, "busiest tasks", (site, traffic), tasks::COLUMNS, &rows, clock);
}

fn table<R>(
    canvas: &mut Canvas<'_>,
    area: Rect,
    name: &str,
    (site, traffic): (&Site, &Traffic),
    columns: &[Column<R>],
    rows: &[&R],
    clock: &Clock,
) -> Rect {
    let title = [piece(Role::Title, name), piece(Role::Muted, ["  ", &format::window(traffic.window)].concat())];
    canvas.heading(area, &title, &[Source::at(site, SourceKind::Traffic).age(clock)]);
    let rest = split_top(area, 1).1;
    let window = Window::around(0, 0, usize::from(rest.height.saturating_sub(1)), rows.len());
    grid::draw(canvas, rest, columns, rows, window, None, None);
    split_top(rest, u16::try_from(window.len).unwrap_or(rest.height).saturating_add(1)).1
}

/// What stands beside the essentials on a wide terminal.
fn beside(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let used = sources::panel(canvas, area, model, clock);
    let mut rest = gap(split_top(area, used).1);
    if let Some(site) = model.site() {
        let used = workers::draw(canvas, split_top(rest, 10).0, site, clock);
        rest = gap(split_top(rest, used).1);
    }
    if let Some(host) = model.host() {
        rest = Source::host(host).heading(canvas, rest, &[piece(Role::Title, "disks")], clock);
    }
    let used = disks::draw(canvas, split_top(rest, 8).0, model);
    rest = gap(split_top(rest, used).1);
    if model.site().is_some() {
        host::processes(canvas, rest, model, clock, None);
    }
}
