//! A site with an SQLite database in WAL mode, files, a web process that can be stopped, and backups of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use midwatch::backends::process_id;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::super::ground::Ground;
use crate::support::standins::{kill, unique};
use crate::support::web::Answering;

pub(super) struct Shop {
    pub(super) ground: Ground,
    dir: TempDir,
    web: Answering,
    word: String,
    runtime: Runtime,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.processes().into_iter().for_each(kill);
    }
}

impl Shop {
    /// With so many orders, the last of which are in the `-wal` alone, as after a crash.
    pub(super) fn new(orders: u32) -> Self {
        let (dir, web, word) = (tempfile::tempdir().unwrap(), Answering::ok(), unique("web"));
        let shop = Self { ground: Ground::new("", ""), dir, web, word, runtime: Runtime::new().unwrap() };
        for directory in ["data/media", "data/logs", "backups"] {
            fs::create_dir_all(shop.path(directory)).unwrap();
        }
        fs::write(shop.path("data/.secret"), "s3cret").unwrap();
        fs::write(shop.path("data/media/logo.txt"), "logo").unwrap();
        fs::write(shop.path("data/logs/app.log"), "noise").unwrap();
        let start = shop.path("start");
        let script = format!("#!/bin/bash\n(exec -a 'gunicorn {}' sleep 600) >/dev/null 2>&1 &\ndisown\n", shop.word);
        fs::write(&start, script).unwrap();
        fs::set_permissions(&start, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert!(Command::new(&start).status().unwrap().success());
        let config = format!(
            "discover = false\n[sites.shop]\nurl = \"{}\"\napp = \"web\"\ndatabase = \"sqlite://{}\"\n\
             data_dir = \"{}\"\n[[sites.shop.backups]]\npath = \"{}\"\n\
             [sites.shop.services.web]\nrole = \"web\"\nprocess = \"gunicorn {}\"\nstart = [\"{}\"]\n",
            shop.web.url(),
            shop.database().display(),
            shop.path("data").display(),
            shop.path("backups").display(),
            shop.word,
            start.display()
        );
        fs::write(shop.ground.path().join("c.toml"), config).unwrap();
        shop.make(&shop.database(), orders);
        shop
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The database in use.
    pub(super) fn database(&self) -> PathBuf {
        self.path("data/shop.sqlite3")
    }

    async fn open(path: &Path) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        options.journal_mode(SqliteJournalMode::Wal).pragma("wal_autocheckpoint", "0").connect().await.unwrap()
    }

    /// A database as a crashed application leaves it: half of its orders are in the `-wal` alone.
    fn make(&self, path: &Path, orders: u32) {
        self.runtime.block_on(async {
            let aside = path.with_extension("making");
            let mut db = Self::open(&aside).await;
            for sql in [
                "create table orders (id integer primary key, what text)",
                "create table django_migrations (id integer primary key, app text, name text)",
                "insert into django_migrations (app, name) values ('base', '0001_initial'), ('base', '0002_more')",
                "pragma wal_checkpoint(truncate)",
            ] {
                sqlx::query(sql).execute(&mut db).await.unwrap();
            }
            Self::order(&mut db, orders).await;
            for sidecar in ["", "-wal", "-shm"] {
                let of = |base: &Path| PathBuf::from(format!("{}{sidecar}", base.display()));
                fs::copy(of(&aside), of(path)).unwrap();
            }
            db.close().await.unwrap();
            fs::remove_file(&aside).unwrap();
        });
        assert!(fs::metadata(format!("{}-wal", path.display())).unwrap().len() > 0);
    }

    async fn order(db: &mut SqliteConnection, orders: u32) {
        for order in 0..orders {
            let sql = format!("insert into orders (what) values ('order {order} {}')", "x".repeat(300));
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *db).await.unwrap();
        }
    }

    /// Carries out statements in a database and closes it, so that nothing lies beside it.
    pub(super) fn sql(&self, path: &Path, statements: &[&str]) {
        self.runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
            let mut db = options.journal_mode(SqliteJournalMode::Delete).connect().await.unwrap();
            for sql in statements {
                sqlx::query(AssertSqlSafe((*sql).to_owned())).execute(&mut db).await.unwrap();
            }
            db.close().await.unwrap();
        });
    }

    /// A backup with so many orders.
    pub(super) fn backup(&self, name: &str, orders: u32) -> PathBuf {
        let path = self.path("backups").join(name);
        let aside = self.path("making.sqlite3");
        self.make(&aside, orders);
        self.sql(&aside, &["pragma journal_mode = delete"]);
        fs::rename(&aside, &path).unwrap();
        path
    }

    /// The orders in a database, which must be whole.
    pub(super) fn orders(&self, path: &Path) -> i64 {
        self.runtime.block_on(async {
            let mut db = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
            let sound: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut db).await.unwrap();
            assert_eq!(sound, "ok", "{}", path.display());
            let orders = sqlx::query_scalar("select count(*) from orders").fetch_one(&mut db).await.unwrap();
            db.close().await.unwrap();
            orders
        })
    }

    /// Writes orders until it is told to stop; how many there are then.
    pub(super) fn write_until(&self, stop: &std::sync::atomic::AtomicBool) -> i64 {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let mut db = Self::open(&self.database()).await;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                Self::order(&mut db, 1).await;
            }
            db.close().await.unwrap();
        });
        self.orders(&self.database())
    }

    /// Runs it as its plan says, to its end.
    pub(super) fn run(&self, wish: &[&str]) -> (i32, String) {
        let token = self.ground.token(wish);
        self.ground.call(&[&["runbook", "run"], wish, &["--confirm", &token]].concat())
    }

    /// Begins it and lets go of it.
    pub(super) fn begin(&self, wish: &[&str]) -> String {
        let token = self.ground.token(wish);
        self.ground.begin(&[wish, &["--confirm", &token]].concat())
    }

    /// Why there is no plan for it.
    pub(super) fn refused(&self, wish: &[&str]) -> String {
        let (code, said) = self.ground.call(&[&["runbook", "plan"], wish].concat());
        assert!(code != 0, "{said}");
        said
    }

    /// Its web processes, by number.
    fn processes(&self) -> Vec<u32> {
        let own = format!("gunicorn {}", self.word).replace(' ', "\0");
        let line = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        process_id::all().filter(|pid| line(pid).replace(' ', "\0").starts_with(&own)).collect()
    }

    /// Kills the application.
    pub(super) fn kill_application(&self) {
        crate::support::servers::eventually("it is gone", || {
            // What the killed runner was starting may come up after the others were found.
            self.processes().into_iter().for_each(kill);
            (!self.runs()).then_some(())
        });
    }

    /// Starts it, as whoever finds it gone would.
    pub(super) fn start_application(&self) {
        assert!(Command::new(self.path("start")).status().unwrap().success());
    }

    /// Whether the web process runs.
    pub(super) fn runs(&self) -> bool {
        !self.processes().is_empty()
    }

    /// Names in a directory that hold this.
    pub(super) fn names(&self, directory: &str, part: &str) -> Vec<String> {
        let names = fs::read_dir(self.path(directory)).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.contains(part));
        names.sort();
        names
    }

    /// The only thing that is held in a directory.
    pub(super) fn held(&self, directory: &str) -> PathBuf {
        let held: Vec<String> = self.names(directory, ".held-");
        let held: Vec<&String> =
            held.iter().filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect();
        assert_eq!(held.len(), 1, "{held:?}");
        self.path(directory).join(held[0])
    }
}
