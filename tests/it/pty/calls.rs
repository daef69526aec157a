//! Calls that never get to a screen: mistakes, readers that have gone, and their exit codes.

use std::process::{Command, Stdio};

use crate::support::pty::{Home, code};

#[test]
fn a_mistake_in_the_configuration_is_reported_and_the_terminal_left_alone() {
    let home = Home::new();
    std::fs::write(home.path().join("midwatch.toml"), "discovr = false\n").unwrap();
    let mut session = home.open(&[], 80, 24);
    assert_eq!(code(session.ended()), 78);
    let text = session.text();
    assert!(text.contains("discovr") && text.contains("midwatch.toml") && text.contains("discover"), "{text}");
    assert!(!session.raw().contains(&0x1b), "{text}");
    assert!(session.given_back());
}

#[test]
fn the_report_of_a_mistake_goes_to_standard_error() {
    let home = Home::new();
    std::fs::write(home.path().join("midwatch.toml"), "discovr = false\n").unwrap();
    for (args, expected) in [(&["tui"][..], 78), (&["record"], 78), (&["status"], 3), (&["doctor"], 3)] {
        let output = midwatch(&home).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("discovr") && !said.contains('\x1b'), "{said}");
    }
}

#[test]
fn wrong_calls_have_their_own_exit_codes() {
    let home = Home::new();
    for (args, expected) in [(&["--nonsense"][..], 64), (&["nonsense"], 64), (&["status", "--nonsense"], 3)] {
        let mut session = home.open(args, 80, 24);
        assert_eq!(code(session.ended()), expected, "{args:?}");
        assert!(session.text().contains("nonsense"), "{}", session.text());
        assert!(session.given_back());
    }
}

#[test]
fn without_a_terminal_the_screens_say_what_they_need() {
    let home = Home::new();
    let output = midwatch(&home).arg("tui").output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("terminal") && !said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let home = Home::new();
    let calls = [&["status"][..], &["doctor"], &["config", "schema"], &["completions", "bash"], &["man"], &["--help"]];
    for args in calls {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = midwatch(&home).args(args).stdout(writer).output().unwrap();
        assert!(output.status.code().is_some_and(|code| code <= 3), "{args:?}: {:?}", output.status);
        assert!(output.stderr.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// midwatch without a terminal.
fn midwatch(home: &Home) -> Command {
    let [program, args @ ..] = home.midwatch();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
