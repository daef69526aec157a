//! SQLite files.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use midwatch::backends::database::{DatabaseProbe, migrations};
use midwatch::config::DatabaseConfig;
use midwatch::domain::database::{Engine, Migrated};
use midwatch::ports::Observe;
use secrecy::SecretString;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, Executor};
use tempfile::TempDir;

use super::{failed, value};

fn config(path: &Path) -> DatabaseConfig {
    DatabaseConfig {
        engine: Engine::Sqlite,
        host: String::new(),
        port: None,
        name: path.display().to_string(),
        user: String::new(),
        password: SecretString::from(""),
        container: None,
    }
}

fn probe(path: &Path) -> DatabaseProbe {
    DatabaseProbe::new(&config(path))
}

async fn database(mode: SqliteJournalMode) -> (TempDir, PathBuf, SqliteConnection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db?#.sqlite3");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true).journal_mode(mode);
    let mut connection = options.connect().await.unwrap();
    connection.execute("create table t (n int); insert into t values (1)").await.unwrap();
    (dir, path, connection)
}

fn files(dir: &TempDir) -> BTreeSet<String> {
    fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn nothing_is_created_beside_a_database_that_nobody_has_open() {
    for mode in [SqliteJournalMode::Delete, SqliteJournalMode::Wal] {
        let (dir, path, mut connection) = database(mode).await;
        connection
            .execute("create table django_migrations (id integer primary key, app, name, applied)")
            .await
            .unwrap();
        connection
            .execute("insert into django_migrations values (1, 'base', '0001_initial', '2026-01-01')")
            .await
            .unwrap();
        connection.close().await.unwrap();
        let before = (files(&dir), fs::read(&path).unwrap());
        let mut probe = probe(&path);
        for _ in 0..2 {
            let reading = value(probe.observe().await);
            assert!(reading.version.starts_with('3') && reading.latency_ms > 0.0 && !reading.read_only);
            assert_eq!((files(&dir), fs::read(&path).unwrap()), before, "{mode:?}");
        }
        drop(probe);
        let seen = migrations(&config(&path)).await.unwrap().unwrap();
        assert_eq!(seen.first().map(Migrated::head), Some("0001_initial"), "{mode:?}");
        assert_eq!((files(&dir), fs::read(&path).unwrap()), before, "{mode:?}");
    }
}

#[tokio::test]
async fn a_database_in_use_is_read_beside_its_writer() {
    for mode in [SqliteJournalMode::Delete, SqliteJournalMode::Wal] {
        let (_dir, path, mut writer) = database(mode).await;
        let mut probe = probe(&path);
        for _ in 0..3 {
            assert!(value(probe.observe().await).version.starts_with("3."), "{mode:?}");
            writer.execute("insert into t values (2)").await.unwrap();
        }
        writer.close().await.unwrap();
        value(probe.observe().await);
    }
}

#[tokio::test]
async fn a_locked_database_is_told_and_recovers() {
    let (_dir, path, mut writer) = database(SqliteJournalMode::Delete).await;
    let mut probe = probe(&path);
    value(probe.observe().await);
    writer.execute("begin exclusive").await.unwrap();
    assert!(value(probe.observe().await).file.is_some_and(|file| file.locked), "that it is locked is an answer");
    writer.execute("commit").await.unwrap();
    assert!(value(probe.observe().await).file.is_some_and(|file| !file.locked && file.size > 0));
}

#[tokio::test]
async fn a_replaced_file_is_read_anew() {
    let (dir, path, writer) = database(SqliteJournalMode::Wal).await;
    let mut probe = probe(&path);
    value(probe.observe().await);
    for name in files(&dir) {
        fs::rename(dir.path().join(&name), dir.path().join(format!("old-{name}"))).unwrap();
    }
    let why = failed(probe.observe().await);
    assert!(why.contains("does not exist"), "{why}");
    assert!(!path.exists());
    drop(writer);
    fs::write(&path, "not a database at all, and long enough").unwrap();
    let why = failed(probe.observe().await);
    assert!(why.contains("is not a SQLite database"), "{why}");
    fs::write(&path, "").unwrap();
    assert!(failed(probe.observe().await).contains("is not a SQLite database"));
}
