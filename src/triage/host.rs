//! What the machine says (FIELD INC-08, INC-20, INC-29, INC-30, INC-31, and hung mounts).

pub mod depth;
pub mod network;

use super::{Claim, HostFacts, Rule, Thresholds};
use crate::domain::host::{Disk, DiskSpace, HostReading};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::traffic::share;

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "disk-full",
        incidents: &["INC-20", "INC-29"],
        reads: &[SourceKind::Host],
        thresholds: &["disk_warning", "disk_critical"],
        meaning: "A file system is full or nearly so.",
        mend: "Free room elsewhere first: old logs, package caches, old proven dumps.",
        danger: "Deleting WAL destroys the database; deleting the newest backup leaves none.",
        runbook: Some("free-space"),
    },
    Rule {
        id: "disk-filling",
        incidents: &["INC-20"],
        reads: &[SourceKind::Host],
        thresholds: &["disk_full_within_hours"],
        meaning: "At the pace of the last hour a file system will be full soon.",
        mend: "Find what grows, and stop it or move it.",
        danger: "Deleting WAL destroys the database.",
        runbook: Some("free-space"),
    },
    Rule {
        id: "inodes-full",
        incidents: &["INC-30"],
        reads: &[SourceKind::Host],
        thresholds: &["inodes_warning", "inodes_critical"],
        meaning: "A file system has space but no file slots left.",
        mend: "Find the directory with the most files and remove old ones by age.",
        danger: "rm -rf with a pattern takes more than was meant.",
        runbook: Some("free-space"),
    },
    Rule {
        id: "inodes-filling",
        incidents: &["INC-30"],
        reads: &[SourceKind::Host],
        thresholds: &["disk_full_within_hours"],
        meaning: "At the pace of the last hour a file system will have no file slots left soon.",
        mend: "Find the directory that grows (sessions, cache, mail queue), and what fills it.",
        danger: "rm -rf with a pattern takes more than was meant.",
        runbook: Some("free-space"),
    },
    Rule {
        id: "disk-read-only",
        incidents: &["INC-31"],
        reads: &[SourceKind::Host],
        thresholds: &[],
        meaning: "A file system that was writable, or should be, takes no writes any more: usually after I/O errors.",
        mend: "Copy what the kernel's log says to memory, stop the application, call whoever runs the storage.",
        danger: "A file system check while it is mounted; a reboot that does not come back.",
        runbook: None,
    },
    Rule {
        id: "mount-hangs",
        incidents: &["INC-35"],
        reads: &[SourceKind::Host],
        thresholds: &[],
        meaning: "A mounted file system does not answer; whatever touches it hangs.",
        mend: "Find out why its server is gone; nothing on this host mends it.",
        danger: "A forced unmount loses what was not written.",
        runbook: None,
    },
    Rule {
        id: "memory-short",
        incidents: &["INC-08"],
        reads: &[SourceKind::Host],
        thresholds: &["memory_available_warning", "memory_available_critical"],
        meaning: "Little memory can be had without swapping.",
        mend: "See what takes it and what started last; stop the newest heavy job.",
        danger: "Killing the database instead of the job that grew.",
        runbook: None,
    },
    Rule {
        id: "memory-filling",
        incidents: &["INC-08"],
        reads: &[SourceKind::Host],
        thresholds: &["memory_gone_within_minutes"],
        meaning: "At the pace of the last hour no memory will be left soon.",
        mend: "See which process grows; restart that one by its own means before the kernel kills another.",
        danger: "Killing the database instead of the job that grows.",
        runbook: None,
    },
    Rule {
        id: "host-unseen",
        incidents: &[],
        reads: &[SourceKind::Host],
        thresholds: &[],
        meaning: "The host itself can not be read, so nothing is known of it.",
        mend: "See the reason that is told.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "no-readings",
        incidents: &[],
        reads: &[SourceKind::Health, SourceKind::Host],
        thresholds: &[],
        meaning: "Nothing was read for a while: the midwatch that polls is stopped or can not write.",
        mend: "End the midwatch that is named; another one takes over.",
        danger: "",
        runbook: None,
    },
];

/// What the host claims.
pub fn claims(facts: &HostFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    match facts.reading {
        Reading::Fresh { value, at, .. } => {
            let mut out = Vec::new();
            for disk in &value.disks {
                space(disk, *at, limits, &mut out);
            }
            memory(value, *at, limits, &mut out);
            depth::claims(value, *at, limits, &mut out);
            network::claims(value, *at, limits, &mut out);
            out
        }
        Reading::Stale { failed_since, why, .. } | Reading::Failed { failed_since, why } => {
            vec![claim(
                "host-unseen",
                "",
                Level::Unknown,
                "The host can't be read".to_owned(),
                why.clone(),
                *failed_since,
            )]
        }
        Reading::Never | Reading::Unseen { .. } => Vec::new(),
    }
}

fn claim(rule: &'static str, subject: &str, level: Level, title: String, evidence: String, at: Timestamp) -> Claim {
    Claim::new(rule, level, title, evidence, SourceKind::Host, at).of(subject)
}

