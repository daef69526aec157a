//! Who comes next, when a poller ends badly or the site comes back: still one request, and news before long.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use midwatch::app::event::Storage;
use midwatch::app::model::Model;
use midwatch::domain::health::HealthState;
use midwatch::domain::id::SourceKind;
use midwatch::domain::time::Timestamp;
use tempfile::TempDir;

use super::{Eyes, Server, asking, config, healthy};

fn gave_up(model: &Model) -> bool {
    model.sites[0].health.fresh().is_some_and(|check| check.state == HealthState::Hanging)
}

fn asked_since(eyes: &Eyes) -> Option<Timestamp> {
    eyes.model.sites[0].asking_since(SourceKind::Health)
}

/// `midwatch record` as a process of its own, killed at the latest with the test.
struct Record(Child);

impl Record {
    fn start(dir: &TempDir) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
        command.arg("--config").arg(dir.path().join("midwatch.toml")).arg("record");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// SIGKILL: it can neither write nor say anything any more.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_that_is_killed_is_followed_by_a_reader() {
    let dir = TempDir::new().unwrap();
    let (server, port) = Server::start().await;
    let config = config(dir.path(), port, "5s");
    let record = Record::start(&dir);
    let pid = record.0.id();
    // It polls before anybody else comes.
    while server.asked.load(Ordering::SeqCst) == 0 {
        server.came.notified().await;
    }
    let mut reader = Eyes::open(&config);
    reader.until("it reads", |m| m.sites[0].storage == Storage::Reader { pid, trouble: None } && healthy(m)).await;
    record.kill();
    reader.until("it polls in its turn", |m| m.sites[0].storage == Storage::Poller).await;
    let before = server.asked.load(Ordering::SeqCst);
    reader.until("readings go on", |m| server.asked.load(Ordering::SeqCst) > before + 1 && healthy(m)).await;
    assert_eq!(server.most.load(Ordering::SeqCst), 1);
    reader.watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_while_the_site_hangs_leaves_no_second_request_behind_it() {
    let dir = TempDir::new().unwrap();
    let (server, port) = Server::start().await;
    server.hang(true);
    let config = config(dir.path(), port, "30s");
    let record = Record::start(&dir);
    let mut reader = Eyes::open(&config);
    reader.until("it says since when the question is open", asking).await;
    let put = asked_since(&reader);
    record.kill();
    reader.until("it polls in its turn", |m| m.sites[0].storage == Storage::Poller).await;
    // Long enough for a second question to be put and told.
    let taken = reader.model.now;
    reader.until("it has polled for a while", |m| m.now.millis_since(taken) > 2_000).await;
    assert_eq!(asked_since(&reader), put, "the same question");
    assert_eq!((server.most.load(Ordering::SeqCst), server.asked.load(Ordering::SeqCst)), (1, 1));
    server.hang(false);
    reader.watch.end().await;
}

/// The application may work on a question long after nobody waits for its answer any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pause_after_a_hang_outlives_the_midwatch_that_keeps_it() {
    let dir = TempDir::new().unwrap();
    let (server, port) = Server::start().await;
    server.hang(true);
    let config = config(dir.path(), port, "2s");
    let mut first = Eyes::open(&config);
    first.until("it says that it waits for an answer", asking).await;
    let put = asked_since(&first);
    first.until("it has given up", gave_up).await;
    first.watch.end().await;
    let mut second = Eyes::open(&config);
    second.until("it waits, too", asking).await;
    assert_eq!(asked_since(&second), put, "for the same question");
    assert_eq!((server.most.load(Ordering::SeqCst), server.asked.load(Ordering::SeqCst)), (1, 1));
    second.watch.end().await;
}
