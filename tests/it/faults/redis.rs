//! Faults of Redis, its queues and its workers, made on a server of our own. The workers are stand-ins that hold the
//! connections of a Celery worker and say on them what it says (FIELD R-WORK).
#![cfg(test)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use midwatch::domain::level::Level;
use redis::Commands as _;
use tempfile::TempDir;

use crate::support::eyes::{Eyes, holds};
use crate::support::servers::{RedisServer, eventually};

/// The site's name in the configuration.
const SITE: &str = "shop";

/// A page that is always fine.
fn page() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _head = stream.read(&mut [0; 4096]);
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    port
}

/// Eyes on a site whose cache and broker are these.
fn eyes(dir: &TempDir, cache: &str, broker: &str) -> Eyes {
    let config = format!(
        "discover = false\n[pace]\nredis = \"1s\"\n[sites.{SITE}]\napp = \"web\"\nurl = \"http://127.0.0.1:{}\"\n\
         redis = \"{cache}\"\nbroker = \"{broker}\"\nqueues = [\"default\", \"checkout\"]\n",
        page()
    );
    Eyes::open(dir.path(), &config)
}

fn on(server: &RedisServer) -> (TempDir, Eyes) {
    let dir = tempfile::tempdir().unwrap();
    let eyes = eyes(&dir, &server.url(0), &server.url(2));
    (dir, eyes)
}

fn client(url: &str) -> redis::Connection {
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

fn ask(connection: &mut redis::Connection, command: &str) -> redis::Value {
    let mut words = command.split(' ');
    redis::cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).query(connection).unwrap()
}

fn enqueue(url: &str, list: &str, count: usize) {
    let mut admin = client(url);
    for number in 0..count {
        let () = admin.lpush(list, format!("{{\"headers\":{{\"id\":\"{list}-{number}\"}}}}")).unwrap();
    }
}

/// What a stand-in worker does.
const ASKS: u8 = 0;
const BUSY: u8 = 1;
const FROZEN: u8 = 2;
const ENDS: u8 = 3;

/// A stand-in for a Celery worker: one connection with `BRPOP`, one with heartbeats, two subscriptions.
struct Worker {
    state: Arc<AtomicU8>,
    threads: Vec<JoinHandle<()>>,
}

