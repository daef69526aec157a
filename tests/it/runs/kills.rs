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
        let ended =
            |what: &What| matches!(what, What::Done { step: at, .. } | What::Spared { step: at, .. } if *at == step);
        let done = view.entries.iter().filter(|e| ended(&e.what)).count();
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
    // Its child is in a group of its own, as a shell's jobs are.
    let words = format!("set -m; sleep 60 & echo once >> {trace}; wait");
    let step = format!("[[steps]]\nname = \"blind\"\nrun = [\"bash\", \"-c\", \"{words}\"]\n");
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
    // One of each kind: the place, programs that are over at once or not, midwatch itself.
    for step in [0, 1, 6, 7, 8] {
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

/// As `sudo` does: closes what it has inherited, the lock with it, and becomes the program.
const LETS_GO: &str = "import os, sys; os.closerange(3, 200); os.execvp('sleep', ['sleep', sys.argv[1]])";

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_program_that_let_go_of_the_lock_is_found_by_what_was_written_down_as_root() {
    let ground = Ground::new(ALONE, "");
    let step = format!("[[steps]]\nname = \"long\"\nrun = [\"python3\", \"-c\", \"{LETS_GO}\", \"300\"]\n");
    ground.write("steps", "reversible", &step);
    ground.write("other", "reversible", "[[steps]]\nname = \"said\"\nnote = \"done\"\n");
    let run = ground.begin(&["steps", "--yes"]);
    let sleeps = |child: &midwatch::runbook::run::ProcessId| {
        std::fs::read_to_string(format!("/proc/{}/comm", child.pid)).is_ok_and(|comm| comm.trim() == "sleep")
    };
    let child = eventually("it sleeps", || started(&ground, &run).into_iter().find(sleeps));
    Ground::kill(&ground.runner(&run));
    let (code, said) = ground.call(&["runbook", "run", "other", "--yes"]);
    assert_eq!(code, 11, "{said}");
    assert!(said.contains("still works for run") && said.contains(&format!("resume {run}")), "{said}");
    assert!(midwatch::backends::process_id::lives(&child), "another run ended it");
    let (code, said) = ground.resume(&run, &["--yes"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("was left running, and was ended"), "{said}");
    assert!(!midwatch::backends::process_id::lives(&child));
    let (code, said) = ground.call(&["runbook", "run", "other", "--yes"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_way_back_that_was_cut_off_is_gone_again_only_on_the_operators_word_as_root() {
    let ground = Ground::new(ALONE, "");
    let (trace, flag) = (ground.path().join("trace"), ground.path().join("flag"));
    let (trace, flag) = (trace.display(), flag.display());
    let back = |word: &str| {
        format!("revert = [\"sh\", \"-c\", \"echo back {word} >> {trace}; test -e {flag} || sleep 60\"]\n")
    };
    let spared = format!(
        "[[steps]]\nname = \"spared\"\nrun = [\"false\"]\nunless = {{ succeeds = [\"true\"] }}\n{}",
        back("spared")
    );
    let one = format!("[[steps]]\nname = \"one\"\nrun = [\"sh\", \"-c\", \"echo one >> {trace}\"]\n{}", back("one"));
    let fails = "[[steps]]\nname = \"fails\"\nrun = [\"false\"]\n";
    ground.write("steps", "reversible", &[&spared, &one, fails].concat());
    let run = ground.begin(&["steps", "--yes"]);
    let (outcome, _) = ground.ended(&run);
    assert_eq!(outcome, Outcome::Failed);
    assert!(matches!(ground.view(&run).entries[1].what, What::Spared { step: 0, .. }));
    let mut undoing = ground.midwatch(&["runbook", "resume", &run, "--yes", "--revert"]);
    let mut undoing = undoing.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("the way back has begun", || ground.trace().contains("back one").then_some(()));
    Ground::kill(&ground.runner(&run));
    undoing.wait().unwrap();
    let (code, said) = ground.resume(&run, &["--yes"]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(ground.trace(), "one\nback one\n", "gone again in silence");
    std::fs::write(ground.path().join("flag"), "").unwrap();
    let (code, said) = ground.resume(&run, &["--yes", "--revert"]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(ground.view(&run).ended().unwrap().0, Outcome::Reverted, "{said}");
    assert_eq!(ground.trace(), "one\nback one\nback one\n", "what was never begun was undone");
}
