//! What is seen of a machine: CPU, memory, disks and their inodes, pressure, network, the top processes; and, seldom, what
//! takes longer to look at: deleted files that are still open, kills for want of memory, names, the clock.

mod depth;

pub use self::depth::{Clock, DeletedFile, Depth, Lookup, OomKill, OomKills};

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
    /// Seconds until no memory is available at the pace of the last hour; `None`: it isn't running out.
    #[serde(default)]
    pub memory_gone_in_s: Option<u64>,
    /// Sockets that listen on TCP, at most [`LISTENERS`].
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// Share of the TCP segments sent in the last minute that had to be sent again; `None` while too few were sent.
    #[serde(default)]
    pub retransmitted: Option<f64>,
    /// What is looked at seldom; `None` until it was.
    #[serde(default)]
    pub depth: Option<Depth>,
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

/// Most listening sockets of a reading.
pub const LISTENERS: usize = 128;

/// Share of the last 10 s in which at least one task (`some`) waited, 0.0 to 1.0 (`/proc/pressure`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// For a CPU.
    pub cpu: f64,
    /// For memory.
    pub memory: f64,
    /// For a disk.
    pub io: f64,
    /// The same over the last minute, and how long all tasks waited at once.
    #[serde(default)]
    pub minute: Minute,
}

/// Pressure over the last minute: what lasts. `full`: nothing at all got on meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Minute {
    /// At least one task waited for a CPU.
    pub cpu: f64,
    /// At least one waited for memory.
    pub memory: f64,
    /// All waited for memory.
    pub memory_full: f64,
    /// At least one waited for a disk.
    pub io: f64,
    /// All waited for a disk.
    pub io_full: f64,
    /// At least one task waited for a CPU, over the last five minutes.
    pub cpu_5: f64,
    /// All waited for a disk, over the last five minutes.
    pub io_full_5: f64,
}

/// A socket that listens on TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its address: `127.0.0.1`, `0.0.0.0`, `::`.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// For how many seconds at least one has waited at every look; 0: at this one only, or none.
    pub waiting_s: u32,
    /// The process that listens, where it can be seen: `1234 gunicorn`.
    pub process: Option<String>,
    /// Whether that process is stopped (SIGSTOP, a debugger).
    pub stopped: bool,
}

impl Listener {
    /// Whether everybody who reaches the host reaches it.
    pub fn is_open(&self) -> bool {
        matches!(self.address.as_str(), "0.0.0.0" | "::")
    }
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
    /// Why it is thought to have been made read-only by a fault: it was writable before, or should be.
    #[serde(default)]
    pub turned_read_only: Option<String>,
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
    /// Bytes kept for root (`f_bfree` less `f_bavail`).
    #[serde(default)]
    pub reserved: u64,
    /// Inodes in all; 0 where the file system has no such limit.
    pub inodes: u64,
    /// Inodes an ordinary user may still use (`f_favail`).
    pub inodes_available: u64,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Seconds until it is full at the pace of the last hour (at least 10 minutes of it seen); `None`: not filling.
    pub full_in_s: Option<u64>,
    /// Seconds until its inodes are used up at that pace.
    #[serde(default)]
    pub inodes_full_in_s: Option<u64>,
}

impl DiskSpace {
    /// Share of the space that is used, as `df` shows it.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn used_share(&self) -> f64 {
        let ordinary = self.total.saturating_sub(self.reserved);
        if ordinary == 0 { 0.0 } else { 1.0 - (self.available as f64 / ordinary as f64).min(1.0) }
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
