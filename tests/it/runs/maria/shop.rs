//! A site on a MariaDB of its own, with a dump of how it was, and rows that came later.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::super::ground::Ground;
use super::super::shop::from;
use crate::support::servers::{MariadbServer, eventually};
use crate::support::web::Answering;

/// The schema, as Django would have made it: with constraints between the tables, and of one to itself.
const SCHEMA: &str = "
create table django_migrations (id int auto_increment primary key, app varchar(255), name varchar(255));
insert into django_migrations (app, name) values ('shop', '0001_initial'), ('shop', '0002_more');
create table shop_item (id int auto_increment primary key, name varchar(60), parent int,
  constraint item_parent foreign key (parent) references shop_item (id));
insert into shop_item (name, parent) select concat('item ', seq), nullif(seq - 1, 0) from seq_1_to_10;
create table shop_order (id int auto_increment primary key, code varchar(60) not null, note text, blob_of varbinary(40));
insert into shop_order (code, note, blob_of) select concat('old ', seq), 'it''s; \\\\ \"so\"\\n-- `x`', unhex('00275c0aff') from seq_1_to_2000;
create table shop_line (id int auto_increment primary key, of_order int not null, of_item int not null,
  constraint line_order foreign key (of_order) references shop_order (id),
  constraint line_item foreign key (of_item) references shop_item (id) on delete cascade);
insert into shop_line (of_order, of_item) select seq, 1 + seq % 10 from seq_1_to_2000;
";

pub(super) struct Shop {
    pub(super) server: MariadbServer,
    pub(super) ground: Ground,
    pub(super) web: Answering,
}

impl Shop {
    /// With a dump of 2000 orders in `shop.sql`, and 7 orders since.
    pub(super) fn open() -> Self {
        let ground = Ground::new("discover = false\n", "");
        let shop = Self { server: MariadbServer::start(&[]), ground, web: Answering::ok() };
        shop.sql("app", SCHEMA);
        shop.configure();
        shop.dump("shop.sql", &[]);
        shop.sql("app", "insert into shop_order (code) select concat('new ', seq) from seq_1_to_7");
        shop
    }

