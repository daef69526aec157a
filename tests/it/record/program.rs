//! The record through the program itself: killed, read, typed into.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::pty::{Home, code};
use crate::support::servers::{eventually, free_port};

fn midwatch(dir: &Path, args: &[&str]) -> (String, String, i32) {
    let config = dir.join("midwatch.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
    let output = command.arg("-c").arg(config).args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

/// `midwatch record`, killed at the latest with the test.
struct Record(Child);

impl Record {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
        command.arg("-c").arg(dir.join("midwatch.toml")).arg("record");
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_poller_that_is_killed_again_and_again_leaves_one_outage_on_record() {
    let dir = TempDir::new().unwrap();
    let (state, port) = (dir.path().join("state"), free_port());
    let text = format!(
        "discover = false\nstate_dir = \"{}\"\n[pace]\nhealth = \"1s\"\n[sites.shop]\nurl = \"http://127.0.0.1:{port}\"\n",
        state.display()
    );
    std::fs::write(dir.path().join("midwatch.toml"), text).unwrap();
    let (_, nothing, code) = midwatch(dir.path(), &["report"]);
    assert_eq!(code, 1);
    assert!(nothing.contains("nothing has been recorded yet"), "{nothing}");

    let unreachable = |json: &serde_json::Value| {
        let all = json["timeline"].as_array().unwrap();
        all.iter().filter(|l| l["kind"] == "opened" && l["of"] == "shop" && l["level"] == "critical").count()
    };
    for _ in 0..3 {
        let mut record = Record::start(dir.path());
        eventually("the outage is on record", || {
            let (out, _, code) = midwatch(dir.path(), &["report", "-o", "json", "--since", "1h"]);
            let json: serde_json::Value = (code == 0).then(|| serde_json::from_str(&out).unwrap())?;
            (unreachable(&json) > 0).then_some(())
        });
        // SIGKILL: it can neither write nor say anything any more.
        record.0.kill().unwrap();
        record.0.wait().unwrap();
    }
    let (out, _, _) = midwatch(dir.path(), &["report", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(unreachable(&json), 1, "{out}");
    assert_eq!(json["schema_version"], 1);
    assert!(json["incident"]["to"].is_null(), "it goes on: {out}");
    assert_eq!(json["incident"]["suspected"], true);
    let id = json["incident"]["id"].as_str().unwrap().to_owned();
    let (list, _, _) = midwatch(dir.path(), &["report", "--list"]);
    assert!(list.contains(&id) && list.contains("suspected SEV-2 on shop"), "{list}");
    let (over, _, code) = midwatch(dir.path(), &["report", "--handover"]);
    assert_eq!(code, 0);
    assert!(over.contains("confirmed by nobody") && over.contains("Next check"), "{over}");
    let (_, complaint, code) = midwatch(dir.path(), &["report", "--incident", "1999"]);
    assert_eq!(code, 64);
    assert!(complaint.contains(&id), "the last ones are named: {complaint}");
}

#[test]
fn a_note_that_is_typed_is_in_the_report_without_its_secret() {
    let home = Home::new();
    let mut session = home.open(&[], 100, 30);
    session.wait_for_text("1 Now");
    session.keys("N");
    session.wait_for_text("note for the incident record");
    session.keys("restarted the worker, password=hunter2");
    session.wait_for_text("hunter2");
    session.keys("\r");
    session.wait_for_text("noted in the record");
    session.keys("N");
    session.wait_for_text("note for the incident record");
    // Pasted, with a line break and an escape sequence in it: one line of plain text.
    session.keys("\x1b[200~TODO: more\nworkers\x1b[201~");
    session.wait_for_text("TODO: more workers");
    session.keys("\r");
    session.keys("t");
    session.wait_for_text("said by");
    session.wait_for_text("TODO: more workers");
    session.keys("\x1b");
    session.wait_for("the record is closed", |s| !s.text().contains("said by"));
    session.keys(":");
    session.keys("sev-2");
    session.keys("\r");
    session.keys("t");
    session.wait_for_text("SEV-2 · for");
    session.keys("/");
    session.keys("worker,");
    session.wait_for("only what was asked for", |s| s.text().contains("restarted") && !s.text().contains("workers"));
    session.keys("\x1b");
    session.wait_for("the filter is cleared", |s| s.text().contains("more workers"));
    session.keys("q");
    session.keys("Q");
    assert_eq!(code(session.ended()), 0);

    let report = |args: &[&str]| {
        let [program, own @ ..] = home.midwatch();
        let output = Command::new(program).args(own).arg("report").args(args).stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let all = report(&["--since", "1h"]);
    assert!(all.contains("restarted the worker, password=[redacted]"), "{all}");
    assert!(!all.contains("hunter2"));
    assert!(all.contains("- [ ] more workers (said by "), "{all}");
    // What was declared by hand is an incident, and the last one unless another is asked for.
    let incident = report(&[]);
    assert!(incident.starts_with("# Incident ") && incident.contains("SEV-2, set by a person"), "{incident}");
}
