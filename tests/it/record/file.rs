//! The record's file: shared, bounded, and in one piece.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use midwatch::backends::store::record::{ENTRIES_MAX, Kept, RecordFile, Stand, path};
use midwatch::domain::level::Level;
use midwatch::domain::record::What;
use midwatch::domain::record::ledger::Standing;
use tempfile::TempDir;

use super::{T0, observed, shop, typed, web1};

async fn file(dir: &TempDir) -> RecordFile {
    RecordFile::open(dir.path()).await.unwrap()
}

async fn texts(file: &mut RecordFile) -> Vec<String> {
    file.entries(0, u32::MAX).await.unwrap().iter().map(midwatch::domain::record::Entry::text).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_append_at_once_and_nothing_is_lost() {
    let dir = TempDir::new().unwrap();
    let mut writers = Vec::new();
    for who in 0..4 {
        let mut file = file(&dir).await;
        writers.push(tokio::spawn(async move {
            for n in 0..25 {
                file.append(&[typed(n, &format!("{who} says {n}"))], None, T0).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let entries = file(&dir).await.entries(0, u32::MAX).await.unwrap();
    assert_eq!(entries.len(), 100);
    assert!(entries.windows(2).all(|two| two[0].id < two[1].id));
    for who in 0..4 {
        let own: Vec<String> = entries
            .iter()
            .map(midwatch::domain::record::Entry::text)
            .filter(|t| t.starts_with(&who.to_string()))
            .collect();
        assert_eq!(own, (0..25).map(|n| format!("{who} says {n}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_poller_that_was_overtaken_writes_nothing() {
    let dir = TempDir::new().unwrap();
    let (mut old, mut new) = (file(&dir).await, file(&dir).await);
    let (scope, standing) = (shop(), Standing::default());
    let stand = |version| Some(Stand { scope: &scope, standing: &standing, version });
    let entry = [typed(0, "x")];
    assert!(matches!(old.append(&entry, stand(0), T0).await.unwrap(), Kept::Yes(_, 1)));
    let (_, version) = new.standing(&scope).await.unwrap();
    assert_eq!(version, 1);
    assert!(matches!(new.append(&[], stand(1), T0).await.unwrap(), Kept::Yes(_, 2)));
    assert_eq!(old.append(&entry, stand(1), T0).await.unwrap(), Kept::Overtaken);
    assert_eq!(old.append(&entry, stand(0), T0).await.unwrap(), Kept::Overtaken);
    assert_eq!(new.entries(0, 10).await.unwrap().len(), 1);
    // Another scope has a version of its own.
    let host = web1();
    let other = Stand { scope: &host, standing: &standing, version: 0 };
    assert!(matches!(old.append(&[], Some(other), T0).await.unwrap(), Kept::Yes(_, 1)));
    assert_eq!(new.standings().await.unwrap().len(), 2);
}

#[tokio::test]
async fn no_secret_reaches_the_disk() {
    let dir = TempDir::new().unwrap();
    let mut file = file(&dir).await;
    let lines = [
        "password=hunter2 works",
        "redis://:hunter2@cache:6379/0 is down",
        "token: hunter2",
        "the password is hunter2",
    ];
    for line in lines {
        file.append(&[typed(0, line)], None, T0).await.unwrap();
    }
    file.close().await;
    let bytes = fs::read(path(dir.path())).unwrap();
    assert!(!bytes.windows(7).any(|w| w == b"hunter2"));
}

#[tokio::test]
async fn in_the_groups_directory_the_group_may_write() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2770)).unwrap();
    let mut file = file(&dir).await;
    file.append(&[typed(0, "x")], None, T0).await.unwrap();
    assert_eq!(fs::metadata(path(dir.path())).unwrap().permissions().mode() & 0o777, 0o660);
}

#[tokio::test]
async fn what_midwatch_wrote_goes_before_what_people_said() {
    let dir = TempDir::new().unwrap();
    let mut file = file(&dir).await;
    let gap = |n: i64| observed(n, shop(), Level::Unknown, What::Gap { from: T0 });
    let most = usize::try_from(ENTRIES_MAX).unwrap();
    let notes: Vec<_> = (0..300).map(|n| typed(n, &format!("note {n}"))).collect();
    file.append(&notes, None, T0).await.unwrap();
    let many: Vec<_> = (0..ENTRIES_MAX).map(gap).collect();
    file.append(&many, None, T0).await.unwrap();
    let kept = file.entries(0, u32::MAX).await.unwrap();
    assert_eq!(kept.len(), most);
    assert_eq!(kept.iter().filter(|e| !e.automatic()).count(), 300, "every note is there");
    let oldest = kept.iter().find(|e| e.automatic()).unwrap();
    assert_eq!(oldest.at, T0.plus_secs(300), "the oldest observations went");
    assert!(fs::metadata(path(dir.path())).unwrap().len() < 40_000_000);
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_makes_nothing_old() {
    let dir = TempDir::new().unwrap();
    let mut file = file(&dir).await;
    let (scope, standing) = (shop(), Standing::default());
    let mut version = 0;
    let mut watch = async |file: &mut RecordFile, day: i64, entries: &[_]| {
        let stand = Some(Stand { scope: &scope, standing: &standing, version });
        let kept = file.append(entries, stand, T0.plus_secs(day * 86_400)).await.unwrap();
        let Kept::Yes(_, next) = kept else { panic!("{kept:?}") };
        version = next;
    };
    watch(&mut file, 0, &[typed(0, "first")]).await;
    for day in 1..80 {
        watch(&mut file, day, &[]).await;
    }
    // Ten years ahead for three days, then back; each time there is much to write, so that it is cleared.
    let flood = |day: i64| vec![observed(day * 86_400, shop(), Level::Note, What::Gap { from: T0 }); 200];
    for day in 3650..3653 {
        watch(&mut file, day, &flood(day)).await;
    }
    assert_eq!(texts(&mut file).await[0], "first");
    watch(&mut file, 81, &flood(81)).await;
    assert_eq!(texts(&mut file).await[0], "first");
    for day in 82..95 {
        watch(&mut file, day, &[]).await;
    }
    watch(&mut file, 95, &flood(95)).await;
    assert_ne!(texts(&mut file).await[0], "first", "ninety days of watching later it is old");
}

#[tokio::test]
async fn a_damaged_record_is_moved_aside_and_whoever_reads_it_notices() {
    let dir = TempDir::new().unwrap();
    let mut first = file(&dir).await;
    first.append(&[typed(0, "before")], None, T0).await.unwrap();
    let reader = RecordFile::read(dir.path()).await.unwrap().unwrap();
    assert!(!reader.is_gone());
    first.close().await;
    fs::write(path(dir.path()), "no database, however long one looks at it".repeat(100)).unwrap();
    let mut second = file(&dir).await;
    second.append(&[typed(1, "after")], None, T0).await.unwrap();
    assert_eq!(texts(&mut second).await, ["after"]);
    assert!(reader.is_gone());
    assert!(dir.path().join("record.db.broken").exists());
    fs::write(path(dir.path()), "no database, again".repeat(100)).unwrap();
    file(&dir).await;
    assert!(dir.path().join("record.db.broken-1").exists(), "the first one is not overwritten");
}

#[tokio::test]
async fn one_of_a_newer_midwatch_is_left_alone() {
    let dir = TempDir::new().unwrap();
    file(&dir).await.close().await;
    let mut bytes = fs::read(path(dir.path())).unwrap();
    // The user version stands at byte 60 of the file, big-endian.
    bytes[60..64].copy_from_slice(&9_u32.to_be_bytes());
    fs::write(path(dir.path()), &bytes).unwrap();
    let error = RecordFile::open(dir.path()).await.unwrap_err();
    assert!(error.to_string().contains("written by a newer midwatch"), "{error}");
    assert!(!dir.path().join("record.db.broken").exists());
}
