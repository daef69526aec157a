//! The way back that a failed upgrade names, from where it has failed: worker and beat are stopped, web has the older
//! version in memory or does not come up.

use std::fs;
use std::process::{Command, Stdio};

use midwatch::runbook::run::Outcome;

use super::postgres::Moved;
use crate::support::servers::eventually;

/// The stand-in on PostgreSQL with a beat, and without what a switch of it lets fail.
fn open(switch: &str) -> Moved {
    let moved = Moved::open();
    let shop = &moved.shop;
    let root = shop.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let config = fs::read_to_string(shop.path("c.toml")).unwrap();
    let beat = format!(
        "[sites.shop.services.pretix-beat]\nrole = \"beat\"\nprocess = \"{root}/venv/bin/beat\"\n\
         start = [\"{root}/start\", \"beat\"]\n"
    );
    fs::write(shop.path("c.toml"), [config, beat].concat()).unwrap();
    assert!(Command::new(shop.path("start")).arg("beat").stdin(Stdio::null()).status().unwrap().success());
    plans(&moved);
    shop.switch(switch, true);
    moved
}

/// One beat runs, with the older version.
fn plans(moved: &Moved) {
    let file = moved.shop.path("data/beat");
    eventually("beat has it", || (fs::read_to_string(&file).ok()? == "2026.7.0").then_some(()));
    assert_eq!(moved.shop.processes("beat"), 1, "one beat");
}

/// The upgrade fails at this step.
fn fails(moved: &Moved, step: &str) {
    let run = moved.shop.begin();
    let (outcome, left) = moved.shop.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains(&format!("`{step}` failed")), "{left}");
    moved.shop.holds("2026.8.0");
    assert_eq!([moved.shop.processes("celery"), moved.shop.processes("beat")], [0, 0], "they are stopped");
    // What they say is what they wrote then.
    for file in ["data/worker", "data/beat"] {
        fs::remove_file(moved.shop.path(file)).unwrap();
    }
}

fn refused(moved: &Moved, wish: &[&str], why: &str) {
    let (code, said) = moved.shop.ground.call(&[&["runbook", "plan"], wish].concat());
    assert!(code == 13 && said.contains(why), "{code}: {said}");
}

fn older(moved: &Moved) {
    moved.older();
    plans(moved);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv and postgres: tests/run installs them"]
fn half_migrated_it_goes_back_with_its_database_and_everything_runs_as_root() {
    let moved = open("fail-last");
    let shop = &moved.shop;
    fails(&moved, "migrate");
    moved.has(2, 50);
    moved.sql("shop", "insert into pretixbase_order (code) select 'B' || n from generate_series(1, 7) n");
    assert_eq!(shop.answer().as_deref(), Some("2026.7.0"), "from memory");
    refused(&moved, &["undo-upgrade"], "undo-upgrade-and-restore does both");

    // What did not run does not run either when the way back is taken back.
    let run = moved.back();
    let costs = shop.ground.view(&run).record.plan.costs;
    let started = "What does not run now is started: pretix-worker, pretix-beat.";
    assert!(costs.iter().any(|cost| cost == started), "{costs:?}");
    shop.ground.kill_at(&run, shop.step(&run, "the site answers"));
    if shop.ground.view(&run).ended().is_none() {
        older(&moved);
        let (_, said) = shop.ground.resume(&run, &["--revert"]);
        assert_eq!(shop.ended(&run).0, Outcome::Reverted, "{said}");
        shop.holds("2026.8.0");
        moved.has(2, 57);
        assert_eq!([shop.processes("celery"), shop.processes("beat")], [0, 0], "they rest again");
        let held = moved.sql("postgres", "select datname from pg_database where datname like 'shop_held_%'");
        if !held.is_empty() {
            moved.sql("postgres", &format!("drop database {held}"));
        }
        let run = moved.back();
        assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    }
    older(&moved);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv and postgres: tests/run installs them"]
fn a_version_that_does_not_start_goes_back_with_its_database_as_root() {
    let moved = open("fail-new");
    let shop = &moved.shop;
    fails(&moved, "restart pretix-web");
    moved.has(3, 50);
    assert_eq!(shop.processes("gunicorn"), 0, "nothing runs that would show where it is installed");
    refused(&moved, &["undo-upgrade"], "undo-upgrade-and-restore does both");
    let run = moved.back();
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    older(&moved);

    // Commands are run as the application ran: in its directory, with what configured it.
    let plan = shop.ground.view(&run).record.plan;
    let rebuild = plan.steps.iter().find(|step| step.name == "pretix rebuild").unwrap();
    let told = format!("{:?}", rebuild.act);
    let root = shop.ground.path().display().to_string();
    assert!(told.contains(&format!("dir: Some(\"{root}\")")) && told.contains("\"HOME\""), "{told}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv and postgres: tests/run installs them"]
fn where_nothing_was_migrated_it_goes_back_alone_and_everything_runs_as_root() {
    let moved = open("fail-migrate");
    let shop = &moved.shop;
    fails(&moved, "migrate");
    let dump = format!("backup={}", shop.path("backups/shop.dump").display());
    refused(&moved, &["undo-upgrade-and-restore", &dump], "nothing that was written is lost");
    let token = shop.ground.token(&["undo-upgrade"]);
    let run = shop.ground.begin(&["undo-upgrade", "--confirm", &token]);
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    older(&moved);
}
