//! The recorder on good and bad days: it tells its trouble, gets over it, and lets go of the lock.

use std::fs;
use std::path::Path;
use std::process::Command;

use midwatch::backends::store::{PollLock, Reader, Recorder, Writer};
use midwatch::domain::counters::Counters;
use midwatch::domain::health::HealthState;
use midwatch::domain::history::SeriesKey;
use midwatch::domain::id::SourceKind;
use midwatch::domain::observation::{Observation, Observed};
use midwatch::domain::reading::Seen;
use midwatch::triage::{Mark, Memory, Since};
use tempfile::TempDir;

use super::{T0, health, site, until};

async fn start(dir: &Path) -> Recorder {
    let lock = PollLock::try_take(dir, &site()).unwrap().unwrap();
    let writer = Writer::open(dir, &site()).await.unwrap();
    Recorder::start(dir.to_owned(), site(), Ok(writer), lock)
}

/// Has the recorder try the disk again and again, without the rest it takes after a failure, until it says `able`.
async fn tried_until(recorder: &Recorder, able: bool) -> Option<String> {
    let trouble = recorder.trouble();
    let what = if able { "it can write again" } else { "it tells its trouble" };
    until(what, async || {
        recorder.record(health(T0, HealthState::Ok, 1.0));
        recorder.begin_request(SourceKind::Health, T0, T0.plus_secs(9));
        trouble.borrow().is_none() == able
    })
    .await;
    trouble.borrow().clone()
}

#[tokio::test]
async fn what_the_rules_remember_and_the_counters_are_there_for_the_next_one() {
    let dir = TempDir::new().unwrap();
    let mut memory = Memory::default();
    memory.marks.insert("health".to_owned(), Mark { since: Since::watched(T0, true), last: T0.plus_secs(4) });
    memory.first_looks.insert(SourceKind::Health, T0);
    let counters = Counters { left_out: 7, ..Counters::default() };
    let recorder = start(dir.path()).await;
    recorder.save_memory(&Memory::default(), T0);
    recorder.save_memory(&memory, T0.plus_secs(4));
    recorder.save_counters(&counters, T0.plus_secs(3));
    recorder.close().await;

    let past = Writer::open(dir.path(), &site()).await.unwrap().past(T0.plus_secs(60)).await;
    assert_eq!(past.memory, Some((memory.clone(), T0.plus_secs(4))));
    assert_eq!(past.counters, Some((counters, T0.plus_secs(3))));
    assert_eq!(Reader::new(dir.path(), &site()).memory().await, Some(memory), "readers begin with it, too");
    let mut later = Writer::open(dir.path(), &site()).await.unwrap();
    assert_eq!(later.past(T0.plus_secs(600)).await.counters, None, "old counters give no rate");
    assert_eq!(later.past(T0).await.counters, None, "nor do those of the future");
}

#[tokio::test]
async fn a_question_is_noted_without_waiting_for_the_next_batch() {
    let dir = TempDir::new().unwrap();
    let recorder = start(dir.path()).await;
    recorder.record(health(T0, HealthState::Ok, 1.0));
    recorder.begin_request(SourceKind::Health, T0, T0.plus_secs(35));
    let mut beside = Writer::open(dir.path(), &site()).await.unwrap();
    until("the mark is on disk", async || beside.past(T0).await.pending == Some((T0, T0.plus_secs(35)))).await;
    recorder.end_request(SourceKind::Health);
    until("it is gone", async || beside.past(T0).await.pending.is_none()).await;
    recorder.close().await;
}

#[tokio::test]
async fn one_that_is_dropped_writes_what_waits_and_frees_the_lock() {
    let dir = TempDir::new().unwrap();
    let recorder = start(dir.path()).await;
    let last = health(T0, HealthState::Hanging, 4.0);
    recorder.record(last.clone());
    drop(recorder);
    until("the lock is free", async || PollLock::try_take(dir.path(), &site()).unwrap().is_some()).await;
    assert_eq!(Reader::new(dir.path(), &site()).poll().await.unwrap(), [last]);
}

