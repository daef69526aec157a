//! Redis.
#![cfg(test)]

use std::io::{Read, Write};
use std::net::TcpListener;

use midwatch::backends::redis::RedisProbe;
use midwatch::config::{BrokerConfig, RedisConfig};
use midwatch::domain::reading::Seen;
use midwatch::domain::redis::RedisReading;
use midwatch::ports::Observe;
use redis::Commands;
use secrecy::SecretString;

use super::{failed, value};
use crate::support::servers::{RedisServer, eventually, free_port};

fn cache(url: &str) -> RedisConfig {
    RedisConfig { url: SecretString::from(url), container: None }
}

fn broker(url: &str) -> BrokerConfig {
    let queues = ["default", "checkout"].map(str::to_owned).to_vec();
    BrokerConfig { url: SecretString::from(url), queues, priorities: true, container: None }
}

fn probe(url: &str) -> RedisProbe {
    RedisProbe::new(Some(&cache(url)), None)
}

fn client(url: &str) -> redis::Connection {
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

fn ask(connection: &mut redis::Connection, command: &str) -> redis::RedisResult<redis::Value> {
    let mut words = command.split(' ');
    redis::cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).query(connection)
}

async fn until(probe: &mut RedisProbe, what: &str, condition: impl Fn(&RedisReading) -> bool) -> RedisReading {
    let start = std::time::Instant::now();
    loop {
        let reading = value(probe.observe().await);
        if condition(&reading) {
            return reading;
        }
        assert!(start.elapsed().as_secs() < 30, "{what} never came true: {reading:?}");
    }
}

#[tokio::test]
async fn without_any_redis_there_is_nothing_to_see() {
    assert!(matches!(RedisProbe::new(None, None).observe().await, Seen::Unseen(_)));
}