fn graded(value: f64, warning: f64, critical: f64) -> Option<Level> {
    if value >= critical { Some(Level::Critical) } else { (value >= warning).then_some(Level::Warning) }
}

fn space(disk: &Disk, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let mount = disk.mount.as_str();
    let space = match &disk.space {
        Ok(space) => space,
        Err(why) => {
            // A slow first answer is none yet, and no fault.
            if why.ends_with("not answered yet") {
                return;
            }
            let evidence = format!("{} {} · {why}", disk.kind, disk.device);
            let title = format!("{mount} does not answer");
            return out.push(claim("mount-hangs", mount, Level::Critical, title, evidence, at));
        }
    };
    if let Some(why) = &disk.turned_read_only {
        let title = format!("{mount} has become read-only");
        let evidence = format!("{why} · {} {}", disk.kind, disk.device);
        out.push(claim("disk-read-only", mount, Level::Critical, title, evidence, at));
    }
    full(mount, disk, space, at, limits, out);
    let inodes = space.inodes_used_share().and_then(|s| graded(s, limits.inodes_warning, limits.inodes_critical));
    if let Some(level) = inodes {
        let title = format!("{mount} has {} file slots (inodes) left", space.inodes_available);
        let evidence =
            format!("of {}; {} of space is free: few bytes, many files", space.inodes, text::bytes(space.available));
        out.push(claim("inodes-full", mount, level, title, evidence, at));
    } else if let Some(secs) = space.inodes_full_in_s.filter(|s| hours(*s) <= limits.disk_full_within_hours)
        && space.inodes_used_share().is_some_and(|share| share >= 0.6)
    {
        let when = text::span(secs.saturating_mul(1000));
        let title = format!("{mount} will have no file slots (inodes) left in {when}");
        let evidence = format!("{} of {} left", space.inodes_available, space.inodes);
        out.push(claim("inodes-filling", mount, Level::Warning, title, evidence, at));
    }
}

fn full(mount: &str, disk: &Disk, space: &DiskSpace, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let left = format!("{} of {} left", text::bytes(space.available), text::bytes(space.total));
    let pace = space
        .full_in_s
        .map(|s| format!(" · full in {} at this pace", text::span(s.saturating_mul(1000))))
        .unwrap_or_default();
    let evidence = format!("{left}{pace} · {} {}", disk.kind, disk.device);
    let by_pace =
        space.full_in_s.is_some_and(|s| hours(s) <= limits.disk_full_within_hours) && space.used_share() >= 0.6;
    if let Some(level) = graded(space.used_share(), limits.disk_warning, limits.disk_critical) {
        let title = if space.available == 0 {
            format!("{mount} is full")
        } else {
            format!("{mount} is {} full", text::percent(space.used_share()))
        };
        out.push(claim("disk-full", mount, level, title, evidence, at));
    } else if by_pace {
        let when = text::span(space.full_in_s.unwrap_or(0).saturating_mul(1000));
        out.push(claim("disk-filling", mount, Level::Warning, format!("{mount} will be full in {when}"), evidence, at));
    }
}

#[expect(clippy::cast_precision_loss, reason = "hours of a month fit")]
fn hours(secs: u64) -> f64 {
    secs as f64 / 3600.0
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn memory(host: &HostReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let Some(free) = share(host.memory_available as f64, host.memory_total as f64) else { return };
    let level = if free <= limits.memory_available_critical {
        Level::Critical
    } else if free <= limits.memory_available_warning {
        Level::Warning
    } else {
        return memory_filling(host, free, at, limits, out);
    };
    let title = format!(
        "Memory is short: {} of {} available",
        text::bytes(host.memory_available),
        text::bytes(host.memory_total)
    );
    let top = host.processes.iter().max_by_key(|p| p.memory);
    let top = top.map(|p| format!("largest: {} {} ({})", p.pid, text::plain(&p.command, 40), text::bytes(p.memory)));
    out.push(claim("memory-short", "", level, title, top.unwrap_or_default(), at));
}

/// Memory that is half gone and will be so altogether soon.
#[expect(clippy::cast_precision_loss, reason = "minutes of a month fit")]
fn memory_filling(host: &HostReading, free: f64, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    let soon = |secs: &u64| *secs as f64 / 60.0 <= limits.memory_gone_within_minutes;
    let Some(secs) = host.memory_gone_in_s.filter(soon).filter(|_| free <= 0.5) else { return };
    let title = format!("Memory will be used up in {}", text::span(secs.saturating_mul(1000)));
    let top = host.processes.iter().max_by_key(|p| p.memory);
    let top = top.map(|p| format!("; largest: {} {} ({})", p.pid, text::plain(&p.command, 40), text::bytes(p.memory)));
    let left = format!("{} of {} available", text::bytes(host.memory_available), text::bytes(host.memory_total));
    out.push(claim("memory-filling", "", Level::Warning, title, [left, top.unwrap_or_default()].concat(), at));
}

#[cfg(test)]
mod tests;