    fn configure(&self) {
        let backups = self.ground.path().join("backups").display().to_string();
        std::fs::create_dir_all(&backups).unwrap();
        let config = format!(
            "discover = false\n[sites.shop]\nurl = \"{}\"\ndatabase = 'mysql://app:app-pw@127.0.0.1:{}/app'\n\
             [[sites.shop.backups]]\npath = \"{backups}\"\n",
            self.web.url(),
            self.server.port
        );
        std::fs::write(self.ground.path().join("c.toml"), config).unwrap();
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["--no-defaults", "--user=root"]).arg(format!("--socket={}", self.socket().display()));
        command
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.server.path().join("my.sock")
    }

    /// What the server answers, as its superuser.
    pub(super) fn sql(&self, database: &str, sql: &str) -> String {
        let Output { status, stdout, stderr } =
            self.client("mariadb").args(["-NB", "-e", sql, database]).output().unwrap();
        assert!(status.success(), "{sql}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).trim_end().to_owned()
    }

    /// A dump of the shop; where it lies.
    pub(super) fn dump(&self, name: &str, how: &[&str]) -> PathBuf {
        self.dump_of(&["app"], name, how)
    }

    pub(super) fn dump_of(&self, what: &[&str], name: &str, how: &[&str]) -> PathBuf {
        let path = self.backup(name);
        let mut command = self.client("mariadb-dump");
        command.args(["--single-transaction", "--routines", "--triggers", "--events"]).args(how);
        let made = command.arg(format!("--result-file={}", path.display())).args(what).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        path
    }

    pub(super) fn backup(&self, name: &str) -> PathBuf {
        self.ground.path().join("backups").join(name)
    }

    /// How many orders the site has.
    pub(super) fn orders(&self) -> String {
        self.sql("app", "select count(*) from shop_order")
    }

    /// All rows of all tables, as one number.
    pub(super) fn content(&self, schema: &str) -> String {
        self.sql(schema, "checksum table shop_order, shop_item, shop_line, django_migrations").replace(schema, "")
    }

    /// The constraints, and what they point at.
    pub(super) fn constraints(&self, schema: &str) -> String {
        let sql = format!(
            "select constraint_name, table_name, referenced_table_name, unique_constraint_schema = '{schema}' from \
             information_schema.referential_constraints where constraint_schema = '{schema}' order by 1"
        );
        self.sql("mysql", &sql)
    }

    /// The databases there are, by name.
    pub(super) fn databases(&self) -> Vec<String> {
        let all = self.sql("mysql", "show databases");
        let own = ["information_schema", "mysql", "performance_schema", "sys"];
        all.lines().filter(|name| !own.contains(name)).map(str::to_owned).collect()
    }

    /// The one that is held.
    pub(super) fn held(&self) -> String {
        let all = self.databases();
        all.iter().find(|name| name.starts_with("app_mwheld_")).unwrap().clone()
    }

    /// Runs a runbook as its plan says, to its end.
    pub(super) fn run(&self, wish: &[&str]) -> (i32, String) {
        let token = self.ground.token(wish);
        self.ground.call(&[&["runbook", "run"], wish, &["--confirm", &token]].concat())
    }

    /// Starts the restore of `shop.sql`; the run.
    pub(super) fn begin_restore(&self) -> String {
        let backup = from(&self.backup("shop.sql"));
        let token = self.ground.token(&["restore-database", &backup]);
        self.ground.begin(&["restore-database", &backup, "--confirm", &token])
    }

    /// Starts a runbook about what is held; the run.
    pub(super) fn begin_held(&self, runbook: &str) -> String {
        let held = format!("held={}", self.held());
        // What was put away in this very second is refused.
        let planned = || (self.ground.call(&["runbook", "plan", runbook, &held]).0 == 0).then_some(());
        eventually("it can be planned", planned);
        let token = self.ground.token(&[runbook, &held]);
        self.ground.begin(&[runbook, &held, "--confirm", &token])
    }

    /// The old orders are back, the others are held, nothing else is there and nobody works any more.
    pub(super) fn ended_restored(&self) {
        let held = self.held();
        assert_eq!(self.databases(), ["app".to_owned(), held.clone()]);
        assert_eq!(
            (self.orders().as_str(), self.sql(&held, "select count(*) from shop_order").as_str()),
            ("2000", "2007")
        );
        assert!(self.constraints("app").lines().all(|line| line.ends_with("\t1")), "{}", self.constraints("app"));
        self.nobody_works();
    }

    /// No session of a program that midwatch has started is left.
    pub(super) fn nobody_works(&self) {
        let sql = "select count(*) from information_schema.processlist where id <> connection_id() and command <> 'Daemon' \
                   and (db like 'app%' or info is not null)";
        eventually("nobody works", || (self.sql("mysql", sql) == "0").then_some(()));
    }

    /// What is said where there is no plan; nothing must have been done.
    pub(super) fn refused(&self, wish: &[&str]) -> String {
        let before = (self.databases(), self.orders());
        let (code, said) = self.ground.call(&[&["runbook", "plan"], wish].concat());
        assert_ne!(code, 0, "{said}");
        assert_eq!((self.databases(), self.orders()), before, "{said}");
        assert!(!said.contains("app-pw"), "{said}");
        said
    }
}

/// A session that stays open after its statements.
pub(super) struct Holder(Child);

impl Holder {
    pub(super) fn of(shop: &Shop, sql: &str) -> Self {
        Self::by(shop.client("mariadb"), "app", sql)
    }

    /// As the site's own user, from elsewhere.
    pub(super) fn of_site(shop: &Shop, sql: &str) -> Self {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--host=127.0.0.1", "--user=app", "--password=app-pw"]);
        command.arg(format!("--port={}", shop.server.port));
        Self::by(command, "app", sql)
    }

    /// In another schema.
    pub(super) fn within(shop: &Shop, schema: &str, sql: &str) -> Self {
        Self::by(shop.client("mariadb"), schema, sql)
    }

    fn by(mut command: Command, schema: &str, sql: &str) -> Self {
        command
            .args(["-NB", "--unbuffered", schema])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(format!("{sql}\nselect 'there';\n").as_bytes()).unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while said.trim() != "there" {
            said.clear();
            assert!(out.read_line(&mut said).unwrap() > 0, "the client ended");
        }
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().ok();
    }
}

/// Of a dump, what is left with this line gone.
pub(super) fn without(path: &Path, line: &str) -> Vec<u8> {
    let text = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().filter(|one| !one.starts_with(line)).flat_map(|one| format!("{one}\n").into_bytes()).collect()
}
