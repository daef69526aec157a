//! MariaDB: the way back and the release, cut off at every step; the runner and the server killed at the same moment, at
//! every step of each; midwatches on two hosts.

use midwatch::runbook::run::{Outcome, What};
use sha2::{Digest as _, Sha256};

use super::super::ground::Ground;
use super::super::shop::from;
use super::super::storms::{Moment, reached};
use super::shop::{Holder, Shop};
use crate::support::servers::eventually;

/// What is in use and what is held, as two numbers; every table is there, and no constraint leads elsewhere.
fn both(shop: &Shop) -> (String, String) {
    let held = shop.held();
    assert_eq!(shop.databases(), ["app".to_owned(), held.clone()]);
    assert!(shop.constraints("app").lines().all(|line| line.ends_with("\t1")), "{}", shop.constraints("app"));
    (shop.content("app"), shop.content(&held))
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_way_back_and_a_release_on_mariadb_killed_at_any_step_are_taken_up_as_root() {
    let shop = Shop::open();
    let (code, said) = shop.run(&["restore-database", &from(&shop.backup("shop.sql"))]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    let mut hit = 0;
    for step in 0..4 {
        let (used, held) = both(&shop);
        let run = shop.begin_held("swap-back");
        hit += usize::from(shop.ground.kill_at(&run, step));
        let now = shop.content("app");
        assert!(now == used || now == held, "killed at {step}: the schema has a whole database");
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert!(code == 0 || code == 14, "killed at {step}: {code}: {said}");
        }
        assert_eq!(both(&shop), (held, used), "killed at {step}");
        shop.nobody_works();
    }
    assert!(hit > 0, "no step was hit in the middle");
    for step in 0..3 {
        let before = both(&shop);
        let run = shop.begin_held("swap-back");
        shop.ground.kill_at(&run, step);
        if shop.ground.view(&run).ended().is_none() {
            let (_, said) = shop.ground.resume(&run, &["--revert"]);
            assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Reverted, "killed at {step}: {said}");
            assert_eq!(both(&shop), before, "killed at {step}: {said}");
        }
        shop.nobody_works();
    }

    // So much is held that dropping it takes a while.
    let held = shop.held();
    let more: Vec<_> = (0..150).map(|n| format!("create table more_{n} (id int primary key)")).collect();
    shop.sql(&held, &more.join(";"));
    shop.dump("newer.sql", &[]);
    shop.ground.call(&["backups", "verify"]);
    let used = shop.content("app");
    let run = shop.begin_held("release-held");
    let left = format!("select count(*) from information_schema.tables where table_schema = '{held}'");
    eventually("some of it is dropped", || {
        (shop.sql("mysql", &left) != "155" || shop.ground.view(&run).ended().is_some()).then_some(())
    });
    Ground::kill(&shop.ground.runner(&run));
    if shop.ground.view(&run).ended().is_none() {
        if shop.sql("mysql", &left) != "0" {
            let (_, said) = shop.ground.call(&["runbook", "plan", "release-held"]);
            assert!(said.contains(&held), "half of it is still known as held: {said}");
        }
        let (code, said) = shop.ground.resume(&run, &[]);
        assert_eq!(code, 0, "{said}");
    }
    assert_eq!((shop.databases(), shop.content("app")), (vec!["app".to_owned()], used));
    shop.nobody_works();
}

/// The name means one of the two, whole; the other is held if it is the new one.
fn whole(shop: &Shop) {
    let databases = shop.databases();
    let held = databases.iter().filter(|name| name.starts_with("app_mwheld_")).count();
    let orders = shop.orders();
    assert!(orders == "2007" || (orders == "2000" && held > 0), "{orders} orders: {databases:?}");
    let counted = ["shop_item", "shop_line", "django_migrations"].map(|of| {
        let sql = format!("select count(*) from {of}");
        shop.sql("app", &sql)
    });
    assert_eq!(counted, ["10", "2000", "2"]);
    assert!(shop.constraints("app").lines().all(|line| line.ends_with("\t1")), "{}", shop.constraints("app"));
    let known = |name: &String| name == "app" || name.starts_with("app_mwheld_") || name.starts_with("app_mwrestore_");
    assert!(databases.iter().all(known), "{databases:?}");
}

