//! restore-in-place, on a real PostgreSQL where nobody may make another database.

use std::path::PathBuf;
use std::process::Command;

use midwatch::runbook::run::Outcome;

use super::shop::{Holder, Shop, from};
use crate::support::servers::{RedisServer, eventually};
use crate::support::standins::unique;

const OVER: &str = "restore over it";

struct Place {
    shop: Shop,
    word: String,
}

impl Place {
    /// A shop whose own role alone can be had, with a web service that can be stopped.
    fn open() -> Self {
        Self::with("")
    }

    /// The same, with more in the site's table.
    fn with(more: &str) -> Self {
        let (shop, word) = (Shop::open(), unique("web"));
        let rules = shop.server.path().join("data/pg_hba.conf");
        let before = std::fs::read_to_string(&rules).unwrap();
        std::fs::write(&rules, before.replace("local all postgres peer\n", "")).unwrap();
        shop.sql("postgres", "select pg_reload_conf()");
        // What it is set to in there is no name of a setting that a role may have.
        shop.sql("postgres", "alter role shop in database shop reset app.name");
        let start = shop.ground.path().join("start");
        let script = format!("#!/bin/bash\n(exec -a 'gunicorn {word}' sleep 600) >/dev/null 2>&1 &\ndisown\n");
        std::fs::write(&start, script).unwrap();
        std::fs::set_permissions(&start, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        shop.configure(&format!(
            "{more}[sites.shop.services.web]\nrole = \"web\"\nprocess = \"gunicorn {word}\"\nstart = [\"{}\"]\n",
            start.display()
        ));
        let place = Self { shop, word };
        assert!(Command::new(&start).status().unwrap().success());
        eventually("web runs", || (place.webs() == 1).then_some(()));
        place
    }

    fn webs(&self) -> usize {
        let all = Command::new("pgrep").args(["-f", &format!("^gunicorn {}", self.word)]).output().unwrap().stdout;
        String::from_utf8(all).unwrap().lines().count()
    }

    fn wish(&self) -> [String; 3] {
        let directory = format!("directory={}", self.shop.ground.path().join("backups").display());
        ["restore-in-place".to_owned(), from(&self.shop.backup("shop.dump")), directory]
    }

    fn refused(&self) -> String {
        let wish = self.wish();
        self.shop.refused(&wish.each_ref().map(String::as_str))
    }

    fn begin(&self) -> String {
        let wish = self.wish();
        let wish = wish.each_ref().map(String::as_str);
        let token = self.shop.ground.token(&wish);
        self.shop.ground.begin(&[&wish[..], &["--confirm", &token]].concat())
    }

    fn step(&self, run: &str, name: &str) -> usize {
        let plan = self.shop.ground.view(run).record.plan;
        plan.steps.iter().position(|step| step.name == name).unwrap()
    }

    fn ended(&self, run: &str) -> (Outcome, String) {
        self.shop.ground.ended(run)
    }

    fn last_dump(&self) -> Option<PathBuf> {
        let all = std::fs::read_dir(self.shop.ground.path().join("backups")).unwrap();
        let mut all = all.map(|entry| entry.unwrap().path());
        all.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("shop-last-"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        Command::new("pkill").args(["-f", &format!("^gunicorn {}", self.word)]).status().ok();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL and redis"]
fn where_no_second_database_can_be_made_a_backup_is_restored_over_it_as_root() {
    let redis = RedisServer::start(&[]);
    let place = Place::with(&format!("broker = \"{}\"\nqueues = [\"mail\"]\n", redis.url(2)));
    let mut broker = redis::Client::open(redis.url(2)).unwrap().get_connection().unwrap();
    redis::cmd("LPUSH").arg(&["mail", "m1", "m2"]).query::<()>(&mut broker).unwrap();
    let shop = &place.shop;
    let backup = from(&shop.backup("shop.dump"));
    assert!(shop.refused(&["restore-database", &backup]).contains("restore-in-place"));

    // What would leave a mixture is refused.
    shop.sql("shop", "create table shop_new (id int)");
    assert!(place.refused().contains("public.shop_new"));
    shop.sql("shop", "drop table shop_new; insert into django_migrations (app, name) values ('shop', '0003_new')");
    assert!(place.refused().contains("another schema"));
    shop.sql("shop", "delete from django_migrations where name = '0003_new'");
    // So it is where another can be made beside.
    shop.sql("postgres", "alter role shop createdb");
    assert!(place.refused().contains("restore-database does it beside"));
    shop.sql("postgres", "alter role shop nocreatedb");

    // Somebody still writes: nothing is overwritten.
    let holder = Holder::of(shop, "set role shop; select 1;");
    let run = place.begin();
    let (outcome, left) = place.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains("still open to"), "{left}");
    assert_eq!((shop.orders().as_str(), place.webs()), ("2007", 0));
    drop(holder);
    let (code, said) = shop.ground.resume(&run, &["--retry"]);
    assert!(code == 0 || code == 14, "{code}: {said}");
    assert_eq!((shop.orders().as_str(), place.webs()), ("2000", 1), "{said}");
    let (_, all) = shop.ground.call(&["runbook", "log", &run]);
    assert!(!all.contains("secret") && !said.contains("secret"), "{all}");
    // The last dump has what was overwritten.
    let dump = place.last_dump().unwrap();
    let list = Command::new("pg_restore").args(["-a", "-t", "shop_order", "-f", "-"]).arg(&dump).output().unwrap();
    assert_eq!(String::from_utf8(list.stdout).unwrap().matches("\tnew ").count(), 7);

    // What waited is about that: it is told, and can be given back to what is in use now.
    let mut waiting = || redis::cmd("LLEN").arg("mail").query::<u64>(&mut broker).unwrap();
    let (_, found) = shop.ground.call(&["check", "tasks-parked"]);
    assert!(waiting() == 0 && found.contains("2 tasks are parked") && found.contains("shop-last-"), "{found}");
    let (code, said) = shop.run(&["give-back-tasks", &format!("parked={}", dump.display())]);
    assert!(code == 0 && said.contains("2 tasks are back in their queues"), "{code}: {said}");
    assert_eq!(waiting(), 2);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_restore_in_place_that_is_killed_is_whole_whether_it_goes_on_or_back_as_root() {
    for revert in [false, true] {
        let place = Place::open();
        let shop = &place.shop;
        let run = place.begin();
        shop.ground.kill_at(&run, place.step(&run, OVER));
        let (_, said) = shop.ground.resume(&run, if revert { &["--revert"] } else { &[] });
        let (outcome, left) = place.ended(&run);
        let (ends, orders) = if revert { (Outcome::Reverted, "2007") } else { (Outcome::Done, "2000") };
        assert!(outcome == ends || (outcome, revert) == (Outcome::Unverified, false), "{left}: {said}");
        assert_eq!((shop.orders().as_str(), place.webs()), (orders, 1), "{said}");
        shop.nobody_works();
    }
}
