//! The lock of a target: one at a time, whoever it is, and found again after its taker was killed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use midwatch::backends::process_id;
use midwatch::hands::lock::{LockTrouble, TargetLock, end_orphans, orphans, prepare, prepare_for, received};
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
    match TargetLock::take(dir, &[target]) {
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
    let lock = TargetLock::take(&locks, &["site:shop"]).unwrap();
    let (pids, told) = held(&locks, "site:shop").unwrap();
    assert_eq!(pids, [std::process::id()]);
    assert!(told.starts_with("site:shop is being acted on") && told.contains(&format!("pid {} (`", pids[0])), "{told}");
    drop(TargetLock::take(&locks, &["site:other"]).unwrap());
    let inherited = received(lock.handed().unwrap()).unwrap();
    drop(lock);
    assert!(held(&locks, "site:shop").is_some(), "who inherited it holds it");
    drop(inherited);
    drop(TargetLock::take(&locks, &["site:shop"]).unwrap());
}

/// What the configurations of two users call it differs; one name in common is enough.
#[test]
fn who_knows_it_by_one_of_its_names_is_kept_out() {
    let (_dir, locks) = place();
    let lock = TargetLock::take(&locks, &["site /srv/shop", "site at here:8345", "unit shop.service"]).unwrap();
    assert_eq!(lock.paths().len(), 3);
    let (_, told) = held(&locks, "site at here:8345").unwrap();
    assert!(told.starts_with("site at here:8345 is being acted on"), "{told}");
    assert!(TargetLock::take(&locks, &["database here:5432/shop", "unit shop.service"]).is_err());
    drop(TargetLock::take(&locks, &["database here:5432/shop"]).unwrap());
    // What is started holds every part of it, also when nobody else does any more.
    let inherited = received(lock.handed().unwrap()).unwrap();
    drop(lock);
    assert!(held(&locks, "unit shop.service").is_some() && held(&locks, "site /srv/shop").is_some());
    drop(inherited);
    drop(TargetLock::take(&locks, &["unit shop.service", "site /srv/shop"]).unwrap());
}

#[test]
#[ignore = "needs root: gives files to a group"]
fn where_operators_have_a_group_nobody_else_may_lock_as_root() {
    let (_dir, locks) = place();
    prepare(&locks).unwrap();
    let file = TargetLock::take(&locks, &["t"]).unwrap().paths().remove(0);
    // As the group of a state directory that came later.
    prepare_for(&locks, Some(7)).unwrap();
    for entry in fs::read_dir(&locks).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        assert_eq!((meta.gid(), meta.permissions().mode() & 0o7777), (7, 0o640), "{:?}", entry.path());
    }
    fs::set_permissions(locks.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    let lock = |group: &str| {
        let mut as_other = Command::new("setpriv");
        as_other.args(["--reuid", "nobody", "--clear-groups", "--regid", group, "flock", "-n"]).arg(&file).arg("true");
        as_other.output().unwrap().status.success()
    };
    assert!(lock("7") && !lock("65534"));
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
    assert_eq!(modes.len(), 1024);
    assert_eq!((modes[0].0.as_str(), modes[1023].0.as_str()), ("lock-000", "lock-3ff"));
    assert!(modes.iter().all(|(_, mode)| *mode == 0o644));
}

#[test]
fn a_place_that_others_could_change_is_none() {
    let nowhere = |locks: &std::path::Path| match TargetLock::take(locks, &["t"]) {
        Err(LockTrouble::Nowhere(why)) => why,
        other => panic!("{other:?}"),
    };
    let (dir, locks) = place();
    let file = TargetLock::take(&locks, &["t"]).unwrap().paths().remove(0);
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
    let file = TargetLock::take(&locks, &["t"]).unwrap().paths().remove(0);
    let mut taker = Running::start(Command::new("flock").arg(&file).args(["sleep", "600"]));
    let child = holder_child(&file, taker.pid());
    let (pids, told) = held(&locks, "t").unwrap();
    assert!(pids.contains(&taker.pid()) && pids.contains(&child.pid), "{pids:?}");
    assert!(told.contains("flock"), "{told}");
    assert!(told.contains(&format!("{} took it, and is no midwatch", taker.pid())), "{told}");
    assert_eq!(orphans(std::slice::from_ref(&file)), [], "its taker cares for it");
    assert_eq!(end_orphans(std::slice::from_ref(&file), GRACE).await, [""; 0]);
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
    assert_eq!(orphans(std::slice::from_ref(&file)), std::slice::from_ref(&child));
    let ended = end_orphans(std::slice::from_ref(&file), GRACE).await;
    assert_eq!(ended, [format!("{} was left running, and was ended with TERM", told_as(&child))]);
    gone(&child);
    let next = holder_child(&file, waiting.pid());
    assert!(process_id::lives(&next));
    assert_eq!(orphans(std::slice::from_ref(&file)), []);
    drop(waiting);
    assert_eq!(end_orphans(std::slice::from_ref(&file), GRACE).await.len(), 1);
    drop(TargetLock::take(&locks, &["t"]).unwrap());
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
    let file = TargetLock::take(&locks, &["t"]).unwrap().paths().remove(0);
    let other = Running::start(
        Command::new("setpriv")
            .args(["--reuid", "nobody", "--clear-groups", "flock"])
            .arg(&file)
            .args(["sleep", "600"]),
    );
    let (_, told) = eventually("the other has the lock", || held(&locks, "t"));
    assert!(told.contains("nobody"), "{told}");
    drop(other);
    let ended = end_orphans(std::slice::from_ref(&file), GRACE).await;
    assert!(ended.iter().all(|told| told.contains("TERM")), "{ended:?}");
    eventually("the lock is free", || TargetLock::take(&locks, &["t"]).ok());
}
