use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::super::mounts::Mount;
use super::{Disk, DiskSpace, Disks, REMEMBERED, ask_kernel};

const SPACE: DiskSpace = DiskSpace {
    total: 100,
    available: 40,
    reserved: 0,
    inodes: 10,
    inodes_available: 5,
    read_only: false,
    full_in_s: None,
    inodes_full_in_s: None,
};

fn mount(path: &str) -> Mount {
    Mount {
        path: PathBuf::from(path),
        id: format!("8:{}", path.len()),
        device: "/dev/x".into(),
        kind: "ext4".into(),
        read_only: false,
        for_writing: true,
        failed: false,
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(20)
}

fn patient() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn space<'a>(disks: &'a [Disk], path: &str) -> &'a Result<DiskSpace, String> {
    &disks.iter().find(|disk| disk.mount == path).unwrap().space
}

#[tokio::test]
async fn a_hung_mount_stops_no_other_and_is_not_asked_twice() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let counter = Arc::clone(&asked);
    let mut disks = Disks::new(Arc::new(move |path: &Path| {
        if path == Path::new("/hung") {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = gate.lock().unwrap().recv();
        }
        Ok(SPACE)
    }));
    let mounts = [mount("/"), mount("/hung"), mount("/var")];

    let hung = [mount("/hung")];
    let seen = disks.look(&hung, soon()).await;
    assert!(space(&seen, "/hung").as_ref().is_err_and(|why| why.starts_with("statvfs has not answered")));
    for _ in 0..3 {
        let others = [mount("/"), mount("/var")];
        let seen = disks.look(&others, patient()).await;
        assert_eq!((space(&seen, "/"), space(&seen, "/var")), (&Ok(SPACE), &Ok(SPACE)));
        let seen = disks.look(&mounts, soon()).await;
        assert!(space(&seen, "/hung").as_ref().is_err_and(|why| why.starts_with("statvfs has not answered")));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    release.send(()).unwrap();
    let seen = disks.look(&mounts, patient()).await;
    assert_eq!(*space(&seen, "/hung"), Ok(SPACE));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    release.send(()).unwrap();
    let seen = disks.look(&mounts, patient()).await;
    assert_eq!(*space(&seen, "/hung"), Ok(SPACE));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn mounts_that_go_away_are_forgotten_and_hung_ones_stay_bounded() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let mut disks = Disks::new(Arc::new(move |path: &Path| {
        if path.to_string_lossy().starts_with("/hung") {
            let _ = gate.lock().unwrap().recv();
        }
        Ok(SPACE)
    }));
    disks.look(&[mount("/a")], patient()).await;
    disks.look(&[mount("/b")], patient()).await;
    assert_eq!(disks.watched.len(), 1);
    for number in 0..REMEMBERED {
        disks.look(&[mount(&format!("/hung{number}"))], Instant::now()).await;
    }
    let seen = disks.look(&[mount("/hung-again")], Instant::now()).await;
    assert!(space(&seen, "/hung-again").as_ref().is_err_and(|why| why.starts_with("not asked")));
    drop(release);
}

#[tokio::test]
async fn errors_are_told_and_file_systems_without_blocks_left_out() {
    let mut disks = Disks::new(Arc::new(|path: &Path| match path.to_str() {
        Some("/denied") => Err(io::Error::from_raw_os_error(13)),
        Some(_) | None => Ok(DiskSpace { total: 0, ..SPACE }),
    }));
    let seen = disks.look(&[mount("/denied"), mount("/empty")], patient()).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(*space(&seen, "/denied"), Err("statvfs failed: Permission denied (os error 13)".to_owned()));
}

#[tokio::test]
async fn whether_it_takes_writes_is_the_file_systems_word() {
    let mut disks = Disks::new(Arc::new(|_: &Path| Ok(DiskSpace { full_in_s: Some(1), ..SPACE })));
    let seen = disks.look(&[Mount { read_only: true, ..mount("/") }], patient()).await;
    assert_eq!(*space(&seen, "/"), Ok(DiskSpace { read_only: true, ..SPACE }));
}

#[test]
fn the_kernel_answers_for_the_root() {
    let space = ask_kernel(Path::new("/")).unwrap();
    assert!(space.total > 0 && space.available <= space.total && space.inodes_available <= space.inodes);
    assert!(ask_kernel(Path::new("/does/not/exist")).is_err());
}
