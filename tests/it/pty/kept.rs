//! What midwatch keeps where, with and without a place for it, and that it touches nothing else when it shall only look.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
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

/// The calls of a trace of `strace -f`, a line each: one that another thread came between is told in two.
fn calls(trace: &str) -> Vec<String> {
    let mut begun = BTreeMap::new();
    let mut whole = Vec::new();
    for line in trace.lines() {
        let thread = line.split_whitespace().next().unwrap_or_default();
        if let Some(start) = line.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, start);
        } else if let Some((_, end)) = line.split_once(" resumed>") {
            whole.push([begun.remove(thread).unwrap_or_default(), end].concat());
        } else {
            whole.push(line.to_owned());
        }
    }
    whole
}

/// The name and the arguments of a call, if it succeeded.
fn succeeded(line: &str) -> Option<(&str, &str)> {
    // `1234  openat(AT_FDCWD, "/dev/null", O_WRONLY) = 3`
    let (_, call) = line.split_once(char::is_whitespace)?;
    let (call, result) = call.rsplit_once(" = ")?;
    let done = !result.trim_start().starts_with(['-', '?']);
    let (name, arguments) = call.trim_start().split_once('(')?;
    done.then_some((name, arguments))
}

/// Whether a file was opened to be written: flags of `open` and `openat`.
fn for_writing(arguments: &str) -> bool {
    ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| arguments.contains(flag))
}

/// The paths among the arguments, in quotes.
fn paths(arguments: &str) -> Vec<PathBuf> {
    arguments.split('"').skip(1).step_by(2).map(PathBuf::from).collect()
}

/// The calls of this trace that changed something outside `state`, or signalled a process that is not one of `own`.
fn offences(trace: &str, state: &Path) -> Vec<String> {
    let own: Vec<&str> = trace.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let inside = |path: &PathBuf| {
        let device = ["/dev/null", "/dev/tty", "/dev/ptmx"].iter().any(|device| path == Path::new(device));
        device || path.starts_with("/dev/pts") || path.starts_with(state)
    };
    let offends = |line: &String| {
        let Some((name, arguments)) = succeeded(line) else { return false };
        match name {
            "open" | "openat" | "openat2" => for_writing(arguments) && !paths(arguments).iter().all(inside),
            // A negative number is the process group of a program that it started.
            "kill" | "tkill" | "tgkill" => {
                let pid = arguments.split([',', ')']).next().unwrap_or_default();
                !own.contains(&pid.trim_start_matches('-'))
            }
            _ => !paths(arguments).iter().all(inside),
        }
    };
    calls(trace).into_iter().filter(offends).collect()
}

#[test]
#[ignore = "needs strace: tests/run installs it"]
fn read_only_it_changes_nothing_outside_its_state_directory() {
    const CALLS: &str = "trace=open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,\
                         link,linkat,symlink,symlinkat,mknod,mknodat,truncate,chmod,fchmodat,chown,lchown,fchownat,\
                         utimensat,setxattr,kill,tkill,tgkill";
    let home = Home::new();
    let (state, trace) = (home.state(), home.path().join("trace"));
    let trace_name = trace.to_str().unwrap();
    let call = home.midwatch();
    let strace = |of: &[&str]| {
        let mut all = vec!["strace", "-f", "-s", "4096", "-e", CALLS, "-o", trace_name];
        all.extend(call.iter().map(String::as_str).chain(["--read-only"]).chain(of.iter().copied()));
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let status = strace(&["status"]);
    let output = Command::new(&status[0]).args(&status[1..]).stdin(Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("host"), "{output:?}");
    let seen = fs::read_to_string(&trace).unwrap();
    assert!(seen.contains(&state), "the trace sees nothing:\n{seen}");
    assert_eq!(offences(&seen, Path::new(&state)), Vec::<String>::new());

    let screens = strace(&[]);
    let screens: Vec<&str> = screens.iter().map(String::as_str).collect();
    let mut session = home.run(&screens, &[], 80, 24);
    session.wait_for_text("iB free");
    session.keys("4");
    session.wait_for_text("pressure");
    session.keys("Q");
    assert_eq!(code(session.ended()), 0);
    let seen = fs::read_to_string(&trace).unwrap();
    assert_eq!(offences(&seen, Path::new(&state)), Vec::<String>::new());
}

#[test]
fn a_trace_of_offences_is_recognised() {
    let state = Path::new("/s");
    for (line, offends) in [
        (r#"7  openat(AT_FDCWD, "/s/midwatch.log", O_WRONLY|O_CREAT|O_APPEND, 0640) = 3"#, false),
        (r#"7  openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"#, false),
        (r#"7  openat(AT_FDCWD, "/etc/passwd", O_WRONLY) = -1 EACCES (Permission denied)"#, false),
        (r#"7  openat(AT_FDCWD, "/etc/passwd", O_RDWR|O_CLOEXEC) = 3"#, true),
        (r#"7  openat(AT_FDCWD, "/sly", O_RDWR) = 3"#, true),
        (r#"7  rename("/s/a", "/b") = 0"#, true),
        (r#"7  unlink("/s/a") = 0"#, false),
        (r#"7  mkdir("/home", 0777) = 0"#, true),
        ("7  tgkill(7, 7, SIGWINCH) = 0", false),
        ("7  kill(1, SIGTERM) = 0", true),
        ("7  kill(1, SIGTERM) = -1 EPERM (Operation not permitted)", false),
        ("7  +++ exited with 0 +++", false),
        ("7  unlink(\"/b\" <unfinished ...>\n8  kill(8, 0) = 0\n7  <... unlink resumed>) = 0", true),
        ("7  unlink(\"/b\" <unfinished ...>\n7  <... unlink resumed>) = -1 EACCES (Permission denied)", false),
    ] {
        assert_eq!(!offences(line, state).is_empty(), offends, "{line}");
    }
}