#[tokio::test]
async fn a_directory_that_goes_away_is_told_and_its_return_noticed() {
    let parent = TempDir::new().unwrap();
    let (dir, away) = (parent.path().join("state"), parent.path().join("away"));
    fs::create_dir(&dir).unwrap();
    let recorder = start(&dir).await;
    fs::rename(&dir, &away).unwrap();
    let trouble = tried_until(&recorder, false).await.unwrap();
    assert!(trouble.starts_with(&dir.display().to_string()), "{trouble}");
    assert!(trouble.ends_with(": history is kept in memory"), "{trouble}");
    fs::rename(&away, &dir).unwrap();
    tried_until(&recorder, true).await;
    assert!(PollLock::try_take(&dir, &site()).unwrap().is_none(), "it has been the poller all the while");
    recorder.record(health(T0.plus_secs(60), HealthState::ServerError, 2.0));
    recorder.close().await;
    let seen = Reader::new(&dir, &site()).poll().await.unwrap();
    assert_eq!(seen, [health(T0.plus_secs(60), HealthState::ServerError, 2.0)]);
}

/// A small file system, taken down again also after a panic.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let disk = Self(TempDir::new().unwrap());
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=200k", "tmpfs"]).arg(disk.0.path()).status();
        assert!(mounted.unwrap().success());
        disk
    }

    fn fill(&self) {
        // The last write is cut short: then there is no room left.
        assert!(fs::write(self.0.path().join("filler"), vec![0_u8; 400 * 1024]).is_err());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _status = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
#[ignore = "needs root: mounts a small tmpfs"]
async fn a_full_disk_is_told_and_room_on_it_noticed() {
    let disk = SmallDisk::mount();
    let dir = disk.0.path().to_owned();
    let recorder = start(&dir).await;
    disk.fill();
    let full = format!("the disk of {} is full: history is kept in memory", dir.display());
    let trouble = recorder.trouble();
    until("it tells that the disk is full", async || {
        recorder.save_counters(&Counters { models: vec![("x".repeat(64 * 1024), 1.0)], ..Counters::default() }, T0);
        recorder.begin_request(SourceKind::Health, T0, T0.plus_secs(9));
        trouble.borrow().as_ref() == Some(&full)
    })
    .await;
    fs::remove_file(dir.join("filler")).unwrap();
    tried_until(&recorder, true).await;
    recorder.close().await;
    assert_eq!(Reader::new(&dir, &site()).poll().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_comes_in_between_stays_in_history_and_a_question_hides_no_value() {
    let dir = TempDir::new().unwrap();
    let recorder = start(dir.path()).await;
    let asking =
        |secs| Observed { what: Observation::Health(Seen::Asking), ..health(T0.plus_secs(secs), HealthState::Ok, 0.0) };
    for secs in 0..60 {
        recorder.record(health(T0.plus_secs(secs), HealthState::Ok, 100.0 - f64::from(i32::try_from(secs).unwrap())));
        recorder.record(asking(secs));
    }
    recorder.close().await;
    let mut reader = Reader::new(dir.path(), &site());
    let kinds: Vec<bool> = reader.poll().await.unwrap().iter().map(|o| o.what.is_asking()).collect();
    assert_eq!(kinds, [false, true]);
    let latency = SeriesKey::new("latency");
    let series = reader.recall(T0.plus_secs(60)).await.unwrap();
    let points = series.into_iter().find(|(key, _)| *key == latency).unwrap().1;
    let values: Vec<f32> = points.iter().map(|p| p.value).collect();
    assert_eq!(values, [100.0, 90.0, 80.0, 70.0, 60.0, 50.0], "the worst of every step");
}

#[tokio::test]
async fn without_a_file_it_keeps_the_lock_says_why_and_tries_again() {
    let dir = TempDir::new().unwrap();
    let lock = PollLock::try_take(dir.path(), &site()).unwrap().unwrap();
    let recorder = Recorder::start(dir.path().to_owned(), site(), Err("the disk is full".to_owned()), lock);
    assert_eq!(recorder.trouble().borrow().as_deref(), Some("the disk is full"));
    assert_eq!(midwatch::backends::store::trouble(dir.path(), &site()).as_deref(), Some("the disk is full"));
    assert_eq!(midwatch::backends::store::holder(dir.path(), &site()), Some(std::process::id()));
    recorder.record(health(T0, HealthState::Ok, 1.0));
    super::until("the trouble is over", async || recorder.trouble().borrow().is_none()).await;
    assert_eq!(midwatch::backends::store::trouble(dir.path(), &site()), None);
    recorder.close().await;
}
