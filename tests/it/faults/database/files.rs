//! SQLite: locked by another process, damaged, and where it should not be at all.

use std::io::{BufRead as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use midwatch::domain::level::Level;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, Executor};
use tempfile::TempDir;

use super::{SITE, healthy, server, url, watch};
use crate::support::eyes::holds;
use crate::support::site::StandsOn;

async fn database(mode: SqliteJournalMode) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db.sqlite3");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true).journal_mode(mode);
    let mut connection = options.connect().await.unwrap();
    connection.execute("create table t (n int, text text); create index i on t (text)").await.unwrap();
    let rows = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 5000) \
        insert into t select n, hex(randomblob(50)) from c";
    connection.execute(rows).await.unwrap();
    connection.close().await.unwrap();
    (dir, path)
}

fn eyes(dir: &TempDir, path: &std::path::Path) -> crate::support::eyes::Eyes {
    watch(dir, "web", &format!("sqlite://{}", path.display()), StandsOn::default(), "")
}

/// A process of its own: locks are a process' own, and midwatch does not tell of itself.
struct Writer(Child);

impl Writer {
    fn begin(path: &std::path::Path, how: &str) -> Self {
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
            c.execute(sys.argv[2])\nc.execute('update t set n = 2')\nprint('ready', flush=True)\nsys.stdin.read()\n\
            c.execute('rollback')\n";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(path)
            .arg(how)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n");
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs python3: tests/run installs it"]
async fn a_file_that_another_process_has_locked() {
    for (mode, how) in [(SqliteJournalMode::Delete, "begin exclusive"), (SqliteJournalMode::Wal, "begin immediate")] {
        let (dir, path) = database(mode).await;
        let mut eyes = eyes(&dir, &path);
        healthy(&mut eyes).await;
        let writer = Writer::begin(&path, how);
        let found = eyes.top(SITE, "database-lock").await;
        assert!(found.title.contains(&format!("process {} (python3", writer.pid())), "{mode:?}: {found:?}");
        assert!(!eyes.model.findings.iter().any(|f| holds(f, "database-down")), "locked is not down");
        writer.end();
        eyes.gone(SITE, "database-lock").await;
        healthy(&mut eyes).await;
        eyes.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_damaged() {
    let (dir, path) = database(SqliteJournalMode::Delete).await;
    let whole = std::fs::read(&path).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    for page in 20..40 {
        file.seek(std::io::SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xff; 512]).unwrap();
    }
    drop(file);
    let mut eyes = eyes(&dir, &path);
    let found = eyes.top(SITE, "database-corrupt").await;
    assert_eq!(found.level, Level::Critical);
    std::fs::write(&path, whole).unwrap();
    eyes.gone(SITE, "database-corrupt").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_pretix_that_fell_back_to_a_file() {
    let (dir, path) = database(SqliteJournalMode::Delete).await;
    let place = format!("sqlite://{}", path.display());
    let mut eyes = watch(&dir, "pretix", &place, StandsOn::default(), "");
    eyes.until("the fallback is told", |m| {
        m.findings.iter().any(|f| f.site == SITE && f.rule == "database-sqlite-fallback" && f.level == Level::Warning)
    })
    .await;
    eyes.end().await;
    let mut practice = watch(&dir, "pretix", &place, StandsOn::default(), "");
    practice.model.sites[0].practice = true;
    let seen = |m: &midwatch::app::model::Model| m.sites[0].database.fresh().is_some();
    practice.until("a practice site is meant to", seen).await;
    assert!(!practice.model.findings.iter().any(|f| holds(f, "database-sqlite-fallback")));
    practice.end().await;
    let (server, _admin) = server(&[]).await;
    let mut mended = watch(&dir, "pretix", &url(&server, "app"), StandsOn::default(), "");
    mended.until("its database server is back", seen).await;
    mended.gone(SITE, "database-sqlite-fallback").await;
    mended.end().await;
}
