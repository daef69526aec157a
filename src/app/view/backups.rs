//! The rows of Backups: restore points, the newest first.

use crate::app::model::Model;
use crate::domain::backup::points::{Point, points};
use crate::domain::backup::{Backup, BackupsReading};

/// What they can be sorted by.
pub const SORTS: &[&str] = &["age", "size", "proof", "kind"];

/// Restore points of the shown site, filtered and sorted.
pub fn restore_points(model: &Model) -> Vec<Point<'_>> {
    let Some(reading) = model.site().and_then(|s| s.backups.value()) else { return Vec::new() };
    let table = &model.backups;
    let mut rows = points(reading);
    rows.retain(|point| table.accepts(&text(point, reading)));
    let first = |point: &Point<'_>| point.database.or(point.files).map(|b| (b.bytes.unwrap_or(0), worth(b), b.kind));
    match table.sort {
        1 => rows.sort_by_key(|point| std::cmp::Reverse(first(point).map(|f| f.0))),
        2 => rows.sort_by_key(|point| first(point).map(|f| f.1)),
        3 => rows.sort_by_key(|point| first(point).map(|f| f.2)),
        // They come the newest first.
        _ => {}
    }
    if table.reversed {
        rows.reverse();
    }
    rows
}

/// What the filter looks through.
fn text(point: &Point<'_>, reading: &BackupsReading) -> String {
    let mut out = String::new();
    for backup in point.parts() {
        let place = usize::try_from(backup.place).ok().and_then(|at| reading.places.get(at));
        for word in [
            backup.path.as_str(),
            backup.kind.word(),
            backup.proof.word(),
            backup.subject.word(),
            place.map_or("", |p| &p.found_by),
        ] {
            out.push_str(word);
            out.push(' ');
        }
    }
    out
}

/// The best proven first.
fn worth(backup: &Backup) -> u8 {
    match backup.proof.word() {
        "restored" => 0,
        "complete" => 1,
        "listed" => 2,
        "running" => 3,
        _ => 4,
    }
}

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    restore_points(model).iter().map(|point| point.id().to_owned()).collect()
}
