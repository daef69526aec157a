//! prove-backup: a backup is restored where nobody uses it, and nothing of that is left.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use midwatch::backends::process_id;
use midwatch::runbook::run::{Outcome, ProcessId, What};

use super::ground::Ground;
use super::shop::{Shop, from};
use crate::support::servers::eventually;

/// How far the backup at this path is proven, as the list says.
pub(super) fn proof(ground: &Ground, path: &Path) -> String {
    let said = ground.midwatch(&["backups", "list", "-o", "json"]).output().unwrap().stdout;
    let list: serde_json::Value = serde_json::from_slice(&said).unwrap();
    let all = list["backups"].as_array().unwrap();
    let found = all.iter().find(|backup| backup["path"] == path.display().to_string());
    found.unwrap()["proof"].as_str().unwrap().to_owned()
}

/// The place of a run's drill.
fn place(ground: &Ground, run: &str) -> PathBuf {
    let act = serde_json::to_value(&ground.view(run).record.plan.steps[0].act).unwrap();
    PathBuf::from(act["drill"]["prove"]["place"]["path"].as_str().unwrap())
}

/// Whoever works in a directory.
fn inside(place: &Path) -> Vec<u32> {
    let works = |pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(place));
    process_id::all().filter(works).collect()
}

/// Nothing of a drill is left.
pub(super) fn nothing_left(ground: &Ground, run: &str) {
    let place = place(ground, run);
    assert_eq!((inside(&place), place.exists()), (Vec::new(), false), "{}", place.display());
    assert!(!place.with_added_extension("unpacked").exists(), "{}", place.display());
}

fn started(ground: &Ground, run: &str) -> Vec<ProcessId> {
    let child = |what: What| match what {
        What::Started { child, .. } => Some(child),
        _ => None,
    };
    ground.view(run).entries.into_iter().filter_map(|entry| child(entry.what)).collect()
}

/// Kills the runner as soon as so many programs were started; whether it was still at work.
pub(super) fn kill_after(ground: &Ground, run: &str, programs: usize) -> bool {
    eventually("so many programs are started", || {
        (started(ground, run).len() >= programs || ground.view(run).ended().is_some()).then_some(())
    });
    Ground::kill(&ground.runner(run));
    ground.view(run).ended().is_none()
}

pub(super) fn prove(ground: &Ground, backup: &Path) -> (String, String) {
    let run = ground.begin(&["prove-backup", &from(backup), "--yes"]);
    let (_, said) = ground.call(&["runbook", "attach", &run]);
    eventually("the run is over", || ground.view(&run).ended().is_some().then_some(()));
    (run, said)
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn every_kind_of_dump_is_proven_and_the_server_in_use_is_not_touched_as_root() {
    let shop = Shop::open();
    for (name, how) in [
        ("shop.tar", &["-Ft"][..]),
        ("shop.sql", &["-Fp"]),
        ("shop.sql.gz", &["-Fp", "-Z", "6"]),
        ("shop.dir", &["-Fd", "-j", "2"]),
    ] {
        shop.sql("shop", &format!("insert into shop_item (name) values ('{name}')"));
        shop.dump(name, how);
    }
    let (around, orders) = (shop.around(), shop.orders());
    let directory = from(&shop.backup("shop.dir"));
    let said = shop.refused(&["prove-backup", &directory]);
    assert!(said.contains("may not read the directory"), "{said}");
    shop.ground.open_to_all();
    for name in ["shop.dump", "shop.tar", "shop.sql", "shop.sql.gz", "shop.dir"] {
        let path = shop.backup(name);
        assert_ne!(proof(&shop.ground, &path), "restored", "{name}");
        let (run, said) = prove(&shop.ground, &path);
        let view = shop.ground.view(&run);
        assert_eq!(view.ended().unwrap().0, Outcome::Done, "{name}: {said} {:#?}", view.entries);
        let done = format!("{:?}", view.entries);
        for part in ["3 tables", "shop_order: 200", "newest migration shop.0002_more"] {
            assert!(done.contains(part), "{name}: {part}: {done}");
        }
        assert_eq!(proof(&shop.ground, &path), "restored", "{name}");
        nothing_left(&shop.ground, &run);
    }
    assert_eq!((shop.around(), shop.orders(), shop.databases()), (around, orders, vec!["shop".to_owned()]));
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_dump_that_is_whole_and_can_not_be_restored_is_not_proven_as_root() {
    let shop = Shop::open();
    let path = shop.dump("shop.sql", &["-Fp"]);
    let sql = std::fs::read_to_string(&path).unwrap();
    let mut file = std::fs::File::create(&path).unwrap();
    let demanding = sql.replacen("CREATE TABLE", "CREATE EXTENSION nobody_has_this;\n\nCREATE TABLE", 1);
    assert_ne!(demanding, sql);
    file.write_all(demanding.as_bytes()).unwrap();
    drop(file);
    let (run, said) = prove(&shop.ground, &path);
    let view = shop.ground.view(&run);
    assert_eq!(view.ended().unwrap().0, Outcome::Failed, "{said}");
    let why = view.entries.iter().find_map(|entry| match &entry.what {
        What::Failed { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert!(why.unwrap().contains("nobody_has_this"), "{:#?}", view.entries);
    assert_eq!(proof(&shop.ground, &path), "complete");
    nothing_left(&shop.ground, &run);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_drill_killed_at_any_of_its_programs_is_taken_up_and_leaves_nothing_as_root() {
    let mut hit = 0;
    for programs in 0..=5 {
        let shop = Shop::open();
        let backup = shop.backup("shop.dump");
        let run = shop.ground.begin(&["prove-backup", &from(&backup), "--yes"]);
        if kill_after(&shop.ground, &run, programs) {
            hit += 1;
            let (code, said) = shop.ground.resume(&run, &["--yes"]);
            assert_eq!(code, 0, "killed at {programs}: {said}");
        }
        assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Done);
        assert_eq!(proof(&shop.ground, &backup), "restored", "killed at {programs}");
        nothing_left(&shop.ground, &run);
        for child in started(&shop.ground, &run) {
            assert!(!process_id::lives(&child), "{child:?} was left working");
        }
    }
    assert!(hit > 3, "only {hit} were hit in the middle");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_drill_that_was_cut_off_is_undone_and_leaves_nothing_as_root() {
    let shop = Shop::open();
    let backup = shop.backup("shop.dump");
    let run = shop.ground.begin(&["prove-backup", &from(&backup), "--yes"]);
    assert!(kill_after(&shop.ground, &run, 3), "it was over before it could be killed");
    assert!(place(&shop.ground, &run).exists());
    let (_, said) = shop.ground.resume(&run, &["--revert", "--yes"]);
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Reverted, "{said}");
    assert_ne!(proof(&shop.ground, &backup), "restored");
    nothing_left(&shop.ground, &run);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_drill_whose_server_dies_fails_and_leaves_nothing_as_root() {
    let shop = Shop::open();
    let backup = shop.backup("shop.dump");
    let run = shop.ground.begin(&["prove-backup", &from(&backup), "--yes"]);
    let server = eventually("the server is started", || started(&shop.ground, &run).get(1).cloned());
    Ground::kill(&server);
    eventually("the run is over", || shop.ground.view(&run).ended().is_some().then_some(()));
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Failed);
    assert_ne!(proof(&shop.ground, &backup), "restored");
    nothing_left(&shop.ground, &run);
    assert_eq!(shop.databases(), ["shop"]);
}
