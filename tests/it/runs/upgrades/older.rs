//! A backup older than the code, of an SQLite or MariaDB database: the application migrates what was restored from it, beside
//! the one in use.

use std::fs;
use std::process::Command;

use midwatch::runbook::run::Outcome;

use super::{PYTHON, Shop};
use crate::support::servers::MariadbServer;

/// As the first version of the stand-in has made it.
const SCHEMA: &str = "create table django_migrations (id int auto_increment primary key, app varchar(255), name \
                      varchar(255), applied varchar(60));
insert into django_migrations (app, name) values ('pretixbase', '0001_initial');
create table pretixbase_order (id int auto_increment primary key, code varchar(60), datetime timestamp default now());
insert into pretixbase_order (code) select concat('A', seq) from seq_1_to_50;";

const MIGRATE: &str = "have the application migrate it";

impl Shop {
    fn restore(&self, backup: &str) -> String {
        let wish = ["restore-database", backup];
        let token = self.ground.token(&wish);
        self.ground.begin(&[&wish[..], &["--confirm", &token]].concat())
    }

    /// A restore fails for this reason, before anything was stopped, and is undone.
    fn fails(&self, backup: &str, why: &str) {
        let run = self.restore(backup);
        let (outcome, left) = self.ended(&run);
        assert!(outcome == Outcome::Failed && left.contains(why), "{left}");
        self.serves("2026.8.0");
        let (_, said) = self.ground.resume(&run, &["--revert"]);
        assert_eq!(self.ended(&run).0, Outcome::Reverted, "{said}");
    }

    /// A restore is cut off while the application migrates, and taken up.
    fn cut_off(&self, backup: &str) {
        let run = self.restore(backup);
        self.ground.kill_at(&run, self.step(&run, MIGRATE));
        if self.ground.view(&run).ended().is_none() {
            self.serves("2026.8.0");
            self.ground.resume(&run, &[]);
        }
        assert_eq!(self.ended(&run).0, Outcome::Done, "{:?}", self.ended(&run));
        self.serves("2026.8.0");
    }

