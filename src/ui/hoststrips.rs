//! The strips of a host.

use super::canvas::piece;
use super::clock::Clock;
use super::format;
use super::source::Source;
use super::strip::{Scale, Strip};
use super::theme::Role;
use crate::app::model::Host;
use crate::domain::history::names;
use crate::domain::host::{Disk, DiskSpace, HostReading};

/// From this share of a file system, or of memory, on a strip or bar is marked. A mark is no alarm: findings have their
/// own thresholds.
pub(super) const FULL_BAD: f64 = 0.9;

/// The file system with the largest used share.
pub(super) fn fullest(reading: &HostReading) -> Option<(&Disk, &DiskSpace)> {
    let spaces = reading.disks.iter().filter_map(|d| d.space.as_ref().ok().map(|s| (d, s)));
    spaces.max_by(|a, b| a.1.used_share().total_cmp(&b.1.used_share()))
}

/// Share of memory that is not available.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
pub(super) fn memory_used(reading: &HostReading) -> Option<f64> {
    let (total, free) = (reading.memory_total as f64, reading.memory_available as f64);
    (reading.memory_total > 0).then(|| (1.0 - free / total).clamp(0.0, 1.0))
}

/// CPU, memory, and the fullest disk; with `all`, everything that has a history.
pub(super) fn of_host(host: &Host, clock: &Clock, all: bool) -> Vec<Strip> {
    let source = Source::host(host);
    let reading = host.reading.value();
    let strip = |label: &str, rank, series: &str, value: Option<String>, extra: Option<String>| Strip {
        label: label.into(),
        rank,
        series: series.into(),
        scale: Scale::Share,
        bad_from: 0.9,
        value: source.value(value.map(|v| piece(Role::Accent, v)), clock.now),
        extra: extra.unwrap_or_default(),
        age: source.short_age(clock),
    };
    let load = reading.and_then(|r| r.load).map(|[one, ..]| format!("load {one:.2}"));
    let free = reading.map(|r| format::bytes(r.memory_available) + " free");
    let cpu = reading.and_then(|r| r.cpu).map(format::share);
    let memory = reading.and_then(memory_used).map(format::share);
    let mut strips =
        vec![strip("cpu", 5, names::CPU, cpu, load.clone()), strip("memory", 6, names::MEMORY, memory, free)];
    if all {
        let swap = reading.filter(|r| r.swap_total > 0).map(|r| format::bytes(r.swap_used));
        let sum = |each: fn(&crate::domain::host::Network) -> f64| {
            reading.map(|r| format::byte_rate(r.networks.iter().map(each).sum()))
        };
        let open = |rank, label, series, floor, value| Strip {
            scale: Scale::Highest(floor),
            bad_from: f32::INFINITY,
            ..strip(label, rank, series, value, None)
        };
        strips.push(Strip { bad_from: f32::INFINITY, ..open(8, "load", names::LOAD, 1.0, load) });
        strips.extend(swap.map(|used| strip("swap", 7, names::SWAP, Some(used), None)));
        strips.push(open(9, "received", names::RECEIVED, 1024.0, sum(|n| n.received_per_s)));
        strips.push(open(9, "sent", names::SENT, 1024.0, sum(|n| n.sent_per_s)));
    }
    let disks = reading.map(|r| r.disks.iter().filter_map(|d| d.space.as_ref().ok().map(|s| (d, s))));
    let mut shown: Vec<(&Disk, &DiskSpace)> = disks.map(Iterator::collect).unwrap_or_default();
    if !all {
        shown = reading.and_then(fullest).into_iter().collect();
    }
    for (at, (disk, space)) in shown.into_iter().enumerate() {
        let label = ["disk ", &disk.mount].concat();
        let series = [names::DISK, &disk.mount].concat();
        let until = space.full_in_s.map(|s| ["full in ", &format::span(s)].concat());
        let extra = until.unwrap_or_else(|| format::bytes(space.available) + " free");
        let rank = if all && at > 0 { 10 } else { 4 };
        let mut strip = strip(&label, rank, &series, Some(format::share(space.used_share())), Some(extra));
        if space.used_share() >= FULL_BAD && source.is_current(clock.now) {
            strip.value.role = Role::Critical;
        }
        strips.push(strip);
    }
    strips
}
