//! Dumps of a real MariaDB.
#![cfg(test)]

use std::fs;
use std::process::Command;

use midwatch::domain::backup::kind::Kind;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions as _, Executor as _};

use super::{cut_everywhere, folder, run, whole};
use crate::support::servers::MariadbServer;

#[tokio::test]
#[ignore = "needs MariaDB and its client: tests/run installs them"]
async fn a_dump_is_whole_with_its_last_line_and_never_without() {
    let server = MariadbServer::start(&[]);
    let options = MySqlConnectOptions::new().socket(server.path().join("my.sock")).username("app");
    let mut session: MySqlConnection = options.password("app-pw").database("app").connect().await.unwrap();
    let sql = "create table orders (id int primary key, code text)";
    session.execute(sql).await.unwrap();
    session.execute("insert into orders select seq, md5(seq) from seq_1_to_3000").await.unwrap();
    let dir = folder();
    let path = dir.path().join("app.sql");
    let mut command = Command::new("mariadb-dump");
    command.args(["--no-defaults", "-uapp", "-papp-pw", "-S"]).arg(server.path().join("my.sock")).arg("app");
    let text = run(&mut command);
    fs::write(&path, &text).unwrap();
    let verdict = whole(&path);
    assert_eq!(verdict.kind, Some(Kind::Mysql));
    let header = verdict.header.unwrap();
    assert_eq!(header.database.as_deref(), Some("app"));
    assert!(header.server.is_some(), "{header:?}");
    cut_everywhere(&path, 0);
    let packed = dir.path().join("app.sql.gz");
    run(Command::new("sh").args(["-c", "gzip -c \"$0\" > \"$1\""]).arg(&path).arg(&packed));
    whole(&packed);
    cut_everywhere(&packed, 0);
}
