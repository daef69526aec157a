//! Two unrelated faults at once, midwatch started only after both: two causes are named, each with its own symptoms.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use midwatch::app::model::Model;
use midwatch::triage::Finding;
use redis::Commands;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::support::eyes::Eyes;
use crate::support::servers::{PostgresServer, RedisServer, eventually};
use crate::support::site::{StandsOn, serve, serve_expired};

const SUPER: &str = "postgres://postgres:super-pw@127.0.0.1";

/// A small file system of its own, gone with its guard. Only root may have one.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    fn new(options: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("midwatch-disk-").tempdir().unwrap();
        run("mount", &["-t", "tmpfs", "-o", options, "midwatch", dir.path().to_str().unwrap()]);
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its mount point as the host's readings name it.
    fn mount(&self) -> String {
        self.path().canonicalize().unwrap().display().to_string()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", self.dir.path().to_str().unwrap()]);
    }
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

async fn session(server: &PostgresServer) -> PgConnection {
    PgConnection::connect(&format!("{SUPER}:{}/postgres", server.port)).await.unwrap()
}

/// A table the healthcheck reads, and a role the application and midwatch use.
async fn furnish(server: &PostgresServer) {
    let mut session = session(server).await;
    session.execute("CREATE TABLE thing (id int)").await.unwrap();
    session.execute("CREATE ROLE app LOGIN PASSWORD 'app-pw'").await.unwrap();
    session.execute("GRANT ALL ON thing TO app").await.unwrap();
}

fn app_url(server: &PostgresServer) -> String {
    format!("postgres://app:app-pw@127.0.0.1:{}/postgres", server.port)
}

/// Tasks nobody takes.
fn abandoned(server: &RedisServer) {
    let mut connection = redis::Client::open(server.url(0)).unwrap().get_connection().unwrap();
    for n in 0..7 {
        let _: u64 =
            connection.lpush("checkout:4", format!(r#"{{"headers": {{"id": "task-{n}"}}, "body": ""}}"#)).unwrap();
    }
}

struct Scene {
    dir: TempDir,
    config: String,
}

impl Scene {
    fn new(scheme: &str, port: u16) -> Self {
        let config = format!(
            r#"
discover = false
[pace]
health = "1s"
host = "1s"
database = "1s"
redis = "1s"
[thresholds]
checkout_wait_warning_s = 1
[sites.shop]
url = "{scheme}://localhost:{port}"
app = "pretix"
"#
        );
        Self { dir: tempfile::tempdir().unwrap(), config }
    }

    fn with(mut self, line: &str) -> Self {
        self.config.push_str(line);
        self.config.push('\n');
        self
    }

    fn eyes(&self) -> Eyes {
        Eyes::open(self.dir.path(), &self.config)
    }
}

fn cause<'m>(model: &'m Model, rule: &str) -> Option<&'m Finding> {
    model.findings.iter().find(|f| f.rule == rule)
}

fn under(finding: Option<&Finding>, rule: &str) -> bool {
    finding.is_some_and(|f| f.symptoms.iter().any(|s| s.rule == rule))
}

/// That this file system is a cause of its own.
fn disk<'m>(model: &'m Model, rule: &str, disk: &SmallDisk) -> Option<&'m Finding> {
    model.findings.iter().find(|f| f.rule == rule && f.subject == disk.mount())
}

