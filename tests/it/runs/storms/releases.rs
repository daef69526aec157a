//! Releases side by side: everything is killed at once at every step of an upgrade and of its ways back. The link says one
//! release at any time, and what is in use when a run has ended is one release with the database it knows.

use std::process::Child;

use midwatch::runbook::run::{Outcome, What};

use super::super::ground::Ground;
use super::super::releases::postgres::{Laid, NEW, OLD, ROLES, UP};
use super::super::shop::from;
use super::{Moment, reached};

/// Kills the runner, the server with all its sessions, and the application; the server recovers, and what nobody has stopped
/// is started by whoever finds it gone, from what the link says.
fn strike(laid: &mut Laid, run: &str) {
    Ground::kill(&laid.shop.ground.runner(run));
    laid.shop.server.crash();
    laid.kill_application();
    assert!([OLD, NEW].contains(&laid.points_to().as_str()));
    laid.shop.server.begin();
    laid.whole();
    let view = laid.shop.ground.view(run);
    let place = |name: String| view.record.plan.steps.iter().position(|step| step.name == name);
    let begun =
        |at: usize| view.entries.iter().any(|entry| matches!(entry.what, What::Intended { step, .. } if step == at));
    for role in ROLES {
        let stopped = place(format!("stop {role}")).is_some_and(begun);
        let again = place(format!("start {role}")).is_some_and(|at| laid.shop.ground.acted(run, at));
        if again || !stopped {
            laid.start(role);
        }
    }
}

/// Has the storm come at every step of a run in turn, and sees it end well; how often it hit the run.
fn through_it_all(laid: &mut Laid, run: &str, first: Moment) -> usize {
    let steps = laid.shop.ground.view(run).record.plan.steps.len();
    let (mut hit, mut following) = (0, None::<Child>);
    for step in 0..steps {
        let moment = if (step % 2 == 0) == (first == Moment::Begun) { Moment::Begun } else { Moment::Working };
        if !reached(&laid.shop.ground, run, (step, moment), hit + 1) {
            break;
        }
        strike(laid, run);
        if laid.shop.ground.view(run).ended().is_some() {
            break;
        }
        hit += 1;
        if let Some(mut child) = following.take() {
            child.wait().unwrap();
        }
        following = Some(laid.shop.ground.resume_aside(run, &[]));
    }
    if let Some(mut child) = following {
        child.wait().unwrap();
    }
    let (outcome, left) = laid.ended(run);
    assert_eq!(outcome, Outcome::Done, "{left}: {:#?}", laid.shop.ground.view(run).entries);
    hit
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn an_upgrade_and_its_way_back_with_the_database_come_through_as_root() {
    for first in [Moment::Begun, Moment::Working] {
        let mut laid = Laid::open();
        let run = laid.begin(&UP);
        assert!(through_it_all(&mut laid, &run, first) > 4);
        laid.works(NEW);
        laid.settled(&run, 0);
        laid.whole();

        let before = from(&laid.shop.backup("before.dump"));
        let run = laid.begin(&["undo-upgrade-and-restore", &before]);
        assert!(through_it_all(&mut laid, &run, first) > 8);
        laid.works(OLD);
        laid.settled(&run, 1);
        laid.whole();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn a_release_that_migrates_nothing_comes_and_goes_through_it_as_root() {
    for first in [Moment::Begun, Moment::Working] {
        let mut laid = Laid::open();
        laid.migrates_nothing();
        let run = laid.begin(&UP);
        through_it_all(&mut laid, &run, first);
        laid.works(NEW);
        let run = laid.begin(&["undo-upgrade"]);
        assert!(through_it_all(&mut laid, &run, first) > 3);
        laid.works(OLD);
        laid.settled(&run, 0);
        laid.whole();
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine; needs PostgreSQL"]
fn what_somebody_starts_in_between_is_not_left_with_the_other_half_as_root() {
    let mut laid = Laid::open();
    let before = from(&laid.shop.backup("before.dump"));
    let ways = [
        (&UP[..], NEW, ["stop tasks", "migrate", "restart web"]),
        (&["undo-upgrade-and-restore", &before], OLD, ["stop tasks", "point to 1.0", "start web"]),
    ];
    for turn in 0..3 {
        for (wish, to, steps) in &ways {
            let (wish, name) = (*wish, steps[turn]);
            let run = laid.begin(wish);
            let plan = laid.shop.ground.view(&run).record.plan;
            let step = plan.steps.iter().position(|step| step.name == name).unwrap();
            assert!(reached(&laid.shop.ground, &run, (step, Moment::Begun), 1));
            strike(&mut laid, &run);
            // Whoever comes by does not know of a run.
            for role in ROLES {
                laid.start(role);
            }
            let (_, said) = laid.shop.ground.resume(&run, &[]);
            assert_eq!(laid.ended(&run).0, Outcome::Done, "{name}: {said}: {:#?}", laid.shop.ground.view(&run).entries);
            laid.works(to);
            laid.whole();
        }
        laid.release();
    }
}
