//! The machine: CPU, memory, pressure, disks and their inodes, network, processes.

use ratatui::layout::Rect;

use super::canvas::{Canvas, Piece, columns, piece, split_left, split_top};
use super::clock::Clock;
use super::detail::empty;
use super::disks;
use super::format;
use super::glyphs;
use super::grid::{self, Align, Column, Sorted, Window, column};
use super::hostdepth;
use super::hoststrips::{self, FULL_BAD, memory_used};
use super::source::Source;
use super::strip;
use super::theme::Role;
use crate::app::model::{Host, Model};
use crate::app::view;
use crate::domain::host::{HostReading, Network, Process};

/// From this size on there are two columns.
const WIDE: (u16, u16) = (120, 24);

/// Draws the screen.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock) {
    let Some(host) = model.host() else {
        empty(canvas, area, "No host is watched.");
        return;
    };
    let source = Source::host(host);
    let mut title = vec![piece(Role::Title, host.id.0.as_str())];
    if let Some(reading) = host.reading.value() {
        let text = format!("  up {} · {} processes", format::span(reading.uptime_s), reading.process_count);
        title.push(piece(Role::Muted, text));
    }
    let rest = source.heading(canvas, area, &title, clock);
    let Some(reading) = host.reading.value() else { return };
    if rest.width >= WIDE.0 && rest.height >= WIDE.1 {
        let (left, right) = split_left(rest, rest.width * 11 / 20, 3);
        let left = gauges(canvas, left, reading, clock);
        let left = split_top(left, 1).1;
        let used = history(canvas, left, host, clock);
        let left = split_top(left, used + 1).1;
        let used = disks::draw(canvas, left, model);
        networks(canvas, split_top(left, used + 1).1, reading);
        processes(canvas, right, model, clock, Some(model.processes.offset));
        return;
    }
    let rest = gauges(canvas, rest, reading, clock);
    let most = rest.height.saturating_sub(6).max(rest.height.saturating_sub((rest.height * 2 / 5).max(3)));
    let disk_rows = columns(reading.disks.len()).saturating_add(1).min(most);
    let used = disks::draw(canvas, split_top(rest, disk_rows).0, model);
    let rest = split_top(rest, used).1;
    let rest = if rest.height > 5 { networks(canvas, rest, reading) } else { rest };
    processes(canvas, rest, model, clock, Some(model.processes.offset));
}

