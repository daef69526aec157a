//! MariaDB.
#![cfg(test)]

use midwatch::backends::database::DatabaseProbe;
use midwatch::config::DatabaseConfig;
use midwatch::domain::database::Engine;
use midwatch::ports::Observe;
use secrecy::SecretString;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor};

use super::{failed, value};
use crate::support::servers::MariadbServer;

fn config(server: &MariadbServer, host: &str) -> DatabaseConfig {
    DatabaseConfig {
        engine: Engine::Mysql,
        host: host.to_owned(),
        port: Some(server.port),
        name: "app".to_owned(),
        user: "app".to_owned(),
        password: SecretString::from("app-pw"),
        container: None,
    }
}

async fn session(server: &MariadbServer, user: &str, password: &str) -> MySqlConnection {
    let options = MySqlConnectOptions::new().socket(server.path().join("my.sock")).username(user);
    let options = if password.is_empty() { options } else { options.password(password).database("app") };
    options.connect().await.unwrap()
}

#[tokio::test]
#[ignore = "needs MariaDB: tests/run installs it"]
async fn sessions_locks_and_read_only_are_seen() {
    let server = MariadbServer::start(&["--max-connections=20"]);
    let mut root = session(&server, "root", "").await;
    let mut probe = DatabaseProbe::new(&config(&server, "127.0.0.1"));
    let reading = value(probe.observe().await);
    assert!(reading.version.ends_with("-MariaDB"), "{}", reading.version);
    assert_eq!((reading.sessions, reading.usable_sessions, reading.waiting), (Some(2), Some(20), Some(0)));
    assert!(!reading.read_only);

    let mut holder = session(&server, "app", "app-pw").await;
    holder.execute("CREATE TABLE t (n INT)").await.unwrap();
    holder.execute("LOCK TABLES t WRITE").await.unwrap();
    let mut waiter = session(&server, "app", "app-pw").await;
    let waiter = tokio::spawn(async move { waiter.execute("SELECT * FROM t").await.map(drop) });
    let start = std::time::Instant::now();
    while value(probe.observe().await).waiting != Some(1) {
        assert!(start.elapsed().as_secs() < 30, "the waiting session never showed");
    }
    holder.execute("UNLOCK TABLES").await.unwrap();
    waiter.await.unwrap().unwrap();

    root.execute("SET GLOBAL read_only = 1").await.unwrap();
    assert!(value(probe.observe().await).read_only);
}

#[tokio::test]
#[ignore = "needs MariaDB: tests/run installs it"]
async fn socket_and_refusals() {
    let server = MariadbServer::start(&[]);
    let socket = server.path().join("my.sock").display().to_string();
    value(DatabaseProbe::new(&config(&server, &socket)).observe().await);
    let wrong = DatabaseConfig { password: SecretString::from("wr0ng-pw"), ..config(&server, "127.0.0.1") };
    let why = failed(DatabaseProbe::new(&wrong).observe().await);
    assert!(why.contains("refuses user app or the password") && !why.contains("wr0ng-pw"), "{why}");
    let nowhere = DatabaseConfig { name: "nowhere".to_owned(), ..config(&server, "127.0.0.1") };
    let why = failed(DatabaseProbe::new(&nowhere).observe().await);
    assert!(why.contains("has no database nowhere"), "{why}");
}
