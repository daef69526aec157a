//! One sweep over what the kernel says of the whole machine: no file here can hang, and together they take about 1 ms.

use std::time::Instant;

use sysinfo::System;

use super::cpu::{CpuSample, parse_stat};
use super::files;
use super::listen::{self, Socket, parse_snmp};
use super::mounts::{Mount, parse_mountinfo};
use super::network::{Traffic, parse_dev};
use super::pressure::{parse_oom_kills, parse_pressure};
use crate::domain::host::{HostReading, Minute, Pressure};

/// What one sweep brought.
#[derive(Debug)]
pub(super) struct Sweep {
    /// When.
    pub(super) at: Instant,
    /// CPU time so far.
    pub(super) cpu: Option<CpuSample>,
    /// Traffic so far.
    pub(super) networks: Vec<Traffic>,
    /// File systems to ask.
    pub(super) mounts: Vec<Mount>,
    /// Sockets that listen.
    pub(super) sockets: Vec<Socket>,
    /// TCP segments sent so far, and sent again.
    pub(super) segments: Option<(u64, u64)>,
    /// What needs no second look; the rest of it is still empty.
    pub(super) reading: HostReading,
}

/// Reads it all. An error means that nothing at all can be seen.
pub(super) fn sweep(kept: &mut Option<System>) -> Result<Sweep, String> {
    let system = match kept {
        Some(system) => system,
        none @ None => none.insert(System::new().map_err(|error| format!("The host can't be watched: {error}."))?),
    };
    let mut unseen = Vec::new();
    let at = Instant::now();
    let cpu =
        told(&mut unseen, "CPU time", "/proc/stat", |path| files::text(path).map(|text| parse_stat(&text))).flatten();
    let networks =
        told(&mut unseen, "Network traffic", "/proc/net/dev", |path| files::text(path).map(|text| parse_dev(&text)));
    let mounts = told(&mut unseen, "File systems", "/proc/self/mountinfo", |path| {
        files::bytes(path).map(|bytes| parse_mountinfo(&bytes))
    });
    let (mounts, beyond) = mounts.unwrap_or_default();
    if beyond > 0 {
        unseen.push(format!("{beyond} more file systems are mounted than are shown."));
    }
    system.refresh_memory();
    if system.total_memory() == 0 {
        unseen.push("Memory can't be seen: /proc/meminfo can't be read.".to_owned());
    }
    if cpu.is_none() && system.total_memory() == 0 {
        return Err(
            "The host can't be watched: /proc can't be read. Is it mounted, and may this user read it?".to_owned()
        );
    }
    let reading = HostReading {
        load: System::load_average().ok().map(|load| [load.one, load.five, load.fifteen]),
        memory_total: system.total_memory(),
        memory_available: system.available_memory().min(system.total_memory()),
        swap_total: system.total_swap(),
        swap_used: system.total_swap().saturating_sub(system.free_swap()),
        oom_kills: files::text("/proc/vmstat").ok().and_then(|text| parse_oom_kills(&text)),
        pressure: pressure(),
        uptime_s: System::uptime().unwrap_or_default(),
        unseen,
        ..HostReading::default()
    };
    let segments = files::text("/proc/net/snmp").ok().and_then(|text| parse_snmp(&text));
    Ok(Sweep { at, cpu, networks: networks.unwrap_or_default(), mounts, sockets: listen::sockets(), segments, reading })
}

/// What `read` gets from `path`; or a sentence about `subject` in `unseen`.
fn told<T>(
    unseen: &mut Vec<String>,
    subject: &str,
    path: &str,
    read: impl FnOnce(&str) -> std::io::Result<T>,
) -> Option<T> {
    read(path).map_err(|error| unseen.push(format!("{subject} can't be seen: {path}: {error}."))).ok()
}

/// Kernels without it, or with it switched off, are common: then it is missing without a word.
fn pressure() -> Option<Pressure> {
    let of =
        |resource: &str| files::text(&format!("/proc/pressure/{resource}")).ok().and_then(|text| parse_pressure(&text));
    let (cpu, memory, io) = (of("cpu")?, of("memory")?, of("io")?);
    let minute = Minute {
        cpu: cpu.some_60,
        memory: memory.some_60,
        memory_full: memory.full_60,
        io: io.some_60,
        io_full: io.full_60,
        cpu_5: cpu.some_300,
        io_full_5: io.full_300,
    };
    Some(Pressure { cpu: cpu.some_10, memory: memory.some_10, io: io.some_10, minute })
}
