//! The host probe on the machine the tests run on.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use midwatch::backends::host::HostProbe;
use midwatch::domain::host::{DiskSpace, HostReading};
use midwatch::domain::reading::Seen;
use midwatch::ports::Observe as _;

async fn look(probe: &mut HostProbe) -> Result<HostReading, Seen<HostReading>> {
    match probe.observe().await {
        Seen::Value(reading) => Ok(reading),
        other @ (Seen::Failed(_) | Seen::Unseen(_) | Seen::Asking) => Err(other),
    }
}

/// Looks every 100 ms until `wanted` holds.
async fn until(probe: &mut HostProbe, wanted: impl Fn(&HostReading) -> bool) -> HostReading {
    let given_up = Instant::now() + Duration::from_mins(1);
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let seen = look(probe).await;
        match seen {
            Ok(reading) if wanted(&reading) => return reading,
            Ok(_) | Err(_) => assert!(Instant::now() < given_up, "{seen:#?}"),
        }
    }
}

/// Ended with the test.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn the_first_look_has_all_but_what_needs_two() {
    let mut probe = HostProbe::new();
    let first = look(&mut probe).await.unwrap();
    assert_eq!((first.cpu, first.steal, first.cores.len(), first.networks.len()), (None, None, 0, 0));
    assert!(first.memory_total > 0 && first.memory_available > 0 && first.memory_available <= first.memory_total);
    assert!(first.swap_used <= first.swap_total && first.uptime_s > 0);
    assert!(first.load.is_some_and(|load| load.iter().all(|load| *load >= 0.0)));
    assert!(first.disks.iter().any(|disk| disk.mount == "/"), "{:?}", first.disks);
    if let Some(pressure) = first.pressure {
        assert!([pressure.cpu, pressure.memory, pressure.io].iter().all(|share| (0.0..=1.0).contains(share)));
    }

    let later = until(&mut probe, |reading| reading.cpu.is_some() && reading.process_count > 0).await;
    let shares = later.cpu.iter().chain(later.steal.iter()).chain(&later.cores);
    assert!(shares.into_iter().all(|share| (0.0..=1.0).contains(share)), "{later:?}");
    assert!(!later.cores.is_empty());
    assert!(later.networks.iter().all(|network| network.name != "lo" && network.received_per_s >= 0.0));
    assert!(later.processes.len() <= 30 && !later.processes.is_empty());
    let root = later.disks.iter().find(|disk| disk.mount == "/").and_then(|disk| disk.space.as_ref().ok()).unwrap();
    assert!(root.total > 0 && (0.0..=1.0).contains(&root.used_share()) && root.full_in_s.is_none());
}

#[tokio::test]
async fn a_busy_process_is_listed_without_its_password() {
    let child = Command::new("sh")
        .args(["-c", "while :; do :; done", "busy", "--password=hunter2", "redis://:hunter2@127.0.0.1/0"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let busy = Busy(child);
    let mut probe = HostProbe::new();
    let own = |reading: &HostReading| reading.processes.iter().find(|process| process.pid == busy.0.id()).cloned();
    let reading = until(&mut probe, |reading| own(reading).is_some_and(|process| process.cpu > 0.0)).await;
    let process = own(&reading).unwrap();
    assert_eq!(process.command, "sh -c while :; do :; done busy --password=*** redis://:***@127.0.0.1/0");
    assert_eq!(process.state, "running");
    assert!(reading.processes.windows(2).all(|pair| pair[0].cpu >= pair[1].cpu));
    assert!(!format!("{reading:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_hung_mount_leaves_everything_else_to_be_seen() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (release, gate) = mpsc::channel::<()>();
    let (counter, gate) = (Arc::clone(&asked), Mutex::new(gate));
    let mut probe = HostProbe::with_statvfs(Arc::new(move |path: &Path| {
        if path == Path::new("/") {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = gate.lock().unwrap().recv();
        }
        Ok(DiskSpace {
            total: 2,
            available: 1,
            reserved: 0,
            inodes: 0,
            inodes_available: 0,
            read_only: false,
            full_in_s: None,
            inodes_full_in_s: None,
        })
    }));
    let root = |reading: &HostReading| reading.disks.iter().find(|disk| disk.mount == "/").cloned().unwrap();
    for _ in 0..2 {
        let reading = look(&mut probe).await.unwrap();
        assert!(reading.memory_total > 0);
        assert!(root(&reading).space.is_err_and(|why| why.contains("has not answered")));
        assert!(reading.disks.iter().all(|disk| disk.mount == "/" || disk.space.is_ok()));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(release);
    until(&mut probe, |reading| root(reading).space.is_ok()).await;
}
