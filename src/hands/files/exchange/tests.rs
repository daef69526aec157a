//! Every state in which an exchange can be found, as it is after a kill between any two of its steps.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _};

use super::{back, carry, forth, rename, swap};
use crate::backends::look::files::{SIDECARS, inode};
use crate::runbook::plan::files::Exchange;

/// A database with this word, which is in its `-wal` alone, as after a crash.
async fn database(path: &Path, word: &str, crashed: bool) {
    let aside = path.with_extension("making");
    let options = SqliteConnectOptions::new().filename(&aside).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).pragma("wal_autocheckpoint", "0");
    let mut db = options.connect().await.unwrap();
    for sql in ["create table t (w text)", "pragma wal_checkpoint(truncate)"] {
        sqlx::query(sql).execute(&mut db).await.unwrap();
    }
    sqlx::query("insert into t values (?)").bind(word).execute(&mut db).await.unwrap();
    let of = |base: &Path, sidecar: &str| PathBuf::from(format!("{}{sidecar}", base.display()));
    if crashed {
        for sidecar in ["", "-wal", "-shm"] {
            std::fs::copy(of(&aside, sidecar), of(path, sidecar)).unwrap();
        }
    }
    db.close().await.unwrap();
    if crashed {
        std::fs::remove_file(&aside).unwrap();
    } else {
        std::fs::rename(&aside, path).unwrap();
    }
}

/// What a database says as it lies there, with all that is beside it.
async fn word(path: &str) -> String {
    let mut db = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let sound: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut db).await.unwrap();
    assert_eq!(sound, "ok");
    let word = sqlx::query_scalar("select w from t").fetch_one(&mut db).await.unwrap();
    db.close().await.unwrap();
    word
}

async fn scene() -> (tempfile::TempDir, Exchange) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (live, ready, held) = (path("db"), path("db.mw-1"), path("db.held-1"));
    database(Path::new(&live), "old", true).await;
    database(Path::new(&ready), "new", false).await;
    let was = inode(&live).unwrap();
    (dir, Exchange { live, ready, held, was, database: true })
}

/// Brings an exchange to the point at which it was cut off.
fn cut_off(x: &Exchange, after: usize) {
    if after > 0 {
        carry(&x.live, &x.held).unwrap();
    }
    if after > 1 {
        swap(&x.live, &x.ready).unwrap();
    }
    if after > 2 {
        rename(&x.ready, &x.held).unwrap();
    }
}

fn nothing_beside(path: &str) {
    assert!(SIDECARS.iter().all(|sidecar| inode(&format!("{path}{sidecar}")).is_none()), "{path}");
}

#[tokio::test]
async fn it_is_finished_wherever_it_was_cut_off_and_done_again_changes_nothing() {
    for after in 0..4 {
        let (_dir, x) = scene().await;
        cut_off(&x, after);
        for _again in 0..2 {
            forth(&x).await.unwrap();
            assert_eq!(inode(&x.held).unwrap(), x.was, "cut off after {after}");
            nothing_beside(&x.live);
        }
        assert_eq!(
            (word(&x.live).await.as_str(), word(&x.held).await.as_str()),
            ("new", "old"),
            "cut off after {after}"
        );
        assert_eq!(inode(&x.ready), None);
    }
}

#[tokio::test]
async fn it_is_undone_from_wherever_it_was_cut_off() {
    for after in 0..4 {
        let (_dir, x) = scene().await;
        cut_off(&x, after);
        for _again in 0..2 {
            back(&x).await.unwrap();
            assert_eq!(inode(&x.live).unwrap(), x.was, "cut off after {after}");
        }
        assert_eq!(word(&x.live).await, "old", "cut off after {after}");
        let other = if after == 3 { &x.held } else { &x.ready };
        nothing_beside(other);
        assert_eq!(word(other).await, "new");
    }
}

#[tokio::test]
async fn what_was_written_meanwhile_is_kept_when_it_is_undone() {
    let (_dir, x) = scene().await;
    forth(&x).await.unwrap();
    let mut db = SqliteConnectOptions::new().filename(&x.live).connect().await.unwrap();
    sqlx::query("update t set w = 'newer'").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    back(&x).await.unwrap();
    assert_eq!((word(&x.live).await.as_str(), word(&x.held).await.as_str()), ("old", "newer"));
}

/// A database with this word as a writer leaves it that is killed in the middle: half of what it wrote is in the file, and
/// what it was before in the `-journal`.
async fn half_written(path: &str, word: &str) {
    let aside = format!("{path}.making");
    let options = SqliteConnectOptions::new().filename(&aside).create_if_missing(true);
    let mut db = options.journal_mode(SqliteJournalMode::Delete).pragma("cache_size", "2").connect().await.unwrap();
    sqlx::query("create table t (w text)").execute(&mut db).await.unwrap();
    sqlx::query("insert into t values (?)").bind(word).execute(&mut db).await.unwrap();
    sqlx::query("begin").execute(&mut db).await.unwrap();
    let fill = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 900) \
                insert into t select 'half ' || hex(randomblob(400)) from n";
    sqlx::query("update t set w = 'half'").execute(&mut db).await.unwrap();
    sqlx::query(fill).execute(&mut db).await.unwrap();
    for sidecar in ["", "-journal"] {
        std::fs::copy(format!("{aside}{sidecar}"), format!("{path}{sidecar}")).unwrap();
    }
    sqlx::query("rollback").execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    std::fs::remove_file(aside).unwrap();
}

#[tokio::test]
async fn what_a_killed_writer_has_left_half_done_is_taken_back_before_it_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (live, ready, held) = (path("db"), path("db.mw-1"), path("db.held-1"));
    half_written(&live, "old").await;
    database(Path::new(&ready), "new", false).await;
    let was = inode(&live).unwrap();
    let x = Exchange { live, ready, held, was, database: true };
    forth(&x).await.unwrap();
    nothing_beside(&x.live);
    nothing_beside(&x.held);
    assert_eq!((word(&x.live).await.as_str(), word(&x.held).await.as_str()), ("new", "old"));
    back(&x).await.unwrap();
    assert_eq!((word(&x.live).await.as_str(), word(&x.held).await.as_str()), ("old", "new"));
}

#[tokio::test]
async fn a_journal_that_says_nothing_goes_nowhere() {
    for journal in [&[][..], &[0; 512]] {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (live, ready, held) = (path("db"), path("db.mw-1"), path("db.held-1"));
        half_written(&live, "old").await;
        assert_eq!(word(&live).await, "old");
        std::fs::write(format!("{live}-journal"), journal).unwrap();
        database(Path::new(&ready), "new", false).await;
        let x = Exchange { was: inode(&live).unwrap(), live, ready, held, database: true };
        forth(&x).await.unwrap();
        nothing_beside(&x.live);
        nothing_beside(&x.held);
        assert_eq!((word(&x.live).await.as_str(), word(&x.held).await.as_str()), ("new", "old"));
    }
}

#[tokio::test]
async fn another_file_in_its_place_is_left_alone() {
    let (_dir, x) = scene().await;
    std::fs::rename(&x.live, format!("{}.elsewhere", x.live)).unwrap();
    std::fs::write(&x.live, "somebody else's").unwrap();
    assert!(forth(&x).await.is_err() && back(&x).await.is_err());
    assert_eq!(std::fs::read_to_string(&x.live).unwrap(), "somebody else's");
    assert!(inode(&x.held).is_none());
}
