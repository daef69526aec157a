//! This machine: CPU, memory, disks and inodes, pressure, network, top processes.
//!
//! Everything that could block runs in errands on threads of their own, at most one of each kind under way: the sweep
//! over `/proc`, the process list, and `statvfs` of every mount. What doesn't come in time is told, not waited for.
//!
//! sysinfo is used in this module only.

mod clock;
mod cpu;
mod depth;
mod disks;
mod files;
mod listen;
mod lookups;
mod mounts;
mod network;
mod oom;
mod openfiles;
mod pressure;
mod processes;
mod sweep;
mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sysinfo::System;

pub use self::disks::Statvfs;
pub use self::targets::Targets;

use self::cpu::{CpuSample, CpuShares};
use self::depth::Depths;
use self::disks::Disks;
use self::listen::{Queues, Retransmits};
use self::lookups::Lookups;
use self::network::Traffic;
use self::processes::Processes;
use self::sweep::{Sweep, sweep};
use super::errand::{Answer, Errand};
use crate::domain::host::{HostReading, Network};
use crate::domain::host_trend::FillTrend;
use crate::domain::reading::Seen;
use crate::domain::time::Timestamp;
use crate::ports::Observe;

/// How long the first look waits for what doesn't come: the screen is still empty.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);
/// How long a later one does.
const PATIENCE: Duration = Duration::from_secs(1);
/// Rates over less than this would be noise: a tick of CPU time is 10 ms.
const SHORTEST_SPAN: Duration = Duration::from_millis(80);

/// The host midwatch runs on.
///
/// CPU shares and network rates need two looks: the first has neither. Worth a second look 100 ms later.
pub struct HostProbe {
    sweeping: Errand<(Option<System>, Result<Sweep, String>)>,
    system: Option<System>,
    rates: Rates,
    disks: Disks,
    processes: Processes,
    depths: Depths,
    lookups: Lookups,
    queues: Queues,
    retransmits: Retransmits,
    memory: FillTrend,
    begun: Instant,
    looked: bool,
}

/// What follows from two sweeps.
#[derive(Default)]
struct Rates {
    before: Option<(Instant, Option<CpuSample>, Vec<Traffic>)>,
    cpu: Option<CpuShares>,
    networks: Vec<Network>,
}

impl Default for HostProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl HostProbe {
    /// Reads nothing yet.
    pub fn new() -> Self {
        Self::with_statvfs(Arc::new(disks::ask_kernel))
    }

    /// The same, told what the sites are about: deleted files of their data, and how their names resolve.
    pub fn watching(targets: &Targets) -> Self {
        Self { depths: Depths::new(targets.clone()), lookups: Lookups::new(&targets.names), ..Self::new() }
    }

    /// The same with another way to the space of a mount: how a hung mount is tried out.
    pub fn with_statvfs(statvfs: Statvfs) -> Self {
        Self {
            sweeping: Errand::default(),
            system: None,
            rates: Rates::default(),
            disks: Disks::new(statvfs),
            processes: Processes::default(),
            depths: Depths::new(Targets::default()),
            lookups: Lookups::new(&[]),
            queues: Queues::default(),
            retransmits: Retransmits::default(),
            memory: FillTrend::default(),
            begun: Instant::now(),
            looked: false,
        }
    }

    /// One sweep over `/proc`, or why there is none.
    async fn sweep(&mut self) -> Result<Sweep, String> {
        if !self.sweeping.is_under_way() {
            let mut system = self.system.take();
            let begun = self.sweeping.begin(move || {
                let sweep = sweep(&mut system);
                (system, sweep)
            });
            begun.map_err(|error| format!("The host can't be watched: no thread to be had ({error})."))?;
        }
        match self.sweeping.answer(Instant::now() + PATIENCE).await {
            Answer::Came((system, sweep)) => {
                self.system = system;
                sweep
            }
            Answer::Waiting(since) => Err(format!("/proc has not answered for {:.1} s.", since.as_secs_f64())),
            Answer::Lost => Err("The look at /proc ended without an answer.".to_owned()),
        }
    }
}

impl Observe for HostProbe {
    type Value = HostReading;

    async fn observe(&mut self) -> Seen<HostReading> {
        let start = Instant::now();
        let deadline = start + if self.looked { PATIENCE } else { FIRST_PATIENCE };
        self.processes.begin(start);
        let Sweep { at, cpu, networks, mounts, sockets, segments, mut reading } = match self.sweep().await {
            Ok(sweep) => sweep,
            Err(why) => return Seen::Failed(why),
        };
        self.rates.note(at, cpu, networks);
        if let Some(shares) = &self.rates.cpu {
            reading.cpu = Some(shares.busy);
            reading.steal = Some(shares.steal);
            reading.cores.clone_from(&shares.cores);
        }
        reading.networks.clone_from(&self.rates.networks);
        reading.disks = self.disks.look(&mounts, deadline).await;
        let (list, unseen) = self.processes.list(deadline).await;
        reading.processes.clone_from(&list.top);
        reading.process_count = list.count;
        reading.unseen.extend(unseen);
        self.memory.note(self.begun.elapsed().as_secs(), reading.memory_available);
        reading.memory_gone_in_s = self.memory.full_in_s(reading.memory_available);
        reading.retransmitted = self.retransmits.note(segments, at);
        let seen_at = now();
        // The first reading is drawn before anything slow is begun.
        let looked =
            if self.looked { self.depths.look(at, seen_at, reading.oom_kills, reading.uptime_s).await } else { None };
        let none = std::collections::BTreeMap::new();
        reading.listeners = self.queues.told(sockets, looked.map_or(&none, |looked| &looked.owners), at);
        if let Some(looked) = looked {
            reading.unseen.extend(looked.unseen.clone());
            let lookups = self.lookups.look(at, seen_at).await;
            reading.depth = Some(crate::domain::host::Depth { lookups, ..looked.depth.clone() });
        }
        self.looked = true;
        Seen::Value(reading)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Rates {
    /// Takes in a sweep; one that follows too closely on the last changes nothing.
    fn note(&mut self, at: Instant, cpu: Option<CpuSample>, networks: Vec<Traffic>) {
        if let Some((before, cpu_before, networks_before)) = &self.before {
            let span = at.duration_since(*before);
            if span < SHORTEST_SPAN {
                return;
            }
            self.cpu = cpu.as_ref().zip(cpu_before.as_ref()).and_then(|(now, before)| now.since(before));
            self.networks = network::rates(networks_before, &networks, span.as_secs_f64());
        }
        self.before = Some((at, cpu, networks));
    }
}