impl Worker {
    fn start(url: &str) -> Self {
        let state = Arc::new(AtomicU8::new(ASKS));
        let (url, ours) = (url.to_owned(), Arc::clone(&state));
        let taker = std::thread::spawn({
            let (url, state) = (url.clone(), Arc::clone(&ours));
            move || {
                let mut connection = client(&url);
                let mut asked = false;
                while state.load(Ordering::SeqCst) != ENDS {
                    if state.load(Ordering::SeqCst) == ASKS || !asked {
                        asked = true;
                        let _task: redis::RedisResult<Option<(String, String)>> =
                            connection.brpop(&["checkout", "default", "default\u{6}\u{16}3"], 1.0);
                    } else {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            }
        });
        let heart = std::thread::spawn(move || {
            let mut connection = client(&url);
            let mut first = client(&url);
            let mut second = client(&url);
            let mut pubsub = first.as_pubsub();
            pubsub.psubscribe("/2.celery.pidbox").unwrap();
            let mut events = second.as_pubsub();
            events.psubscribe("/2.celeryev/worker.*").unwrap();
            while ours.load(Ordering::SeqCst) != ENDS {
                if ours.load(Ordering::SeqCst) != FROZEN {
                    let _heard: redis::RedisResult<u64> = connection.publish("/2.celeryev/worker.heartbeat", "{}");
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        Self { state, threads: vec![taker, heart] }
    }

    fn turns(&self, state: u8) {
        self.state.store(state, Ordering::SeqCst);
    }

    /// Ends it; its connections are closed when this returns.
    fn end(self) {
        drop(self);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.turns(ENDS);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

async fn healthy(eyes: &mut Eyes) {
    let fine = |m: &midwatch::app::model::Model| {
        let redis = m.sites.first().and_then(|site| site.redis.value());
        redis.and_then(|r| r.broker.as_ref()).is_some_and(|b| b.consumers == Some(1))
            && !m.findings.iter().any(|f| f.site == SITE)
    };
    eyes.until("a site without a finding", fine).await;
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn tasks_that_nobody_takes() {
    let server = RedisServer::start(&[]);
    enqueue(&server.url(2), "checkout", 40);
    let (_dir, mut eyes) = on(&server);
    let found = eyes.top(SITE, "worker-gone").await;
    assert_eq!(found.level, Level::Critical);
    assert!(found.evidence.starts_with("40 tasks wait in all queues"), "{}", found.evidence);
    eyes.until("what waits is below it", |m| {
        m.findings.iter().any(|f| f.rule == "worker-gone" && holds(f, "queue-late"))
    })
    .await;
    let worker = Worker::start(&server.url(2));
    eyes.gone(SITE, "worker-gone").await;
    healthy(&mut eyes).await;
    worker.end();
    let found = eyes.top(SITE, "worker-gone").await;
    assert_eq!(found.level, Level::Note, "a worker that has just gone may be restarting: {found:?}");
    eyes.until("it did not come back", |m| {
        m.findings.iter().any(|f| f.rule == "worker-gone" && f.level == Level::Critical)
    })
    .await;
    eyes.end().await;
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn a_worker_that_hangs_and_one_that_is_only_busy() {
    let server = RedisServer::start(&[]);
    let worker = Worker::start(&server.url(2));
    let (_dir, mut eyes) = on(&server);
    let beats = |m: &midwatch::app::model::Model| {
        m.sites.first().and_then(|s| s.redis.value()?.broker.as_ref()).is_some_and(|b| b.beating == 1)
    };
    eyes.until("its heartbeat", beats).await;
    let () = client(&server.url(2)).hset("unacked", "tag", "message").unwrap();
    worker.turns(BUSY);
    enqueue(&server.url(2), "default\u{6}\u{16}3", 3);
    eyes.until("a worker busy for 12 s", |m| {
        let busy = m.sites.first().and_then(|s| s.redis.value()?.broker.as_ref());
        busy.is_some_and(|b| b.quiet == 1 && b.consumer_idle_s.is_some_and(|idle| idle >= 12))
    })
    .await;
    assert!(!eyes.model.findings.iter().any(|f| f.site == SITE), "busy is no fault: {:#?}", eyes.model.findings);
    worker.turns(FROZEN);
    eyes.top(SITE, "worker-hung").await;
    eyes.until("tasks wait for it: critical", |m| {
        m.findings.iter().any(|f| f.rule == "worker-hung" && f.level == Level::Critical)
    })
    .await;
    let () = client(&server.url(2)).del("unacked").unwrap();
    worker.turns(ASKS);
    eyes.gone(SITE, "worker-hung").await;
    healthy(&mut eyes).await;
    eyes.end().await;
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn tasks_that_a_dead_worker_holds() {
    let server = RedisServer::start(&[]);
    let worker = Worker::start(&server.url(2));
    let (_dir, mut eyes) = on(&server);
    healthy(&mut eyes).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut admin = client(&server.url(2));
    let () = admin.hset_multiple("unacked", &[("a", "1"), ("b", "2")]).unwrap();
    let () = admin.zadd_multiple("unacked_index", &[(now - 900, "a"), (now - 700, "b")]).unwrap();
    let found = eyes.top(SITE, "tasks-unacked").await;
    assert_eq!(found.level, Level::Warning);
    assert!(found.evidence.starts_with("the oldest for 15m"), "{}", found.evidence);
    assert!(found.evidence.contains("given to another worker in about 4"), "{}", found.evidence);
    let () = admin.del(&["unacked", "unacked_index"]).unwrap();
    eyes.gone(SITE, "tasks-unacked").await;
    worker.end();
    eyes.end().await;
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn memory_that_is_used_up() {
    let server = RedisServer::start(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let worker = Worker::start(&server.url(2));
    let (_dir, mut eyes) = on(&server);
    healthy(&mut eyes).await;
    let mut admin = client(&server.url(0));
    let big = "x".repeat(32 * 1024);
    eventually("the server being full", || {
        let stored: redis::RedisResult<()> = admin.lpush("heap", &big);
        stored.is_err().then_some(())
    });
    let found = eyes.top(SITE, "redis-refuses-writes").await;
    assert!(found.level == Level::Critical && found.evidence.contains("noeviction"), "{found:?}");
    let () = admin.del("heap").unwrap();
    eyes.gone(SITE, "redis-refuses-writes").await;
    healthy(&mut eyes).await;
    worker.end();
    eyes.end().await;
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn a_broker_that_evicts() {
    let server = RedisServer::start(&["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"]);
    let worker = Worker::start(&server.url(2));
    let (_dir, mut eyes) = on(&server);
    healthy(&mut eyes).await;
    let mut admin = client(&server.url(0));
    let big = "x".repeat(32 * 1024);
    for number in 0..200 {
        let () = admin.set(format!("page-{number}"), &big).unwrap();
    }
    let found = eyes.top(SITE, "redis-evicts").await;
    assert!(found.level == Level::Critical && found.title.contains("allkeys-lru"), "{found:?}");
    ask(&mut admin, "CONFIG SET maxmemory 64mb");
    ask(&mut admin, "CONFIG SET maxmemory-policy noeviction");
    eyes.gone(SITE, "redis-evicts").await;
    healthy(&mut eyes).await;
    worker.end();
    eyes.end().await;
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn a_snapshot_that_fails() {
    let server = RedisServer::start(&[]);
    let worker = Worker::start(&server.url(2));
    let (_dir, mut eyes) = on(&server);
    healthy(&mut eyes).await;
    let mut admin = client(&server.url(0));
    // With a directory in its place no snapshot can be written; writes go on, since none is scheduled.
    let in_the_way = server.path().join("data/dump.rdb");
    std::fs::create_dir_all(in_the_way.join("x")).unwrap();
    ask(&mut admin, "BGSAVE");
    let found = eyes.top(SITE, "redis-snapshot").await;
    assert_eq!(found.level, Level::Warning);
    // Once one is scheduled, its failure blocks writes.
    redis::cmd("CONFIG").arg(&["SET", "save", "3600 1000000"]).exec(&mut admin).unwrap();
    let found = eyes.top(SITE, "redis-refuses-writes").await;
    assert!(found.title.contains("MISCONF") && found.evidence.contains("not saved"), "{found:?}");
    assert!(!eyes.model.findings.iter().any(|f| holds(f, "redis-snapshot")), "said once");
    std::fs::remove_dir_all(&in_the_way).unwrap();
    ask(&mut admin, "BGSAVE");
    eyes.gone(SITE, "redis-refuses-writes").await;
    healthy(&mut eyes).await;
    worker.end();
    eyes.end().await;
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn a_server_that_is_gone_and_one_that_became_a_replica() {
    let (mut server, master) = (RedisServer::start(&[]), RedisServer::start(&[]));
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = eyes(&dir, &server.url(0), &master.url(2));
    let worker = Worker::start(&master.url(2));
    healthy(&mut eyes).await;
    server.stop();
    let found = eyes.top(SITE, "redis-down").await;
    assert!(found.evidence.contains("refuses connections"), "{found:?}");
    server.begin();
    eyes.gone(SITE, "redis-down").await;
    ask(&mut client(&server.url(0)), &format!("REPLICAOF 127.0.0.1 {}", master.port));
    let found = eyes.top(SITE, "redis-wrong-role").await;
    assert_eq!(found.level, Level::Critical);
    assert!(found.title.contains(&format!("127.0.0.1:{}", master.port)), "{}", found.title);
    ask(&mut client(&server.url(0)), "REPLICAOF NO ONE");
    eyes.gone(SITE, "redis-wrong-role").await;
    worker.end();
    eyes.end().await;
}

#[tokio::test]
#[ignore = "needs redis-server and a mount namespace: tests/run installs it, root has one"]
async fn a_container_that_sees_a_removed_directory() {
    let run = tempfile::tempdir().unwrap();
    let (shared, socket) = (run.path().join("redis"), run.path().join("redis/redis.sock"));
    std::fs::create_dir(&shared).unwrap();
    let mut server = RedisServer::start(&["--unixsocket", socket.to_str().unwrap()]);
    // A container that was given the directory: in its own mount namespace, over the same path.
    let hold = tempfile::tempdir().unwrap();
    let script = "mount --bind \"$1\" \"$3\" && mount -t tmpfs none \"$2\" && mkdir \"$1\" && mount --bind \"$3\" \"$1\" \
        && echo ready && exec sleep 600";
    let mut inside = std::process::Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
        .args([&shared, &run.path().to_owned(), &hold.path().to_owned()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 6];
    inside.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    let url = format!("unix://{}?db=", socket.display());
    let dir = tempfile::tempdir().unwrap();
    let mut eyes = eyes(&dir, &[&url, "0"].concat(), &server.url(2));
    let worker = Worker::start(&server.url(2));
    healthy(&mut eyes).await;
    // The unit's directory is made anew, as systemd does with RuntimeDirectory.
    worker.end();
    server.stop();
    std::fs::remove_dir_all(&shared).unwrap();
    std::fs::create_dir(&shared).unwrap();
    server.begin();
    let worker = Worker::start(&server.url(2));
    let dir = tempfile::tempdir().unwrap();
    let mut later = self::eyes(&dir, &[&url, "0"].concat(), &server.url(2));
    let found = later.top(SITE, "redis-stale-socket").await;
    assert!(found.evidence.contains(&format!("process {} sees", inside.id())), "{}", found.evidence);
    inside.kill().unwrap();
    inside.wait().unwrap();
    later.end().await;
    worker.end();
    eyes.end().await;
}
