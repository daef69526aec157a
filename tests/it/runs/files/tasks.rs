//! Tasks that wait in the broker go aside with an SQLite database, come back with it, and go with it; what the application
//! remembers of it is forgotten.

use std::fs;

use super::shop::Shop;
use crate::support::servers::{RedisServer, eventually};

#[test]
#[ignore = "needs root: takes the locks of the machine; needs redis: tests/run installs it"]
fn tasks_and_cache_go_with_an_sqlite_database_as_root() {
    let (shop, redis) = (Shop::new(40), RedisServer::start(&[]));
    let path = shop.ground.path().join("c.toml");
    let config = fs::read_to_string(&path).unwrap();
    let pretix =
        format!("app = \"pretix\"\nredis = \"{}\"\nbroker = \"{}\"\nqueues = [\"mail\"]\n", redis.url(1), redis.url(2));
    fs::write(&path, config.replace("app = \"web\"\n", &pretix)).unwrap();
    let mut cache = redis::Client::open(redis.url(1)).unwrap().get_connection().unwrap();
    let mut queues = redis::Client::open(redis.url(2)).unwrap().get_connection().unwrap();
    let mut remember = || redis::cmd("MSET").arg(&[":1:cart", "x", "other", "y"]).query::<()>(&mut cache).unwrap();
    let mut push = |task: &str| redis::cmd("LPUSH").arg(&["mail", task]).query::<()>(&mut queues).unwrap();
    let look = |database: u8, command: &str, words: &[&str]| -> Vec<String> {
        let mut connection = redis::Client::open(redis.url(database)).unwrap().get_connection().unwrap();
        let mut all: Vec<String> = redis::cmd(command).arg(words).query(&mut connection).unwrap();
        all.sort();
        all
    };
    let mail = || look(2, "LRANGE", &["mail", "0", "-1"]);

    remember();
    push("m1");
    let backup = format!("backup={}", shop.backup("shop-2026-11-20.sqlite3", 25).display());
    let (code, said) = shop.run(&["restore-database", &backup]);
    let first = shop.held("data").display().to_string();
    assert!(code == 0 && said.contains(&format!("1 tasks are put aside with {first}")), "{code}: {said}");
    assert_eq!((shop.orders(&shop.database()), mail().len()), (25, 0));
    assert_eq!(look(1, "KEYS", &["*"]), ["other"], "{said}");

    // They come back with it, and what has come since goes aside.
    remember();
    push("m2");
    let (code, said) = shop.run(&["swap-back-file", &format!("held={first}")]);
    assert!(code == 0 && said.contains("1 tasks are back in their queues"), "{code}: {said}");
    assert_eq!((shop.orders(&shop.database()), mail()), (40, vec!["m1".to_owned()]));
    assert_eq!(look(1, "KEYS", &["*"]), ["other"], "{said}");

    // What is released takes its tasks along.
    let second = shop.held("data").display().to_string();
    let displaced = std::time::Instant::now();
    eventually("a later second", || (displaced.elapsed().as_millis() > 2_000).then_some(()));
    let (code, said) = shop.ground.call(&["runbook", "run", "take-backup", "--yes"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = shop.run(&["release-held-file", &format!("held={second}")]);
    assert!(code == 0 && said.contains("1 tasks that were put aside"), "{code}: {said}");
    assert_eq!((look(2, "KEYS", &["midwatch:*"]), mail()), (Vec::new(), vec!["m1".to_owned()]));
}