/// Kills the runner and the server at every step of a run in turn, and sees it end well; how often it was hit.
fn through_it_all(shop: &mut Shop, run: &str, first: Moment) -> usize {
    let steps = shop.ground.view(run).record.plan.steps.len();
    let (mut hit, mut following) = (0, None::<std::process::Child>);
    for step in 0..steps {
        let moment = if (step % 2 == 0) == (first == Moment::Begun) { Moment::Begun } else { Moment::Working };
        if !reached(&shop.ground, run, (step, moment), hit + 1) {
            break;
        }
        Ground::kill(&shop.ground.runner(run));
        shop.server.kill();
        shop.server.begin();
        whole(shop);
        if shop.ground.view(run).ended().is_some() {
            break;
        }
        hit += 1;
        if let Some(mut before) = following.take() {
            before.wait().unwrap();
        }
        following = Some(shop.ground.resume_aside(run, &[]));
    }
    if let Some(mut child) = following {
        child.wait().unwrap();
    }
    let (ended, why) = shop.ground.ended(run);
    assert_eq!(ended, Outcome::Done, "{why}");
    for entry in shop.ground.view(run).entries {
        if let What::Started { child, .. } = entry.what {
            assert!(!midwatch::backends::process_id::lives(&child), "{child:?} was left working");
        }
    }
    shop.nobody_works();
    hit
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_restore_its_way_back_and_its_release_come_through_with_mariadb_killed_at_every_step_as_root() {
    let mut shop = Shop::open();
    let run = shop.begin_restore();
    assert!(through_it_all(&mut shop, &run, Moment::Begun) > 2);
    shop.ended_restored();
    let run = shop.begin_held("swap-back");
    assert!(through_it_all(&mut shop, &run, Moment::Working) > 0);
    assert_eq!(shop.orders(), "2007");
    assert_eq!(shop.sql(&shop.held(), "select count(*) from shop_order"), "2000");
    assert_eq!(shop.databases().len(), 2);
    whole(&shop);
    shop.dump("newer.sql", &[]);
    shop.ground.call(&["backups", "verify"]);
    let run = shop.begin_held("release-held");
    through_it_all(&mut shop, &run, Moment::Begun);
    assert_eq!((shop.databases(), shop.orders()), (vec!["app".to_owned()], "2007".to_owned()));
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_run_that_is_taken_up_before_mariadb_is_says_so_and_goes_on_later_as_root() {
    let mut shop = Shop::open();
    let run = shop.begin_restore();
    assert!(reached(&shop.ground, &run, (1, Moment::Working), 1));
    Ground::kill(&shop.ground.runner(&run));
    shop.server.kill();
    let (code, said) = shop.ground.resume(&run, &[]);
    assert!(code == 11 && said.contains("refuses connections"), "{code}: {said}");
    assert!(shop.ground.view(&run).ended().is_none(), "it can be taken up");
    shop.server.begin();
    whole(&shop);
    let (code, said) = shop.ground.resume(&run, &[]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    shop.ended_restored();
}

/// What the lock of the database `app` is called, as every midwatch takes it.
fn lock() -> String {
    let digest = Sha256::digest(b"app");
    let short = digest.iter().take(8).fold(0_u64, |short, byte| short << 8 | u64::from(*byte));
    format!("midwatch database {short:016x}")
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn midwatches_on_two_hosts_exclude_each_other_on_mariadb_as_root() {
    let shop = Shop::open();
    let backup = from(&shop.backup("shop.sql"));
    let taken = format!("select is_used_lock('{}') is not null", lock());
    let far = Holder::of_site(&shop, &format!("select get_lock('{}', 0);", lock()));
    let (code, said) = shop.run(&["restore-database", &backup]);
    assert_eq!(code, 11, "{said}");
    for part in ["another midwatch acts on the database app", "(user app) from ", "last heard of"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    drop(far);
    eventually("its session has ended", || (shop.sql("mysql", &taken) == "0").then_some(()));
    // The other's runner is gone, and what it has started works on.
    shop.sql("mysql", "create database app_mwrestore_20200101000000");
    let far = Holder::within(&shop, "app_mwrestore_20200101000000", "select 1;");
    let (code, said) = shop.run(&["restore-database", &backup]);
    assert!(code == 11 && said.contains("(user root)") && said.contains("still works there"), "{code}: {said}");
    drop(far);
    shop.sql("mysql", "drop database app_mwrestore_20200101000000");
    assert_eq!((shop.databases(), shop.orders()), (vec!["app".to_owned()], "2007".to_owned()));

    // While a run goes on it has the lock; where its session is killed, it takes the lock anew before it acts.
    let holder = Holder::of(&shop, "begin; select count(*) from shop_order;");
    let run = shop.begin_restore();
    eventually("the run has the lock", || (shop.sql("mysql", &taken) == "1").then_some(()));
    let holder_of = shop.sql("mysql", &format!("select is_used_lock('{}')", lock()));
    shop.sql("mysql", &format!("kill {holder_of}"));
    drop(holder);
    let (ended, why) = shop.ground.ended(&run);
    assert_eq!(ended, Outcome::Done, "{why}");
    shop.ended_restored();
    eventually("the lock is free", || (shop.sql("mysql", &taken) == "0").then_some(()));
}
