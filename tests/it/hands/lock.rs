//! The lock of a target: one at a time, whoever it is, and found again after its taker was killed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use midwatch::backends::process_id;
use midwatch::hands::lock::{LockTrouble, TargetLock, end_orphans, orphans, prepare};
use midwatch::runbook::run::ProcessId;
use tempfile::TempDir;

use super::{Running, gone};
use crate::support::servers::eventually;

const GRACE: Duration = Duration::from_secs(10);

fn place() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let locks = dir.path().join("midwatch");
    (dir, locks)
}

fn held(dir: &std::path::Path, target: &str) -> Option<(Vec<u32>, String)> {
    match TargetLock::take(dir, target) {
        Err(trouble @ LockTrouble::Held { .. }) => {
            let told = trouble.to_string();
            if let LockTrouble::Held { pids, .. } = trouble { Some((pids, told)) } else { None }
        }
        Ok(_) => None,
        Err(LockTrouble::Nowhere(why)) => Some((Vec::new(), why)),
    }
}

#[test]
fn a_target_is_locked_once_and_given_back() {
    let (_dir, locks) = place();
    let lock = TargetLock::take(&locks, "site:shop").unwrap();
    let (pids, told) = held(&locks, "site:shop").unwrap();
    assert_eq!(pids, [std::process::id()]);
    assert!(told.starts_with("site:shop is being acted on") && told.contains(&format!("pid {} (`", pids[0])), "{told}");
    drop(TargetLock::take(&locks, "site:other").unwrap());
    let inherited = lock.descriptor().unwrap();
    drop(lock);
    assert!(held(&locks, "site:shop").is_some(), "who inherited it holds it");
    drop(inherited);
    drop(TargetLock::take(&locks, "site:shop").unwrap());
}

#[test]
fn the_locks_are_made_for_everybody_to_read() {
    let (_dir, locks) = place();
    prepare(&locks).unwrap();
    let mut modes: Vec<_> = fs::read_dir(&locks)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o7777)
        })
        .collect();
    modes.sort();
    assert_eq!(modes.len(), 64);
    assert_eq!((modes[0].0.as_str(), modes[63].0.as_str()), ("lock-00", "lock-3f"));
    assert!(modes.iter().all(|(_, mode)| *mode == 0o644));
}

#[test]
fn a_place_that_others_could_change_is_none() {
    let nowhere = |locks: &std::path::Path| match TargetLock::take(locks, "t") {
        Err(LockTrouble::Nowhere(why)) => why,
        other => panic!("{other:?}"),
    };
    let (dir, locks) = place();
    let file = TargetLock::take(&locks, "t").unwrap().path().to_owned();
    fs::set_permissions(&locks, Permissions::from_mode(0o775)).unwrap();
    assert!(nowhere(&locks).contains("can be written by others (mode 0775)"));
    fs::set_permissions(&locks, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    assert!(nowhere(&locks).contains("can be written by others (mode 0666)"));
    fs::remove_file(&file).unwrap();
    symlink("/dev/null", &file).unwrap();
    assert!(nowhere(&locks).contains("can't be opened"));
    let link = dir.path().join("link");
    symlink(&locks, &link).unwrap();
    assert!(nowhere(&link).contains("is a link"));
    assert!(nowhere(&dir.path().join("no/such")).contains("can't be made"));
}

/// What holds the lock besides this process and what is listed.
fn holder_child(lock: &std::path::Path, taker: u32) -> ProcessId {
    let child = || process_id::all().find(|pid| process_id::stat(*pid).is_ok_and(|stat| stat.parent == taker));
    let pid = eventually("the taker has started its child", || child().filter(|_| !lock.as_os_str().is_empty()));
    process_id::of(pid).unwrap()
}

#[tokio::test]
async fn what_a_killed_holder_left_is_found_and_ended() {
    let (_dir, locks) = place();
    let file = TargetLock::take(&locks, "t").unwrap().path().to_owned();
    let mut taker = Running::start(Command::new("flock").arg(&file).args(["sleep", "600"]));
    let child = holder_child(&file, taker.pid());
    let (pids, told) = held(&locks, "t").unwrap();
    assert!(pids.contains(&taker.pid()) && pids.contains(&child.pid), "{pids:?}");
    assert!(told.contains("flock"), "{told}");
    assert_eq!(orphans(&file), [], "its taker cares for it");
    assert_eq!(end_orphans(&file, GRACE).await, [""; 0]);
    assert!(process_id::lives(&child));

    taker.kill();
    assert!(held(&locks, "t").unwrap().0.contains(&child.pid));
    // One that waits for the lock has the file open, and is no orphan.
    let waiting = Running::start(Command::new("flock").arg(&file).args(["sleep", "600"]));
    let waits = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().find(|line| line.contains("->") && line.contains(&format!(" {} ", waiting.pid()))).map(|_| ())
    };
    eventually("it waits for the lock", waits);
    assert_eq!(orphans(&file), std::slice::from_ref(&child));
    let ended = end_orphans(&file, GRACE).await;
    assert_eq!(ended, [format!("{} was left running, and was ended with TERM", told_as(&child))]);
    gone(&child);
    let next = holder_child(&file, waiting.pid());
    assert!(process_id::lives(&next));
    assert_eq!(orphans(&file), []);
    drop(waiting);
    assert_eq!(end_orphans(&file, GRACE).await.len(), 1);
    drop(TargetLock::take(&locks, "t").unwrap());
}

fn told_as(process: &ProcessId) -> String {
    let user = midwatch::backends::store::who::named(super::uid()).unwrap();
    format!("pid {} (`sleep 600`, {user})", process.pid)
}

#[tokio::test]
#[ignore = "needs root: another user takes the lock"]
async fn who_may_only_read_it_locks_it_for_root_too_as_root() {
    let (dir, locks) = place();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let file = TargetLock::take(&locks, "t").unwrap().path().to_owned();
    let other = Running::start(
        Command::new("setpriv")
            .args(["--reuid", "nobody", "--clear-groups", "flock"])
            .arg(&file)
            .args(["sleep", "600"]),
    );
    let (_, told) = eventually("the other has the lock", || held(&locks, "t"));
    assert!(told.contains("nobody"), "{told}");
    drop(other);
    let ended = end_orphans(&file, GRACE).await;
    assert!(ended.iter().all(|told| told.contains("TERM")), "{ended:?}");
    eventually("the lock is free", || TargetLock::take(&locks, "t").ok());
}
