//! PostgreSQL.
#![cfg(test)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use midwatch::backends::database::{self, DatabaseProbe};
use midwatch::config::DatabaseConfig;
use midwatch::domain::database::Engine;
use midwatch::domain::reading::Seen;
use midwatch::ports::Observe;
use secrecy::SecretString;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor, Row};

use super::{failed, value};
use crate::support::servers::{PostgresServer, free_port};

const SECRET: &str = "app-s3cret";

fn config(server: &PostgresServer) -> DatabaseConfig {
    DatabaseConfig {
        engine: Engine::Postgresql,
        host: "127.0.0.1".to_owned(),
        port: Some(server.port),
        name: "postgres".to_owned(),
        user: "app".to_owned(),
        password: SecretString::from(SECRET),
        container: None,
    }
}

async fn session(server: &PostgresServer, user: &str, password: &str) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(server.port);
    options.database("postgres").username(user).password(password).application_name("test").connect().await.unwrap()
}

/// A server with the role `app`, and a superuser's session.
async fn server(settings: &[&str]) -> (PostgresServer, PgConnection) {
    let server = PostgresServer::start(settings);
    let mut admin = session(&server, "postgres", "super-pw").await;
    admin.execute("create role app login password 'app-s3cret'; grant create on schema public to app").await.unwrap();
    (server, admin)
}

async fn count(admin: &mut PgConnection, filter: &str) -> i64 {
    let sql = format!("select count(*) from pg_stat_activity where {filter}");
    admin.fetch_one(sqlx::AssertSqlSafe(sql)).await.unwrap().get(0)
}

async fn until(admin: &mut PgConnection, filter: &str, wanted: i64) {
    let start = std::time::Instant::now();
    while count(admin, filter).await != wanted {
        assert!(start.elapsed().as_secs() < 30, "{filter}: never {wanted}");
        tokio::task::yield_now().await;
    }
}

