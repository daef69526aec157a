//! A site on a PostgreSQL of its own, with a dump of how it was, and rows that came later.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::ground::Ground;
use crate::support::servers::{PostgresServer, eventually};
use crate::support::web::Answering;

/// The schema, as Django would have made it, and what hangs on the database itself.
const SCHEMA: &str = "
create table django_migrations (id serial primary key, app text, name text, applied timestamptz default now());
insert into django_migrations (app, name) values ('shop', '0001_initial'), ('shop', '0002_more');
create table shop_order (id serial primary key, code text not null, at timestamptz not null default now());
insert into shop_order (code) select 'old ' || n from generate_series(1, 2000) n;
create table shop_item (id serial primary key, name text);
insert into shop_item (name) select 'item ' || n from generate_series(1, 10) n;
";

/// What the server is told besides.
const SETTINGS: [&str; 2] = ["wal_level=logical", "max_prepared_transactions=5"];

pub(super) struct Shop {
    pub(super) server: PostgresServer,
    pub(super) ground: Ground,
    pub(super) web: Answering,
}

impl Shop {
    /// With a dump of 2000 orders in `shop.dump`, and 7 orders since.
    pub(super) fn open() -> Self {
        let shop = Self::without_backup();
        shop.dump("shop.dump", &["-Fc"]);
        shop.sql("shop", "insert into shop_order (code) select 'new ' || n from generate_series(1, 7) n");
        shop
    }

    fn without_backup() -> Self {
        let ground = Ground::new("discover = false\n", "");
        let shop = Self { server: PostgresServer::start(&SETTINGS), ground, web: Answering::ok() };
        shop.fill();
        shop.configure("");
        shop
    }

    /// Another server listens where this one did, with a shop of its own; the one that did before.
    pub(super) fn replaced(&mut self) -> PostgresServer {
        self.server.stop();
        let mut other = PostgresServer::start(&SETTINGS);
        other.stop();
        other.port = self.server.port;
        other.begin();
        let before = std::mem::replace(&mut self.server, other);
        self.fill();
        before
    }

    /// Makes the shop on its server.
    fn fill(&self) {
        let shop = self;
        let rules = shop.server.path().join("data/pg_hba.conf");
        let before = std::fs::read_to_string(&rules).unwrap();
        std::fs::write(&rules, format!("local all postgres peer\n{before}")).unwrap();
        shop.sql("postgres", "select pg_reload_conf()");
        shop.sql("postgres", "create role shop login password 'it''s a \"secret\"'; create role exporter login");
        shop.sql("postgres", "create database shop owner shop");
        shop.sql("shop", &format!("set role shop; {SCHEMA}"));
        shop.sql(
            "postgres",
            "revoke all on database shop from public; grant connect on database shop to exporter; \
             alter database shop set work_mem to '7MB'; alter role shop in database shop set search_path to \"$user\", public; \
             alter role shop in database shop set app.name to 'it''s \\\\ mine'; comment on database shop is 'the shop''s'",
        );
    }

    /// The site's table, with more in it.
    pub(super) fn configure(&self, more: &str) {
        let password = "it's%20a%20%22secret%22";
        let database = format!("postgresql://shop:{password}@127.0.0.1:{}/shop", self.server.port);
        let backups = self.ground.path().join("backups").display().to_string();
        std::fs::create_dir_all(&backups).unwrap();
        let config = format!(
            "discover = false\n[sites.shop]\nurl = \"{}\"\ndatabase = '''{database}'''\n{more}\n\
             [[sites.shop.backups]]\npath = \"{backups}\"\n",
            self.web.url()
        );
        std::fs::write(self.ground.path().join("c.toml"), config).unwrap();
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgresql://postgres:super-pw@127.0.0.1:{}/{database}", self.server.port)
    }

    /// What the server answers, as its superuser.
    pub(super) fn sql(&self, database: &str, sql: &str) -> String {
        let answer = self.asked(database, sql);
        assert!(answer.is_ok(), "{sql}: {answer:?}");
        answer.unwrap_or_default()
    }

    /// The same, where it may refuse: who waits for a name while it changes hands is told that it is gone.
    pub(super) fn asked(&self, database: &str, sql: &str) -> Result<String, String> {
        let Output { status, stdout, stderr } =
            Command::new("psql").args(["-XqAt", &self.url(database), "-c", sql]).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if status.success() { Ok(said(&stdout)) } else { Err(said(&stderr)) }
    }

