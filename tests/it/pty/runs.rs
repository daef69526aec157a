//! A runbook from the catalogue to its end, on a real terminal: what starts it, what never does, and what it outlives.
#![cfg(test)]

use std::path::PathBuf;
use std::sync::PoisonError;

use super::{TAB, code};
use crate::support::LOCKS;
use crate::support::pty::{Home, Session};
use crate::support::servers::eventually;

/// A home with a runbook that makes a file, after so many seconds; the file.
fn home(seconds: u32) -> (Home, PathBuf) {
    let home = Home::new();
    let made = home.path().join("made");
    let runbooks = home.path().join(".config/midwatch/runbooks");
    std::fs::create_dir_all(&runbooks).unwrap();
    // A site of its own: whoever else acts on this host meanwhile is in nobody's way.
    let data = home.path().display();
    let config = format!("discover = false\n[sites.shop]\nurl = \"http://127.0.0.1:1\"\ndata_dir = \"{data}\"\n");
    std::fs::write(home.path().join("midwatch.toml"), config).unwrap();
    let text = format!(
        "title = \"Make a mark\"\nsummary = \"Makes a mark.\"\nrisk = \"reversible\"\n\
         way_back = \"remove it\"\n[[steps]]\nname = \"wait a little\"\nrun = [\"sleep\", \"{seconds}\"]\n\
         [[steps]]\nname = \"make it\"\nrun = [\"touch\", \"{}\"]\n",
        made.display()
    );
    std::fs::write(runbooks.join("mark.toml"), text).unwrap();
    (home, made)
}

/// The screens, with the runbook selected.
fn selected(home: &Home) -> Session {
    let mut session = home.open(&[], 80, 24);
    session.wait_for_text(TAB);
    session.keys("9");
    session.wait_for_text("mark (own)");
    session.keys("/Makes\r");
    session.wait_for_text("filter: Makes");
    session
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn only_what_is_typed_after_the_plan_was_seen_starts_it_as_root() {
    let _turn = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let (home, made) = home(0);
    let mut session = selected(&home);
    session.keys("\ry\r");
    session.wait_for_text("type y, then Enter, to run it:");
    session.keys("\r");
    session.wait_for_text("nothing was done");
    session.keys("\x1b[200~y\x1b[201~");
    session.wait_for_text("pasted text is no answer");
    session.keys("\r");
    session.wait_for_text("nothing was done");
    assert!(!made.exists() && !home.path().join("state/runs").exists());
    session.keys("y\r");
    session.wait_for_text("✔ done");
    assert!(made.exists());
    session.keys("\x03");
    assert_eq!(code(session.ended()), 0);
    assert!(session.given_back());
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn a_run_goes_on_when_its_terminal_is_gone_as_root() {
    let _turn = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let (home, made) = home(2);
    let mut session = selected(&home);
    session.keys("\r");
    session.wait_for_text("type y, then Enter, to run it:");
    session.keys("y\r");
    session.wait_for_text("· running");
    session.keys("\x03");
    session.wait_for_text("leave it running");
    session.close();
    assert_eq!(code(session.ended()), 0);
    assert!(!made.exists());
    eventually("the mark", || made.exists().then_some(()));
    let mut other = home.open(&[], 80, 24);
    other.wait_for_text(TAB);
    other.keys("9");
    other.wait_for_text("✔ done");
}

#[test]
fn who_only_looks_sees_the_plan_and_can_start_nothing() {
    let (home, made) = home(0);
    let mut session = home.open(&["--read-only"], 80, 24);
    session.wait_for_text(TAB);
    session.keys("9");
    session.wait_for_text("mark (own)");
    session.keys("/Makes\r");
    session.wait_for_text("filter: Makes");
    session.keys("\r");
    session.wait_for_text("This midwatch only looks (read-only)");
    session.keys("y\r");
    session.keys("\x1b");
    session.wait_for("the plan is gone", |session| !session.text().contains("only looks (read-only)"));
    assert!(!made.exists() && !home.path().join("state/runs").exists());
}
