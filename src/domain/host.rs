//! What is seen of a machine: CPU, memory, disks and their inodes, pressure, network, the top processes.

use serde::{Deserialize, Serialize};

/// One look at a host. Shares are 0.0 to 1.0; sizes are bytes; rates are per second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostReading {
    /// Busy share of all cores together since the last look.
    pub cpu: Option<f64>,
    /// Busy share of each core.
    pub cores: Vec<f64>,
    /// Share of time the hypervisor gave to others, where the kernel tells.
    pub steal: Option<f64>,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Memory in bytes.
    pub memory_total: u64,
    /// Memory that could be had without swapping (`MemAvailable`).
    pub memory_available: u64,
    /// Swap in bytes.
    pub swap_total: u64,
    /// Swap in use.
    pub swap_used: u64,
    /// Processes killed by the kernel for want of memory since boot (`/proc/vmstat` `oom_kill`).
    pub oom_kills: Option<u64>,
    /// Pressure stall information, where the kernel has it.
    pub pressure: Option<Pressure>,
    /// Every real file system.
    pub disks: Vec<Disk>,
    /// Every interface but loopback.
    pub networks: Vec<Network>,
    /// The processes that use most CPU and most memory, at most 30.
    pub processes: Vec<Process>,
    /// How many processes there are.
    pub process_count: u32,
    /// Seconds since boot.
    pub uptime_s: u64,
    /// What could not be seen, and why (a sandbox, a missing right), in sentences; a mount that hangs says so in its
    /// [`Disk::space`].
    pub unseen: Vec<String>,
}

/// Share of the last 10 s in which at least one task (`some`) waited, 0.0 to 1.0 (`/proc/pressure`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// For a CPU.
    pub cpu: f64,
    /// For memory.
    pub memory: f64,
    /// For a disk.
    pub io: f64,
}

/// One file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// Its device.
    pub device: String,
    /// Its kind: `ext4`, `xfs`, `nfs4`, …
    pub kind: String,
    /// Its space, or why that could not be had (`statvfs` did not answer for N s).
    pub space: Result<DiskSpace, String>,
}

/// Space and inodes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiskSpace {
    /// Bytes in all.
    pub total: u64,
    /// Bytes an ordinary user may still write (`f_bavail`).
    pub available: u64,
    /// Inodes in all; 0 where the file system has no such limit.
    pub inodes: u64,
    /// Inodes an ordinary user may still use (`f_favail`).
    pub inodes_available: u64,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Seconds until it is full at the pace of the last hour (at least 10 minutes of it seen); `None`: not filling.
    pub full_in_s: Option<u64>,
}

impl DiskSpace {
    /// Share of the space that is used, as `df` shows it.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn used_share(&self) -> f64 {
        if self.total == 0 { 0.0 } else { 1.0 - (self.available as f64 / self.total as f64).min(1.0) }
    }

    /// Share of the inodes that is used; `None` where there is no limit.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn inodes_used_share(&self) -> Option<f64> {
        (self.inodes > 0).then(|| 1.0 - (self.inodes_available as f64 / self.inodes as f64).min(1.0))
    }
}

/// One network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Bytes received per second.
    pub received_per_s: f64,
    /// Bytes sent per second.
    pub sent_per_s: f64,
    /// Errors per second, both ways.
    pub errors_per_s: f64,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The user it runs as.
    pub user: String,
    /// Its command line, without control characters, credentials masked, at most 200 characters.
    pub command: String,
    /// Share of one core since the last look (can exceed 1.0).
    pub cpu: f64,
    /// Resident memory in bytes.
    pub memory: u64,
    /// `running`, `sleeping`, `disk sleep`, `stopped`, `zombie`, …
    pub state: String,
}