    /// A dump of the shop; where it lies.
    pub(super) fn dump(&self, name: &str, how: &[&str]) -> PathBuf {
        self.dump_of("shop", name, how)
    }

    pub(super) fn dump_of(&self, database: &str, name: &str, how: &[&str]) -> PathBuf {
        let path = self.backup(name);
        let made = Command::new("pg_dump").args(how).arg("-f").arg(&path).arg(self.url(database)).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        path
    }

    pub(super) fn backup(&self, name: &str) -> PathBuf {
        self.ground.path().join("backups").join(name)
    }

    /// How many orders the site has.
    pub(super) fn orders(&self) -> String {
        self.sql("shop", "select count(*) from shop_order")
    }

    /// The databases there are, by name.
    pub(super) fn databases(&self) -> Vec<String> {
        let all = self.sql("postgres", "select datname from pg_database where not datistemplate order by 1");
        all.lines().filter(|name| *name != "postgres").map(str::to_owned).collect()
    }

    /// The one that is held.
    pub(super) fn held(&self) -> String {
        let all = self.databases();
        all.iter().find(|name| name.starts_with("shop_held_")).unwrap().clone()
    }

    /// What hangs on the database itself: owner, grants, settings, comment.
    pub(super) fn around(&self) -> String {
        self.sql(
            "postgres",
            "select pg_get_userbyid(d.datdba), (select array_agg(a::text order by a::text) from unnest(d.datacl) a), shobj_description(d.oid, 'pg_database'), \
             (select string_agg(concat(setrole::regrole, setconfig), ' ' order by setrole) from pg_db_role_setting where \
             setdatabase = d.oid) from pg_database d where datname = 'shop'",
        )
    }

    /// Runs a runbook as its plan says, to its end.
    pub(super) fn run(&self, wish: &[&str]) -> (i32, String) {
        let token = self.ground.token(wish);
        self.ground.call(&[&["runbook", "run"], wish, &["--confirm", &token]].concat())
    }

    /// Starts the restore of `shop.dump`; the run.
    pub(super) fn begin_restore(&self) -> String {
        let backup = from(&self.backup("shop.dump"));
        let token = self.ground.token(&["restore-database", &backup]);
        self.ground.begin(&["restore-database", &backup, "--confirm", &token])
    }

    /// The old orders are back, the others are held, nothing else is there and nobody works any more.
    pub(super) fn ended_restored(&self) {
        let held = self.held();
        assert_eq!(self.databases(), ["shop".to_owned(), held.clone()]);
        assert_eq!(
            (self.orders().as_str(), self.sql(&held, "select count(*) from shop_order").as_str()),
            ("2000", "2007")
        );
        self.nobody_works();
    }

    /// No session of a program that midwatch has started is left.
    pub(super) fn nobody_works(&self) {
        let sql = "select count(*) from pg_stat_activity where (application_name in ('psql', 'pg_restore') or \
                   application_name like 'midwatch run %') and pid <> pg_backend_pid()";
        eventually("nobody works", || (self.sql("postgres", sql) == "0").then_some(()));
    }

    /// Whether a new session of the application is served.
    pub(super) fn answers(&self) -> bool {
        let url = self.url("shop");
        let asked = Command::new("psql").args(["-XqAt", &url, "-c", "select count(*) from shop_order"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    }

    /// What is said where there is no plan; nothing must have been done.
    pub(super) fn refused(&self, wish: &[&str]) -> String {
        let before = (self.databases(), self.orders());
        let (code, said) = self.ground.call(&[&["runbook", "plan"], wish].concat());
        assert_ne!(code, 0, "{said}");
        assert_eq!((self.databases(), self.orders()), before, "{said}");
        said
    }
}

/// `backup=PATH`.
pub(super) fn from(path: &Path) -> String {
    format!("backup={}", path.display())
}

/// How many wait for a database's name.
pub(super) const WAITING: &str = "select count(*) from pg_locks where not granted and classid = 'pg_database'::regclass and mode = 'AccessExclusiveLock'";

/// A session that stays open after its statements.
pub(super) struct Holder(Child);

impl Holder {
    pub(super) fn of(shop: &Shop, sql: &str) -> Self {
        Self::within(shop, "shop", sql)
    }

    pub(super) fn within(shop: &Shop, database: &str, sql: &str) -> Self {
        let mut child = Command::new("psql")
            .args(["-XqAt", &shop.url(database)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(format!("{sql}\n\\echo there\n").as_bytes()).unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while said.trim() != "there" {
            said.clear();
            assert!(out.read_line(&mut said).unwrap() > 0, "psql ended");
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
