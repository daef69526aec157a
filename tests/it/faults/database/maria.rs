//! MariaDB: a lock of a table's definition, keys that end, connections used up.

use midwatch::domain::level::Level;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor, Row};

use super::{SITE, healthy, watch};
use crate::support::servers::MariadbServer;
use crate::support::site::StandsOn;

async fn session(server: &MariadbServer, user: &str, password: &str) -> MySqlConnection {
    let options = MySqlConnectOptions::new().socket(server.path().join("my.sock")).username(user);
    let options = if password.is_empty() { options } else { options.password(password).database("app") };
    options.connect().await.unwrap()
}

fn url(server: &MariadbServer) -> String {
    format!("mysql://app:app-pw@127.0.0.1:{}/app", server.port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: tests/run installs it"]
async fn a_sleeping_transaction_that_blocks_a_change_of_a_table() {
    let server = MariadbServer::start(&[]);
    let mut root = session(&server, "root", "").await;
    let mut holder = session(&server, "app", "app-pw").await;
    holder.execute("CREATE TABLE t (n INT) ENGINE=InnoDB").await.unwrap();
    root.execute("GRANT PROCESS ON *.* TO app@'%'").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = watch(&dir, "web", &url(&server), StandsOn::default(), "");
    healthy(&mut eyes).await;
    holder.execute("BEGIN").await.unwrap();
    holder.execute("SELECT * FROM t").await.unwrap();
    let id: u64 = holder.fetch_one("SELECT CONNECTION_ID()").await.unwrap().get(0);
    let mut tasks = Vec::new();
    for sql in ["ALTER TABLE t ADD m INT", "SELECT * FROM t"] {
        let mut waiter = session(&server, "app", "app-pw").await;
        tasks.push(tokio::spawn(async move { waiter.execute(sql).await.map(drop) }));
        eyes.until("it waits", |m| {
            let waiting = m.sites.first().and_then(|s| s.database.value()?.waiting);
            waiting.is_some_and(|n| n as usize >= tasks.len())
        })
        .await;
    }
    let found = eyes.top(SITE, "database-lock").await;
    assert!(found.suspected && found.title.contains(&format!("session {id} (app) blocks 2 others")), "{found:?}");
    assert!(found.details[0].contains("idle in transaction"), "{found:#?}");
    assert!(found.details[1].contains("ALTER TABLE t"), "{found:#?}");
    holder.execute("COMMIT").await.unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    eyes.gone(SITE, "database-lock").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: tests/run installs it"]
async fn a_row_that_somebody_holds() {
    let server = MariadbServer::start(&[]);
    let mut root = session(&server, "root", "").await;
    root.execute("GRANT PROCESS ON *.* TO app@'%'").await.unwrap();
    let mut holder = session(&server, "app", "app-pw").await;
    holder.execute("CREATE TABLE t (n INT PRIMARY KEY, m INT) ENGINE=InnoDB").await.unwrap();
    holder.execute("INSERT INTO t VALUES (1, 1)").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = watch(&dir, "web", &url(&server), StandsOn::default(), "");
    healthy(&mut eyes).await;
    holder.execute("BEGIN").await.unwrap();
    holder.execute("UPDATE t SET m = 2").await.unwrap();
    let id: u64 = holder.fetch_one("SELECT CONNECTION_ID()").await.unwrap().get(0);
    let mut waiter = session(&server, "app", "app-pw").await;
    let task =
        tokio::spawn(async move { waiter.execute("UPDATE t SET m = 'secret-value' WHERE n = 1").await.map(drop) });
    let found = eyes.top(SITE, "database-lock").await;
    assert!(!found.suspected && found.title.contains(&format!("session {id} (app) blocks 1 other")), "{found:?}");
    assert!(!format!("{found:?}").contains("secret-value"), "{found:?}");
    holder.execute("ROLLBACK").await.unwrap();
    drop(task.await.unwrap());
    eyes.gone(SITE, "database-lock").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: tests/run installs it"]
async fn a_key_that_is_nearly_used_up_and_connections_that_are() {
    let server = MariadbServer::start(&["--max-connections=8"]);
    let mut app = session(&server, "app", "app-pw").await;
    app.execute("CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, n INT)").await.unwrap();
    app.execute("INSERT INTO log VALUES (2100000000, 1)").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = watch(&dir, "web", &url(&server), StandsOn::default(), "");
    let found = eyes.top(SITE, "key-space").await;
    assert!(found.level == Level::Critical && found.title.contains("log.id is used to 98 % of int"), "{found:?}");
    app.execute("ALTER TABLE log MODIFY id BIGINT AUTO_INCREMENT").await.unwrap();
    eyes.gone(SITE, "key-space").await;
    let mut hoard = Vec::new();
    let plenty = MySqlConnectOptions::new().socket(server.path().join("my.sock")).username("app").password("app-pw");
    while let Ok(session) = plenty.clone().connect().await {
        hoard.push(session);
    }
    let found = eyes.top(SITE, "database-connections").await;
    assert!(found.level == Level::Critical && found.details[0].contains("from app"), "{found:?}");
    drop(hoard);
    eyes.gone(SITE, "database-connections").await;
    eyes.end().await;
}
