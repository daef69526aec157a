//! Tasks that wait in the broker go aside with the database they are about, and come back with it.

use super::shop::{Shop, from};
use crate::support::servers::{RedisServer, eventually};

/// What stands between a queue's name and a priority.
const URGENT: &str = "checkout\u{6}\u{16}3";
const PARK: &str = "put the waiting tasks aside";

struct Tasks {
    shop: Shop,
    redis: RedisServer,
}

impl Tasks {
    /// A shop with three tasks in two lists of its queues, one in the hands of a worker that is gone, and one that is
    /// another application's.
    fn open() -> Self {
        let (shop, redis) = (Shop::open(), RedisServer::start(&[]));
        shop.configure(&format!("broker = \"{}\"\nqueues = [\"mail\", \"checkout\"]\n", redis.url(2)));
        let tasks = Self { shop, redis };
        tasks.ask::<()>(&["LPUSH", "mail", "m1", "m2"]);
        tasks.ask::<()>(&["LPUSH", URGENT, "c1"]);
        tasks.ask::<()>(&["HSET", "unacked", "tag", "u1"]);
        tasks.ask::<()>(&["ZADD", "unacked_index", "12.5", "tag"]);
        tasks.ask::<()>(&["LPUSH", "reports", "r1"]);
        tasks
    }

    fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = redis::Client::open(self.redis.url(2)).unwrap().get_connection().unwrap();
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection).unwrap()
    }

    fn list(&self, name: &str) -> Vec<String> {
        self.ask(&["LRANGE", name, "0", "-1"])
    }

    /// Mail, checkout, and what workers hold, as they wait for a worker.
    fn wait(&self, mail: &[&str], checkout: &[&str], held: bool) {
        assert_eq!((self.list("mail"), self.list(URGENT)), (owned(mail), owned(checkout)));
        let score: Option<f64> = self.ask(&["ZSCORE", "unacked_index", "tag"]);
        let held_now: Option<String> = self.ask(&["HGET", "unacked", "tag"]);
        assert_eq!((score, held_now.as_deref()), if held { (Some(12.5), Some("u1")) } else { (None, None) });
        assert_eq!(self.list("reports"), ["r1"], "another's is left alone");
    }

    fn parked(&self) -> Vec<String> {
        self.ask(&["KEYS", "midwatch:*"])
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL and redis: tests/run installs them"]
fn tasks_go_aside_with_their_database_and_come_back_with_it_as_root() {
    let tasks = Tasks::open();
    let shop = &tasks.shop;
    let backup = from(&shop.backup("shop.dump"));
    let (code, said) = shop.ground.call(&["runbook", "plan", "restore-database", &backup]);
    assert!(code == 0 && said.contains("3 tasks wait, workers hold 1") && !said.contains("reports"), "{said}");
    let (code, said) = shop.run(&["restore-database", &backup]);
    assert!(code == 0 && said.contains("4 tasks are put aside with shop_held_"), "{code}: {said}");
    tasks.wait(&[], &[], false);

    // The restored shop sells; that goes aside with it when what is held comes back.
    tasks.ask::<()>(&["LPUSH", "mail", "later"]);
    let first = shop.held();
    let parameter = format!("held={first}");
    let (code, said) = shop.run(&["swap-back", &parameter]);
    assert!(code == 0 && said.contains("4 tasks are back in their queues"), "{code}: {said}");
    tasks.wait(&["m2", "m1"], &["c1"], true);
    let second = shop.held();
    assert_eq!(tasks.list(&format!("midwatch:parked:{second}:mail")), ["later"]);

    // Released, it is gone with its tasks, and nothing else is.
    shop.dump("newer.dump", &["-Fc"]);
    shop.ground.call(&["backups", "verify"]);
    let (code, said) = shop.run(&["release-held", &format!("held={second}")]);
    assert!(code == 0 && said.contains("1 tasks that were put aside"), "{code}: {said}");
    assert_eq!(tasks.parked(), [] as [String; 0]);
    tasks.wait(&["m2", "m1"], &["c1"], true);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL and redis: tests/run installs them"]
fn a_run_killed_while_it_puts_tasks_aside_loses_none_as_root() {
    for revert in [false, true] {
        let tasks = Tasks::open();
        let shop = &tasks.shop;
        // The site does not come back, so that the run is still there when its tasks are aside.
        shop.web.say("HTTP/1.1 500 Oh no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let run = shop.begin_restore();
        let steps = shop.ground.view(&run).record.plan.steps;
        let at = steps.iter().position(|step| step.name == PARK).unwrap();
        shop.ground.kill_at(&run, at);
        eventually("the broker has done what it was told", || {
            let waiting: bool = tasks.ask(&["EXISTS", "mail"]);
            let parked: bool = tasks.ask(&["EXISTS", &format!("midwatch:parked:{}:mail", shop.databases()[1])]);
            (waiting != parked).then_some(())
        });
        let done = tasks.list("mail").is_empty();
        tasks.ask::<()>(&["LPUSH", "mail", "later"]);
        if revert {
            let (_, said) = shop.ground.resume(&run, &["--revert"]);
            assert!(said.contains("REVERTED"), "{said}");
            assert_eq!(shop.orders(), "2007");
            assert_eq!(tasks.list("mail").len(), 3, "{said}");
            assert_eq!(tasks.parked(), [] as [String; 0], "{said}");
        } else {
            shop.web.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let (code, said) = shop.ground.resume(&run, &[]);
            assert!(code == 0 || code == 14, "{code}: {said}");
            tasks.wait(if done { &["later"] } else { &[] }, &[], false);
            let aside = tasks.list(&format!("midwatch:parked:{}:mail", shop.held()));
            assert_eq!(aside.len(), if done { 2 } else { 3 }, "{said}");
        }
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL and redis: tests/run installs them"]
fn tasks_that_stay_parked_are_told_and_given_back_or_dropped_as_root() {
    let tasks = Tasks::open();
    let shop = &tasks.shop;
    let nothing = shop.refused(&["give-back-tasks"]);
    assert!(nothing.contains("put no task of this site aside"), "{nothing}");
    let (code, said) = shop.run(&["restore-database", &from(&shop.backup("shop.dump"))]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    let first = shop.held();
    let (_, said) = shop.ground.call(&["check", "tasks-parked"]);
    assert!(said.contains("4 tasks are parked since a restore") && said.contains(&first), "{said}");
    let offered = shop.refused(&["give-back-tasks"]);
    assert!(offered.contains(&first) && offered.contains("4 tasks"), "{offered}");
    // Enough that it is cut off in the middle of moving them, behind one that came since.
    let many: Vec<String> = (0..20_000).map(|n| format!("n{n}")).collect();
    let list = format!("midwatch:parked:{first}:mail");
    for some in many.chunks(5_000) {
        let some = some.iter().map(String::as_str);
        tasks.ask::<()>(&["RPUSH", &list].into_iter().chain(some).collect::<Vec<_>>());
    }
    tasks.ask::<()>(&["LPUSH", "mail", "later"]);

    let wish = format!("parked={first}");
    let dropping = shop.ground.token(&["drop-tasks", &wish]);
    let (_, plan) = shop.ground.call(&["runbook", "plan", "give-back-tasks", &wish]);
    assert!(plan.contains("20004 tasks put aside") && plan.contains("swap-back would put it back"), "{plan}");
    let token = shop.ground.token(&["give-back-tasks", &wish]);
    let run = shop.ground.begin(&["give-back-tasks", &wish, "--confirm", &token]);
    if shop.ground.kill_at(&run, 0) {
        // Each is in one place.
        let both = || tasks.list("mail").len() + tasks.list(&list).len();
        eventually("the broker has done what it was told", || (both() == 20_003).then_some(()));
        let (code, said) = shop.ground.resume(&run, &[]);
        assert_eq!(code, 0, "{said}");
    }
    shop.ground.ended(&run);
    let mail = tasks.list("mail");
    assert_eq!((mail.len(), mail.last().unwrap().as_str()), (20_003, "later"), "behind what waits");
    assert_eq!(tasks.parked(), [] as [String; 0]);
    assert_eq!((tasks.list(URGENT), tasks.list("reports")), (owned(&["c1"]), owned(&["r1"])));
    let (_, said) = shop.ground.call(&["check", "tasks-parked"]);
    assert!(!said.contains("are parked"), "{said}");
    let (code, said) = shop.ground.call(&["runbook", "run", "drop-tasks", &wish, "--confirm", &dropping]);
    assert!(matches!(code, 12 | 13), "{code}: {said}");
    assert_eq!(tasks.list("mail").len(), 20_003);

    // Back in use, what was held has no tasks any more; those that wait go aside again, and are dropped.
    let (code, said) = shop.run(&["swap-back", &format!("held={first}")]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    tasks.ask::<()>(&["LPUSH", "mail", "later"]);
    let wish = format!("parked={}", shop.held());
    let (code, said) = shop.run(&["drop-tasks", &wish]);
    assert!(code == 0 && said.contains("20005 tasks that were put aside"), "{code}: {said}");
    assert_eq!(tasks.parked(), [] as [String; 0]);
    assert_eq!((tasks.list("mail"), tasks.list("reports")), (owned(&["later"]), owned(&["r1"])));
}
