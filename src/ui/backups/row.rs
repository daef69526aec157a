//! One restore point as a row of the table.

use crate::domain::backup::points::Point;
use crate::domain::backup::proof::Proof;
use crate::domain::backup::standing::sizes;
use crate::domain::backup::{Backup, BackupsReading};
use crate::ui::canvas::{Piece, piece};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::grid::{Align, Column, column};
use crate::ui::strip::spark;
use crate::ui::theme::Role;

/// One restore point, in words.
#[derive(Debug)]
pub(super) struct Row {
    age: String,
    database: Piece,
    files: Piece,
    gap: String,
    size: String,
    trend: String,
    kind: &'static str,
    disk: Piece,
    place: String,
    with: String,
}

pub(super) const COLUMNS: &[Column<Row>] = &[
    column("age", (7, 7), Align::Right, 0, Some(0), |r| piece(Role::Accent, r.age.as_str())),
    column("database", (10, 10), Align::Left, 0, Some(2), |r| r.database.clone()),
    column("files", (10, 10), Align::Left, 0, None, |r| r.files.clone()),
    column("gap", (6, 6), Align::Right, 3, None, |r| piece(Role::Muted, r.gap.as_str())),
    column("size", (7, 7), Align::Right, 1, Some(1), |r| piece(Role::Text, r.size.as_str())),
    column("trend", (8, 8), Align::Newest, 4, None, |r| piece(Role::Strip, r.trend.as_str())),
    column("kind", (11, 11), Align::Left, 5, Some(3), |r| piece(Role::Muted, r.kind)),
    column("disk", (8, 8), Align::Left, 6, None, |r| r.disk.clone()),
    column("where", (13, 80), Align::LeftTail, 2, None, |r| piece(Role::Text, r.place.as_str())),
    column("with", (20, 40), Align::LeftTail, 7, None, |r| piece(Role::Muted, r.with.as_str())),
];

/// A proof as glyph and word.
pub(super) fn proof(proof: &Proof) -> Piece {
    let (glyph, role) = match proof {
        Proof::Listed { .. } => ("?", Role::Unknown),
        Proof::Running { .. } => ("·", Role::Note),
        Proof::Complete { .. } | Proof::Restored { .. } => ("✔", Role::Ok),
        Proof::Broken { .. } => ("✖", Role::Critical),
    };
    piece(role, [glyph, " ", proof.word()].concat())
}

/// Where a backup lies, seen from what it saves.
pub(super) fn disk(backup: &Backup) -> Piece {
    match (backup.off_host, backup.same_disk) {
        (true, _) => piece(Role::Ok, "off host"),
        (false, Some(true)) => piece(Role::Warning, "same"),
        (false, Some(false)) => piece(Role::Text, "another"),
        (false, None) => piece(Role::Unknown, "?"),
    }
}

/// Sizes of a series as heights.
pub(super) fn trend(reading: &BackupsReading, backup: &Backup, most: usize) -> String {
    let sizes = sizes(reading, backup);
    #[expect(clippy::cast_precision_loss, reason = "heights of a strip")]
    let heights: Vec<f32> = sizes.into_iter().map(|bytes| bytes as f32).collect();
    spark(&heights, most)
}

impl Row {
    /// A point in words.
    pub(super) fn of(point: &Point<'_>, reading: &BackupsReading, clock: &Clock) -> Self {
        let none = || piece(Role::Muted, "none");
        let first = point.database.or(point.files);
        let made = first.map(|b| b.made).unwrap_or_default();
        let with = point.files.filter(|_| point.parts().count() > 1).map_or("", Backup::name).to_owned();
        let gap = point.gap_ms().filter(|_| point.parts().count() > 1);
        Self {
            age: format::span(clock.now.secs_since(made)),
            database: point.database.map_or_else(none, |b| proof(&b.proof)),
            files: point.files.map_or_else(none, |b| proof(&b.proof)),
            gap: gap.map(|ms| format::span(ms / 1000)).unwrap_or_default(),
            size: first.and_then(|b| b.bytes).map_or_else(|| "?".to_owned(), format::bytes),
            trend: first.map(|b| trend(reading, b, 8)).unwrap_or_default(),
            kind: first.map_or("", |b| b.kind.word()),
            disk: first.map_or_else(none, disk),
            place: first.map(|b| b.path.clone()).unwrap_or_default(),
            with,
        }
    }
}
