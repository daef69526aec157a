//! The services of a site by role, the machine's failed units below them, and one of either, opened.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_top};
use super::clock::Clock;
use super::detail::empty;
use super::format;
use super::glyphs;
use super::grid::{self, Align, Column, Sorted, Window, column};
use super::service;
use super::source::Source;
use super::theme::Role;
use crate::app::model::{Model, Site};
use crate::app::view::services::{Row, all};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::service::{FailedUnit, Service, ServicesReading, StuckHow};
use crate::domain::time::Timestamp;

/// A row as it is drawn.
#[derive(Debug)]
struct Line {
    role: Piece,
    name: Piece,
    state: Piece,
    since: Piece,
    restarts: Piece,
    memory: Piece,
    limit: Piece,
    processes: Piece,
    manager: Piece,
    place: Piece,
    said: Piece,
}

/// The columns, in the order of display.
const COLUMNS: &[Column<Line>] = &[
    column("role", (8, 8), Align::Left, 0, Some(0), |l| l.role.clone()),
    column("service", (18, 24), Align::Left, 0, Some(4), |l| l.name.clone()),
    column("state", (12, 12), Align::Left, 0, Some(1), |l| l.state.clone()),
    column("since", (9, 9), Align::Right, 0, None, |l| l.since.clone()),
    column("restarts", (8, 8), Align::Right, 2, Some(3), |l| l.restarts.clone()),
    column("memory", (8, 8), Align::Right, 1, Some(2), |l| l.memory.clone()),
    column("limit", (8, 8), Align::Right, 6, None, |l| l.limit.clone()),
    column("procs", (5, 5), Align::Right, 3, None, |l| l.processes.clone()),
    column("kept by", (10, 14), Align::Left, 4, None, |l| l.manager.clone()),
    column("unit, container", (20, 40), Align::Left, 5, None, |l| l.place.clone()),
    column("says", (20, 40), Align::Left, 7, None, |l| l.said.clone()),
];

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let rows = all(model);
    if let Some(id) = &model.services.open {
        match (rows.iter().find(|row| row.id() == *id), model.site()) {
            (Some(Row::Service(found)), Some(site)) => return service::draw(canvas, area, model, site, found, clock),
            (Some(Row::Failed(unit)), _) => return service::failed(canvas, area, model, unit, clock),
            (Some(Row::Service(_)) | None, _) => {
                return empty(canvas, area, "This service is no longer told of. Esc goes back to the others.");
            }
        }
    }
    let rest = if let Some(site) = model.site() {
        let source = Source::at(site, SourceKind::Services);
        let mut title = vec![piece(Role::Title, "services ")];
        title.extend(site.services.value().map(totals).unwrap_or_default());
        let rest = source.heading(canvas, area, &title, clock);
        unseen(canvas, rest, site)
    } else {
        let text = "No application is watched, so it has no services. Now (1) says why none was found.";
        let used = canvas.paragraph(area, text, Role::Unknown);
        split_top(area, used).1
    };
    table(canvas, rest, model, clock, &rows);
}

/// How many are up.
fn totals(reading: &ServicesReading) -> Vec<Piece> {
    let up = reading.services.iter().filter(|s| s.level() == Level::Ok).count();
    let worst = reading.services.iter().map(Service::level).max().unwrap_or(Level::Ok);
    let text = format!("{up} of {} up", reading.services.len());
    vec![piece(if worst > Level::Note { glyphs::role(worst) } else { Role::Accent }, text)]
}

/// What can't be seen of them, and what would open it.
fn unseen(canvas: &mut Canvas<'_>, area: Rect, site: &Site) -> Rect {
    let mut rest = area;
    let most = if area.height > 12 { 2 } else { 1 };
    for why in site.services.value().map(|reading| reading.unseen.as_slice()).unwrap_or_default() {
        let used = canvas.paragraph(split_top(rest, most).0, &["? ", why].concat(), Role::Unknown);
        rest = split_top(rest, used).1;
    }
    rest
}