#[tokio::test]
async fn a_closed_port_and_another_protocol_are_told() {
    let port = free_port();
    let why = failed(probe(&format!("redis://:s3cret@127.0.0.1:{port}/0")).observe().await);
    assert!(why.contains(&format!("127.0.0.1:{port} refuses connections")) && !why.contains("s3cret"), "{why}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = std::thread::spawn(move || {
        // The look asks, and asks again in a second connection only after the first has failed.
        for stream in listener.incoming().take(1) {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 512]).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        }
    });
    let why = failed(probe(&format!("redis://127.0.0.1:{port}/0")).observe().await);
    assert!(why.contains("does not speak Redis' protocol"), "{why}");
    web.join().unwrap();
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn a_healthy_server_is_seen_with_read_commands_only() {
    let server = RedisServer::start(&[]);
    let mut probe = RedisProbe::new(Some(&cache(&server.url(0))), Some(&broker(&server.url(2))));
    let mut admin = client(&server.url(2));
    let () = admin.lpush("default", "message").unwrap();
    for _ in 0..3 {
        let reading = value(probe.observe().await);
        assert!(reading.latency_ms > 0.0 && reading.server.version.contains('.'));
        assert_eq!((reading.server.role.as_str(), reading.refuses_writes), ("master", None));
        assert!(reading.server.used_memory.is_some_and(|used| used > 0));
        assert_eq!((reading.server.max_memory, reading.server.policy.as_deref()), (Some(0), Some("noeviction")));
    }
    let info: redis::InfoDict = redis::cmd("INFO").arg("everything").query(&mut admin).unwrap();
    assert_eq!(info.get::<u64>("connected_clients"), Some(3), "one for each database, and this one");
    let redis::Value::BulkString(stats) = ask(&mut admin, "INFO commandstats").unwrap() else { panic!() };
    let stats = String::from_utf8(stats).unwrap();
    let seen = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':')).map(|(name, _)| name);
    let known = [
        "ping",
        "info",
        "time",
        "slowlog|len",
        "llen",
        "lindex",
        "hlen",
        "zrange",
        "scard",
        "smembers",
        "client|list",
        "select",
    ];
    let ours_of_the_test = ["lpush", "client|setinfo", "client"];
    for name in seen {
        assert!(known.contains(&name) || ours_of_the_test.contains(&name), "{name} was sent");
    }
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn queues_unacknowledged_tasks_and_workers_are_counted() {
    let server = RedisServer::start(&[]);
    let mut admin = client(&server.url(2));
    for (list, count) in [("default", 1), ("default:4", 3), ("checkout:8", 2)] {
        for number in 0..count {
            let () = admin.lpush(list, format!("{{\"headers\":{{\"id\":\"{list}-{number}\"}}}}")).unwrap();
        }
    }
    let () = admin.hset("unacked", "tag", "message").unwrap();
    let mut probe = RedisProbe::new(None, Some(&broker(&server.url(2))));
    let seen = value(probe.observe().await).broker.unwrap();
    let waiting: Vec<_> = seen.queues.iter().map(|q| (q.name.as_str(), q.waiting, q.oldest_at_least_s)).collect();
    assert_eq!(waiting, [("default", 4, Some(0)), ("checkout", 2, Some(0))]);
    assert_eq!((seen.unacked, seen.consumers, seen.consumer_idle_s), (Some(1), Some(0), None));

    let url = server.url(2);
    let worker = std::thread::spawn(move || {
        let taken: Option<(String, String)> = client(&url).brpop("not-there-yet", 30.0).unwrap();
        taken
    });
    let elsewhere = server.url(0);
    let other = std::thread::spawn(move || {
        let taken: Option<(String, String)> = client(&elsewhere).brpop("not-there-yet", 30.0).unwrap();
        taken
    });
    let one_worker = |r: &RedisReading| r.broker.as_ref().unwrap().consumers == Some(1);
    let seen = until(&mut probe, "the worker", one_worker).await;
    assert!(seen.broker.unwrap().consumer_idle_s.is_some());
    let () = admin.lpush("not-there-yet", "1").unwrap();
    let () = client(&server.url(0)).lpush("not-there-yet", "1").unwrap();
    assert!(worker.join().unwrap().is_some() && other.join().unwrap().is_some());
    let () = admin.del(&["default", "default:4", "checkout:8", "unacked"]).unwrap();
    let seen = value(probe.observe().await).broker.unwrap();
    assert_eq!((seen.waiting(), seen.unacked), (0, Some(0)));
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn a_frozen_server_gets_one_connection_and_is_green_at_once_when_it_thaws() {
    let server = RedisServer::start(&[]);
    let mut kept = probe(&server.url(0));
    value(kept.observe().await);
    server.freeze();
    let mut fresh = probe(&server.url(0));
    for _ in 0..2 {
        let (kept, fresh) = tokio::join!(kept.observe(), fresh.observe());
        let why = failed(kept);
        assert!(why.contains("accepted the connection and has not answered for"), "{why}");
        let why = failed(fresh);
        assert!(why.contains("not answered for") || why.contains("opened no session for"), "{why}");
    }
    server.thaw();
    value(kept.observe().await);
    value(fresh.observe().await);
    let info: redis::InfoDict = redis::cmd("INFO").query(&mut client(&server.url(0))).unwrap();
    // The harness itself connected once to see that it listens, and this is the fourth.
    assert_eq!(info.get::<u64>("total_connections_received"), Some(4));
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn stopped_and_started_again_it_is_told_and_recovers() {
    let mut server = RedisServer::start(&[]);
    let socket = format!("redis+socket://{}?virtual_host=2", server.path().join("redis.sock").display());
    let (mut tcp, mut unix) = (probe(&server.url(0)), probe(&socket));
    for _ in 0..2 {
        value(tcp.observe().await);
        value(unix.observe().await);
        server.stop();
        let why = failed(tcp.observe().await);
        assert!(why.contains("refuses connections"), "{why}");
        let why = failed(unix.observe().await);
        assert!(why.contains("redis.sock"), "{why}");
        server.begin();
    }
    value(tcp.observe().await);
    server.stop();
    server.begin();
    value(tcp.observe().await);
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn why_writes_are_refused_is_told() {
    let server = RedisServer::start(&[]);
    let mut admin = client(&server.url(0));
    let mut probe = probe(&server.url(0));
    assert_eq!(value(probe.observe().await).refuses_writes, None);

    ask(&mut admin, "CONFIG SET maxmemory 3mb").unwrap();
    let big = "x".repeat(64 * 1024);
    for number in 0..200 {
        let stored: redis::RedisResult<()> = admin.set(number, &big);
        if stored.is_err() {
            break;
        }
    }
    let why = value(probe.observe().await).refuses_writes.unwrap();
    assert!(why.contains("memory is used up"), "{why}");
    ask(&mut admin, "FLUSHALL").unwrap();
    ask(&mut admin, "CONFIG SET maxmemory 0").unwrap();
    value(probe.observe().await);
    assert_eq!(value(probe.observe().await).refuses_writes, None);

    std::fs::remove_dir_all(server.path().join("data")).unwrap();
    redis::cmd("CONFIG").arg("SET").arg("save").arg("3600 1000000").exec(&mut admin).unwrap();
    ask(&mut admin, "BGSAVE").unwrap();
    let reading = until(&mut probe, "the failed snapshot", |r| r.refuses_writes.is_some()).await;
    let why = reading.refuses_writes.unwrap();
    assert!(why.contains("could not be written to disk (MISCONF)"), "{why}");

    let master = RedisServer::start(&[]);
    redis::cmd("CONFIG").arg("SET").arg("save").arg("").exec(&mut admin).unwrap();
    ask(&mut admin, &format!("REPLICAOF 127.0.0.1 {}", master.port)).unwrap();
    let reading = until(&mut probe, "the replica", |r| r.server.role == "slave").await;
    assert_eq!(reading.refuses_writes.as_deref(), Some("it is a read-only replica of 127.0.0.1"));
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn what_an_acl_denies_is_unknown_and_the_rest_is_seen() {
    let server = RedisServer::start(&["--requirepass", "s3cret"]);
    let all = format!("redis://:s3cret@127.0.0.1:{}/2", server.port);
    let mut admin = client(&all);
    ask(&mut admin, "ACL SETUSER app on >app-s3cret ~* +ping +select +llen +lindex").unwrap();
    let () = admin.lpush("default:4", "message").unwrap();
    let limited = format!("redis://app:app-s3cret@127.0.0.1:{}/2", server.port);
    let mut probe = RedisProbe::new(None, Some(&broker(&limited)));
    let reading = value(probe.observe().await);
    assert_eq!((reading.server.version.as_str(), reading.server.used_memory), ("unknown", None));
    let seen = reading.broker.unwrap();
    assert_eq!((seen.waiting(), seen.unacked, seen.consumers), (1, None, None));
    let unseen = reading.unseen.join("\n");
    for grant in ["+info", "+client|list", "+hlen", "+zrange", "+pubsub|numpat", "who takes tasks"] {
        assert!(unseen.contains(grant), "{unseen}");
    }
    assert!(unseen.contains("ACL SETUSER app ") && !unseen.contains("s3cret"), "{unseen}");
    ask(&mut admin, "ACL SETUSER app +info +client|list +hlen +zrange +pubsub|numpat +time +slowlog|len +scard")
        .unwrap();
    let reading = value(probe.observe().await);
    assert_eq!((reading.unseen, reading.broker.unwrap().consumers), (vec![], Some(0)), "the grants open it");

    let why = failed(self::probe(&server.url(0)).observe().await);
    assert!(why.contains("wants a password"), "{why}");
    let wrong = format!("redis://:wr0ng-pw@127.0.0.1:{}/0", server.port);
    let why = failed(self::probe(&wrong).observe().await);
    assert!(why.contains("refuses the user or password") && !why.contains("wr0ng-pw"), "{why}");
}

#[tokio::test]
#[ignore = "needs redis-server: tests/run installs it"]
async fn of_two_servers_either_can_be_what_is_wrong() {
    let mut behind = RedisServer::start(&[]);
    let front = RedisServer::start(&[]);
    let mut probe = RedisProbe::new(Some(&cache(&front.url(0))), Some(&broker(&behind.url(0))));
    assert!(value(probe.observe().await).broker.is_some());
    ask(&mut client(&behind.url(0)), &format!("REPLICAOF 127.0.0.1 {}", front.port)).unwrap();
    let reading = until(&mut probe, "the replica", |r| r.refuses_writes.is_some()).await;
    assert!(reading.refuses_writes.unwrap().starts_with("broker: it is a read-only replica"));
    behind.stop();
    let why = failed(probe.observe().await);
    assert!(why.contains(&format!("127.0.0.1:{} refuses connections", behind.port)), "{why}");
    eventually("the front being alive", || client(&front.url(0)).ping::<String>().ok());
}
