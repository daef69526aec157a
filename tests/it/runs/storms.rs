//! The runner, PostgreSQL with every session, and the application are killed at the same moment, at every step. PostgreSQL
//! recovers, the application is started again, the run is taken up: what the name means is old or new and whole, every
//! order that was confirmed is there, and nothing is left that nobody knows of.

mod backups;
mod releases;
mod seller;
mod targets;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use midwatch::runbook::run::{Outcome, What};

use self::seller::Selling;
use super::ground::Ground;
use super::shop::{Holder, WAITING, from};
use crate::support::servers::eventually;

/// Where in a step it happens.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Moment {
    /// As soon as it is begun.
    Begun,
    /// As soon as one of its programs works.
    Working,
}

/// Whether the run has come to this step with its runner of this number, or has ended.
pub(super) fn reached(ground: &Ground, run: &str, (step, moment): (usize, Moment), runner: usize) -> bool {
    let there = |what: &What| match what {
        What::Intended { step: at, .. } => *at > step || (*at == step && moment == Moment::Begun),
        What::Started { step: at, .. } | What::Acted { step: at, .. } | What::Spared { step: at, .. } => *at >= step,
        What::Failed { .. } => true,
        _ => false,
    };
    // Longer than other things are waited for: a step whose service may still be coming up is asked for a while.
    let waited = Instant::now();
    loop {
        let view = ground.view(run);
        let mut begun = view.entries.iter().enumerate().filter(|(_, entry)| matches!(entry.what, What::Began { .. }));
        if let Some((began, _)) = begun.nth(runner - 1) {
            let ended = view.ended().is_some();
            if ended || view.entries.iter().skip(began).any(|entry| there(&entry.what)) {
                return !ended;
            }
        }
        assert!(waited.elapsed().as_secs() < 90, "step {step} is not reached: {:#?}", view.entries);
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Has the storm come at every step of a run in turn, and sees it end well; how often it hit the run.
fn through_it_all(site: &mut Selling, run: &str, first: Moment) -> usize {
    let steps = site.shop.ground.view(run).record.plan.steps;
    let started = steps.iter().position(|step| step.name.starts_with("start ")).unwrap_or(steps.len());
    let (mut hit, mut following) = (0, None);
    for step in 0..steps.len() {
        let moment = if (step % 2 == 0) == (first == Moment::Begun) { Moment::Begun } else { Moment::Working };
        if !reached(&site.shop.ground, run, (step, moment), hit + 1) {
            break;
        }
        site.strike(run);
        site.calm();
        site.whole();
        if site.shop.ground.view(run).ended().is_some() {
            break;
        }
        hit += 1;
        // What the run had started again is started by whoever finds it gone.
        if site.shop.ground.acted(run, started) {
            site.work();
        }
        following = Some(site.follow(following, run, &[]));
    }
    site.ended(following, run, Outcome::Done);
    hit
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_restore_and_its_way_back_come_through_as_root() {
    for first in [Moment::Begun, Moment::Working] {
        let mut site = Selling::open();
        let around = site.shop.around();
        let run = site.shop.begin_restore();
        assert!(through_it_all(&mut site, &run, first) > 6);
        assert_eq!(site.known(), 2000);
        site.nothing_left();
        assert_eq!(site.shop.around(), around);

        site.work();
        let held = format!("held={}", site.shop.held());
        let token = site.shop.ground.token(&["swap-back", &held]);
        let run = site.shop.ground.begin(&["swap-back", &held, "--confirm", &token]);
        assert!(through_it_all(&mut site, &run, first) > 2);
        assert_eq!(site.known(), 2007);
        site.nothing_left();
        assert_eq!(site.shop.around(), around);
        site.whole();

        // What is released is gone, with what was sold into it; the one in use is what it was.
        site.shop.dump("newer.dump", &["-Fc"]);
        site.shop.ground.call(&["backups", "verify"]);
        let token = site.shop.ground.token(&["release-held", &format!("held={}", site.shop.held())]);
        let held = format!("held={}", site.shop.held());
        let run = site.shop.ground.begin(&["release-held", &held, "--confirm", &token]);
        reached(&site.shop.ground, &run, (0, first), 1);
        site.strike(&run);
        site.calm();
        let following = (site.shop.ground.view(&run).ended().is_none()).then(|| site.follow(None, &run, &[]));
        site.ended(following, &run, Outcome::Done);
        assert_eq!((site.shop.databases(), site.known()), (vec!["shop".to_owned()], 2007));
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_restore_is_undone_wherever_it_was_cut_off_as_root() {
    let mut undone = 0;
    for name in ["restore into it", "put it in the place of the one in use", "the site answers"] {
        let mut site = Selling::open();
        let around = site.shop.around();
        // It stays where it is to be cut off last.
        site.shop.web.say("HTTP/1.1 500 Oh no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let run = site.shop.begin_restore();
        let plan = site.shop.ground.view(&run).record.plan;
        let step = plan.steps.iter().position(|step| step.name == name).unwrap();
        assert!(reached(&site.shop.ground, &run, (step, Moment::Begun), 1));
        site.strike(&run);
        site.calm();
        site.whole();
        let following = site.follow(None, &run, &["--revert"]);
        site.ended(Some(following), &run, Outcome::Reverted);
        assert_eq!((site.known(), site.shop.around()), (2007, around), "{name}");
        site.whole();
        let left = site.shop.databases();
        assert!(left.iter().all(|name| name == "shop" || name.starts_with("shop_held_")), "{name}: {left:?}");
        undone += 1;
    }
    assert_eq!(undone, 3);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn an_exchange_that_waits_is_taken_back_by_the_server_that_dies_as_root() {
    let mut site = Selling::open();
    let holder = Holder::of(&site.shop, "begin; comment on database shop is 'the shop''s';");
    let run = site.shop.begin_restore();
    eventually("the change of names waits", || (site.shop.sql("postgres", WAITING) != "0").then_some(()));
    site.strike(&run);
    drop(holder);
    site.calm();
    assert_eq!(site.known(), 2007);
    site.whole();
    let following = site.follow(None, &run, &[]);
    site.ended(Some(following), &run, Outcome::Done);
    assert_eq!(site.known(), 2000);
    site.nothing_left();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn an_exchange_whose_confirmation_is_lost_is_found_done_as_root() {
    let mut site = Selling::open();
    let holder = Holder::of(&site.shop, "begin; comment on database shop is 'the shop''s';");
    let run = site.shop.begin_restore();
    eventually("the change of names waits", || (site.shop.sql("postgres", WAITING) != "0").then_some(()));
    // From here on a transaction is on the disk and not confirmed.
    site.shop.sql("postgres", "alter system set synchronous_standby_names = '*'");
    site.shop.sql("postgres", "select pg_reload_conf()");
    // The server has taken that in when somebody's small transaction waits, too.
    let comment = ["-XqAt", &site.shop.url("postgres"), "-c", "comment on database postgres is 'waits'"];
    let mut waits = Command::new("psql").args(comment).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and query like 'comment%'";
    eventually("who commits waits", || (site.shop.sql("postgres", waiting) != "0").then_some(()));
    drop(holder);
    let unconfirmed = "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and query ~* 'commit' and \
                       application_name like 'midwatch%'";
    eventually("it is committed and not confirmed", || (site.shop.sql("postgres", unconfirmed) != "0").then_some(()));
    // The runner lives, and hears that its transaction has failed.
    site.shop.server.crash();
    waits.wait().unwrap();
    site.shop.ground.ended(&run);
    std::fs::write(site.shop.server.path().join("data/postgresql.auto.conf"), "").unwrap();
    site.calm();
    assert_eq!(site.known(), 2000, "it was committed");
    let following = site.follow(None, &run, &["--retry"]);
    site.ended(Some(following), &run, Outcome::Done);
    site.nothing_left();
    site.whole();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_run_that_is_taken_up_before_the_server_is_says_so_and_goes_on_later_as_root() {
    let mut site = Selling::open();
    let run = site.shop.begin_restore();
    assert!(reached(&site.shop.ground, &run, (1, Moment::Working), 1));
    site.strike(&run);
    let (code, said) = site.shop.ground.resume(&run, &[]);
    assert!(code == 11 && said.contains("refuses connections"), "{code}: {said}");
    assert!(site.shop.ground.view(&run).ended().is_none(), "it can be taken up");
    site.calm();
    site.whole();
    let following = site.follow(None, &run, &[]);
    site.ended(Some(following), &run, Outcome::Done);
    assert_eq!(site.known(), 2000);
    site.nothing_left();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_database_that_was_half_dropped_is_dropped_whole_as_root() {
    let site = Selling::open();
    let run = site.shop.begin_restore();
    assert!(reached(&site.shop.ground, &run, (0, Moment::Working), 1));
    Ground::kill(&site.shop.ground.runner(&run));
    let beside = || site.shop.databases().into_iter().find(|name| name.starts_with("shop_mw_"));
    let beside = eventually("it is made", beside);
    // As PostgreSQL marks one whose end it did not live to see; this run had not come to mark it.
    site.shop.sql(
        "postgres",
        &format!(
            "comment on database {beside} is null; update pg_database set datconnlimit = -2 where datname = '{beside}'"
        ),
    );
    let following = site.follow(None, &run, &["--revert"]);
    site.ended(Some(following), &run, Outcome::Reverted);
    assert_eq!(site.shop.databases(), ["shop"]);
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_backup_is_taken_and_proven_through_it_all_as_root() {
    let mut site = Selling::open();
    // The server that is killed restarts in another place of the dump each time.
    let to = format!("directory={}", site.shop.ground.path().join("backups").display());
    for (moment, wish) in [(Moment::Begun, vec!["take-backup", &to]), (Moment::Working, vec!["take-backup", &to])] {
        let run = site.shop.ground.begin(&[&wish[..], &["--yes"]].concat());
        reached(&site.shop.ground, &run, (0, moment), 1);
        site.strike(&run);
        site.calm();
        site.whole();
        if site.shop.ground.view(&run).ended().is_none() {
            let (code, said) = site.shop.ground.resume(&run, &["--yes"]);
            assert_eq!(code, 0, "{said}");
        }
        let names = std::fs::read_dir(site.shop.backup("")).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        assert!(!names.iter().any(|name| name.ends_with(".partial")), "{names:?}");
    }
    let backup = site.shop.backup("shop.dump");
    for moment in [Moment::Begun, Moment::Working] {
        let run = site.shop.ground.begin(&["prove-backup", &from(&backup), "--yes"]);
        reached(&site.shop.ground, &run, (0, moment), 1);
        site.strike(&run);
        site.calm();
        site.whole();
        if site.shop.ground.view(&run).ended().is_none() {
            let (code, said) = site.shop.ground.resume(&run, &["--yes"]);
            assert_eq!(code, 0, "{said}");
        }
        assert_eq!(super::drill::proof(&site.shop.ground, &backup), "restored");
        super::drill::nothing_left(&site.shop.ground, &run);
    }
    assert_eq!(site.known(), 2007);
    site.nothing_left();
}
