//! What midwatch promises when things go wrong inside it: panics, and writing where it must not. Each case needs a
//! process of its own, which is this test binary, told by the environment to play the part.
#![cfg(test)]

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use midwatch::app::model::Overlay;
use midwatch::runtime::driver::{End, Signals, Wires, screens};
use midwatch::runtime::input::inputs;
use midwatch::runtime::sandbox::{Sandbox, restrict};
use midwatch::runtime::terminal::Terminal;
use midwatch::runtime::{log, panic};
use ratatui::text::Text;
use rustix::process::{getpid, getppid, test_kill_process};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::support::fixtures;
use crate::support::pty::{Home, Session, code};
use crate::support::servers::eventually;

/// Set for the process that plays the part: the directory it plays in.
const GROUND: &str = "MIDWATCH_TEST_GROUND";

fn ground() -> Option<PathBuf> {
    env::var_os(GROUND).map(PathBuf::from)
}

/// This binary, for one test.
fn own_call(test: &str) -> [String; 4] {
    let program = env::current_exe().unwrap().display().to_string();
    [program, "--exact".to_owned(), format!("terminal::{test}"), "--nocapture".to_owned()]
}

fn play_on_a_terminal(home: &Home, test: &str) -> Session {
    fs::create_dir(home.state()).unwrap();
    let call = own_call(test);
    let call: Vec<&str> = call.iter().map(String::as_str).collect();
    let mut session = home.run(&call, &[(GROUND, OsStr::new(home.path()))], 100, 30);
    session.wait_for("the terminal taken", Session::taken);
    session
}

/// What every real start of the screens does.
fn begin(ground: &Path) -> Runtime {
    panic::install().unwrap();
    log::start(Some(&ground.join("state")));
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The screens over a model of nothing; help makes the drawing fail, SIGUSR1 a task beside it.
fn failing_screens(ground: &Path) -> End {
    begin(ground).block_on(async {
        let mut told = signal(SignalKind::user_defined1()).unwrap();
        tokio::spawn(async move {
            told.recv().await;
            panic!("a task gave up");
        });
        // Kept: a closed channel would be one more thing that is wrong.
        let (_events, receiver) = mpsc::channel(1);
        let wires = Wires {
            events: receiver,
            poll_now: watch::channel(0).0,
            memories: watch::channel(<_>::default()).0,
            looks: watch::channel(<_>::default()).0,
            remarks: mpsc::channel(1).0,
            errands: mpsc::channel(1).0,
            away: watch::channel(false).0,
            polled: watch::channel(<_>::default()).1,
        };
        let draw = |model: &midwatch::app::model::Model, frame: &mut ratatui::Frame<'_>| {
            assert!(matches!(model.overlay, Overlay::None), "the drawing gave up");
            frame.render_widget(Text::raw("all is well"), frame.area());
        };
        let stage = (Signals::take().unwrap(), Terminal::enter().unwrap());
        let model = fixtures::blank(Vec::new());
        let frame_time = Duration::from_millis(20);
        screens(model, wires, stage, inputs().unwrap(), frame_time, draw, |_| String::new()).await.unwrap()
    })
}

fn assert_told_and_given_back(session: &mut Session, home: &Home, why: &str) {
    assert_eq!(code(session.ended()), 0, "{}", session.text());
    assert!(session.given_back(), "{:?}", session.modes());
    let told = session.text().replace('\n', "");
    assert!(told.contains("midwatch failed at tests/it/terminal.rs:"), "{told}");
    assert!(told.contains(why) && told.contains("the report is in"), "{told}");
    let log = fs::read_to_string(home.path().join("state/midwatch.log")).unwrap();
    assert!(log.contains(why) && log.contains("tests/it/terminal.rs:"), "{log}");
    assert!(!log.contains('\x1b'), "{log}");
}

#[test]
fn a_panic_while_drawing_gives_the_terminal_back() {
    if let Some(ground) = ground() {
        return assert_eq!(failing_screens(&ground).code(), 70);
    }
    let home = Home::new();
    let mut session = play_on_a_terminal(&home, "a_panic_while_drawing_gives_the_terminal_back");
    session.wait_for_text("all is well");
    session.keys("?");
    assert_told_and_given_back(&mut session, &home, "the drawing gave up");
}

#[test]
fn a_panic_of_a_task_gives_the_terminal_back() {
    if let Some(ground) = ground() {
        return assert_eq!(failing_screens(&ground).code(), 70);
    }
    let home = Home::new();
    let mut session = play_on_a_terminal(&home, "a_panic_of_a_task_gives_the_terminal_back");
    session.wait_for_text("all is well");
    session.signal(rustix::process::Signal::USR1);
    assert_told_and_given_back(&mut session, &home, "a task gave up");
}

/// A panic once terminal and standard error are gone: printing it would panic again, which aborts.
#[test]
fn a_panic_on_a_dead_terminal_is_no_abort() {
    if let Some(ground) = ground() {
        begin(&ground).block_on(async {
            let mut hung_up = signal(SignalKind::hangup()).unwrap();
            let terminal = Terminal::enter().unwrap();
            hung_up.recv().await;
            let task = tokio::spawn(async move {
                let _held = terminal;
                panic!("in the dark");
            });
            assert!(task.await.unwrap_err().is_panic());
            fs::write(ground.join("survived"), "").unwrap();
        });
        return;
    }
    let home = Home::new();
    let mut session = play_on_a_terminal(&home, "a_panic_on_a_dead_terminal_is_no_abort");
    session.close();
    eventually("the end of the panic", || home.path().join("survived").exists().then_some(()));
    let log = fs::read_to_string(home.path().join("state/midwatch.log")).unwrap();
    assert!(log.contains("in the dark"), "{log}");
}

