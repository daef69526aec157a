//! take-backup, restore-database, swap-back and release-held, on a real MariaDB.

mod more;
mod shop;
mod storms;

use midwatch::runbook::run::{Outcome, What};

use self::shop::{Holder, Shop, without};
use super::drill::{kill_after, nothing_left, proof, prove};
use super::ground::Ground;
use super::shop::from;
use crate::support::servers::eventually;

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_backup_is_taken_restored_put_back_and_released_on_mariadb_as_root() {
    let shop = Shop::open();
    shop.sql("app", "delete from shop_order where code like 'new %'");
    let (before, constraints) = (shop.content("app"), shop.constraints("app"));
    let directory = format!("directory={}", shop.ground.path().join("backups").display());
    let (_, said) = shop.ground.call(&["runbook", "plan", "take-backup", &directory]);
    assert!(said.contains("--single-transaction") && !said.contains("app-pw"), "{said}");
    let (code, said) = shop.ground.call(&["runbook", "run", "take-backup", &directory, "--yes"]);
    assert_eq!(code, 0, "{said}");
    let made: Vec<_> = std::fs::read_dir(shop.ground.path().join("backups")).unwrap().flatten().collect();
    let made: Vec<_> =
        made.iter().map(std::fs::DirEntry::path).filter(|path| *path != shop.backup("shop.sql")).collect();
    let [backup] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(backup).unwrap()) & 0o777, 0o600);

    shop.sql("app", "insert into shop_order (code) select concat('new ', seq) from seq_1_to_7; delete from shop_line");
    let wish = ["restore-database", &from(backup)];
    let (code, said) = shop.ground.call(&[&["runbook", "plan"][..], &wish].concat());
    assert_eq!(code, 0, "{said}");
    for part in
        ["(user root)", "create database `app_mwrestore_", "database app: server ", "kept in app_mwheld_", "undone by"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = shop.run(&wish);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert!(said.contains("shop_line: 2000 rows, 2000 more than in use"), "{said}");
    assert!(said.contains("shop_order: 2000 rows, 7 fewer than in use"), "{said}");
    assert_eq!((shop.content("app"), shop.constraints("app")), (before, constraints), "{said}");
    let held = shop.held();
    assert_eq!(shop.databases(), ["app".to_owned(), held.clone()], "{said}");
    assert_eq!(shop.sql(&held, "select count(*) from shop_order"), "2007");
    shop.sql("app", "insert into shop_line (of_order, of_item) values (1, 1)");

    // Orders go on; then what was held is put back.
    shop.sql("app", "insert into shop_order (code) values ('meanwhile')");
    let parameter = format!("held={held}");
    let (code, said) = shop.run(&["swap-back", &parameter]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert_eq!(shop.orders(), "2007", "{said}");
    let held = shop.held();
    assert_eq!(shop.databases(), ["app".to_owned(), held.clone()], "{said}");
    assert_eq!(shop.sql(&held, "select count(*) from shop_order"), "2001");

    // It is released only when a newer backup is proven, and nothing else is.
    let parameter = format!("held={held}");
    let said = shop.refused(&["release-held", &parameter]);
    assert!(said.contains("proven complete"), "{said}");
    shop.refused(&["release-held", "held=app"]);
    shop.sql("mysql", "create database app_mwheld_20200101000000");
    shop.refused(&["release-held", "held=app_mwheld_20200101000000"]);
    shop.dump("newer.sql", &[]);
    let (_, said) = shop.ground.call(&["backups", "verify"]);
    assert!(said.contains("newer.sql") && !said.contains("broken"), "{said}");
    let (code, said) = shop.run(&["release-held", &parameter]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(shop.databases(), ["app", "app_mwheld_20200101000000"]);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn what_is_no_whole_dump_of_this_database_on_mariadb_is_refused_as_root() {
    let shop = Shop::open();
    let whole = std::fs::read(shop.backup("shop.sql")).unwrap();
    let refused = |name: &str, content: &[u8], reason: &str| {
        let path = shop.backup(name);
        std::fs::write(&path, content).unwrap();
        let said = shop.refused(&["restore-database", &from(&path)]);
        assert!(said.contains(reason), "{name}: {said}");
    };
    refused("empty.sql", b"", "0 bytes");
    for cut in [100, whole.len() / 3, whole.len() / 2, whole.len() - 60] {
        refused("cut.sql", &whole[..cut], "is broken");
    }
    refused("unmarked.sql", &without(&shop.backup("shop.sql"), "-- Dump completed"), "is broken");
    refused("nothing.sql.gz", &[], "0 bytes");
    let all = std::fs::read(shop.dump_of(&["app"], "databases.sql", &["--databases"])).unwrap();
    refused("elsewhere.sql", &all, "of its own choice");
    shop.sql("mysql", "create database other; create table other.t (n int); insert into other.t values (1)");
    let other = std::fs::read(shop.dump_of(&["other"], "other.sql", &[])).unwrap();
    refused("wrong.sql", &other, "is of the database other");
    let bare = std::fs::read(shop.dump("bare.sql", &["--no-data"])).unwrap();
    refused("schema.sql", &bare, "holds no row");
    let marked = [&b"-- MariaDB dump 10.19\nDROP DATABASE other;\n"[..], &whole].concat();
    refused("evil.sql", &marked, "of its own choice");
    shop.sql("app", "create trigger t before insert on shop_order for each row set new.note = 'x'");
    let said = shop.refused(&["restore-database", &from(&shop.backup("shop.sql"))]);
    assert!(said.contains("a table with triggers"), "{said}");
    shop.sql("app", "drop trigger t");
    let (code, said) = shop.ground.call(&["runbook", "plan", "restore-database"]);
    assert!(code != 0 && said.contains("shop.sql") && said.contains("mysqldump"), "{said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_mariadb_that_can_not_be_exchanged_is_refused_as_root() {
    let shop = Shop::open();
    let backup = from(&shop.backup("shop.sql"));
    let wish = ["restore-database", backup.as_str()];
    let refused = |make: &str, unmake: &str, reason: &str| {
        shop.sql("app", make);
        let said = shop.refused(&wish);
        assert!(said.contains(reason), "{said}");
        shop.sql("app", unmake);
    };
    refused("set global read_only = 1", "set global read_only = 0", "is read-only");
    refused(
        "change master to master_host='127.0.0.1', master_port=1, master_user='nobody'",
        "reset slave all",
        "is a replica",
    );
    refused("create table m (n int) engine=MyISAM", "drop table m", "m is MyISAM");
    refused("create table p (n int) partition by hash (n) partitions 2", "drop table p", "p is partitioned");
    refused(
        "create database other; create table other.t (id int primary key, o int, constraint far foreign key (o) references app.shop_order (id))",
        "drop database other",
        "foreign key far",
    );
    // Who is not root has no way, and is told the one there is.
    std::fs::rename(shop.socket(), shop.server.path().join("hidden.sock")).unwrap();
    let (code, said) = shop.ground.call(&["runbook", "plan", wish[0], wish[1]]);
    assert!(
        code != 0 && said.contains("GRANT ALL ON `app\\_mw%`.* TO 'app'@'%'") && !said.contains("app-pw"),
        "{said}"
    );
    std::fs::rename(shop.server.path().join("hidden.sock"), shop.socket()).unwrap();
    shop.sql("mysql", "grant all on `app\\_mw%`.* to app@'%'");
    // The user itself may do it, when it may make schemas.
    let hidden = shop.server.path().join("hidden.sock");
    std::fs::rename(shop.socket(), &hidden).unwrap();
    let (_, plan) = shop.ground.call(&["runbook", "plan", wish[0], wish[1]]);
    let (code, said) = shop.run(&wish);
    std::fs::rename(&hidden, shop.socket()).unwrap();
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert!(plan.contains("(user app)") && !plan.contains("app-pw") && !said.contains("app-pw"), "{plan}{said}");
    shop.ended_restored();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn what_the_code_can_not_work_with_is_restored_beside_mariadb_and_not_put_into_use_as_root() {
    let shop = Shop::open();
    let add = "insert into django_migrations (app, name) values ('shop', '0003_newest')";
    shop.sql("app", add);
    let newer = from(&shop.dump("newer.sql", &[]));
    shop.sql("app", "delete from django_migrations where name = '0003_newest'");
    let (code, said) = shop.run(&["restore-database", &newer]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("newer release") && said.contains("shop.0003_newest"), "{said}");
    assert_eq!(shop.orders(), "2007");
    shop.sql("app", add);
    let (code, said) = shop.run(&["restore-database", &from(&shop.backup("shop.sql"))]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("older release") && said.contains("migrate"), "{said}");
    assert_eq!(shop.orders(), "2007");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn packed_dumps_are_restored_on_mariadb_as_root() {
    for pack in ["gzip", "zstd"] {
        let shop = Shop::open();
        shop.sql("app", "delete from shop_order where code like 'new %'");
        let before = shop.content("app");
        shop.sql("app", "insert into shop_order (code) select concat('new ', seq) from seq_1_to_7");
        let path = shop.backup("shop.sql");
        let packed = std::process::Command::new(pack).arg("-q").arg(&path).status().unwrap();
        assert!(packed.success());
        let path = shop.backup(if pack == "gzip" { "shop.sql.gz" } else { "shop.sql.zst" });
        let (code, said) = shop.run(&["restore-database", &from(&path)]);
        assert!(code == 0 || code == 14, "{pack}: {code}: {said}");
        shop.ended_restored();
        assert_eq!(shop.content("app"), before, "{pack}");
        let left = std::fs::read_dir(shop.ground.own().join("evidence")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{pack}: what was unpacked is removed");
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_restore_on_mariadb_killed_at_any_step_is_taken_up_and_ends_whole_as_root() {
    let mut hit = 0;
    for step in 0..6 {
        let shop = Shop::open();
        let run = shop.begin_restore();
        hit += usize::from(shop.ground.kill_at(&run, step));
        assert!(["2000", "2007"].contains(&shop.orders().as_str()), "the schema has a whole database");
        if shop.ground.view(&run).ended().is_none() {
            let (code, said) = shop.ground.resume(&run, &[]);
            assert!(code == 0 || code == 14, "killed at {step}: {code}: {said}");
        }
        shop.ended_restored();
    }
    assert!(hit > 0, "only {hit} steps were hit in the middle");
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_restore_on_mariadb_killed_at_any_step_is_undone_as_root() {
    for step in 0..6 {
        let shop = Shop::open();
        let (before, constraints) = (shop.content("app"), shop.constraints("app"));
        let run = shop.begin_restore();
        shop.ground.kill_at(&run, step);
        if shop.ground.view(&run).ended().is_some() {
            continue;
        }
        let (_, said) = shop.ground.resume(&run, &["--revert"]);
        let view = shop.ground.view(&run);
        assert_eq!(view.ended().unwrap().0, Outcome::Reverted, "killed at {step}: {said}");
        assert_eq!((shop.content("app"), shop.constraints("app")), (before, constraints), "{said}");
        let left = shop.databases();
        // What was in use for a moment may have taken orders: it is held, not dropped.
        assert!(left.iter().all(|name| name == "app" || name.starts_with("app_mwheld_")), "{left:?}: {said}");
        let exchanged = view.entries.iter().any(|entry| matches!(entry.what, What::Intended { step: 3, .. }));
        assert!(exchanged || left.len() == 1, "{left:?}: {said}");
        shop.nobody_works();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_runner_killed_while_tables_wait_to_change_places_bars_nobody_as_root() {
    for everything in [false, true] {
        let shop = Shop::open();
        let holder = Holder::of(&shop, "begin; select count(*) from shop_order;");
        let run = shop.begin_restore();
        let waiting = "select count(*) from information_schema.processlist where info like 'rename table%'";
        eventually("the change of tables waits", || (shop.sql("mysql", waiting) != "0").then_some(()));
        Ground::kill(&shop.ground.runner(&run));
        if everything {
            let children = shop.ground.view(&run).entries.into_iter().filter_map(|entry| match entry.what {
                What::Started { child, .. } => Some(child),
                _ => None,
            });
            children.for_each(|child| Ground::kill(&child));
        }
        // Though the one who is in the way stays there.
        assert!(["2000", "2007"].contains(&shop.orders().as_str()), "orders can be taken");
        eventually("nobody waits", || (shop.sql("mysql", waiting) == "0").then_some(()));
        drop(holder);
        let (code, said) = shop.ground.resume(&run, &[]);
        assert!(code == 0 || code == 14, "{code}: {said}");
        shop.ended_restored();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_mariadb_killed_while_tables_change_places_has_all_of_one_as_root() {
    let mut shop = Shop::open();
    shop.sql("app", "delete from shop_order where code like 'new %'");
    // Enough that it takes a moment.
    let more: Vec<_> = (0..120).map(|n| format!("create table more_{n} (id int primary key)")).collect();
    shop.sql("app", &more.join(";"));
    shop.dump("shop.sql", &[]);
    shop.sql("app", "insert into shop_order (code) select concat('new ', seq) from seq_1_to_7");
    let run = shop.begin_restore();
    let moving = "select count(*) from information_schema.processlist where info like 'rename table%'";
    eventually("tables change places", || {
        (shop.sql("mysql", moving) != "0" || shop.ground.view(&run).ended().is_some()).then_some(())
    });
    shop.server.kill();
    shop.server.begin();
    assert_eq!(shop.sql("mysql", "select count(*) from information_schema.tables where table_schema = 'app'"), "124");
    assert!(["2000", "2007"].contains(&shop.orders().as_str()));
    let (outcome, _) = shop.ground.ended(&run);
    if outcome == Outcome::Failed {
        let (code, said) = shop.ground.resume(&run, &["--retry"]);
        assert!(code == 0 || code == 14, "{code}: {said}");
    }
    shop.ended_restored();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn who_keeps_a_transaction_open_is_told_and_nothing_is_changed_as_root() {
    let shop = Shop::open();
    shop.sql("mysql", "create user exporter@localhost; grant select on app.* to exporter@localhost");
    let holder = Holder::of(&shop, "begin; select count(*) from shop_order;");
    let backup = from(&shop.backup("shop.sql"));
    let (_, said) = shop.ground.call(&["runbook", "plan", "restore-database", &backup]);
    assert!(said.contains("root: 1 sessions use app, too"), "{said}");
    let run = shop.begin_restore();
    let failed = || shop.ground.view(&run).ended().map(|(outcome, _)| outcome);
    assert_eq!(eventually("it gives up", failed), Outcome::Failed);
    assert_eq!(shop.orders(), "2007");
    let (_, log) = shop.ground.call(&["runbook", "log", &run]);
    assert!(log.contains("Transactions are open: session") && log.contains("Nothing was changed"), "{log}");
    assert!(!shop.databases().iter().any(|name| name.starts_with("app_mwheld_")), "{:?}", shop.databases());
    drop(holder);
    let (code, said) = shop.ground.resume(&run, &["--retry"]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    shop.ended_restored();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn dumps_of_mariadb_are_proven_and_the_server_in_use_is_not_touched_as_root() {
    let shop = Shop::open();
    let path = shop.backup("shop.sql");
    let packed = std::process::Command::new("gzip").args(["-qk"]).arg(&path).status().unwrap();
    assert!(packed.success());
    let (before, databases) = (shop.content("app"), shop.databases());
    for path in [path, shop.backup("shop.sql.gz")] {
        assert_ne!(proof(&shop.ground, &path), "restored");
        let (run, said) = prove(&shop.ground, &path);
        let view = shop.ground.view(&run);
        assert_eq!(view.ended().unwrap().0, Outcome::Done, "{said} {:#?}", view.entries);
        let done = format!("{:?}", view.entries);
        for part in ["4 tables", "shop_order: 2000 rows", "newest migration shop.0002_more"] {
            assert!(done.contains(part), "{part}: {done}");
        }
        assert_eq!(proof(&shop.ground, &path), "restored");
        nothing_left(&shop.ground, &run);
    }
    assert_eq!((shop.content("app"), shop.databases()), (before, databases));
    // Whole, and not to be restored all the same.
    let sql = String::from_utf8_lossy(&std::fs::read(shop.backup("shop.sql")).unwrap()).into_owned();
    let broken = sql.replacen("INSERT INTO `shop_order`", "INSERT INTO `nobody_has_this`", 1);
    assert_ne!(broken, sql);
    std::fs::write(shop.backup("broken.sql"), broken).unwrap();
    let (run, said) = prove(&shop.ground, &shop.backup("broken.sql"));
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Failed, "{said}");
    assert!(format!("{:?}", shop.ground.view(&run).entries).contains("nobody_has_this"), "{said}");
    nothing_left(&shop.ground, &run);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_drill_on_mariadb_killed_at_any_program_is_taken_up_and_leaves_nothing_as_root() {
    let shop = Shop::open();
    let mut hit = 0;
    for programs in 1..=4 {
        let name = format!("{programs}.sql");
        let path = shop.dump(&name, &[]);
        let run = shop.ground.begin(&["prove-backup", &from(&path), "--yes"]);
        if kill_after(&shop.ground, &run, programs) {
            hit += 1;
            let (code, said) = shop.ground.resume(&run, &["--yes"]);
            assert_eq!(code, 0, "{programs}: {said}");
        }
        assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Done);
        nothing_left(&shop.ground, &run);
    }
    assert!(hit > 1, "only {hit} were hit in the middle");
}
