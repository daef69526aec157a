//! Faults of the database, made on servers of our own (FIELD INC-11, INC-13, INC-15 to INC-24).
#![cfg(test)]

mod files;
mod maria;
mod upkeep;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use midwatch::domain::level::Level;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use tempfile::TempDir;

use crate::support::eyes::{Eyes, holds, top};
use crate::support::servers::PostgresServer;
use crate::support::site::{StandsOn, serve};

/// The site's name in the configuration.
const SITE: &str = "shop";

/// Eyes on a site of this kind with this database and a backup of it; its healthcheck stands on what `on` says.
fn watch(dir: &TempDir, app: &str, database: &str, on: StandsOn, more: &str) -> Eyes {
    let backups = dir.path().join("backups");
    std::fs::create_dir_all(&backups).unwrap();
    let dump = "--\n-- PostgreSQL database dump\n--\n\nselect 1;\n\n--\n-- PostgreSQL database dump complete\n--\n\n";
    std::fs::write(backups.join("shop.sql"), dump).unwrap();
    std::fs::set_permissions(backups.join("shop.sql"), Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "discover = false\n[pace]\ndatabase = \"1s\"\nhealth = \"1s\"\nhost = \"1s\"\n{more}\n[sites.{SITE}]\n\
         app = \"{app}\"\nurl = \"http://127.0.0.1:{}\"\ndatabase = \"{database}\"\n[[sites.{SITE}.backups]]\n\
         path = \"{}\"\nsubject = \"database\"\noff_host = true\n",
        serve(on),
        backups.display()
    );
    Eyes::open(dir.path(), &config)
}

async fn session(server: &PostgresServer, user: &str) -> PgConnection {
    PgConnection::connect(&format!("{}&application_name=test", url(server, user))).await.unwrap()
}

/// As libpq takes it; midwatch knows these parameters too.
fn url(server: &PostgresServer, user: &str) -> String {
    let password = if user == "postgres" { "super-pw" } else { "app-pw" };
    format!("postgres://{user}:{password}@127.0.0.1:{}/postgres?sslmode=prefer", server.port)
}

/// A server with the role `app` and its table `thing`, and a superuser's session.
async fn server(settings: &[&str]) -> (PostgresServer, PgConnection) {
    let server = PostgresServer::start(settings);
    let mut admin = session(&server, "postgres").await;
    admin
        .execute(
            "create role app login password 'app-pw'; create table thing (id int); alter table thing owner to app; \
             grant create on schema public to app",
        )
        .await
        .unwrap();
    (server, admin)
}

/// Eyes on a site whose page asks the table `thing` of this server.
fn standing_on(dir: &TempDir, server: &PostgresServer) -> Eyes {
    let url = url(server, "app");
    watch(dir, "web", &url, StandsOn { postgres: Some(url.clone()), redis: None }, "")
}

async fn healthy(eyes: &mut Eyes) {
    eyes.until("a site with nothing worse than a note", |m| {
        let seen = m.sites.first().is_some_and(|site| site.database.fresh().is_some());
        seen && top(m, SITE).is_none_or(|found| found.level <= Level::Note)
    })
    .await;
}

/// A session of `app` that runs this for as long as it takes.
async fn busy(server: &PostgresServer, sql: &'static str) -> tokio::task::JoinHandle<()> {
    let mut session = session(server, "app").await;
    tokio::spawn(async move { session.execute(sql).await.map(drop).unwrap_or_default() })
}

