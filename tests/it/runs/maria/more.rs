//! MariaDB: what else than tables and rows there is, and what no format shows.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use midwatch::runbook::run::Outcome;

use super::super::drill::prove;
use super::super::shop::from;
use super::shop::Shop;

/// What is in the directory of backups besides the dump that was there.
fn taken(shop: &Shop) -> Vec<PathBuf> {
    let all = fs::read_dir(shop.ground.path().join("backups")).unwrap().flatten().map(|entry| entry.path());
    all.filter(|path| *path != shop.backup("shop.sql")).collect()
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn views_triggers_routines_and_events_of_mariadb_are_saved_or_missed_aloud_as_root() {
    let shop = Shop::open();
    shop.sql(
        "app",
        "delete from shop_order where code like 'new %'; create view newest as select * from shop_order order by id desc limit 5; create procedure busy() select 1; \
         create event tidy on schedule every 1 day do select 1; \
         create trigger noted before insert on shop_item for each row set new.name = upper(new.name)",
    );
    let directory = format!("directory={}", shop.ground.path().join("backups").display());
    let plan = || shop.ground.call(&["runbook", "plan", "take-backup", &directory]);
    // The site's user may not read what root's procedure does; root over the socket may.
    let (code, said) = plan();
    assert_eq!(code, 0, "{said}");
    for part in ["--user=root", "--events", "1 view, 1 trigger, 1 routine, 1 event besides the tables"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = shop.run(&["take-backup", &directory]);
    assert_eq!(code, 0, "{said}");
    let made = taken(&shop);
    let [path] = made.as_slice() else { panic!("{made:?}") };
    let dump = fs::read_to_string(path).unwrap();
    for part in ["VIEW `newest`", "PROCEDURE `busy`", "EVENT `tidy`", "trigger noted"] {
        assert!(dump.contains(part), "{part} is not in the dump");
    }

    shop.sql("app", "insert into shop_order (code) select concat('new ', seq) from seq_1_to_7");

    // Where root has no way, nothing is left out in silence.
    let hidden = shop.server.path().join("hidden.sock");
    fs::rename(shop.socket(), &hidden).unwrap();
    let (code, said) = plan();
    assert!(code != 0 && said.contains("it may not read what 1 routine does") && said.contains("mysql.proc"), "{said}");
    assert!(!said.contains("app-pw"), "{said}");
    fs::rename(&hidden, shop.socket()).unwrap();
    shop.sql("app", "drop procedure busy; revoke trigger, event, execute, alter routine on app.* from app@'%'");
    fs::rename(shop.socket(), &hidden).unwrap();
    let (code, said) = plan();
    assert!(code != 0 && said.contains("its trigger noted can't be read"), "{said}");
    fs::rename(&hidden, shop.socket()).unwrap();
    shop.sql("app", "drop trigger noted");
    fs::rename(shop.socket(), &hidden).unwrap();
    let (code, said) = plan();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("there are events or triggers or routines in app, they are not in it"), "{said}");
    assert!(said.contains("GRANT EVENT, TRIGGER, EXECUTE ON app.*") && !said.contains("--events"), "{said}");
    fs::rename(&hidden, shop.socket()).unwrap();

    // A restore leaves them as they are, over the tables that have come.
    let wish = ["restore-database", &from(path)];
    let (_, said) = shop.ground.call(&[&["runbook", "plan"][..], &wish].concat());
    for part in
        ["Views, routines and events of app stay as they are now", "holds 1 view, 1 event, 1 routine, 1 trigger"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (run, said) = prove(&shop.ground, path);
    assert_eq!(shop.ground.view(&run).ended().unwrap().0, Outcome::Done, "{said}");
    shop.sql(
        "app",
        "alter table shop_order add column worth int; create or replace view worth as select worth from shop_order",
    );
    let (code, said) = shop.run(&wish);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert_eq!(shop.sql("app", "select code from newest limit 1"), "old 2000");
    assert!(said.contains("the view worth does not work with these tables"), "{said}");
    let events = "select count(*) from information_schema.events where event_schema = 'app' and event_name = 'tidy'";
    assert_eq!(shop.sql("mysql", events), "1");
    let gone = "select (select count(*) from information_schema.routines where routine_schema like 'app%') + (select \
                count(*) from information_schema.triggers where trigger_schema like 'app%')";
    assert_eq!(shop.sql("mysql", gone), "0");
    shop.ended_restored();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_dump_of_mariadb_that_the_disk_has_changed_is_refused_as_root() {
    let shop = Shop::open();
    let path = shop.backup("shop.sql");
    let wish = from(&path);
    let rested = fs::metadata(&path).unwrap().modified().unwrap() - std::time::Duration::from_mins(5);
    let rest = || fs::File::options().append(true).open(&path).unwrap().set_modified(rested).unwrap();
    rest();
    let (code, said) = shop.ground.call(&["runbook", "plan", "restore-database", &wish]);
    assert!(code == 0 && said.contains("content unchecked"), "{code}: {said}");
    shop.ground.call(&["backups", "verify"]);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(5).position(|part| part == b"old 7").unwrap();
    bytes[at] = b'x';
    let size = fs::metadata(&path).unwrap().size();
    fs::write(&path, bytes).unwrap();
    rest();
    assert_eq!(fs::metadata(&path).unwrap().size(), size);
    for runbook in ["restore-database", "prove-backup"] {
        let said = shop.refused(&[runbook, &wish]);
        assert!(said.contains("is not what was read") && said.contains("the disk"), "{runbook}: {said}");
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs MariaDB: tests/run installs it"]
fn a_dump_with_a_collation_that_the_server_does_not_know_is_refused_before_anything_is_done_as_root() {
    let shop = Shop::open();
    let sql = fs::read(shop.backup("shop.sql")).unwrap();
    // As MySQL 8 writes utf8mb4_0900_ai_ci, which newer servers of MariaDB take for one of theirs.
    let at = sql.windows(8).rposition(|part| part == b"COLLATE=").unwrap() + 8;
    let end = at + sql[at..].iter().position(|byte| *byte == b';').unwrap();
    let path = shop.backup("other.sql");
    fs::write(&path, [&sql[..at], b"utf8mb4_0900_xx_ci", &sql[end..]].concat()).unwrap();
    assert!(std::process::Command::new("gzip").arg("-qk").arg(&path).status().unwrap().success());
    for path in [path.clone(), path.with_added_extension("gz")] {
        for runbook in ["restore-database", "prove-backup"] {
            let said = shop.refused(&[runbook, &from(&path)]);
            let names = said.contains("the collation utf8mb4_0900_xx_ci, which ") && said.contains(" does not know");
            assert!(names, "{runbook}: {said}");
        }
    }
    let (code, said) = shop.ground.call(&["runbook", "plan", "prove-backup", &from(&shop.backup("shop.sql"))]);
    assert_eq!(code, 0, "{said}");
}
