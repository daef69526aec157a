//! restore-database, swap-back and release-held, on a real PostgreSQL.

use std::process::Command;
use std::time::{Duration, Instant};

use midwatch::runbook::run::{Outcome, What};

use super::ground::Ground;
use super::shop::{Holder, Shop, WAITING, from};
use crate::support::servers::eventually;
use crate::support::standins::unique;

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_backup_is_restored_and_put_back_and_released_as_root() {
    let shop = Shop::open();
    let around = shop.around();
    let backup = from(&shop.backup("shop.dump"));
    let wish = ["restore-database", &backup];
    let (code, said) = shop.ground.call(&[&["runbook", "plan"][..], &wish].concat());
    assert_eq!(code, 0, "{said}");
    for part in
        ["user postgres", "create database \"shop_mw_", "database shop: server ", "kept as shop_held_", "undone by"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("secret"), "{said}");
    let (code, said) = shop.run(&wish);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert_eq!(shop.orders(), "2000", "{said}");
    assert!(said.contains("shop_order: 2000 rows, 7 fewer than in use"), "{said}");
    assert_eq!(shop.around(), around, "what hangs on the database");
    let held = shop.held();
    assert_eq!(shop.databases(), ["shop".to_owned(), held.clone()], "{said}");
    assert_eq!(shop.sql(&held, "select count(*) from shop_order"), "2007");
    assert_eq!(shop.sql("shop", "select distinct tableowner from pg_tables where schemaname = 'public'"), "shop");

    // Orders go on; then what was held is put back.
    shop.sql("shop", "insert into shop_order (code) values ('meanwhile')");
    let parameter = format!("held={held}");
    let (code, said) = shop.run(&["swap-back", &parameter]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert_eq!(shop.orders(), "2007", "{said}");
    assert_eq!(shop.around(), around, "what hangs on the database");
    let held = shop.held();
    assert_eq!(shop.sql(&held, "select count(*) from shop_order"), "2001");

    // It is released only when a newer backup is proven, and nothing else is.
    let parameter = format!("held={held}");
    let said = shop.refused(&["release-held", &parameter]);
    assert!(said.contains("proven complete"), "{said}");
    shop.refused(&["release-held", "held=shop"]);
    shop.sql("postgres", "create database shop_held_20200101000000");
    shop.refused(&["release-held", "held=shop_held_20200101000000"]);
    shop.dump("newer.dump", &["-Fc"]);
    let (_, said) = shop.ground.call(&["backups", "verify"]);
    assert!(said.contains("newer.dump") && !said.contains("broken"), "{said}");
    // The disk loses a bit of that backup, while size and time stay: it is read again right before.
    let newer = shop.backup("newer.dump");
    let (whole, changed) = (std::fs::read(&newer).unwrap(), std::fs::metadata(&newer).unwrap().modified().unwrap());
    let write = |bytes: &[u8]| {
        std::fs::write(&newer, bytes).unwrap();
        std::fs::File::options().append(true).open(&newer).unwrap().set_modified(changed).unwrap();
    };
    let token = shop.ground.token(&["release-held", &parameter]);
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    write(&bytes);
    let (code, said) = shop.ground.call(&["runbook", "run", "release-held", &parameter, "--confirm", &token]);
    assert!(code != 0 && said.contains("nothing is given up"), "{code}: {said}");
    assert!(shop.databases().contains(&held), "{said}");
    write(&whole);
    shop.ground.call(&["backups", "verify"]);
    let (code, said) = shop.run(&["release-held", &parameter]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(shop.databases(), ["shop", "shop_held_20200101000000"]);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn what_is_no_whole_backup_of_this_database_is_refused_with_its_reason_as_root() {
    let shop = Shop::open();
    let whole = std::fs::read(shop.backup("shop.dump")).unwrap();
    let refused = |name: &str, content: &[u8], reason: &str| {
        let path = shop.backup(name);
        std::fs::write(&path, content).unwrap();
        let said = shop.refused(&["restore-database", &from(&path)]);
        assert!(said.contains(reason), "{name}: {said}");
    };
    refused("empty.dump", b"", "0 bytes");
    for cut in [1, 20, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        refused("cut.dump", &whole[..cut], "cut.dump");
    }
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    refused("damaged.dump", &damaged, "is broken");
    let sql = std::fs::read(shop.dump("shop.sql", &["-Fp"])).unwrap();
    refused("cut.sql", &sql[..sql.len() - 60], "is broken");
    refused("nothing.sql.gz", &[], "0 bytes");
    refused("image.dump", b"\x89PNG\r\n\x1a\n and more", "can't be proven whole");
    let sql = std::fs::read(shop.dump("create.sql", &["-Fp", "--create"])).unwrap();
    refused("elsewhere.sql", &sql, "\\connect");
    shop.sql("postgres", "create database other");
    shop.sql("other", "create table t (n int); insert into t values (1)");
    let other = std::fs::read(shop.dump_of("other", "other.dump", &["-Fc"])).unwrap();
    refused("wrong.dump", &other, "is of the database other");
    let bare = std::fs::read(shop.dump("bare.dump", &["-Fc", "--schema-only"])).unwrap();
    refused("schema.dump", &bare, "holds no row");
    let (code, said) = shop.ground.call(&["runbook", "plan", "restore-database"]);
    assert!(code != 0 && said.contains("shop.dump") && said.contains("pg_dump -Fc"), "{said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_database_that_others_hang_on_is_refused_as_root() {
    let shop = Shop::open();
    let backup = from(&shop.backup("shop.dump"));
    let wish = ["restore-database", backup.as_str()];
    let refused = |make: &str, unmake: &str, reason: &str| {
        shop.sql("shop", make);
        let said = shop.refused(&wish);
        assert!(said.contains(reason), "{said}");
        shop.sql("shop", unmake);
    };
    refused("create publication p for all tables", "drop publication p", "publishes");
    refused(
        "select pg_create_logical_replication_slot('follower', 'pgoutput')",
        "select pg_drop_replication_slot('follower')",
        "replication slot follower",
    );
    refused(
        "create subscription s connection 'dbname=nowhere' publication p with (connect = false)",
        "alter subscription s set (slot_name = none); drop subscription s",
        "has subscriptions",
    );
    refused(
        "begin; insert into shop_item (name) values ('p'); prepare transaction 'p'",
        "rollback prepared 'p'",
        "1 prepared transactions are open",
    );
    // Who is neither root nor the server's user has no way, and is told the one there is.
    let rules = shop.server.path().join("data/pg_hba.conf");
    let before = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, before.replace("local all postgres peer\n", "")).unwrap();
    shop.sql("postgres", "select pg_reload_conf()");
    let said = shop.refused(&wish);
    assert!(said.contains("ALTER ROLE \"shop\" CREATEDB") && !said.contains("secret"), "{said}");
    // The role itself may do it, when it may make databases.
    shop.sql("postgres", "alter role shop createdb; alter role shop in database shop reset app.name");
    let (code, said) = shop.run(&wish);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert_eq!(shop.orders(), "2000");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn what_the_code_can_not_work_with_is_restored_and_not_put_into_use_as_root() {
    let shop = Shop::open();
    let add = "insert into django_migrations (app, name) values ('shop', '0003_newest')";
    shop.sql("shop", add);
    let newer = from(&shop.dump("newer.dump", &["-Fc"]));
    shop.sql("shop", "delete from django_migrations where name = '0003_newest'");
    let (code, said) = shop.run(&["restore-database", &newer]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("newer release") && said.contains("shop.0003_newest"), "{said}");
    assert_eq!(shop.orders(), "2007");
    let run =
        said.lines().find_map(|line| line.split_whitespace().find(|word| word.starts_with("restore"))).unwrap_or("");
    assert!(shop.databases().iter().any(|name| name.starts_with("shop_mw_")), "{run}");

    shop.sql("shop", add);
    let (code, said) = shop.run(&["restore-database", &from(&shop.backup("shop.dump"))]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("older release") && said.contains("migrate"), "{said}");

    // Another application's, which does not say so itself.
    shop.sql("postgres", "create database other");
    shop.sql("other", "create table t (n int); insert into t values (1)");
    let (code, said) =
        shop.run(&["restore-database", &from(&shop.dump_of("other", "other.sql", &["-Fp", "--no-owner"]))]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("another application's"), "{said}");
    assert_eq!(shop.orders(), "2007");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn every_kind_of_dump_is_restored_as_root() {
    for (name, how) in [
        ("shop.tar", &["-Ft"][..]),
        ("shop.sql", &["-Fp"]),
        ("shop.sql.gz", &["-Fp", "-Z", "6"]),
        ("shop.dir", &["-Fd", "-j", "2"]),
    ] {
        let shop = Shop::open();
        shop.sql("shop", "delete from shop_order where code like 'new %'; insert into shop_item (name) values ('one')");
        let path = shop.dump(name, how);
        shop.sql("shop", "delete from shop_order");
        if path.is_dir() {
            // Its user must be able to read it.
            let said = shop.refused(&["restore-database", &from(&path)]);
            assert!(said.contains("may not read the directory"), "{said}");
            shop.ground.open_to_all();
        }
        let (code, said) = shop.run(&["restore-database", &from(&path)]);
        assert!(code == 0 || code == 14, "{name}: {code}: {said}");
        assert_eq!(
            (shop.orders().as_str(), shop.sql("shop", "select count(*) from shop_item").as_str()),
            ("2000", "11")
        );
        let left = std::fs::read_dir(shop.ground.own().join("evidence")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{name}: what was unpacked is removed");
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_restore_killed_at_any_step_is_taken_up_and_ends_whole_as_root() {
    let mut hit = 0;
    for step in 0..7 {
        let shop = Shop::open();
        let run = shop.begin_restore();
        hit += usize::from(shop.ground.kill_at(&run, step));
        // Who has waited while the name changed hands is told that it is gone, and finds it when they ask again.
        let orders = || shop.asked("shop", "select count(*) from shop_order").ok();
        let orders = eventually("the name means a database", orders);
        assert!(["2000", "2007"].contains(&orders.as_str()), "the name means a whole database");
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert!(code == 0 || code == 14, "killed at {step}: {code}: {said}");
        }
        shop.ended_restored();
    }
    assert!(hit > 3, "only {hit} steps were hit in the middle");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_restore_killed_at_any_step_is_undone_as_root() {
    for step in 0..6 {
        let shop = Shop::open();
        let around = shop.around();
        let run = shop.begin_restore();
        shop.ground.kill_at(&run, step);
        if shop.ground.view(&run).ended().is_some() {
            continue;
        }
        let (_, said) = shop.ground.resume(&run, &["--revert"]);
        let view = shop.ground.view(&run);
        assert_eq!(view.ended().unwrap().0, Outcome::Reverted, "killed at {step}: {said}");
        assert_eq!((shop.orders(), shop.around()), ("2007".to_owned(), around), "{said}");
        let left = shop.databases();
        // What was in use for a moment may have taken orders: it is held, not dropped.
        assert!(left.iter().all(|name| name == "shop" || name.starts_with("shop_held_")), "{left:?}: {said}");
        assert!(step >= 5 || left.len() == 1, "{left:?}: {said}");
        shop.nobody_works();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_runner_killed_while_the_databases_change_places_bars_nobody_as_root() {
    for everything in [false, true] {
        let shop = Shop::open();
        // The names are held on to, so that the change waits.
        let holder = Holder::of(&shop, "begin; comment on database shop is 'the shop''s';");
        let run = shop.begin_restore();
        eventually("the change of names waits", || (shop.sql("postgres", WAITING) != "0").then_some(()));
        Ground::kill(&shop.ground.runner(&run));
        if everything {
            let children = shop.ground.view(&run).entries.into_iter().filter_map(|entry| match entry.what {
                What::Started { child, .. } => Some(child),
                _ => None,
            });
            children.for_each(|child| Ground::kill(&child));
        }
        drop(holder);
        // Whichever of the two it is.
        let counted = || shop.asked("shop", "select count(*) from shop_order").ok();
        eventually("orders can be taken", || counted().filter(|n| ["2000", "2007"].contains(&n.as_str())));
        let (code, said) = shop.ground.resume(&run, &[]);
        assert!(code == 0 || code == 14, "{code}: {said}");
        shop.ended_restored();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn the_site_is_away_for_a_moment_however_many_sessions_it_keeps_open_as_root() {
    let shop = Shop::open();
    let idle: Vec<_> = (0..20).map(|_| Holder::of(&shop, "select 1;")).collect();
    let run = shop.begin_restore();
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    while shop.ground.view(&run).ended().is_none() {
        if shop.answers() {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    drop(idle);
    shop.ended_restored();
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_standby_is_refused_as_root() {
    let mut shop = Shop::open();
    shop.server.stop();
    std::fs::write(shop.server.path().join("data/standby.signal"), "").unwrap();
    shop.server.launch();
    let said = eventually("the standby answers", || {
        let (code, said) = shop.ground.call(&["runbook", "plan", "restore-database", &from(&shop.backup("shop.dump"))]);
        assert_ne!(code, 0, "{said}");
        said.contains("standby").then_some(said)
    });
    assert!(said.contains("restore on its primary"), "{said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_worker_is_stopped_for_the_exchange_and_runs_once_whatever_becomes_of_it_as_root() {
    let shop = Shop::open();
    let word = unique("worker");
    let start = shop.ground.path().join("start");
    let script = format!("#!/bin/bash\n(exec -a 'celery {word}' sleep 600) >/dev/null 2>&1 &\ndisown\n");
    std::fs::write(&start, script).unwrap();
    std::fs::set_permissions(&start, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let service = format!(
        "[sites.shop.services.tasks]\nrole = \"worker\"\nprocess = \"celery {word}\"\nstart = [\"{}\"]\n",
        start.display()
    );
    shop.configure(&service);
    let workers = || {
        let all = Command::new("pgrep").args(["-f", &format!("^celery {word}")]).output().unwrap().stdout;
        String::from_utf8(all).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(Command::new(&start).status().unwrap().success());
    let before = eventually("the worker runs", || Some(workers()).filter(|all| all.len() == 1));
    // The site does not come back, so that it is undone when the worker has been started again.
    shop.web.say("HTTP/1.1 500 Oh no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let run = shop.begin_restore();
    assert!(shop.ground.kill_at(&run, 8), "it waits for the site");
    assert_eq!(shop.orders(), "2000");
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Reverted, "{said}");
    assert!(said.contains("it runs already"), "{said}");
    assert_eq!(shop.orders(), "2007", "{said}");
    let after = workers();
    for pid in &after {
        assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
    }
    assert_eq!(after.len(), 1, "{said}");
    assert_ne!(after, before, "{said}");
}
