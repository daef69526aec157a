//! Backups: restore points, the newest first, each with how far it is proven.

mod one;
mod row;
mod verdict;

use ratatui::layout::Rect;

use super::canvas::{Canvas, columns, piece, split_top};
use super::clock::Clock;
use super::detail::empty;
use super::format;
use super::format::bytes;
use super::grid::{self, Sorted, Window};
use super::source::Source;
use super::theme::Role;
use crate::app::model::Model;
use crate::app::view;
use crate::domain::backup::BackupsReading;
use crate::domain::id::SourceKind;

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let Some(site) = model.site() else {
        let none = "No application is watched, so there are no backups to show. Now (1) says why none was found.";
        empty(canvas, area, none);
        return;
    };
    let source = Source::at(site, SourceKind::Backups);
    let points = view::backups::restore_points(model);
    if let (Some(id), Some(reading)) = (&model.backups.open, site.backups.value()) {
        let title = [piece(Role::Title, "restore point")];
        let rest = source.heading(canvas, area, &title, clock);
        match points.iter().find(|point| point.id() == id) {
            Some(point) => one::draw(canvas, rest, point, reading, clock),
            None => empty(canvas, rest, "This backup is gone: rotated away or moved. Esc goes back to the others."),
        }
        return;
    }
    let rest = source.heading(canvas, area, &[piece(Role::Title, "backups")], clock);
    let Some(reading) = site.backups.value() else { return };
    let used = verdict::draw(canvas, rest, reading, clock);
    let (_, rest) = split_top(rest, used);
    let rest = if rest.height > 10 { split_top(rest, 1).1 } else { rest };
    let below = places_height(reading, rest.height);
    let (table, mut below) = split_top(rest, rest.height.saturating_sub(below));
    if points.is_empty() {
        let filtered = !reading.backups.is_empty();
        let none = "no backup was found; [[sites.NAME.backups]] in midwatch.toml names other places";
        empty(canvas, table, if filtered { "no backup has these words; Esc clears the filter" } else { none });
    } else {
        let rows: Vec<row::Row> = points.iter().map(|point| row::Row::of(point, reading, clock)).collect();
        let rows: Vec<&row::Row> = rows.iter().collect();
        let identities: Vec<String> = points.iter().map(|point| point.id().to_owned()).collect();
        let selected = model.backups.position(&identities);
        let height = usize::from(table.height.saturating_sub(1));
        let window = Window::around(model.backups.offset, selected, height, rows.len());
        let sorted = Sorted { by: model.backups.sort, reversed: model.backups.reversed };
        grid::draw(canvas, table, row::COLUMNS, &rows, window, Some(selected), Some(sorted));
        // The places follow at once where the table is short.
        let taken = columns(window.len).saturating_add(2);
        if taken < table.height {
            below = split_top(rest, taken).1;
        }
    }
    places(canvas, below, reading, clock);
}

/// How much room the places may have.
fn places_height(reading: &BackupsReading, height: u16) -> u16 {
    let wanted = columns(reading.places.len() + reading.jobs.len() + reading.unseen.len()).saturating_add(1);
    if height < 12 { 0 } else { wanted.min(height / 3) }
}

/// Where they lie, what makes them, and what can't be seen.
fn places(canvas: &mut Canvas<'_>, area: Rect, reading: &BackupsReading, clock: &Clock) {
    if area.height < 2 {
        return;
    }
    canvas.heading(area, &[piece(Role::Title, "places and jobs")], &[]);
    let (_, mut rest) = split_top(area, 1);
    let mut line = |canvas: &mut Canvas<'_>, left: &[_], right: &[_]| {
        let (row, below) = split_top(rest, 1);
        if row.height > 0 {
            canvas.row(row, left, right);
        }
        rest = below;
    };
    // What can't be seen comes first: it may hold what is missed.
    for why in reading.places.iter().filter_map(|p| p.unseen.as_ref().or(p.failed.as_ref())).chain(&reading.unseen) {
        line(canvas, &[piece(Role::Unknown, ["? ", why].concat())], &[]);
    }
    for place in reading.places.iter().filter(|p| p.unseen.is_none() && p.failed.is_none()) {
        let mut right = format!(
            "{} · {}",
            format::plural(usize::try_from(place.backups).unwrap_or(usize::MAX), "backup"),
            bytes(place.bytes)
        );
        if let Some(days) = place.kept_days {
            right = format!("{right} · kept {days} d");
        }
        match place.off_host {
            Some(true) => right.push_str(" · off this host"),
            Some(false) => right.push_str(" · this host only"),
            None => {}
        }
        let by = format!("  {}", place.found_by);
        line(canvas, &[piece(Role::Text, place.path.as_str()), piece(Role::Muted, by)], &[piece(Role::Muted, right)]);
    }
    for job in &reading.jobs {
        let name = format!("{} ({})", job.name, job.schedule);
        let mut right = Vec::new();
        if let Some(why) = &job.failure {
            right.push(piece(Role::Warning, ["▲ failed: ", why].concat()));
        } else if job.running {
            right.push(piece(Role::Note, "· running"));
        } else if let Some(last) = job.last {
            right.push(piece(Role::Muted, ["last ", &format::ago(last, clock.now)].concat()));
        }
        if let Some(next) = job.next {
            right.push(piece(Role::Muted, [" · next ", &clock.when(next)].concat()));
        }
        line(canvas, &[piece(Role::Text, name)], &right);
    }
}
