//! Readings and history on disk: who may write them, what is kept, and what happens on bad days.

#![expect(clippy::cast_precision_loss, reason = "a few hundred are shown exactly")]
#![expect(clippy::unwrap_used, reason = "a test that can't set its scene has to fail")]

mod file;
mod recorder;

use std::fs;
use std::time::Duration;

use midwatch::backends::store::{PollLock, Reader, Recorder, StoreError, Writer, holder};
use midwatch::domain::health::{HealthCheck, HealthState};
use midwatch::domain::history::{SeriesKey, step_of};
use midwatch::domain::host::{Disk, DiskSpace, HostReading};
use midwatch::domain::id::{HostId, Scope, SiteId, SourceKind};
use midwatch::domain::observation::{Observation, Observed};
use midwatch::domain::reading::Seen;
use midwatch::domain::time::Timestamp;
use midwatch::triage::Memory;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn site() -> Scope {
    Scope::Site(SiteId("../shop".to_owned()))
}

fn health(at: Timestamp, state: HealthState, latency_ms: f64) -> Observed {
    let (detail, url) = ("answered".to_owned(), "http://shop/healthcheck/".to_owned());
    let check = HealthCheck { state, status: Some(200), latency_ms, detail, url, tls: None, clock_offset_ms: None };
    Observed { scope: site(), at, took_ms: 3, what: Observation::Health(Seen::Value(check)) }
}

/// A host with so many series that are kept.
fn host(at: Timestamp, disks: usize) -> Observed {
    let space = DiskSpace {
        total: 100,
        available: 40,
        reserved: 0,
        inodes: 0,
        inodes_available: 0,
        read_only: false,
        full_in_s: None,
        inodes_full_in_s: None,
    };
    let disk = |i| Disk {
        mount: format!("/data/{i}"),
        device: "/dev/x".to_owned(),
        kind: "ext4".to_owned(),
        turned_read_only: None,
        space: Ok(space),
    };
    let reading = HostReading { disks: (0..disks).map(disk).collect(), ..HostReading::default() };
    let scope = Scope::Host(HostId("web1".to_owned()));
    Observed { scope, at, took_ms: 1, what: Observation::Host(Box::new(Seen::Value(reading))) }
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} did not come true");
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn one_lock_a_scope_and_it_is_free_when_its_holder_goes() {
    let dir = TempDir::new().unwrap();
    let lock = PollLock::try_take(dir.path(), &site()).unwrap().unwrap();
    assert!(PollLock::try_take(dir.path(), &site()).unwrap().is_none());
    assert_eq!(holder(dir.path(), &site()), Some(std::process::id()));
    let other = Scope::Host(HostId("shop".to_owned()));
    assert!(PollLock::try_take(dir.path(), &other).unwrap().is_some(), "another scope is another lock");
    drop(lock);
    assert!(PollLock::try_take(dir.path(), &site()).unwrap().is_some());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "a name can't leave the directory");
}

#[test]
fn a_lock_file_that_is_no_plain_file_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(format!("{}.lock", site().file_stem()));
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    assert!(matches!(PollLock::try_take(dir.path(), &site()), Err(StoreError::File { .. })));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(PollLock::try_take(dir.path(), &site()), Err(StoreError::File { .. })));
}

#[tokio::test]
async fn a_reader_gets_what_is_new_and_only_that() {
    let dir = TempDir::new().unwrap();
    let mut reader = Reader::new(dir.path(), &site());
    assert_eq!(reader.poll().await.unwrap(), [], "nothing is there yet, and that is no error");
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    let first = health(T0, HealthState::Ok, 3.0);
    writer.publish(std::slice::from_ref(&first), &[]).await.unwrap();
    assert_eq!(reader.poll().await.unwrap(), [first]);
    assert_eq!(reader.poll().await.unwrap(), []);
    let second = health(T0.plus_secs(5), HealthState::ServerError, 9.0);
    writer.publish(std::slice::from_ref(&second), &[]).await.unwrap();
    writer.close().await;
    assert_eq!(reader.poll().await.unwrap(), [second], "after the writer closed it, too");
    let mut late = Reader::new(dir.path(), &site());
    assert_eq!(late.poll().await.unwrap().len(), 1, "the last reading of a source is enough for who comes later");
}

