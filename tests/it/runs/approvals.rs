//! Nothing acts but what was shown, to whom it was shown, once.

use std::io::Write as _;
use std::process::Stdio;

use super::ground::Ground;
use crate::support::servers::eventually;

const ALONE: &str = "discover = false\n";
const NOTE: &str = "[[steps]]\nname = \"said\"\nnote = \"done\"\n";

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn without_a_terminal_or_a_token_nothing_is_done_as_root() {
    let ground = Ground::new(ALONE, NOTE);
    let (code, said) = ground.call(&["runbook", "run", "steps"]);
    assert_eq!(code, 12, "{said}");
    ground.write("steps", "destructive", NOTE);
    let (code, said) = ground.call(&["runbook", "run", "steps", "--yes"]);
    assert_eq!(code, 12, "{said}");
    let token = ground.token(&["steps"]);
    let (code, said) = ground.call(&["runbook", "run", "steps", "--confirm", &token]);
    assert_eq!(code, 0, "{said}");
    // The same plan again: its token is for the moment it was made, and that is the same; the run is another.
    for forged in ["nonsense", "1-0123456789abcdef"] {
        let (code, said) = ground.call(&["runbook", "run", "steps", "--confirm", forged]);
        assert!(code == 12 || code == 64, "{code}: {said}");
    }
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn who_only_looks_starts_nothing_as_root() {
    let ground = Ground::new(ALONE, NOTE);
    let run = ground.begin(&["steps", "--yes"]);
    for args in [&["runbook", "run", "steps", "--yes"][..], &["runbook", "resume", &run], &["runbook", "abort", &run]] {
        let (code, said) = ground.call(&[&["--read-only"], args].concat());
        assert_eq!(code, 10, "{args:?}: {said}");
    }
    let (code, said) = ground.call(&["--read-only", "runbook", "plan", "steps"]);
    assert!(code == 0 && !said.contains("--confirm"), "{said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_world_that_changed_is_refused_with_the_difference_as_root() {
    let ground = Ground::new(ALONE, NOTE);
    let file = ground.path().join("backup.dump");
    std::fs::write(&file, "one").unwrap();
    let steps = format!("[[parameters]]\nname = \"backup\"\nkind = \"backup\"\ntitle = \"Which\"\n{NOTE}");
    ground.write("steps", "destructive", &steps);
    let wish = format!("backup={}", file.display());
    let token = ground.token(&["steps", &wish]);
    std::fs::write(&file, "another").unwrap();
    let (code, said) = ground.call(&["runbook", "run", "steps", &wish, "--confirm", &token]);
    assert_eq!(code, 12, "{said}");
    assert!(said.contains("the world has changed"), "{said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_run_that_is_taken_up_touches_nothing_that_became_another_as_root() {
    let ground = Ground::new(ALONE, NOTE);
    let (file, trace) = (ground.path().join("backup.dump"), ground.path().join("trace"));
    std::fs::write(&file, "one").unwrap();
    let steps = format!(
        "[[parameters]]\nname = \"backup\"\nkind = \"backup\"\ntitle = \"Which\"\n\
         [[steps]]\nname = \"wait\"\nrun = [\"sleep\", \"300\"]\nrepeatable = true\n\
         [[steps]]\nname = \"act\"\nrun = [\"touch\", \"{}\"]\n",
        trace.display()
    );
    ground.write("steps", "reversible", &steps);
    let run = ground.begin(&["steps", &format!("backup={}", file.display()), "--yes"]);
    eventually("it waits", || {
        let started =
            |e: &midwatch::runbook::run::Entry| matches!(e.what, midwatch::runbook::run::What::Started { .. });
        ground.view(&run).entries.iter().any(started).then_some(())
    });
    Ground::kill(&ground.runner(&run));
    std::fs::write(&file, "another").unwrap();
    let (code, said) = ground.resume(&run, &["--yes"]);
    assert!(code == 1 && said.contains("nothing was done: file"), "{code}: {said}");
    assert!(!trace.exists());
}

/// An order as `run` would hand it to the runner, taken on its way; then handed over by hand, changed.
#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_forged_altered_replayed_or_stale_approval_starts_no_run_as_root() {
    let ground = Ground::new(ALONE, NOTE);
    let (code, said) = ground.call(&["runbook", "plan", "steps", "-o", "json"]);
    assert_eq!(code, 0, "{said}");
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    let now = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let order = |id: &str| {
        serde_json::json!({
            "run": id, "plan": document["plan"], "by": {"user": "rose", "acting_as": null, "from": null, "tty": null},
            "answer": {"digest": document["digest"], "typed": "y", "at": now(), "nonce": "0123456789abcdef-test"},
            "again": null,
        })
    };
    let hand = |order: &serde_json::Value| {
        let mut child = ground.midwatch(&["runner"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(order.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let changes: [(&str, serde_json::Value); 6] = [
        ("/answer/typed", "".into()),
        ("/answer/digest", "0".repeat(64).into()),
        ("/answer/at", (now() - 3_600_000).into()),
        ("/answer/nonce", "short".into()),
        ("/plan/steps/0/name", "another".into()),
        ("/plan/host/boot", "another boot".into()),
    ];
    for (at, value) in changes {
        let mut forged = order("forged-1");
        *forged.pointer_mut(at).unwrap() = value;
        let (code, said) = hand(&forged);
        assert!(code == 12 && said.contains("refused"), "{at}: {code} {said}");
    }
    assert_eq!(hand(&serde_json::json!({})).0, 12);
    let (_, listed) = ground.call(&["runbook", "log"]);
    assert_eq!(listed, "no run yet\n", "nothing was begun");
    let (code, said) = hand(&order("real-1"));
    assert_eq!(code, 0, "what was not touched runs: {said}");
    let (code, said) = hand(&order("real-2"));
    assert!(code == 12 && said.contains("has been used"), "{code} {said}");
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_second_run_is_told_who_acts_and_a_dead_holder_is_taken_over_as_root() {
    let ground = Ground::new(ALONE, "");
    let sleeps = "[[steps]]\nname = \"long\"\nrun = [\"sleep\", \"300\"]\nrepeatable = true\ntimeout = \"10m\"\n";
    ground.write("steps", "reversible", sleeps);
    let run = ground.begin(&["steps", "--yes"]);
    eventually("its program runs", || {
        let started =
            |e: &midwatch::runbook::run::Entry| matches!(e.what, midwatch::runbook::run::What::Started { .. });
        ground.view(&run).entries.iter().any(started).then_some(())
    });
    // Another state directory is another journal, and the same lock.
    let other = ground.path().join("elsewhere").display().to_string();
    for state in [None, Some(other)] {
        let mut args: Vec<&str> = state.iter().flat_map(|dir| ["--state-dir", dir.as_str()]).collect();
        if state.is_some() {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_midwatch"));
            command.arg("-c").arg(ground.path().join("c.toml")).args(&args).args(["runbook", "run", "steps", "--yes"]);
            let output = command.env("XDG_CONFIG_HOME", ground.path()).stdin(Stdio::null()).output().unwrap();
            assert_eq!(output.status.code(), Some(11), "{}", String::from_utf8_lossy(&output.stderr));
            continue;
        }
        args.extend(["runbook", "run", "steps", "--yes"]);
        let (code, said) = ground.call(&args);
        assert_eq!(code, 11, "{said}");
        assert!(said.contains(&run) && said.contains("step 1 of 1: long"), "{said}");
    }
    Ground::kill(&ground.runner(&run));
    // Its program lives on and holds the lock: nobody else acts before it was ended.
    let (code, said) = ground.call(&["runbook", "run", "steps", "--yes"]);
    assert_eq!(code, 11, "{said}");
    let mut resumed = ground.midwatch(&["runbook", "resume", &run, "--yes", "--reason", "its holder died"]);
    let mut resumed = resumed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it was taken over", || {
        let log = ground.call(&["runbook", "log", &run]).1;
        (log.contains("its holder died") && log.contains("sleep") && log.contains("was left running")).then_some(())
    });
    eventually("it can be stopped", || (ground.call(&["runbook", "abort", &run, "--now"]).0 == 0).then_some(()));
    assert_eq!(resumed.wait().unwrap().code(), Some(130));
}
