//! The same stand-in on PostgreSQL: an upgrade that has migrated is put back with the database from before.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use midwatch::runbook::run::Outcome;

use super::Shop;
use crate::support::servers::PostgresServer;

/// As the first version of the stand-in has made it.
const SCHEMA: &str = "set role shop;
create table django_migrations (id serial primary key, app text, name text, applied timestamptz default now());
insert into django_migrations (app, name) values ('pretixbase', '0001_initial');
create table pretixbase_order (id serial primary key, code text, datetime timestamptz default now());
insert into pretixbase_order (code) select 'A' || n from generate_series(1, 50) n;";

pub(super) struct Moved {
    pub(super) shop: Shop,
    server: PostgresServer,
}

impl Moved {
    /// The stand-in's older version on a database of its own, with a dump of it.
    pub(super) fn open() -> Self {
        let (shop, server) = (Shop::open(), PostgresServer::start(&[]));
        let rules = server.path().join("data/pg_hba.conf");
        let before = fs::read_to_string(&rules).unwrap();
        fs::write(&rules, format!("local all postgres peer\n{before}")).unwrap();
        let moved = Self { shop, server };
        moved.sql("postgres", "select pg_reload_conf()");
        moved.sql("postgres", "create role shop login password 'shop-pw'");
        moved.sql("postgres", "create database shop owner shop");
        moved.sql("shop", SCHEMA);
        let config = moved.shop.path("pretix.cfg");
        let text = fs::read_to_string(&config).unwrap();
        let (application, _) = text.split_once("[database]").unwrap();
        let database = format!(
            "[database]\nbackend=postgresql\nname=shop\nuser=shop\npassword=shop-pw\nhost=127.0.0.1\nport={}\n",
            moved.server.port
        );
        fs::write(&config, [application, &database].concat()).unwrap();
        fs::remove_file(moved.shop.path("backups/pretix.sqlite3")).unwrap();
        let dump = moved.dump();
        let url = moved.url("shop");
        assert!(Command::new("pg_dump").args(["-Fc", "-f"]).arg(&dump).arg(url).status().unwrap().success());
        // One that rests is read.
        let file = fs::File::options().write(true).open(&dump).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_mins(5)).unwrap();
        moved
    }

    fn dump(&self) -> String {
        self.shop.path("backups/shop.dump").display().to_string()
    }

    fn url(&self, database: &str) -> String {
        format!("postgresql://postgres:super-pw@127.0.0.1:{}/{database}", self.server.port)
    }

    pub(super) fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", &self.url(database), "-c", sql]);
        let done = psql.output().unwrap();
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// What the database in use has seen, and how much is in it.
    pub(super) fn has(&self, migrations: u32, orders: u32) {
        let sql = "select (select count(*) from django_migrations), (select count(*) from pretixbase_order)";
        assert_eq!(self.sql("shop", sql), format!("{migrations}|{orders}"));
    }

    /// Everything is as the newer version left it.
    fn newer(&self) {
        self.shop.holds("2026.8.0");
        self.shop.serves("2026.8.0");
        self.has(3, 57);
    }

    pub(super) fn older(&self) {
        self.shop.holds("2026.7.0");
        self.shop.serves("2026.7.0");
        self.has(1, 50);
    }

    pub(super) fn back(&self) -> String {
        let wish = ["undo-upgrade-and-restore".to_owned(), format!("backup={}", self.dump())];
        let wish = wish.each_ref().map(String::as_str);
        let token = self.shop.ground.token(&wish);
        self.shop.ground.begin(&[&wish[..], &["--confirm", &token]].concat())
    }

    /// What one of the steps has displaced is put back by hand: the newer version, and its database.
    fn forth(&self) {
        let shop = &self.shop;
        let kept = fs::read_dir(shop.path("venv/midwatch-upgrades")).unwrap().next().unwrap().unwrap().path();
        let inside = kept.join("venv").join(shop.packages().strip_prefix(shop.path("venv")).unwrap());
        fs::rename(shop.packages(), shop.path("aside")).unwrap();
        fs::rename(&inside, shop.packages()).unwrap();
        fs::rename(shop.path("aside"), &inside).unwrap();
        let held = self.sql("postgres", "select datname from pg_database where datname like 'shop_held_%'");
        self.sql("postgres", "drop database shop with (force)");
        self.sql("postgres", &format!("alter database {held} rename to shop"));
        self.sql("postgres", "comment on database shop is null");
        for role in ["web", "worker"] {
            shop.restart(role);
        }
        self.newer();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv and postgres: tests/run installs them"]
fn what_has_migrated_is_put_back_with_its_database_wherever_it_is_cut_off_as_root() {
    let moved = Moved::open();
    let shop = &moved.shop;
    let (code, said) =
        shop.ground.call(&["runbook", "plan", "undo-upgrade-and-restore", &format!("backup={}", moved.dump())]);
    assert!(code == 13 && said.contains("has kept what was before"), "{code}: {said}");
    let run = shop.begin();
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    moved.sql("shop", "insert into pretixbase_order (code) select 'B' || n from generate_series(1, 7) n");
    moved.newer();
    let (code, said) = shop.ground.call(&["runbook", "plan", "undo-upgrade"]);
    assert!(code == 13 && said.contains("undo-upgrade-and-restore does both"), "{code}: {said}");

    let (mut step, mut hit) = (1, 0);
    loop {
        let run = moved.back();
        let steps = shop.ground.view(&run).record.plan.steps.len();
        hit += usize::from(shop.ground.kill_at(&run, step));
        // Every third is undone, the others are brought to their end.
        let revert = step % 3 == 0 && shop.ground.view(&run).ended().is_none();
        if shop.ground.view(&run).ended().is_none() {
            let (_, said) = shop.ground.resume(&run, if revert { &["--revert"] } else { &[] });
            let word = if revert { "REVERTED" } else { "DONE" };
            assert!(said.contains(word), "killed at {step}: {said}");
        }
        if revert {
            moved.newer();
            let others = moved.sql("postgres", "select count(*) from pg_database where datname like 'shop\\_%'");
            let held = moved.sql("postgres", "select datname from pg_database where datname like 'shop_held_%'");
            assert!(others == "0" || !held.is_empty(), "killed at {step}: only what was in use may be held");
            if !held.is_empty() {
                moved.sql("postgres", &format!("drop database {held}"));
            }
        } else {
            moved.older();
            moved.forth();
        }
        step += 2;
        if step > steps {
            break;
        }
    }
    assert!(hit > 3, "hardly a step was hit in the middle: {hit}");

    // There is nothing to lose where the older version knows the database.
    let run = moved.back();
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    moved.older();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv and postgres: tests/run installs them"]
fn a_backup_older_than_the_code_is_migrated_beside_wherever_it_is_cut_off_as_root() {
    let moved = Moved::open();
    let shop = &moved.shop;
    let run = shop.begin();
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    moved.sql("shop", "insert into pretixbase_order (code) select 'B' || n from generate_series(1, 7) n");
    moved.newer();
    let backup = format!("backup={}", moved.dump());
    let wish = ["restore-database", backup.as_str()];
    let restore = || {
        let token = shop.ground.token(&wish);
        shop.ground.begin(&[&wish[..], &["--confirm", &token]].concat())
    };
    let others = || moved.sql("postgres", "select count(*) from pg_database where datname like 'shop\\_%'");
    let (code, said) = shop.ground.call(&["runbook", "plan", wish[0], wish[1]]);
    assert!(code == 0 && said.contains("pretixbase.0002_more, pretixbase.0003_last are missing in it"), "{said}");
    assert!(said.contains("PRETIX_DATABASE_NAME=shop_mw_") && !said.contains("shop-pw"), "{said}");

    // An application that doesn't hear of the other database is found out, and migrates nothing.
    shop.switch("deaf", true);
    let run = restore();
    let (outcome, left) = shop.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("older release"), "{left}");
    moved.newer();
    shop.switch("deaf", false);
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!((shop.ended(&run).0, others().as_str()), (Outcome::Reverted, "0"), "{said}");

    // A migration that fails leaves the one in use as it is.
    shop.switch("fail-last", true);
    let run = restore();
    let (outcome, left) = shop.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("have the application migrate it"), "{left}");
    moved.newer();
    let (_, said) = shop.ground.resume(&run, &["--revert"]);
    assert_eq!((shop.ended(&run).0, others().as_str()), (Outcome::Reverted, "0"), "{said}");
    shop.switch("fail-last", false);

    let run = restore();
    shop.ground.kill_at(&run, shop.step(&run, "have the application migrate it"));
    if shop.ground.view(&run).ended().is_none() {
        moved.newer();
        shop.ground.resume(&run, &[]);
    }
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    shop.serves("2026.8.0");
    moved.has(3, 50);
}
