//! Deleted files that are still open, kills for want of memory, pressure that lasts (FIELD INC-08, INC-29, INC-39).

use std::collections::BTreeMap;

use super::{claim, graded};
use crate::domain::host::{DeletedFile, Depth, HostReading};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::share;
use crate::triage::{Claim, Rule, Thresholds};

/// Deleted files on a disk with room are worth a note from this share of it on.
const NOTED_SHARE: f64 = 0.05;
/// On one that is short of room, from this share on.
const SHORT_SHARE: f64 = 0.01;
/// And never below this, in bytes.
const LEAST: u64 = 10 << 20;

/// From so many tasks per core on a CPU that is waited for is a warning (load average of five minutes).
const CROWDED: f64 = 3.0;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "deleted-open",
        incidents: &["INC-29"],
        reads: &[SourceKind::Host],
        thresholds: &["disk_warning"],
        meaning: "A file was deleted while a process holds it open: its space is not free, and du does not find it.",
        mend: "Reload or restart the unit that holds it; or truncate it through /proc/PID/fd/FD. Then let logrotate do it.",
        danger: "Truncating a file of the database.",
        runbook: Some("free-space"),
    },
    Rule {
        id: "deleted-data",
        incidents: &["INC-39"],
        reads: &[SourceKind::Host],
        thresholds: &[],
        meaning: "A file of a site's data was deleted or overwritten, and a process still holds its old content.",
        mend: "Copy it out of /proc/PID/fd/FD to another disk now; end nothing that holds it.",
        danger: "Restarting that process loses it; every write to that disk may.",
        runbook: None,
    },
    Rule {
        id: "oom-kills",
        incidents: &["INC-08"],
        reads: &[SourceKind::Host],
        thresholds: &[],
        meaning: "The kernel killed a process for want of memory within the last half hour.",
        mend: "See who was killed and what took the memory; stop the newest heavy job, or raise the limit of the unit.",
        danger: "Killing the database instead of the job that grew.",
        runbook: None,
    },
    Rule {
        id: "pressure",
        incidents: &["INC-08", "INC-23"],
        reads: &[SourceKind::Host],
        thresholds: &[
            "pressure_memory_warning",
            "pressure_memory_critical",
            "pressure_cpu_warning",
            "pressure_io_warning",
        ],
        meaning: "For minutes the work on this host has stood still for want of CPU, memory or disk.",
        mend: "See what uses it and what started last; stop or nice the newest heavy job.",
        danger: "Restarting the application adds its start to the load.",
        runbook: None,
    },
];

/// What is claimed.
pub(super) fn claims(host: &HostReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    pressure(host, at, limits, out);
    let Some(depth) = &host.depth else { return };
    deleted(host, depth, at, limits, out);
    data(depth, at, out);
    out.extend(kills(depth, at));
}

