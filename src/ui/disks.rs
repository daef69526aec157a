//! File systems: space and inodes, the fullest first, and those that do not answer before all.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, piece, split_top};
use super::format;
use super::glyphs;
use super::grid::{self, Align, Column, Window};
use super::hoststrips::FULL_BAD;
use super::theme::Role;
use crate::app::model::Model;
use crate::domain::host::DiskSpace;

/// Seconds until a file system is full below which that is marked: a day. A mark is no alarm.
const SOON_S: u64 = 86_400;

/// A file system that answers.
#[derive(Debug)]
struct Row<'a> {
    mount: &'a str,
    kind: &'a str,
    space: &'a DiskSpace,
}

impl Row<'_> {
    /// Until the first of space and inodes is used up.
    fn full_in_s(&self) -> Option<u64> {
        [self.space.full_in_s, self.space.inodes_full_in_s].into_iter().flatten().min()
    }

    /// The fuller of space and inodes.
    fn fullness(&self) -> f64 {
        self.space.used_share().max(self.space.inodes_used_share().unwrap_or(0.0))
    }
}

const fn column<'a>(
    title: &'static str,
    (width, most): (u16, u16),
    align: Align,
    rank: u8,
    cell: fn(&Row<'a>) -> Piece,
) -> Column<Row<'a>> {
    Column { title, width, most, align, rank, sort: None, cell }
}

fn grade(share: f64, role: Role) -> Role {
    if share >= FULL_BAD { Role::Critical } else { role }
}

fn grid<'a>() -> [Column<Row<'a>>; 8] {
    [
        column("disk", (12, 28), Align::LeftTail, 0, |r| {
            let read_only = if r.space.read_only { " (read-only)" } else { "" };
            piece(Role::Text, [r.mount, read_only].concat())
        }),
        column("", (10, 16), Align::Left, 2, |r| {
            let (full, empty) = glyphs::bar(r.space.used_share(), 10);
            let role = if r.space.used_share() >= FULL_BAD { Role::BarBad } else { Role::Bar };
            piece(role, full + &empty)
        }),
        column("used", (6, 6), Align::Right, 0, |r| {
            let share = r.space.used_share();
            piece(grade(share, Role::Accent), format::share(share))
        }),
        column("free", (8, 9), Align::Right, 1, |r| piece(Role::Text, format::bytes(r.space.available))),
        column("size", (8, 9), Align::Right, 4, |r| piece(Role::Muted, format::bytes(r.space.total))),
        column("inodes", (6, 6), Align::Right, 1, |r| match r.space.inodes_used_share() {
            Some(share) => piece(grade(share, Role::Text), format::share(share)),
            None => piece(Role::Muted, format::NONE),
        }),
        column("full in", (7, 8), Align::Right, 3, |r| match r.full_in_s() {
            Some(secs) => {
                let role = if secs < SOON_S { Role::Warning } else { Role::Text };
                piece(role, format::span(secs))
            }
            None => piece(Role::Muted, format::NONE),
        }),
        column("kind", (5, 8), Align::Left, 5, |r| piece(Role::Muted, r.kind)),
    ]
}

/// Draws the file systems; the rows used.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> u16 {
    let Some(reading) = model.host().and_then(|host| host.reading.value()) else { return 0 };
    let mut rest = area;
    for disk in &reading.disks {
        if let Err(why) = &disk.space {
            let (row, below) = split_top(rest, 1);
            rest = below;
            canvas.put(row, &["? ", &disk.mount, " — ", why].concat(), Role::Unknown);
        }
    }
    let answering = reading.disks.iter().filter_map(|disk| {
        let space = disk.space.as_ref().ok()?;
        Some(Row { mount: &disk.mount, kind: &disk.kind, space })
    });
    let mut rows: Vec<Row<'_>> = answering.collect();
    rows.sort_by(|a, b| b.fullness().total_cmp(&a.fullness()).then_with(|| a.mount.cmp(b.mount)));
    if rows.is_empty() || rest.height < 2 {
        return area.height - rest.height;
    }
    let rows: Vec<&Row<'_>> = rows.iter().collect();
    let window = Window::around(0, 0, usize::from(rest.height - 1), rows.len());
    grid::draw(canvas, rest, &grid(), &rows, window, None, None);
    area.height - rest.height + 1 + super::canvas::columns(window.len)
}