/// Writes until nothing more goes in.
fn fill(disk: &SmallDisk) -> PathBuf {
    let path = disk.path().join("full");
    let mut file = std::fs::File::create(&path).unwrap();
    let block = vec![0; 65_536];
    while file.write_all(&block).is_ok() {}
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis"]
async fn a_lock_and_no_worker() {
    let (database, broker) = (PostgresServer::start(&[]), RedisServer::start(&[]));
    furnish(&database).await;
    let port = serve(StandsOn { postgres: Some(app_url(&database)), redis: None });
    let mut blocker = session(&database).await;
    blocker.execute("BEGIN").await.unwrap();
    blocker.execute("LOCK TABLE thing IN ACCESS EXCLUSIVE MODE").await.unwrap();
    abandoned(&broker);
    let scene = Scene::new("http", port)
        .with(&format!("database = \"{}\"", app_url(&database)))
        .with(&format!("broker = \"{}\"", broker.url(0)));
    let mut eyes = scene.eyes();
    eyes.until("both causes, each with its own symptom", |m| {
        under(cause(m, "database-lock"), "web-hangs") && under(cause(m, "worker-gone"), "queue-late")
    })
    .await;
    blocker.execute("ROLLBACK").await.unwrap();
    eyes.until("the lock is gone, the worker still is", |m| {
        cause(m, "database-lock").is_none() && cause(m, "web-hangs").is_none() && cause(m, "worker-gone").is_some()
    })
    .await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis, and root for a file system of its own"]
async fn a_full_disk_and_no_worker_as_root() {
    let (disk_, broker) = (SmallDisk::new("size=2m"), RedisServer::start(&[]));
    let port = serve(StandsOn::default());
    let full = fill(&disk_);
    abandoned(&broker);
    let scene = Scene::new("http", port).with(&format!("broker = \"{}\"", broker.url(0)));
    let mut eyes = scene.eyes();
    eyes.until("both causes", |m| {
        disk(m, "disk-full", &disk_).is_some_and(|f| f.symptoms.is_empty())
            && under(cause(m, "worker-gone"), "queue-late")
    })
    .await;
    std::fs::remove_file(full).unwrap();
    eyes.until("the disk has room again", |m| {
        disk(m, "disk-full", &disk_).is_none() && cause(m, "worker-gone").is_some()
    })
    .await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_lock_and_an_expired_certificate() {
    let database = PostgresServer::start(&[]);
    furnish(&database).await;
    let port = serve_expired(StandsOn::default());
    let mut blocker = session(&database).await;
    blocker.execute("BEGIN").await.unwrap();
    blocker.execute("LOCK TABLE thing IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let url = app_url(&database);
    let victim = tokio::spawn(async move {
        let mut victim = PgConnection::connect(&url).await.unwrap();
        victim.execute("SELECT count(*) FROM thing").await.ok();
    });
    let scene = Scene::new("https", port).with(&format!("database = \"{}\"", app_url(&database)));
    let mut eyes = scene.eyes();
    eyes.until("both causes, neither below the other", |m| {
        cause(m, "database-lock").is_some_and(|f| !under(Some(f), "certificate")) && cause(m, "certificate").is_some()
    })
    .await;
    blocker.execute("ROLLBACK").await.unwrap();
    victim.await.unwrap();
    eyes.until("the certificate is left", |m| cause(m, "database-lock").is_none() && cause(m, "certificate").is_some())
        .await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis"]
async fn a_stopped_database_and_a_redis_that_is_full() {
    let (mut database, redis) = (
        PostgresServer::start(&[]),
        RedisServer::start(&["--maxmemory", "1100kb", "--maxmemory-policy", "noeviction"]),
    );
    furnish(&database).await;
    let port = serve(StandsOn { postgres: Some(app_url(&database)), redis: None });
    let mut connection = redis::Client::open(redis.url(0)).unwrap().get_connection().unwrap();
    let mut n = 0;
    eventually("Redis being full", || {
        n += 1;
        redis::cmd("SET").arg(n).arg("x".repeat(4096)).query::<()>(&mut connection).err()
    });
    database.stop();
    let scene = Scene::new("http", port)
        .with(&format!("database = \"{}\"", app_url(&database)))
        .with(&format!("redis = \"{}\"", redis.url(0)));
    let mut eyes = scene.eyes();
    eyes.until("both causes", |m| {
        under(cause(m, "database-down"), "web-error") && cause(m, "redis-refuses-writes").is_some()
    })
    .await;
    database.begin();
    eyes.until("the database is back, Redis is still full", |m| {
        cause(m, "database-down").is_none() && cause(m, "redis-refuses-writes").is_some()
    })
    .await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL, and root for a file system of its own"]
async fn used_up_connections_and_used_up_inodes_as_root() {
    let database = PostgresServer::start(&["max_connections=12", "superuser_reserved_connections=3"]);
    furnish(&database).await;
    let disk_ = SmallDisk::new("size=4m,nr_inodes=40");
    for n in 0..39 {
        std::fs::write(disk_.path().join(n.to_string()), "").ok();
    }
    let port = serve(StandsOn { postgres: Some(app_url(&database)), redis: None });
    let mut hoard = Vec::new();
    while let Ok(session) = PgConnection::connect(&app_url(&database)).await {
        hoard.push(session);
    }
    let scene = Scene::new("http", port).with(&format!("database = \"{}\"", app_url(&database)));
    let mut eyes = scene.eyes();
    eyes.until("both causes", |m| {
        under(cause(m, "database-connections"), "web-error") && disk(m, "inodes-full", &disk_).is_some()
    })
    .await;
    drop(hoard);
    eyes.until("connections are to be had, inodes are not", |m| {
        cause(m, "database-connections").is_none() && disk(m, "inodes-full", &disk_).is_some()
    })
    .await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis"]
async fn a_frozen_redis_and_a_standby() {
    let (database, redis) = (PostgresServer::start(&["default_transaction_read_only=on"]), RedisServer::start(&[]));
    let port = serve(StandsOn { postgres: None, redis: None });
    redis.freeze();
    let scene = Scene::new("http", port)
        .with(&format!("database = \"{SUPER}:{}/postgres\"", database.port))
        .with(&format!("redis = \"{}\"", redis.url(0)));
    let mut eyes = scene.eyes();
    eyes.until("both causes", |m| cause(m, "redis-down").is_some() && cause(m, "database-read-only").is_some()).await;
    // Who asks waits at its port, which the host sees; that is a part of it and no second cause.
    let place = format!("127.0.0.1:{}", redis.port);
    let waiting: Vec<_> = (0..12).map(|_| std::net::TcpStream::connect(&place).unwrap()).collect();
    let queue = |f: &Finding| f.rule == "accept-queue" && f.subject == place;
    eyes.until("those that wait stand below it", |m| {
        cause(m, "redis-down").is_some_and(|f| f.symptoms.iter().any(queue)) && !m.findings.iter().any(queue)
    })
    .await;
    drop(waiting);
    redis.thaw();
    eyes.until("Redis is back", |m| cause(m, "redis-down").is_none() && cause(m, "database-read-only").is_some()).await;
    eyes.end().await;
}