/// `2.40 GB pretix.log, open in 1234 gunicorn …`.
fn held(file: &DeletedFile) -> String {
    format!("{} {}: pid {} fd {} · {}", text::bytes(file.bytes), file.path, file.pid, file.fd, file.command)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn deleted(host: &HostReading, depth: &Depth, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let mut by_mount: BTreeMap<&str, Vec<&DeletedFile>> = BTreeMap::new();
    for file in depth.deleted.iter().filter(|file| file.bytes >= LEAST) {
        by_mount.entry(&file.mount).or_default().push(file);
    }
    for (mount, files) in by_mount {
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let (Some(space), Some(largest)) =
            (host.disks.iter().find(|d| d.mount == mount).and_then(|d| d.space.as_ref().ok()), files.first())
        else {
            continue;
        };
        let part = share(bytes as f64, space.total as f64).unwrap_or(0.0);
        let level = graded(space.used_share(), limits.disk_warning, limits.disk_critical);
        let worth = part >= if level.is_some() { SHORT_SHARE } else { NOTED_SHARE };
        if !worth {
            continue;
        }
        let who = format!("{} (pid {})", text::plain(&largest.command, 40), largest.pid);
        let title = format!("{} of {mount} are held by deleted files still open in {who}", text::bytes(bytes));
        let hidden = match depth.hidden_processes {
            0 => String::new(),
            n => format!("; {n} processes can't be looked into without root: there may be more"),
        };
        let evidence = format!("{}{hidden}", held(largest));
        let claimed = claim("deleted-open", mount, level.unwrap_or(Level::Note), title, evidence, at);
        out.push(claimed.with(files.iter().map(|file| held(file))));
    }
}

fn data(depth: &Depth, at: Timestamp, out: &mut Vec<Claim>) {
    let mut by_dir: BTreeMap<&str, Vec<&DeletedFile>> = BTreeMap::new();
    for file in &depth.deleted {
        if let Some(dir) = &file.data_of {
            by_dir.entry(dir).or_default().push(file);
        }
    }
    for (dir, files) in by_dir {
        let Some(first) = files.first() else { continue };
        let what = text::count(u64::try_from(files.len()).unwrap_or(u64::MAX), "file");
        let title = format!("Suspected: {what} of {dir} deleted or overwritten; the old content is still open");
        let evidence = format!(
            "{} in pid {} ({}): copy /proc/{}/fd/{} to another disk before that process ends",
            first.path, first.pid, first.command, first.pid, first.fd
        );
        out.push(
            claim("deleted-data", dir, Level::Warning, title, evidence, at)
                .suspected()
                .with(files.iter().map(|f| held(f))),
        );
    }
}

fn kills(depth: &Depth, at: Timestamp) -> Option<Claim> {
    let recent = &depth.oom.recent;
    let (newest, oldest) = (recent.first()?, recent.last()?);
    let count: u64 = recent.iter().map(|kill| kill.count).sum();
    let named: Vec<&str> = recent.iter().filter_map(|kill| kill.victim.as_deref()).collect();
    let who = match named.as_slice() {
        [] => {
            if count == 1 {
                "a process".to_owned()
            } else {
                format!("{count} processes")
            }
        }
        [one] => (*one).to_owned(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    };
    let title = format!("The kernel killed {who} for want of memory");
    let ago = text::span(at.millis_since(newest.at));
    let group = newest.group.as_ref().map(|group| format!(" · at the limit of {group}")).unwrap_or_default();
    let unseen = depth.oom.victims_unseen.as_ref().map(|why| format!(" · {why}")).unwrap_or_default();
    let evidence = format!("the last one {ago} ago{group}{unseen}");
    let lines = recent.iter().map(|kill| {
        let victim = kill.victim.as_deref().unwrap_or("not named");
        let group = kill.group.as_ref().map(|group| format!(" in {group}")).unwrap_or_default();
        format!("{} ago: {} · {victim}{group}", text::span(at.millis_since(kill.at)), kill.count)
    });
    Some(claim("oom-kills", "", Level::Warning, title, evidence, at).since(oldest.at, true).with(lines))
}

#[expect(clippy::cast_precision_loss, reason = "cores are few")]
/// Over a minute: a peak of ten seconds is how a machine works.
fn pressure(host: &HostReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let Some(minute) = host.pressure.map(|pressure| pressure.minute) else { return };
    let memory = graded(minute.memory_full, limits.pressure_memory_warning, limits.pressure_memory_critical);
    let load = host.load.map(|[one, ..]| format!("load {one:.1} on {} cores", host.cores.len())).unwrap_or_default();
    let top = |by_memory: bool| {
        let busiest = host
            .processes
            .iter()
            .max_by(|a, b| if by_memory { a.memory.cmp(&b.memory) } else { a.cpu.total_cmp(&b.cpu) });
        busiest.map(|p| format!("; most: {} {}", p.pid, text::plain(&p.command, 40))).unwrap_or_default()
    };
    if let Some(level) = memory {
        let title =
            format!("All work stands still for want of memory {} of the time", text::percent(minute.memory_full));
        let left = format!("{} available", text::bytes(host.memory_available));
        out.push(claim("pressure", "memory", level, title, format!("last minute · {left}{}", top(true)), at));
    }
    // A nightly dump keeps a disk and a CPU busy for a while: only what lasts is told, and a CPU that many wait for.
    if minute.io_full.min(minute.io_full_5) >= limits.pressure_io_warning {
        let title = format!("All work stands still for a disk {} of the time", text::percent(minute.io_full));
        out.push(claim("pressure", "io", Level::Warning, title, format!("last minute · {load}{}", top(false)), at));
    }
    if minute.cpu.min(minute.cpu_5) >= limits.pressure_cpu_warning {
        let title = format!("Work waits for a CPU {} of the time", text::percent(minute.cpu));
        let steal =
            host.steal.filter(|s| *s >= 0.05).map(|s| format!(" · {} taken by the hypervisor", text::percent(s)));
        let evidence = format!("last minute · {load}{}{}", steal.unwrap_or_default(), top(false));
        let crowded =
            host.load.is_some_and(|[_, five, _]| !host.cores.is_empty() && five >= CROWDED * host.cores.len() as f64);
        let level = if crowded { Level::Warning } else { Level::Note };
        out.push(claim("pressure", "cpu", level, title, evidence, at));
    }
}
