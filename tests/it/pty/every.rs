//! Every command and every key, for tests of what they must never do.

use std::ops::RangeInclusive;

use crate::support::pty::Session;

/// Every command with arguments that lead far, and the exit codes it may end with; `runbook` and `backups` are paths.
pub(super) fn commands<'a>(runbook: &'a str, backups: &'a str) -> Vec<(Vec<&'a str>, RangeInclusive<i32>)> {
    let all: [(&[&str], RangeInclusive<i32>); 21] = [
        (&["status"], 0..=3),
        (&["status", "-o", "json"], 0..=3),
        (&["check", "disk"], 0..=3),
        (&["report"], 0..=3),
        (&["doctor"], 0..=3),
        (&["backups", "list"], 0..=3),
        (&["backups", "verify", "--path", backups], 0..=3),
        (&["rules"], 0..=0),
        (&["config", "show"], 0..=0),
        (&["completions", "bash"], 0..=0),
        (&["man"], 0..=0),
        (&["runbook", "list"], 0..=0),
        (&["runbook", "show", "evidence"], 0..=0),
        (&["runbook", "check", runbook], 0..=0),
        (&["runbook", "plan", "evidence"], 0..=0),
        (&["runbook", "run", "evidence", "--yes"], 10..=10),
        (&["runbook", "resume", "no-run", "--yes"], 10..=13),
        (&["runbook", "abort", "no-run"], 10..=13),
        (&["runbook", "answer", "no-run", "yes", "--step", "1"], 10..=13),
        (&["runbook", "attach", "no-run"], 64..=64),
        (&["runbook", "log"], 0..=0),
    ];
    all.into_iter().map(|(words, codes)| (words.to_vec(), codes)).collect()
}

/// A runbook of one's own, for `runbook check`.
pub(super) const OWN: &str =
    "title = \"t\"\nsummary = \"s\"\nrisk = \"observe\"\n[[steps]]\nname = \"n\"\nnote = \"x\"\n";

/// Presses, on every screen, every key there is but those that leave; what opens is closed again.
pub(super) fn keys(session: &mut Session) {
    let keys: Vec<char> = ('!'..='~').filter(|key| !matches!(key, 'q' | 'Q')).chain([' ', '\r', '\t']).collect();
    for screen in '0'..='9' {
        for key in &keys {
            // Two in a row are one Esc; one alone would be the Alt of what follows.
            session.keys(&format!("{screen}{key}\x1b\x1b\x1b\x1b"));
        }
        // An Esc that is still half heard makes the digit an Alt, and not this.
        session.keys(&format!("{screen}:"));
        session.wait_for_text("─ command ─");
        session.keys("\x1b\x1b");
        session.wait_for("the palette is closed", |session| !session.text().contains("─ command ─"));
    }
    // So that an Esc which is still half heard does not take the next key with it.
    session.keys("0");
}