/// CPU, memory, swap, pressure, and what can't be seen; the rest of the area.
fn gauges(canvas: &mut Canvas<'_>, area: Rect, reading: &HostReading, clock: &Clock) -> Rect {
    let mut rest = area;
    let next = |rest: &mut Rect| {
        let (row, below) = split_top(*rest, 1);
        *rest = below;
        row
    };
    let load = reading.load.map_or_else(|| "load unknown".into(), |[a, b, c]| format!("load {a:.2} {b:.2} {c:.2}"));
    let steal = reading.steal.filter(|s| *s >= 0.005).map(|s| [" · steal ", &format::share(s)].concat());
    gauge(canvas, next(&mut rest), "cpu", reading.cpu, &[load, steal.unwrap_or_default()].concat());
    rest = cores(canvas, rest, &reading.cores);
    let (free, total) = (format::bytes(reading.memory_available), format::bytes(reading.memory_total));
    let gone = reading.memory_gone_in_s.map(|s| [" · gone in ", &format::span(s)].concat()).unwrap_or_default();
    gauge(canvas, next(&mut rest), "memory", memory_used(reading), &[format!("{free} of {total} free"), gone].concat());
    if area.height > 10 {
        let swap = share_of(reading.swap_used, reading.swap_total);
        let (used, total) = (format::bytes(reading.swap_used), format::bytes(reading.swap_total));
        let text = if reading.swap_total == 0 { "no swap".to_owned() } else { format!("{used} of {total} used") };
        gauge(canvas, next(&mut rest), "swap", swap, &text);
    }
    if area.height > 12 {
        let row = next(&mut rest);
        canvas.pieces(row, &pressure(reading));
    }
    for pieces in hostdepth::rows(reading, clock).iter().take(usize::from(area.height / 7)) {
        let row = next(&mut rest);
        canvas.pieces(row, pieces);
    }
    for text in reading.unseen.iter().take(usize::from(area.height / 12)) {
        let row = next(&mut rest);
        canvas.put(row, &["? not seen: ", text].concat(), Role::Unknown);
    }
    rest
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn share_of(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn gauge(canvas: &mut Canvas<'_>, row: Rect, name: &str, share: Option<f64>, text: &str) {
    let number = share.map_or_else(|| format::NONE.to_owned(), format::share);
    let room = usize::from(row.width).saturating_sub(9 + 8).min(40) / 2;
    let (full, rest) = glyphs::bar(share.unwrap_or(0.0), room.max(6));
    let bad = share.is_some_and(|s| s >= FULL_BAD);
    let pieces = [
        piece(Role::Text, format!("{name:<9}")),
        piece(if bad { Role::BarBad } else { Role::Bar }, full),
        piece(Role::Border, rest),
        piece(if bad { Role::Critical } else { Role::Accent }, format!("{number:>7}")),
        piece(Role::Muted, ["  ", text].concat()),
    ];
    canvas.pieces(row, &pieces);
}

/// One bar per core where there is room, else one glyph.
fn cores(canvas: &mut Canvas<'_>, area: Rect, cores: &[f64]) -> Rect {
    const CELL: usize = 17;
    let (name, _) = split_left(area, 9, 0);
    let (_, mut rest) = split_left(area, 9, 0);
    let per_row = (usize::from(rest.width) / CELL).max(1);
    let rows = cores.len().div_ceil(per_row);
    let most = usize::from(area.height / 6);
    if cores.is_empty() {
        return area;
    }
    canvas.put(split_top(name, 1).0, "cores", Role::Text);
    if rows > most {
        let line: String = cores.iter().map(|share| glyphs::height(*share)).collect();
        let busiest = cores.iter().copied().fold(0.0, f64::max);
        let text = format!("  busiest {}", format::share(busiest));
        canvas.pieces(split_top(rest, 1).0, &[piece(Role::Bar, line), piece(Role::Muted, text)]);
        return split_top(area, 1).1;
    }
    for (at, row_cores) in cores.chunks(per_row).enumerate() {
        let (mut row, below) = split_top(rest, 1);
        rest = below;
        for (core, share) in row_cores.iter().enumerate() {
            let (full, empty) = glyphs::bar(*share, 6);
            let number = format!("{:>3} ", at * per_row + core);
            let value = format!(" {:<6}", format::share(*share));
            let pieces = [
                piece(Role::Muted, number),
                piece(Role::Bar, full),
                piece(Role::Border, empty),
                piece(Role::Text, value),
            ];
            canvas.pieces(row, &pieces);
            row = split_left(row, columns(CELL), 0).1;
        }
    }
    split_top(area, columns(rows)).1
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn pressure(reading: &HostReading) -> Vec<Piece> {
    let mut pieces = vec![piece(Role::Text, format!("{:<9}", "pressure"))];
    match reading.pressure {
        None => pieces.push(piece(Role::Muted, "this kernel does not tell")),
        Some(pressure) => {
            for (name, share) in [("cpu ", pressure.cpu), ("  memory ", pressure.memory), ("  io ", pressure.io)] {
                let role = if share >= 0.1 { Role::Warning } else { Role::Text };
                pieces.extend([piece(Role::Muted, name), piece(role, format::share(share))]);
            }
            pieces.push(piece(Role::Muted, "  of the last 10 s"));
        }
    }
    if let Some(kills) = reading.oom_kills.filter(|kills| *kills > 0) {
        pieces.push(piece(Role::Warning, format!("  ▲ {} OOM kills since boot", format::count(kills as f64))));
    }
    pieces
}

fn history(canvas: &mut Canvas<'_>, area: Rect, host: &Host, clock: &Clock) -> u16 {
    let strips = hoststrips::of_host(host, clock, true).into_iter().map(|s| (s, &host.history)).collect::<Vec<_>>();
    strip::draw(canvas, split_top(area, area.height / 2).0, &strips, clock)
}

/// Bytes per second of the interfaces: one row each where there is room, else the busiest in one row; the rest of the
/// area.
fn networks(canvas: &mut Canvas<'_>, area: Rect, reading: &HostReading) -> Rect {
    let mut sorted: Vec<&Network> = reading.networks.iter().collect();
    let bytes = |n: &Network| n.received_per_s + n.sent_per_s;
    sorted.sort_by(|a, b| bytes(b).total_cmp(&bytes(a)).then_with(|| a.name.cmp(&b.name)));
    if usize::from(area.height) < sorted.len() * 4 {
        let (row, rest) = split_top(area, u16::from(!sorted.is_empty()));
        let line: Vec<Piece> = sorted.iter().flat_map(|n| network(n, 0)).collect();
        canvas.pieces(row, &line);
        return rest;
    }
    let mut rest = area;
    for interface in sorted {
        let (row, below) = split_top(rest, 1);
        rest = below;
        canvas.pieces(row, &network(interface, 11));
    }
    rest
}

/// One interface, its parts padded to so many columns.
fn network(network: &Network, pad: usize) -> Vec<Piece> {
    let name = super::text::cut(&network.name, 15);
    let rate = |arrow: &str, per_s| format!("{arrow} {:<pad$}  ", format::byte_rate(per_s));
    let mut pieces = vec![
        piece(Role::Text, format!("{name:<8} ")),
        piece(Role::Accent, rate("↓", network.received_per_s)),
        piece(Role::Accent, rate("↑", network.sent_per_s)),
    ];
    if network.errors_per_s > 0.0 {
        pieces.push(piece(Role::Warning, format!("▲ {} errors/s  ", format::rate(network.errors_per_s))));
    }
    pieces
}

const PROCESSES: &[Column<Process>] = &[
    column("cpu", (6, 6), Align::Right, 0, Some(0), |p| {
        let role = if p.cpu > 0.0 { Role::Accent } else { Role::Muted };
        piece(role, format::share(p.cpu))
    }),
    column("memory", (8, 8), Align::Right, 0, Some(1), |p| piece(Role::Text, format::bytes(p.memory))),
    column("pid", (7, 7), Align::Right, 1, Some(2), |p| piece(Role::Muted, p.pid.to_string())),
    column("user", (9, 10), Align::Left, 2, None, |p| piece(Role::Muted, p.user.as_str())),
    column("state", (8, 10), Align::Left, 3, None, |p| piece(Role::Muted, p.state.as_str())),
    column("command", (16, 200), Align::Left, 0, Some(3), |p| piece(Role::Text, p.command.as_str())),
];

/// The processes; `offset` is the first visible one on the screen whose table this is, `None` elsewhere.
pub(super) fn processes(canvas: &mut Canvas<'_>, area: Rect, model: &Model, clock: &Clock, offset: Option<usize>) {
    let Some(host) = model.host() else { return };
    let rows = view::processes(model);
    if area.height < 2 || host.reading.value().is_none() {
        return;
    }
    let height = usize::from(area.height.saturating_sub(2));
    let identities: Vec<String> = rows.iter().map(|p| p.pid.to_string()).collect();
    let selected = offset.map(|_| model.processes.position(&identities));
    let window = Window::around(offset.unwrap_or(0), selected.unwrap_or(0), height, rows.len());
    let label = window.label(rows.len()).map(|label| [label.as_str(), " · "].concat()).unwrap_or_default();
    let right = [piece(Role::Muted, label), Source::host(host).age(clock)];
    canvas.heading(area, &[piece(Role::Title, "processes")], &right);
    let rest = split_top(area, 1).1;
    if rows.is_empty() && !model.processes.filter.is_empty() {
        canvas.put(rest, "no process has these words; Esc clears the filter", Role::Muted);
        return;
    }
    let sorted = Sorted { by: model.processes.sort, reversed: model.processes.reversed };
    grid::draw(canvas, rest, PROCESSES, &rows, window, selected, Some(sorted));
}
