//! What of a host is worth a row only when it is there: deleted files that take room, connections that wait, names that
//! don't resolve, the clock, kills, loss.

use super::canvas::{Piece, piece};
use super::clock::Clock;
use super::format;
use super::theme::Role;
use crate::domain::host::HostReading;

/// From this share on what is sent twice is worth a row. A mark is no alarm: findings have their own thresholds.
const LOSS: f64 = 0.01;

/// The rows, the most pressing first.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn rows(reading: &HostReading, clock: &Clock) -> Vec<Vec<Piece>> {
    let mut out = Vec::new();
    let mut row = |name: &str, role: Role, text: String, more: String| {
        out.push(vec![piece(Role::Text, format!("{name:<9}")), piece(role, text), piece(Role::Muted, more)]);
    };
    for disk in &reading.disks {
        if let Some(why) = &disk.turned_read_only {
            row("disk", Role::Critical, format!("✖ {} became read-only", disk.mount), [" · ", why].concat());
        }
    }
    let depth = reading.depth.as_ref();
    for file in depth.iter().flat_map(|depth| &depth.deleted).filter(|file| file.data_of.is_some()).take(2) {
        let more = format!(" · copy it from /proc/{}/fd/{}", file.pid, file.fd);
        row("deleted", Role::Warning, format!("▲ {} is open in {}", file.path, file.pid), more);
    }
    let newest = depth.and_then(|depth| depth.oom.recent.first());
    if let Some(kill) = newest {
        let victim = kill.victim.as_deref().unwrap_or("a process");
        let group = kill.group.as_ref().map(|group| format!(" · limit of {group}")).unwrap_or_default();
        row(
            "killed",
            Role::Warning,
            format!("▲ {victim}, for want of memory, {}", format::ago(kill.at, clock.now)),
            group,
        );
    }
    let mut queues: Vec<_> = reading.listeners.iter().filter(|listener| listener.waiting > 0).collect();
    queues.sort_by_key(|listener| std::cmp::Reverse(listener.waiting));
    for queue in queues.into_iter().take(2) {
        let who = queue.process.as_deref().unwrap_or("seen only as root");
        let stopped = if queue.stopped { ", stopped" } else { "" };
        let role = if queue.stopped { Role::Critical } else { Role::Accent };
        let text = format!("{} wait at {}:{}", queue.waiting, queue.address, queue.port);
        row("queue", role, text, format!(" · for {} · {who}{stopped}", format::span(queue.waiting_s.into())));
    }
    for lookup in depth.iter().flat_map(|depth| &depth.lookups) {
        match &lookup.result {
            Err(why) => {
                row("name", Role::Warning, format!("▲ {} does not resolve", lookup.name), [" · ", why].concat());
            }
            Ok(_) if lookup.slow > 0 => {
                let took = format::latency(lookup.took_ms as f64 / 1000.0);
                row(
                    "name",
                    Role::Warning,
                    format!("▲ {} took {took}", lookup.name),
                    [" · ", &lookup.used_for].concat(),
                );
            }
            Ok(_) => {}
        }
    }
    if let Some(share) = reading.retransmitted.filter(|share| *share >= LOSS) {
        row("sent twice", Role::Accent, format::share(share), " of the TCP segments of the last minute".to_owned());
    }
    if let Some(depth) = depth {
        let files = depth.deleted.iter().filter(|file| file.data_of.is_none());
        if let Some(largest) = files.max_by_key(|file| file.bytes) {
            let hidden = if depth.hidden_processes > 0 { " at least" } else { "" };
            let text = format!("{}{hidden} in deleted files still open", format::bytes(depth.deleted_bytes));
            row(
                "deleted",
                Role::Accent,
                text,
                format!(" · most: {} · {} {}", largest.path, largest.pid, largest.command),
            );
        }
        let clock = &depth.clock;
        match (clock.synchronised, clock.offset_ms) {
            (Some(true), Some(ms)) => row("clock", Role::Text, format!("{ms} ms off"), [" · ", &clock.by].concat()),
            (Some(true), None) => row("clock", Role::Text, "in step".to_owned(), [" · ", &clock.by].concat()),
            (Some(false), _) => {
                row("clock", Role::Note, "nothing keeps it in step".to_owned(), [" · ", &clock.by].concat());
            }
            (None, _) => row("clock", Role::Unknown, "? not known".to_owned(), [" · ", &clock.by].concat()),
        }
    }
    out
}
