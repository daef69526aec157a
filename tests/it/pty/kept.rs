//! What midwatch keeps where, with and without a place for it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::pty::{Home, code};

#[test]
fn without_a_state_directory_it_says_that_history_is_in_memory() {
    let home = Home::new();
    fs::write(home.state(), "in the way").unwrap();
    let mut session = home.open(&[], 80, 24);
    session.wait_for_text("memory only: ");
    session.keys("q");
    assert_eq!(code(session.ended()), 0);
    assert_eq!(fs::read_to_string(home.state()).unwrap(), "in the way");
}

#[test]
fn without_a_home_it_opens_all_the_same() {
    let home = Home::new();
    let config = home.path().join("midwatch.toml").display().to_string();
    let call = ["env", "-u", "HOME", env!("CARGO_BIN_EXE_midwatch"), "-c", &config];
    let mut session = home.run(&call, &[], 80, 24);
    // A machine on which midwatch is installed has a place for everybody.
    let shared = Path::new("/var/lib/midwatch").is_dir();
    session.wait_for_text(if shared { "1 Now" } else { "memory only: HOME is not set" });
    session.keys("q");
    assert_eq!(code(session.ended()), 0);
}

#[test]
fn doctor_says_how_far_the_sandbox_goes() {
    let home = Home::new();
    let doctor = |args: &[&str]| {
        let [program, own @ ..] = home.midwatch();
        let output = Command::new(program).args(own).args(args).arg("doctor").stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.contains("sandbox")).unwrap().to_owned()
    };
    assert!(doctor(&[]).contains("off; "));
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let line = doctor(&["--read-only"]);
    let known = ["full: ", "partial: ", "none: "].iter().any(|word| line.contains(word));
    assert!(known, "{line}");
    // Where the kernel tells its security modules, the sandbox is there exactly if Landlock is.
    if !modules.is_empty() {
        assert_eq!(line.contains("none: "), !modules.split(',').any(|name| name.trim() == "landlock"), "{line}");
    }
}