    /// Orders in the SQLite database in use, as some are added.
    fn orders(&self, more: u32) -> String {
        let script = "import sqlite3,sys\nd=sqlite3.connect(sys.argv[1])\nfor n in range(int(sys.argv[2])): \
                      d.execute(\"insert into pretixbase_order (code) values ('B')\")\nd.commit()\n\
                      print(d.execute('select count(*) from pretixbase_order').fetchone()[0])";
        let mut python = Command::new(PYTHON);
        let done =
            python.args(["-c", script]).arg(self.path("data/db.sqlite3")).arg(more.to_string()).output().unwrap();
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Copies that were never used.
    fn copies(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("data")).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        names.filter(|name| name.contains(".mw-")).collect()
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv: tests/run installs it"]
fn an_sqlite_backup_older_than_the_code_is_migrated_beside_as_root() {
    let shop = Shop::open();
    let run = shop.begin();
    assert_eq!(shop.ended(&run).0, Outcome::Done, "{:?}", shop.ended(&run));
    assert_eq!(shop.orders(7), "57");
    let path = shop.path("backups/pretix.sqlite3");
    let backup = format!("backup={}", path.display());
    let (code, said) = shop.ground.call(&["runbook", "plan", "restore-database", &backup]);
    assert!(code == 0 && said.contains("pretixbase.0002_more, pretixbase.0003_last are missing in it"), "{said}");
    let as_it_was = shop.ground.call(&["runbook", "plan", "restore-database", &backup, "older=as-it-was"]);
    assert!(as_it_was.0 == 0 && !as_it_was.1.contains("have the application migrate it"), "{as_it_was:?}");
    assert!(said.contains("PRETIX_DATABASE_NAME=") && said.contains("db.sqlite3.mw-"), "{said}");

    // An application that doesn't hear of the other database is found out, and migrates nothing.
    for (switch, why) in [("deaf", "it sees another database"), ("fail-last", MIGRATE)] {
        shop.switch(switch, true);
        shop.fails(&backup, why);
        shop.switch(switch, false);
        shop.upgraded();
        assert_eq!((shop.orders(0).as_str(), shop.copies()), ("57", Vec::new()), "{switch}");
    }
    shop.cut_off(&backup);
    shop.upgraded();
    assert_eq!((shop.orders(7).as_str(), shop.copies()), ("57", Vec::new()));

    // What a packed one lacks is seen when it is unpacked.
    assert!(Command::new("gzip").args(["-q"]).arg(&path).status().unwrap().success());
    shop.cut_off(&format!("{backup}.gz"));
    shop.upgraded();
    assert_eq!(shop.orders(0), "50");
}

/// The stand-in's older version on a MariaDB of its own, with a dump of it.
struct Moved {
    shop: Shop,
    server: MariadbServer,
}

impl Moved {
    fn open() -> Self {
        let (shop, server) = (Shop::open(), MariadbServer::start(&[]));
        let moved = Self { shop, server };
        moved.sql("app", SCHEMA);
        let config = moved.shop.path("pretix.cfg");
        let text = fs::read_to_string(&config).unwrap();
        let (application, _) = text.split_once("[database]").unwrap();
        let database = format!(
            "[database]\nbackend=mysql\nname=app\nuser=app\npassword=app-pw\nhost=127.0.0.1\nport={}\n",
            moved.server.port
        );
        fs::write(&config, [application, &database].concat()).unwrap();
        fs::remove_file(moved.shop.path("backups/pretix.sqlite3")).unwrap();
        let mut dump = moved.client("mariadb-dump");
        dump.arg("--single-transaction").arg(format!("--result-file={}", moved.dump())).arg("app");
        assert!(dump.status().unwrap().success());
        moved
    }

    fn dump(&self) -> String {
        self.shop.path("backups/app.sql").display().to_string()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let socket = self.server.path().join("my.sock");
        command.args(["--no-defaults", "--user=root"]).arg(format!("--socket={}", socket.display()));
        command
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        let done = self.client("mariadb").args(["-NB", "-e", sql, database]).output().unwrap();
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// What the database in use has seen, and how much is in it; whether there are others beside it.
    fn has(&self, migrations: u32, orders: u32, others: u32) {
        let sql = "select (select count(*) from django_migrations), (select count(*) from pretixbase_order), (select \
                   count(*) from information_schema.schemata where schema_name like 'app\\_%')";
        assert_eq!(self.sql("app", sql), format!("{migrations}\t{orders}\t{others}"));
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs python3-venv and MariaDB: tests/run installs them"]
fn a_mariadb_dump_older_than_the_code_is_migrated_beside_as_root() {
    let moved = Moved::open();
    let shop = &moved.shop;
    // By hand, as an upgrade needs a backup that was read: that is another test's matter.
    let newer = ["install", "--no-index", "--disable-pip-version-check", "-q", "--find-links"];
    let mut pip = Command::new(shop.path("venv/bin/python"));
    pip.args(["-m", "pip"]).args(newer).arg(shop.path("wheels")).arg("pretix==2026.8.0").current_dir("/");
    assert!(pip.status().unwrap().success());
    for role in ["web", "worker"] {
        shop.restart(role);
    }
    moved.sql(
        "app",
        "insert into django_migrations (app, name) values ('pretixbase', '0002_more'), ('pretixbase', '0003_last')",
    );
    moved.sql("app", "insert into pretixbase_order (code) select concat('B', seq) from seq_1_to_7");
    let backup = format!("backup={}", moved.dump());
    let plan = || shop.ground.call(&["runbook", "plan", "restore-database", &backup]);
    // The application's user can't work in what root makes beside.
    let (code, said) = plan();
    assert!(code == 0 && said.contains("are missing in it") && said.contains("GRANT ALL ON `app\\_mw%`.*"), "{said}");
    assert!(!said.contains("showmigrations") && said.contains("the run will stop before"), "{said}");
    moved.sql("mysql", "grant all on `app\\_mw%`.* to app@'%'");
    let (code, said) = plan();
    assert!(code == 0 && said.contains("PRETIX_DATABASE_NAME=app_mwrestore_") && !said.contains("app-pw"), "{said}");

    for (switch, why) in [("deaf", "older release"), ("fail-last", MIGRATE)] {
        shop.switch(switch, true);
        shop.fails(&backup, why);
        shop.switch(switch, false);
        moved.has(3, 57, 0);
    }
    shop.cut_off(&backup);
    moved.has(3, 50, 1);
}
