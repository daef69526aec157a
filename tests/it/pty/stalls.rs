//! What must not hold midwatch up, and what it must not take: sites that hang, terminals that are not read, idle time.

use std::net::TcpListener;
use std::time::Instant;

use rustix::process::{Pid, Signal};

use super::opened;
use crate::support::pty::{Home, Session, code};
use crate::support::servers::eventually;

#[test]
fn a_hangup_signal_ends_it_ten_times_out_of_ten() {
    for _ in 0..10 {
        let home = Home::new();
        let mut session = opened(&home, &[]);
        session.signal(Signal::HUP);
        let status = session.ended();
        assert!(status.code().is_some_and(|code| [0, 129].contains(&code)), "{status:?}");
        assert!(session.given_back());
    }
}

#[test]
fn a_terminal_that_nobody_reads_does_not_keep_it_from_ending() {
    let home = Home::new();
    let mut session = opened(&home, &[]);
    // Each key is answered with a screen in full, until the terminal takes no more and the drawing stands.
    eventually("a drawing that stands", || {
        session.keys("\x0c");
        waits_for_terminal(session.pid()).then_some(())
    });
    session.signal(Signal::TERM);
    assert_eq!(code(session.ended_unread()), 143);
    assert!(session.cooked(), "its settings need no output to be restored");
}

/// Whether the drawing thread of this process is held up by its terminal: the kernel's name for that wait.
fn waits_for_terminal(pid: Pid) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).unwrap();
    tasks.flatten().any(|task| {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        read("comm").trim() == "screen" && read("wchan").trim() == "wait_woken"
    })
}

#[test]
fn keys_are_answered_while_the_only_site_hangs() {
    // The kernel accepts connections; nobody answers them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::new();
    let site = format!("discover = false\n[sites.silent]\nurl = \"http://{}/\"\n", silent.local_addr().unwrap());
    std::fs::write(home.path().join("midwatch.toml"), site).unwrap();
    let mut session = opened(&home, &[]);
    let (_asked, _) = silent.accept().unwrap();
    session.wait_for_text("127.0.0.1");
    for (key, shows) in [("4", "pressure"), ("?", "┌─ help")] {
        session.keys(key);
        session.wait_for_text(shows);
    }
    session.keys("\x03");
    assert_eq!(code(session.ended()), 0);
    assert!(session.given_back());
}

/// The clock in the first line.
fn clock(session: &Session) -> Option<String> {
    let text = session.text();
    let is_clock = |word: &&str| word.len() == 8 && word.matches(':').count() == 2;
    text.lines().next()?.split_whitespace().find(is_clock).map(str::to_owned)
}

#[test]
fn it_writes_and_works_little_while_nothing_happens() {
    let home = Home::new();
    let mut session = opened(&home, &[]);
    session.keys("2");
    session.wait_for_text("no requests to show");
    let mut shown = clock(&session);
    let (bytes, (_, ticks), begun) = (session.raw().len(), session.stat(), Instant::now());
    for _ in 0..4 {
        session.wait_for("the next second", |session| clock(session).is_some_and(|now| Some(now) != shown));
        shown = clock(&session);
    }
    let written = session.raw().len() - bytes;
    assert!(written < 4 * 2_000, "{written} bytes while only a clock moved");
    // A tick is a hundredth of a second on every Linux we run on.
    let spent = (session.stat().1 - ticks) * 10;
    let window = u64::try_from(begun.elapsed().as_millis()).unwrap();
    assert!(spent * 2 < window, "{spent} ms of CPU time in {window} ms");
}
