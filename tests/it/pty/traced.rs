//! Read-only it only looks: every call of the system that could change something is traced, under every key and every
//! command.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::every;
use crate::support::pty::{Home, code};
use crate::support::web::Answering;

/// The programs that are asked; and of those that can do more than look, the words of which one must be their verb, or the
/// options of which one must be given. midwatch is the traced one itself.
const READERS: [(&str, &[&str]); 16] = [
    ("midwatch", &[]),
    ("nice", &["apt", "apt-get"]),
    ("systemctl", &["show", "list-timers"]),
    ("journalctl", &["--no-pager"]),
    ("apt-get", &["-s", "--simulate"]),
    ("apt", &["list"]),
    ("apt-config", &["dump", "shell"]),
    // apt asks it so.
    ("dpkg", &["--print-foreign-architectures", "--print-architecture"]),
    ("dpkg-query", &["-W", "--show"]),
    ("nginx", &["-T"]),
    ("gzip", &["-dc"]),
    ("zstd", &["-dc"]),
    ("restic", &["snapshots", "check"]),
    ("borg", &["list", "check"]),
    ("git", &["log"]),
    ("du", &[]),
];

/// Whether a program with these arguments (its own name the first) only looks.
fn looks(argv: &[String]) -> bool {
    let Some((program, arguments)) = argv.split_first() else { return false };
    let name = program.rsplit('/').next().unwrap_or_default();
    let Some((_, words)) = READERS.iter().find(|(reader, _)| *reader == name) else { return false };
    let verb = arguments.iter().find(|given| !given.starts_with('-') && given.parse::<u32>().is_err());
    let may = |given: &String| words.contains(&given.as_str()) && (given.starts_with('-') || verb == Some(given));
    words.is_empty() || arguments.iter().any(may)
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
            "execve" => {
                // The first is the file, the second the name the program is given.
                let words = paths(arguments).into_iter().map(|word| word.display().to_string());
                !looks(&words.enumerate().filter(|(at, _)| *at != 1).map(|(_, word)| word).collect::<Vec<_>>())
            }
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

const CALLS: &str = "trace=execve,open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,\
                     link,linkat,symlink,symlinkat,mknod,mknodat,truncate,chmod,fchmodat,chown,lchown,fchownat,\
                     utimensat,setxattr,kill,tkill,tgkill";

/// A home with a site that answers, and how midwatch is traced in it.
struct Traced {
    home: Home,
    _web: Answering,
}

impl Traced {
    fn new() -> Self {
        let (home, web) = (Home::new(), Answering::ok());
        let config = format!("discover = false\n[sites.shop]\nurl = \"{}\"\n", web.url());
        fs::write(home.path().join("midwatch.toml"), config).unwrap();
        Self { home, _web: web }
    }

    fn trace(&self) -> PathBuf {
        self.home.path().join("trace")
    }

    fn call(&self, of: &[&str]) -> Vec<String> {
        let (call, trace) = (self.home.midwatch(), self.trace());
        let mut all = vec!["strace", "-f", "-s", "4096", "-e", CALLS, "-o", trace.to_str().unwrap()];
        all.extend(call.iter().map(String::as_str).chain(["--read-only"]).chain(of.iter().copied()));
        all.into_iter().map(str::to_owned).collect()
    }

    /// Nothing was changed, nobody was signalled, and the trace saw something.
    fn harmless(&self, what: &str) {
        let (seen, state) = (fs::read_to_string(self.trace()).unwrap(), self.home.state());
        assert!(seen.contains("execve("), "{what}: the trace sees nothing:\n{seen}");
        assert_eq!(offences(&seen, Path::new(&state)), Vec::<String>::new(), "{what}");
    }
}

#[test]
#[ignore = "needs strace: tests/run installs it"]
fn no_command_changes_anything_outside_its_state_directory() {
    let traced = Traced::new();
    let runbook = traced.home.path().join("own.toml");
    fs::write(&runbook, every::OWN).unwrap();
    let backups = traced.home.path().display().to_string();
    for (args, expected) in every::commands(runbook.to_str().unwrap(), &backups) {
        let call = traced.call(&args);
        let output = Command::new(&call[0]).args(&call[1..]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some_and(|code| expected.contains(&code)), "{args:?}: {output:?}\n{said}");
        traced.harmless(&args.join(" "));
    }
}

#[test]
#[ignore = "needs strace: tests/run installs it"]
fn no_key_changes_anything_outside_its_state_directory() {
    let traced = Traced::new();
    let call = traced.call(&[]);
    let call: Vec<&str> = call.iter().map(String::as_str).collect();
    let mut session = traced.home.run(&call, &[], 120, 40);
    session.wait_for_text("iB free");
    every::keys(&mut session);
    session.keys("Q");
    assert_eq!(code(session.ended()), 0);
    traced.harmless("the screens");
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
        (r#"7  execve("/usr/bin/systemctl", ["systemctl", "show"], 0x7ffc /* 20 vars */) = 0"#, false),
        (r#"7  execve("/usr/bin/systemctl", ["systemctl", "stop", "show.service"], 0x7ffc /* 20 vars */) = 0"#, true),
        (r#"7  execve("/usr/bin/rm", ["rm", "/s/x"], 0x7ffc /* 20 vars */) = 0"#, true),
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