/// The terminal can go at any moment, also between being taken and being listened to.
#[test]
fn listening_to_a_dead_terminal_is_an_error_and_no_panic() {
    if let Some(ground) = ground() {
        begin(&ground).block_on(async {
            let mut hung_up = signal(SignalKind::hangup()).unwrap();
            let _terminal = Terminal::enter().unwrap();
            hung_up.recv().await;
            assert!(inputs().is_err() && Terminal::size().is_err() && Terminal::enter().is_err());
            fs::write(ground.join("survived"), "").unwrap();
        });
        return;
    }
    let home = Home::new();
    let mut session = play_on_a_terminal(&home, "listening_to_a_dead_terminal_is_an_error_and_no_panic");
    session.close();
    eventually("an error", || home.path().join("survived").exists().then_some(()));
    assert!(!home.path().join("state/midwatch.log").metadata().is_ok_and(|log| log.len() > 0));
}

/// What a process may not do under `--read-only`, by name; each is tried.
fn forbidden(ground: &Path, turn: usize) -> Vec<(&'static str, io::Result<()>)> {
    let outside = ground.join("outside");
    let (precious, new) = (outside.join("precious"), outside.join(format!("new-{turn}")));
    let child = format!("echo x >> {}", precious.display());
    let child = Command::new("sh").args(["-c", &child]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    vec![
        ("create a file", File::create_new(&new).map(drop)),
        ("write a file", OpenOptions::new().append(true).open(&precious).map(drop)),
        ("make a directory", fs::create_dir(&new)),
        ("make a link", symlink(&precious, &new)),
        ("rename a file", fs::rename(&precious, &new)),
        ("take a file in", fs::rename(&precious, ground.join("state").join(format!("taken-{turn}")))),
        ("remove a file", fs::remove_file(&precious)),
        ("remove a directory", fs::remove_dir(outside.join("empty"))),
        (
            "write through a child",
            child.and_then(|s| if s.success() { Ok(()) } else { Err(io::ErrorKind::Other.into()) }),
        ),
    ]
}

/// What only newer kernels forbid.
fn forbidden_lately(ground: &Path) -> Vec<(&'static str, io::Result<()>)> {
    // Linux truncates even a file that is opened for reading.
    let cut = i32::try_from(rustix::fs::OFlags::TRUNC.bits()).unwrap();
    let truncated = OpenOptions::new().read(true).custom_flags(cut).open(ground.join("outside/precious"));
    let signalled = getppid().map_or(Ok(()), test_kill_process);
    vec![("truncate a file", truncated.map(drop)), ("signal another process", signalled.map_err(io::Error::from))]
}

/// What it may do, and must be able to.
fn allowed(ground: &Path, turn: usize) -> io::Result<()> {
    let state = ground.join("state");
    let mut file = File::create(state.join(format!("file-{turn}")))?;
    file.write_all(b"x")?;
    file.set_len(0)?;
    fs::create_dir(state.join(format!("dir-{turn}")))?;
    fs::rename(state.join(format!("file-{turn}")), state.join(format!("dir-{turn}/file")))?;
    fs::remove_dir_all(state.join(format!("dir-{turn}")))?;
    OpenOptions::new().write(true).truncate(true).open("/dev/null")?.write_all(b"x")?;
    test_kill_process(getpid())?;
    fs::read_to_string(ground.join("outside/precious")).map(drop)
}

/// More than the workers of midwatch's runtime.
const THREADS: usize = 4;

fn sandboxed(ground: &Path) {
    let sandbox = restrict(Some(&ground.join("state")));
    let (early, late) = match sandbox {
        Sandbox::Full => (true, true),
        Sandbox::Partial(_) => (true, false),
        Sandbox::None(_) => (false, false),
        Sandbox::Off => panic!("it was asked for"),
    };
    if !early {
        // Then the promise is not made either; what is left is that everything still works.
        return allowed(ground, 0).unwrap();
    }
    // Started after the restriction, as in midwatch; at the barrier each has a thread of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let barrier = Arc::new(Barrier::new(THREADS));
    let tried = (0..THREADS).map(|turn| {
        let (ground, barrier) = (ground.to_owned(), Arc::clone(&barrier));
        runtime.spawn_blocking(move || {
            barrier.wait();
            allowed(&ground, turn).unwrap();
            let mut tried = forbidden(&ground, turn);
            tried.extend(forbidden_lately(&ground).into_iter().filter(|_| late));
            tried
        })
    });
    for tried in tried.collect::<Vec<_>>() {
        for (what, result) in runtime.block_on(tried).unwrap() {
            assert!(result.is_err(), "could {what}");
        }
    }
}

#[test]
fn a_read_only_process_writes_nowhere_but_in_its_state_directory() {
    if let Some(ground) = ground() {
        return sandboxed(&ground);
    }
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir_all(outside.join("empty")).unwrap();
    fs::create_dir(dir.path().join("state")).unwrap();
    fs::write(outside.join("precious"), "kept").unwrap();
    let [program, args @ ..] = own_call("a_read_only_process_writes_nowhere_but_in_its_state_directory");
    let played = Command::new(program).args(args).env(GROUND, dir.path()).output().unwrap();
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "kept");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 2);
    assert_eq!(fs::read_dir(dir.path().join("state")).unwrap().count(), 0);
}
