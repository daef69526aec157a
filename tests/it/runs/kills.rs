//! `kill -9` of the runner at every step, then the run is taken up: each step once, or settled by its probe.

use midwatch::runbook::run::{Outcome, What};

use super::ground::Ground;
use crate::demo::Practice;
use crate::support::servers::eventually;

const ALONE: &str = "discover = false\n";

/// Of one run, what its journal must say however often it was cut off: no step acted twice without its probe having said
/// in between that it had not been done.
fn once(ground: &Ground, run: &str) {
    let view = ground.view(run);
    for step in 0..view.record.plan.steps.len() {
        let mut open = false;
        for entry in &view.entries {
            match &entry.what {
                What::Intended { step: at, .. } if *at == step => {
                    assert!(!open, "step {step} was begun twice without a word between: {:#?}", view.entries);
                    open = true;
                }
                What::Done { step: at, .. } | What::Failed { step: at, .. } | What::NotDone { step: at, .. }
                    if *at == step =>
                {
                    open = false;
                }
                _ => {}
            }
        }
        let done = view.entries.iter().filter(|e| matches!(e.what, What::Done { step: at, .. } if at == step)).count();
        assert_eq!(done, 1, "step {step}: {:#?}", view.entries);
    }
}

/// A line that a step writes, and whether it is there.
fn line(ground: &Ground, word: &str, sleeps: &str) -> String {
    let trace = ground.path().join("trace");
    let trace = trace.display();
    format!(
        "[[steps]]\nname = \"{word}\"\nrun = [\"sh\", \"-c\", \"echo {word} >> {trace}; sleep {sleeps}\"]\n\
         verify = {{ succeeds = [\"grep\", \"-qx\", \"{word}\", \"{trace}\"] }}\ntimeout = \"20s\"\n"
    )
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_run_is_killed_at_every_step_and_each_is_done_once_as_root() {
    for step in 0..4 {
        let ground = Ground::new(ALONE, "");
        let steps = ["one", "two", "three"].map(|word| line(&ground, word, "0.3")).concat();
        ground.write("steps", "reversible", &format!("{steps}[[steps]]\nname = \"said\"\nnote = \"done\"\n"));
        let run = ground.begin(&["steps", "--yes"]);
        ground.kill_at(&run, step);
        let children = started(&ground, &run);
        let (code, said) = ground.resume(&run, &["--yes"]);
        assert!(code == 0 || said.contains("the run is over: done"), "{code}: {said}");
        assert_eq!(ground.view(&run).ended().unwrap().0, Outcome::Done, "{said}");
        assert_eq!(ground.trace(), "one\ntwo\nthree\n", "killed at step {step}");
        once(&ground, &run);
        for child in children {
            assert!(!midwatch::backends::process_id::lives(&child), "{child:?} was left working");
        }
    }
}

/// The processes of a run's steps.
fn started(ground: &Ground, run: &str) -> Vec<midwatch::runbook::run::ProcessId> {
    let child = |what: &What| match what {
        What::Started { child, .. } => Some(child.clone()),
        _ => None,
    };
    ground.view(run).entries.iter().filter_map(|entry| child(&entry.what)).collect()
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_step_that_nothing_tells_about_is_never_repeated_in_silence_as_root() {
    let ground = Ground::new(ALONE, "");
    let trace = ground.path().join("trace").display().to_string();
    let step = format!("[[steps]]\nname = \"blind\"\nrun = [\"sh\", \"-c\", \"echo once >> {trace}; sleep 60\"]\n");
    ground.write("steps", "reversible", &format!("{step}[[steps]]\nname = \"said\"\nnote = \"done\"\n"));
    let run = ground.begin(&["steps", "--yes"]);
    eventually("it has written", || (ground.trace() == "once\n").then_some(()));
    Ground::kill(&ground.runner(&run));
    let (code, said) = ground.resume(&run, &["--yes"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("nothing tells whether it was done") && said.contains("was left running"), "{said}");
    assert_eq!(ground.trace(), "once\n");
    let (code, said) = ground.resume(&run, &["--yes", "--skip"]);
    assert_eq!(code, 14, "{said}");
    assert_eq!(ground.trace(), "once\n");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn the_evidence_is_whole_wherever_its_runner_was_killed_as_root() {
    let mut at = 0;
    for step in 0..8 {
        let ground = Ground::new(ALONE, "");
        let run = ground.begin(&["evidence", "--yes"]);
        at += usize::from(ground.kill_at(&run, step));
        if ground.view(&run).ended().is_none() {
            let (code, said) = ground.resume(&run, &["--yes"]);
            assert!(code == 0 || code == 14, "{code}: {said}");
        }
        let kept = std::fs::read_dir(ground.own().join("evidence")).unwrap().next().unwrap().unwrap().path();
        assert!(std::fs::read_to_string(kept.join("processes.txt")).unwrap().contains("PID"));
        assert!(std::fs::read_to_string(kept.join("memory.txt")).unwrap().contains("MemTotal"));
    }
    assert!(at > 0, "no step was hit in the middle");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_restart_on_the_practice_site_is_killed_at_every_step_as_root() {
    for step in 0..4 {
        let site = Practice::start(&[]);
        let ground = Ground::new(&std::fs::read_to_string(site.config()).unwrap(), "");
        let token = ground.token(&["restart-services", "service=worker"]);
        let run = ground.begin(&["restart-services", "service=worker", "--confirm", &token]);
        ground.kill_at(&run, step);
        if ground.view(&run).ended().is_none() {
            let (code, said) = ground.resume(&run, &[]);
            assert_eq!(code, 0, "killed at {step}: {said}");
        }
        assert_eq!(ground.view(&run).ended().unwrap().0, Outcome::Done);
        once(&ground, &run);
    }
}