#[tokio::test]
async fn history_keeps_the_worst_of_each_step_in_order() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    for (secs, latency) in [(0, 3.0), (4, 90.0), (6, 5.0), (25, 7.0), (-4000, 1.0), (-20_000, 1.0)] {
        writer.publish(&[health(T0.plus_secs(secs), HealthState::Ok, latency)], &[]).await.unwrap();
    }
    let past = writer.past(T0.plus_secs(30)).await;
    let (_, points) = past.series.into_iter().find(|(key, _)| *key == SeriesKey::new("latency")).unwrap();
    let shown: Vec<_> = points.iter().map(|p| (p.step - step_of(T0), p.value)).collect();
    assert_eq!(shown, [(-400, 1.0), (0, 90.0), (2, 7.0)], "within three hours, ascending");
}

#[tokio::test]
async fn what_is_noted_is_there_for_the_next_poller() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    writer.begin_request(SourceKind::Health, T0, T0.plus_secs(35)).await.unwrap();
    writer.note("memory", &serde_json::to_string(&Memory::default()).unwrap(), T0).await.unwrap();
    drop(writer);
    let mut next = Writer::open(dir.path(), &site()).await.unwrap();
    let past = next.past(T0.plus_secs(3)).await;
    assert_eq!(past.pending, Some((T0, T0.plus_secs(35))));
    assert_eq!(past.memory, Some((Memory::default(), T0)));
    assert_eq!(next.past(T0.plus_secs(36)).await.pending, None, "its time is over");
    assert_eq!(next.past(T0.plus_secs(-9)).await.pending, None, "a clock that was set back holds nobody up");
    next.end_request(SourceKind::Health).await.unwrap();
    assert_eq!(next.past(T0.plus_secs(3)).await.pending, None);
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_a_newer_one_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(format!("{}.db", site().file_stem()));
    fs::write(&path, "this is no database, and was never one, however long one looks at it".repeat(40)).unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    writer.publish(&[health(T0, HealthState::Ok, 1.0)], &[]).await.unwrap();
    assert!(path.with_extension("db.broken").exists());
    writer.note("x", "y", T0).await.unwrap();
    writer.close().await;
    fs::write(&path, "").unwrap();
    Writer::open(dir.path(), &site()).await.unwrap().close().await;
}

#[tokio::test]
async fn the_recorder_never_waits_and_writes_the_newest_of_each_source() {
    let dir = TempDir::new().unwrap();
    let lock = PollLock::try_take(dir.path(), &site()).unwrap().unwrap();
    let writer = Writer::open(dir.path(), &site()).await.unwrap();
    let recorder = Recorder::start(dir.path().to_owned(), site(), Ok(writer), lock);
    for i in 0..500 {
        recorder.record(health(T0.plus_secs(i), HealthState::Ok, i as f64));
    }
    recorder.close().await;
    let mut reader = Reader::new(dir.path(), &site());
    assert_eq!(reader.poll().await.unwrap(), [health(T0.plus_secs(499), HealthState::Ok, 499.0)]);
    assert!(PollLock::try_take(dir.path(), &site()).unwrap().is_some(), "the lock goes with it");
}

#[tokio::test]
async fn five_readers_beside_a_writer_all_see_the_last_reading() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::open(dir.path(), &site()).await.unwrap();
    let mut readers: Vec<Reader> = (0..5).map(|_| Reader::new(dir.path(), &site())).collect();
    for i in 0..20 {
        writer.publish(&[health(T0.plus_secs(i), HealthState::Ok, i as f64)], &[]).await.unwrap();
        for reader in &mut readers {
            reader.poll().await.unwrap();
        }
    }
    let last = health(T0.plus_secs(99), HealthState::Hanging, 1.0);
    writer.publish(std::slice::from_ref(&last), &[]).await.unwrap();
    for reader in &mut readers {
        let mut seen = Vec::new();
        until("the last reading is seen", async || {
            seen.extend(reader.poll().await.unwrap());
            seen.last() == Some(&last)
        })
        .await;
    }
}
