//! Doing no harm, counted at the server: however many midwatches watch a site that hangs, one request is under way.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod takeover;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use midwatch::app::event::{Event, Storage};
use midwatch::app::model::Model;
use midwatch::app::update::update;
use midwatch::config::Config;
use midwatch::config::load::{Request, load};
use midwatch::discovery::Surroundings;
use midwatch::domain::health::HealthState;
use midwatch::domain::id::SourceKind;
use midwatch::runtime::driver::Wires;
use midwatch::watch::{self, Watch};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long a condition is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(40);

/// A web server that counts the requests under way, and can hang.
#[derive(Default)]
struct Server {
    hangs: AtomicBool,
    released: Notify,
    came: Notify,
    under_way: AtomicUsize,
    most: AtomicUsize,
    asked: AtomicUsize,
}

impl Server {
    async fn start() -> (Arc<Self>, u16) {
        let server = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ours = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&ours).serve(stream));
            }
        });
        (server, port)
    }

    async fn serve(self: Arc<Self>, mut stream: tokio::net::TcpStream) {
        let mut head = Vec::new();
        let mut chunk = [0_u8; 2048];
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            match stream.read(&mut chunk).await {
                // A connection without a request is a sign of life being looked for, and costs the application nothing.
                Ok(0) | Err(_) => return,
                Ok(n) => head.extend_from_slice(chunk.get(..n).unwrap()),
            }
        }
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.came.notify_one();
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        // Like an application that waits for a lock: it goes on waiting though nobody listens any more.
        while self.hangs.load(Ordering::SeqCst) {
            self.released.notified().await;
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.ok();
    }

    fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
        self.released.notify_waiters();
    }
}

fn config(dir: &Path, port: u16, hang: &str) -> Arc<Config> {
    let text = format!(
        "discover = false\nstate_dir = \"{}\"\n[pace]\nhealth = \"1s\"\nhang = \"{hang}\"\n\
         [sites.shop]\nurl = \"http://127.0.0.1:{port}\"\nmetrics_url = \"http://127.0.0.1:{port}/metrics\"\n",
        dir.join("state").display()
    );
    let path = dir.join("midwatch.toml");
    std::fs::write(&path, text).unwrap();
    let around = Surroundings { root: "/".into(), cwd: dir.to_owned(), ..Surroundings::default() };
    Arc::new(load(&Request { config: Some(path), ..Request::default() }, &around).unwrap())
}

/// One midwatch without a screen.
struct Eyes {
    watch: Watch,
    wires: Wires,
    model: Model,
}

impl Eyes {
    fn open(config: &Arc<Config>) -> Self {
        let (watch, wires) = Watch::begin(config);
        Self { watch, wires, model: watch::model(config) }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Model) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.model) {
            let Ok(Some(event)) = timeout_at(deadline, self.wires.events.recv()).await else {
                panic!("not within {PATIENCE:?}: {what}; {:?}", self.model.sites);
            };
            update(&mut self.model, event);
            update(&mut self.model, Event::Tick(midwatch::runtime::clock::now()));
        }
    }
}

fn healthy(model: &Model) -> bool {
    model.sites[0].health.fresh().is_some_and(|c| c.state == HealthState::Ok) && model.sites[0].asking.is_empty()
}

fn asking(model: &Model) -> bool {
    model.sites[0].asking_since(SourceKind::Health).is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_midwatches_put_one_request_to_a_site_that_hangs() {
    let dir = TempDir::new().unwrap();
    let (server, port) = Server::start().await;
    server.hang(true);
    let config = config(dir.path(), port, "30s");
    let mut all: Vec<Eyes> = (0..5).map(|_| Eyes::open(&config)).collect();
    for eyes in &mut all {
        eyes.until("it says that it waits for an answer", asking).await;
    }
    assert_eq!((server.most.load(Ordering::SeqCst), server.asked.load(Ordering::SeqCst)), (1, 1));
    let pollers = all.iter().filter(|e| e.model.sites[0].storage == Storage::Poller).count();
    assert_eq!(pollers, 1);
    server.hang(false);
    for eyes in &mut all {
        eyes.until("it is healthy again", healthy).await;
    }
    assert_eq!(server.most.load(Ordering::SeqCst), 1);
    for eyes in all {
        eyes.watch.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_ended_while_the_site_hangs_leaves_no_second_request_behind_it() {
    let dir = TempDir::new().unwrap();
    let (server, port) = Server::start().await;
    server.hang(true);
    let config = config(dir.path(), port, "6s");
    let mut first = Eyes::open(&config);
    first.until("it says that it waits for an answer", asking).await;
    first.watch.end().await;
    // The next one knows of the question that the application still works on, says so, and does not put another.
    let mut second = Eyes::open(&config);
    second.until("it says since when the question is open", asking).await;
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    server.hang(false);
    second.until("it asks once that question's time is over", healthy).await;
    assert_eq!(server.most.load(Ordering::SeqCst), 1);
    second.watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_takes_over_when_the_poller_goes() {
    let dir = TempDir::new().unwrap();
    let (server, port) = Server::start().await;
    let config = config(dir.path(), port, "5s");
    let mut poller = Eyes::open(&config);
    poller.until("it polls", |m| m.sites[0].storage == Storage::Poller && healthy(m)).await;
    let mut reader = Eyes::open(&config);
    reader.until("it reads", |m| matches!(m.sites[0].storage, Storage::Reader { .. }) && healthy(m)).await;
    poller.watch.end().await;
    reader.until("it polls in its turn", |m| m.sites[0].storage == Storage::Poller).await;
    let before = server.asked.load(Ordering::SeqCst);
    reader.until("readings go on", |_| server.asked.load(Ordering::SeqCst) > before + 1).await;
    assert_eq!(server.most.load(Ordering::SeqCst), 1);
    reader.watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_state_directory_it_watches_all_the_same_and_says_so() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("state"), "a file where the directory should be").unwrap();
    let (_server, port) = Server::start().await;
    let mut eyes = Eyes::open(&config(dir.path(), port, "5s"));
    eyes.until("it is in memory and healthy", |m| matches!(m.sites[0].storage, Storage::Memory(_)) && healthy(m)).await;
    eyes.watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_has_changed_is_seen_as_soon_as_it_has_ended() {
    let dir = TempDir::new().unwrap();
    let (_server, port) = Server::start().await;
    config(dir.path(), port, "5s");
    let (path, backups) = (dir.path().join("midwatch.toml"), dir.path().join("backups"));
    std::fs::create_dir(&backups).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let place = format!("[[sites.shop.backups]]\npath = \"{}\"\n", backups.display());
    std::fs::write(&path, text.replace("health =", "backups = \"1h\"\nhealth =") + &place).unwrap();
    let around = Surroundings { root: "/".into(), cwd: dir.path().to_owned(), ..Surroundings::default() };
    let config = Arc::new(load(&Request { config: Some(path), ..Request::default() }, &around).unwrap());
    let mut eyes = Eyes::open(&config);
    let seen = |model: &Model| model.sites[0].backups.fresh().map(|reading| reading.backups.len());
    eyes.until("no backup is seen", |model| seen(model) == Some(0)).await;
    let own = dir.path().join("state/runs/1000");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(backups.join("shop.sql"), "-- PostgreSQL database dump\n").unwrap();
    midwatch::backends::journal::sign_end(&own, "a-run").unwrap();
    eyes.until("the new backup is seen", |model| seen(model) == Some(1)).await;
    eyes.watch.end().await;
}