async fn until(admin: &mut PgConnection, filter: &str, wanted: i64) {
    let sql = format!("select count(*) from pg_stat_activity where {filter}");
    let start = std::time::Instant::now();
    while admin.fetch_one(sqlx::AssertSqlSafe(sql.clone())).await.unwrap().get::<i64, _>(0) != wanted {
        assert!(start.elapsed().as_secs() < 30, "{filter}: never {wanted}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_queue_behind_an_idle_transaction_and_a_change_of_a_table() {
    let (server, mut admin) = server(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = standing_on(&dir, &server);
    healthy(&mut eyes).await;
    let mut root = session(&server, "app").await;
    let pid: i32 = root.fetch_one("select pg_backend_pid()").await.unwrap().get(0);
    root.execute("begin; select /* url=control:index */ count(*) from thing where id = 4711").await.unwrap();
    let alter = busy(&server, "alter table thing add more int").await;
    let reader = busy(&server, "select * from thing").await;
    let found = eyes.top(SITE, "database-lock").await;
    assert!(found.title.contains(&format!("session {pid} (test) blocks")), "{}", found.title);
    eyes.until("the page that hangs is below it, and the tree is whole", |m| {
        top(m, SITE).is_some_and(|f| holds(f, "web-hangs") && f.details.len() >= 3)
    })
    .await;
    let found = eyes.top(SITE, "database-lock").await;
    assert_eq!(found.level, Level::Critical);
    assert!(found.details[0].starts_with(&format!("{pid} test · app@127.0.0.1 · idle in transaction")), "{found:#?}");
    assert!(found.details[1].starts_with("└ ") && found.details[1].contains("alter table thing"), "{found:#?}");
    assert!(found.details[2].starts_with("  └ ") && found.details[2].contains("select"), "{found:#?}");
    assert!(found.details[0].contains("page control:index"), "{found:#?}");
    assert!(found.details[0].ends_with("from thing where id = ?"), "constants are not shown: {found:#?}");
    root.execute("commit").await.unwrap();
    alter.await.unwrap();
    reader.await.unwrap();
    eyes.gone(SITE, "database-lock").await;
    healthy(&mut eyes).await;
    until(&mut admin, "application_name = 'midwatch'", 1).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn connections_that_are_used_up() {
    let (server, _admin) = server(&["max_connections=14", "superuser_reserved_connections=3"]).await;
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = standing_on(&dir, &server);
    healthy(&mut eyes).await;
    let mut hoard = Vec::new();
    while let Ok(session) = PgConnection::connect(&[&url(&server, "app"), "&application_name=leak"].concat()).await {
        hoard.push(session);
    }
    let found = eyes.top(SITE, "database-connections").await;
    // What was somebody's for a moment, too.
    while let Ok(session) = PgConnection::connect(&[&url(&server, "app"), "&application_name=leak"].concat()).await {
        hoard.push(session);
    }
    assert!(found.evidence.contains("idle from leak"), "the kept session still sees who: {found:?}");
    eyes.until("the page that fails is below it", |m| top(m, SITE).is_some_and(|f| holds(f, "web-error"))).await;
    // One that comes later has no session of its own.
    let late = tempfile::tempdir().unwrap();
    let mut other = standing_on(&late, &server);
    let found = other.top(SITE, "database-connections").await;
    assert!(found.level == Level::Critical && found.evidence.contains("has no free connection"), "{found:?}");
    assert!(!other.model.findings.iter().any(|f| holds(f, "database-down")), "it is not down");
    drop(hoard);
    eyes.gone(SITE, "database-connections").await;
    other.gone(SITE, "database-connections").await;
    healthy(&mut eyes).await;
    other.end().await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn buyers_of_one_event_that_wait_for_each_other() {
    let (server, mut admin) = server(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = standing_on(&dir, &server);
    healthy(&mut eyes).await;
    let mut first = session(&server, "app").await;
    first.execute("begin; select pg_advisory_xact_lock(1, 42)").await.unwrap();
    let mut others = Vec::new();
    for _ in 0..6 {
        others.push(busy(&server, "select /* url=presale:event.checkout */ pg_advisory_xact_lock(1, 42)").await);
    }
    until(&mut admin, "wait_event = 'advisory'", 6).await;
    let found = eyes.top(SITE, "advisory-lock-waiters").await;
    assert_eq!(found.level, Level::Warning);
    assert!(found.title.starts_with("6 sessions wait"), "{}", found.title);
    assert!(found.evidence.contains("at presale:event.checkout"), "{}", found.evidence);
    assert!(!eyes.model.findings.iter().any(|f| holds(f, "database-lock")), "no fault of the database");
    first.execute("commit").await.unwrap();
    for other in others {
        other.await.unwrap();
    }
    eyes.gone(SITE, "advisory-lock-waiters").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_transaction_that_somebody_left_open() {
    let (server, _admin) = server(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let url = url(&server, "app");
    let more = "[thresholds]\nidle_transaction_s = 1.0";
    let mut eyes = watch(&dir, "web", &url, StandsOn::default(), more);
    healthy(&mut eyes).await;
    let mut open = session(&server, "app").await;
    open.execute("begin; select 1").await.unwrap();
    let found = eyes.top(SITE, "database-idle-transaction").await;
    assert!(found.evidence.contains("last: select ?") || found.evidence.contains("select ?"), "{found:?}");
    assert_eq!(found.level, Level::Warning, "ten times the threshold: {found:?}");
    open.execute("rollback").await.unwrap();
    eyes.gone(SITE, "database-idle-transaction").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_server_that_is_stopped_and_one_that_replays_its_log() {
    let (mut server, admin) = server(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = standing_on(&dir, &server);
    healthy(&mut eyes).await;
    drop(admin.close().await);
    server.stop();
    let found = eyes.top(SITE, "database-down").await;
    assert!(found.evidence.contains("refuses connections"), "{found:?}");
    eyes.until("the page that fails is below it", |m| top(m, SITE).is_some_and(|f| holds(f, "web-error"))).await;
    // It comes back in recovery, and stays so until this file is there.
    let go = server.path().join("go");
    configure(&server, &format!("restore_command = 'while [ ! -e {} ]; do sleep 0.1; done; false'", go.display()));
    signal(&server, "recovery.signal");
    server.launch();
    let found = eyes.top(SITE, "database-recovering").await;
    assert!(found.title.contains("do not restart") && found.evidence.contains("starting up"), "{found:?}");
    assert!(!eyes.model.findings.iter().any(|f| holds(f, "database-down")), "{:#?}", eyes.model.findings);
    std::fs::write(&go, "").unwrap();
    eyes.gone(SITE, "database-recovering").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_server_that_takes_no_writes_and_one_that_is_a_standby() {
    let (mut server, mut admin) = server(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = watch(&dir, "web", &url(&server, "app"), StandsOn::default(), "");
    healthy(&mut eyes).await;
    admin.execute("alter system set default_transaction_read_only = on").await.unwrap();
    admin.execute("select pg_reload_conf()").await.unwrap();
    let found = eyes.top(SITE, "database-read-only").await;
    assert!(found.level == Level::Critical && found.details[0].starts_with("system identifier "), "{found:?}");
    admin.execute("set default_transaction_read_only = off").await.unwrap();
    admin.execute("alter system reset default_transaction_read_only").await.unwrap();
    admin.execute("select pg_reload_conf()").await.unwrap();
    eyes.gone(SITE, "database-read-only").await;
    drop(admin.close().await);
    server.stop();
    signal(&server, "standby.signal");
    server.launch();
    let found = eyes.top(SITE, "database-read-only").await;
    assert!(found.title.contains("connected to a standby"), "{found:?}");
    server.stop();
    std::fs::remove_file(server.path().join("data/standby.signal")).unwrap();
    server.begin();
    eyes.gone(SITE, "database-read-only").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

/// Adds a line to the server's configuration.
fn configure(server: &PostgresServer, line: &str) {
    use std::io::Write as _;
    let file = server.path().join("data/postgresql.auto.conf");
    let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    writeln!(file, "{line}").unwrap();
}

/// Leaves an empty file that tells the server how to start.
fn signal(server: &PostgresServer, name: &str) {
    let data = server.path().join("data");
    std::fs::write(data.join(name), "").unwrap();
    owned_alike(&data, &data.join(name));
}

fn owned_alike(like: &Path, path: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let facts = std::fs::metadata(like).unwrap();
    std::os::unix::fs::chown(path, Some(facts.uid()), Some(facts.gid())).unwrap();
}
