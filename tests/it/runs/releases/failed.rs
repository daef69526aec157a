//! The way back that a failed upgrade names, from where it has failed: the link says the newer release, the worker is
//! stopped, and web has the older one in memory or does not come up.

use std::fs;

use midwatch::runbook::run::Outcome;

use super::super::shop::from;
use super::postgres::{Laid, NEW, OLD, UP};
use super::{Shop, UP as PRACTICE};

/// Lets a program of the newer release end with this, and the upgrade fail at a step of it.
fn fails(laid: &Laid, program: &str, end: &str, step: &str) {
    let path = laid.shop.ground.path().join("app/releases").join(NEW).join(program);
    let text = fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let text = if program == "sell" { format!("{first}\n{end}\n{rest}") } else { format!("{text}{end}\n") };
    fs::write(&path, text).unwrap();
    let run = laid.begin(&UP);
    let (outcome, left) = laid.ended(&run);
    assert!(outcome == Outcome::Failed && left.contains(&format!("`{step}` failed")), "{left}");
    assert_eq!((laid.points_to().as_str(), laid.processes("tasks").len()), (NEW, 0));
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn half_migrated_it_goes_back_with_its_database_and_everything_runs_as_root() {
    let laid = Laid::open();
    let before = from(&laid.shop.backup("before.dump"));
    fails(&laid, "migrate", "exit 3", "migrate");
    assert_eq!(laid.processes("web").len(), 1, "it has the older release in memory");
    laid.refused(&["undo-upgrade"], "undo-upgrade-and-restore does both");
    let run = laid.begin(&["undo-upgrade-and-restore", &before]);
    assert_eq!(laid.ended(&run).0, Outcome::Done, "{:#?}", laid.ended(&run));
    let costs = laid.shop.ground.view(&run).record.plan.costs;
    assert!(costs.iter().any(|cost| cost == "What does not run now is started: tasks."), "{costs:?}");
    laid.works(OLD);
    laid.settled(&run, 1);
    laid.whole();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_release_that_does_not_start_goes_back_with_its_database_as_root() {
    let laid = Laid::open();
    let before = from(&laid.shop.backup("before.dump"));
    fails(&laid, "sell", "exit 3", "restart web");
    assert_eq!(laid.processes("web").len(), 0);
    laid.refused(&["undo-upgrade"], "undo-upgrade-and-restore does both");
    let run = laid.begin(&["undo-upgrade-and-restore", &before]);
    assert_eq!(laid.ended(&run).0, Outcome::Done, "{:#?}", laid.ended(&run));
    laid.works(OLD);
    laid.settled(&run, 1);
    laid.whole();
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn where_nothing_was_migrated_it_goes_back_alone_and_everything_runs_as_root() {
    let laid = Laid::open();
    laid.migrates_nothing();
    fails(&laid, "sell", "exit 3", "restart web");
    let begin = || laid.begin(&["undo-upgrade"]);
    // What did not run does not run either when the way back is taken back.
    let run = begin();
    let plan = laid.shop.ground.view(&run).record.plan;
    laid.shop.ground.kill_at(&run, plan.steps.iter().position(|step| step.name == "start tasks").unwrap());
    let mut run = run;
    if laid.shop.ground.view(&run).ended().is_none() {
        let (_, said) = laid.shop.ground.resume(&run, &["--revert"]);
        assert_eq!(laid.ended(&run).0, Outcome::Reverted, "{said}");
        assert_eq!(laid.points_to(), NEW);
        assert_eq!((laid.processes("web").len(), laid.processes("tasks").len()), (0, 0), "they rest again");
        run = begin();
    }
    assert_eq!(laid.ended(&run).0, Outcome::Done, "{:#?}", laid.ended(&run));
    laid.works(OLD);
    laid.settled(&run, 0);

    // The same where the migration fails at once: web has the older release in memory.
    let sell = fs::read_to_string(laid.shop.ground.path().join("app/releases").join(OLD).join("sell")).unwrap();
    fs::write(laid.shop.ground.path().join("app/releases").join(NEW).join("sell"), sell).unwrap();
    fails(&laid, "migrate", "exit 3", "migrate");
    let web = laid.processes("web");
    let run = begin();
    assert_eq!(laid.ended(&run).0, Outcome::Done, "{:#?}", laid.ended(&run));
    laid.works(OLD);
    assert_ne!(laid.processes("web"), web, "it was restarted");
    laid.settled(&run, 0);
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn the_practice_site_goes_back_from_a_release_that_does_not_start_as_root() {
    let shop = Shop::open();
    fs::remove_file(shop.path("releases/2026.2/page.html")).unwrap();
    let token = shop.ground.token(&PRACTICE);
    let run = shop.ground.begin(&[&PRACTICE[..], &["--confirm", &token]].concat());
    let (outcome, _) = shop.ground.ended(&run);
    assert_eq!(outcome, Outcome::Failed);
    // Where it was seen before it ended again, the worker was started too: the way back finds it so or so.
    let back = ["undo-upgrade-and-restore".to_owned(), format!("backup={}", shop.backup().display())];
    let back = back.each_ref().map(String::as_str);
    shop.refused(&["undo-upgrade"], "undo-upgrade-and-restore does both");
    let token = shop.ground.token(&back);
    let run = shop.ground.begin(&[&back[..], &["--confirm", &token]].concat());
    let (outcome, _) = shop.ground.ended(&run);
    assert_eq!(outcome, Outcome::Done, "{:#?}", shop.ground.view(&run).entries.last());
    shop.serves("2026.1");
}