const OURS: &str = "application_name = 'midwatch'";

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_healthy_server_is_seen_through_one_idle_session() {
    let (server, mut admin) = server(&["max_connections=20", "superuser_reserved_connections=3"]).await;
    let mut probe = DatabaseProbe::new(&config(&server));
    for _ in 0..3 {
        let reading = value(probe.observe().await);
        assert_eq!(reading.engine, Engine::Postgresql);
        assert!(reading.version.chars().all(|c| c.is_ascii_digit() || c == '.'), "{}", reading.version);
        assert!(reading.latency_ms > 0.0);
        assert_eq!((reading.sessions, reading.usable_sessions, reading.waiting), (Some(2), Some(17), Some(0)));
        assert!(!reading.read_only && reading.blockers.is_empty());
        until(&mut admin, &format!("{OURS} and state = 'idle'"), 1).await;
        assert_eq!(count(&mut admin, OURS).await, 1);
    }
    drop(probe);
    until(&mut admin, OURS, 0).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn stopped_and_started_again_it_is_told_and_recovers() {
    let (mut server, admin) = server(&[]).await;
    let mut probe = DatabaseProbe::new(&config(&server));
    value(probe.observe().await);
    drop(admin.close().await);
    server.stop();
    let why = failed(probe.observe().await);
    assert!(why.contains(&format!("127.0.0.1:{} refuses connections", server.port)), "{why}");
    server.begin();
    value(probe.observe().await);
    server.stop();
    server.begin();
    value(probe.observe().await);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn refusals_are_told_without_the_password() {
    let (server, _admin) = server(&[]).await;
    let wrong = DatabaseConfig { password: SecretString::from("wr0ng-pw"), ..config(&server) };
    let mut probe = DatabaseProbe::new(&wrong);
    for _ in 0..3 {
        let why = failed(probe.observe().await);
        assert!(why.contains("refuses the password of role app"), "{why}");
        assert!(!why.contains("wr0ng-pw"), "{why}");
    }
    let refusals = server.log().matches("password authentication failed").count();
    assert_eq!(refusals, 1, "a wrong password is not tried again and again");

    let nowhere = DatabaseConfig { name: "nowhere".to_owned(), ..config(&server) };
    let why = failed(DatabaseProbe::new(&nowhere).observe().await);
    assert!(why.contains("has no database nowhere"), "{why}");

    let port = free_port();
    let closed = DatabaseConfig { port: Some(port), ..config(&server) };
    let why = failed(DatabaseProbe::new(&closed).observe().await);
    assert!(why.contains(&format!("127.0.0.1:{port} refuses connections")), "{why}");

    let directory = server.path().display().to_string();
    let socket = DatabaseConfig { host: directory.clone(), ..config(&server) };
    value(DatabaseProbe::new(&socket).observe().await);
    let no_socket = DatabaseConfig { host: directory, port: Some(port), ..config(&server) };
    let why = failed(DatabaseProbe::new(&no_socket).observe().await);
    assert!(why.contains("There is no socket") && why.contains(&format!(".s.PGSQL.{port}")), "{why}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn with_all_connections_taken_the_kept_session_still_sees() {
    let (server, _admin) = server(&["max_connections=10", "superuser_reserved_connections=3"]).await;
    let mut kept = DatabaseProbe::new(&config(&server));
    value(kept.observe().await);
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(session(&server, "app", SECRET).await);
    }
    let reading = value(kept.observe().await);
    assert_eq!((reading.sessions, reading.usable_sessions), (Some(7), Some(7)));
    let mut late = DatabaseProbe::new(&config(&server));
    let why = failed(late.observe().await);
    assert!(why.contains("has no free connection"), "{why}");
    drop(others);
    let start = std::time::Instant::now();
    while !matches!(late.observe().await, Seen::Value(_)) {
        assert!(start.elapsed().as_secs() < 30, "no connection became free");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn the_root_of_a_lock_chain_is_found() {
    let (server, mut admin) = server(&[]).await;
    admin.execute("create table t (n int); alter table t owner to app; grant app to postgres").await.unwrap();
    let mut probe = DatabaseProbe::new(&config(&server));
    let mut root = session(&server, "app", SECRET).await;
    root.execute("begin; select * from t").await.unwrap();
    let pid: i32 = root.fetch_one("select pg_backend_pid()").await.unwrap().get(0);
    let mut alter = session(&server, "app", SECRET).await;
    let alter = tokio::spawn(async move { alter.execute("alter table t add m int").await.map(drop) });
    until(&mut admin, "wait_event_type = 'Lock'", 1).await;
    let mut reader = session(&server, "app", SECRET).await;
    let reader = tokio::spawn(async move { reader.execute("select * from t").await.map(drop) });
    until(&mut admin, "wait_event_type = 'Lock'", 2).await;

    let reading = value(probe.observe().await);
    assert_eq!((reading.waiting, reading.blockers.len()), (Some(2), 1));
    let blocker = &reading.blockers[0];
    assert_eq!((blocker.pid, blocker.blocks), (i64::from(pid), 2));
    assert_eq!((blocker.application.as_str(), blocker.state.as_str()), ("test", "idle in transaction"));
    assert!(blocker.transaction_s > 0.0);

    root.execute("commit").await.unwrap();
    alter.await.unwrap().unwrap();
    reader.await.unwrap().unwrap();
    let reading = value(probe.observe().await);
    assert_eq!((reading.waiting, reading.blockers.len()), (Some(0), 0));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_blocker_of_another_role_and_a_prepared_one_are_found_too() {
    let (server, mut admin) = server(&["max_prepared_transactions=2"]).await;
    admin.execute("create table t (n int); alter table t owner to app; create table u (n int)").await.unwrap();
    admin.execute("alter table u owner to app").await.unwrap();
    let mut probe = DatabaseProbe::new(&config(&server));
    let mut root = session(&server, "postgres", "super-pw").await;
    root.execute("begin; lock table t").await.unwrap();
    let pid: i32 = root.fetch_one("select pg_backend_pid()").await.unwrap().get(0);
    admin.execute("begin; lock table u; prepare transaction 'left-behind'").await.unwrap();
    let mut tasks = Vec::new();
    for query in ["select * from t", "select * from u"] {
        let mut waiter = session(&server, "app", SECRET).await;
        tasks.push(tokio::spawn(async move { waiter.execute(query).await.map(drop) }));
    }
    until(&mut admin, "wait_event_type = 'Lock'", 2).await;
    let reading = value(probe.observe().await);
    let told: Vec<_> = reading.blockers.iter().map(|b| (b.pid, b.state.as_str(), b.application.as_str())).collect();
    let hidden = (i64::from(pid), "state hidden without pg_monitor", "");
    assert_eq!(told[0], (0, "prepared transaction", "left-behind"));
    assert_eq!((told[1].0, told[1].1), (hidden.0, hidden.1));
    assert_eq!(reading.sessions, Some(5), "sessions of other roles count");
    admin.execute("rollback prepared 'left-behind'").await.unwrap();
    drop(root);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_server_set_to_read_only_is_told_from_the_session_that_always_is() {
    let (server, mut admin) = server(&[]).await;
    let mut probe = DatabaseProbe::new(&config(&server));
    assert!(!value(probe.observe().await).read_only);
    admin.execute("alter system set default_transaction_read_only = on").await.unwrap();
    admin.execute("select pg_reload_conf()").await.unwrap();
    let start = std::time::Instant::now();
    while !value(probe.observe().await).read_only {
        assert!(start.elapsed().as_secs() < 30, "read-only never showed");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn a_frozen_server_gets_one_question_and_is_green_at_once_when_it_thaws() {
    let (server, mut admin) = server(&[]).await;
    let mut kept = DatabaseProbe::new(&config(&server));
    value(kept.observe().await);
    server.freeze();
    let mut fresh = DatabaseProbe::new(&config(&server));
    for _ in 0..2 {
        let (kept, fresh) = tokio::join!(kept.observe(), fresh.observe());
        let why = failed(kept);
        assert!(why.contains("accepted the connection and has not answered for"), "{why}");
        let why = failed(fresh);
        assert!(why.contains("has opened no session for"), "{why}");
    }
    server.thaw();
    value(kept.observe().await);
    value(fresh.observe().await);
    assert_eq!(count(&mut admin, OURS).await, 2, "one for each probe");
    let opened = server.log().matches("application_name=midwatch").count();
    assert_eq!(opened, 2, "one session each was ever opened");
}

/// Hands on what comes, each time only after this long: a server far away, or a machine with too much to do.
fn slowed(port: u16, by: Duration) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                thread::spawn(move || {
                    let mut buffer = vec![0_u8; 65536];
                    while let Ok(length @ 1..) = from.read(&mut buffer) {
                        thread::sleep(by);
                        if to.write_all(&buffer[..length]).is_err() {
                            break;
                        }
                    }
                    to.shutdown(Shutdown::Both).ok();
                });
            }
        }
    });
    own
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn where_a_look_puts_the_migrations_off_they_can_be_asked_for_alone() {
    let (server, mut admin) = server(&[]).await;
    let table = "create table django_migrations (id serial, app text, name text, applied timestamptz default now())";
    admin.execute(table).await.unwrap();
    admin.execute("insert into django_migrations (app, name) values ('base', '0001_initial')").await.unwrap();
    admin.execute("grant select on django_migrations to app").await.unwrap();
    let mut config = config(&server);
    config.port = Some(slowed(server.port, Duration::from_millis(100)));
    assert_eq!(value(DatabaseProbe::new(&config).observe().await).migrations, None);
    let found = database::migrations(&config).await.unwrap().unwrap();
    assert_eq!(found.first().map(midwatch::domain::database::Migrated::head), Some("0001_initial"));

    admin.execute("drop table django_migrations").await.unwrap();
    assert_eq!(database::migrations(&config).await, Ok(None));
    config.port = Some(free_port());
    assert!(database::migrations(&config).await.unwrap_err().contains("PostgreSQL at 127.0.0.1"));
}