fn table(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock, rows: &[Row<'_>]) {
    let identities: Vec<String> = rows.iter().map(Row::id).collect();
    let selected = model.services.position(&identities);
    let own = rows.iter().take_while(|row| matches!(row, Row::Service(_))).count();
    let (lines, others) = (lines(rows, clock), rows.len() - own);
    if rows.is_empty() {
        let filtered = !model.services.filter.is_empty();
        return empty(canvas, area, if filtered { "no service has these words; Esc clears the filter" } else { "" });
    }
    let refs: Vec<&Line> = lines.iter().collect();
    let sorted = Sorted { by: model.services.sort, reversed: model.services.reversed };
    let offset = model.services.offset;
    if others == 0 {
        let height = usize::from(area.height.saturating_sub(1));
        let window = Window::around(offset, selected, height, refs.len());
        return grid::draw(canvas, area, COLUMNS, &refs, window, Some(selected), Some(sorted));
    }
    // The machine's failed units follow after a gap where there is room, and else have at most half of it.
    let (needed, wanted) = (columns(own).saturating_add(1), columns(others).saturating_add(2));
    let roomy = needed.saturating_add(1).saturating_add(wanted) <= area.height;
    let least = wanted.min(area.height / 2).max(area.height.saturating_sub(needed).min(wanted));
    let upper = if roomy { needed } else { area.height.saturating_sub(least) };
    let (above, rest) = split_top(area, upper);
    let rest = split_top(rest, u16::from(roomy)).1;
    let (mine, foreign) = refs.split_at(own);
    if own > 0 {
        let height = usize::from(above.height.saturating_sub(1));
        let window = Window::around(offset.min(own), selected.min(own - 1), height, own);
        let chosen = (selected < own).then_some(selected);
        grid::draw(canvas, above, COLUMNS, mine, window, chosen, Some(sorted));
    }
    let head = format!(
        "{} of this machine {} failed",
        format::plural(others, "other unit"),
        if others == 1 { "has" } else { "have" }
    );
    let age = model.host().map(|host| Source::of(SourceKind::Services, &host.units, None).age(clock));
    canvas.heading(rest, &[piece(Role::Title, head)], &age.into_iter().collect::<Vec<_>>());
    let rest = split_top(rest, 1).1;
    let chosen = selected.checked_sub(own);
    let window = Window::around(
        offset.saturating_sub(own),
        chosen.unwrap_or(0),
        usize::from(rest.height.saturating_sub(1)),
        others,
    );
    grid::draw(canvas, rest, COLUMNS, foreign, window, chosen, None);
}

fn lines(rows: &[Row<'_>], clock: &Clock) -> Vec<Line> {
    let line = |row: &Row<'_>| match row {
        Row::Service(service) => of_service(service, clock),
        Row::Failed(unit) => of_failed(unit, clock),
    };
    rows.iter().map(line).collect()
}

/// Glyph and word of a service's state.
pub(super) fn state(service: &Service) -> Piece {
    let level = service.level();
    let word = match service.stuck.filter(|stuck| stuck.main).map(|stuck| stuck.how) {
        Some(StuckHow::Stopped) => "frozen",
        Some(StuckHow::Paused) => "paused",
        Some(StuckHow::DiskSleep | StuckHow::Zombie) | None => service.state.word(),
    };
    piece(glyphs::role(level), [glyphs::level(level), " ", word].concat())
}

fn since(at: Option<Timestamp>, clock: &Clock) -> Piece {
    let span = at.map(|at| format::span(clock.now.secs_since(at)));
    piece(Role::Text, span.unwrap_or_else(|| format::NONE.to_owned()))
}

/// Memory, and the limit where there is one.
pub(super) fn memory(service: &Service) -> String {
    match (service.memory, service.memory_max) {
        (Some(used), Some(most)) => format!("{} of {}", format::bytes(used), format::bytes(most)),
        (Some(used), None) => format::bytes(used),
        (None, _) => format::NONE.to_owned(),
    }
}

fn bytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| format::NONE.to_owned(), format::bytes)
}

fn of_service(service: &Service, clock: &Clock) -> Line {
    let crashes = service.crashes(clock.now);
    let restarts = service.restarts.map_or_else(|| format::NONE.to_owned(), |n| n.to_string());
    let restarted = if crashes > 0 { piece(Role::Warning, restarts) } else { piece(Role::Muted, restarts) };
    let processes = service.children.map(|n| n.saturating_add(1).to_string());
    let near = service.memory.zip(service.memory_max).is_some_and(|(used, most)| used >= most / 10 * 9);
    let said = [Some(service.said.clone()), service.exit.clone()].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    Line {
        role: piece(Role::Muted, service.role.word()),
        name: piece(Role::Text, service.name.as_str()),
        state: state(service),
        since: since(service.since, clock),
        restarts: restarted,
        memory: piece(if near { Role::Warning } else { Role::Accent }, bytes(service.memory)),
        limit: piece(Role::Muted, bytes(service.memory_max)),
        processes: piece(Role::Muted, processes.unwrap_or_else(|| format::NONE.to_owned())),
        manager: piece(Role::Muted, service.manager.word()),
        place: piece(Role::Muted, service.place.as_str()),
        said: piece(Role::Muted, said),
    }
}

fn of_failed(unit: &FailedUnit, clock: &Clock) -> Line {
    let none = || piece(Role::Muted, format::NONE);
    Line {
        role: piece(Role::Muted, "–"),
        name: piece(Role::Text, unit.unit.as_str()),
        state: piece(Role::Warning, [glyphs::level(Level::Warning), " failed"].concat()),
        since: since(unit.since, clock),
        restarts: none(),
        memory: none(),
        limit: none(),
        processes: none(),
        manager: piece(Role::Muted, if unit.user { "systemd --user" } else { "systemd" }),
        place: piece(Role::Muted, unit.description.as_str()),
        said: piece(Role::Muted, unit.exit.as_str()),
    }
}
