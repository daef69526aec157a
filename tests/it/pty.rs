//! midwatch in a real pseudo-terminal: it takes the terminal, gives it back, and ends with the right code, whatever
//! happens to it.
#![cfg(test)]

mod calls;
mod every;
mod kept;
mod looks;
mod night;
mod recorded;
mod runs;
mod stalls;
mod traced;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::pty::{Home, Session, code, stat};
use crate::support::servers::eventually;

const TAB: &str = "1 Now";
const HELP: &str = "What is wrong, since when.";
const PROMPT: &str = "ready>";

fn opened(home: &Home, args: &[&str]) -> Session {
    let mut session = home.open(args, 80, 24);
    session.wait_for_text(TAB);
    assert!(session.taken(), "{:?}", session.modes());
    session
}

#[test]
fn the_keys_that_leave_give_the_terminal_back() {
    for keys in ["q", "Q", "\x03"] {
        let home = Home::new();
        let mut session = opened(&home, &[]);
        session.keys(keys);
        assert_eq!(code(session.ended()), 0, "{keys:?}");
        assert!(session.given_back(), "{keys:?}");
    }
}

#[test]
fn nothing_is_ever_asked_of_the_terminal() {
    let home = Home::new();
    let mut session = opened(&home, &[]);
    session.keys("\x0c");
    session.resize(100, 30);
    session.keys("?");
    session.wait_for_text(HELP);
    session.keys("Q");
    session.ended();
    assert_eq!(session.questions(), 0);
}

#[test]
fn signals_end_it_with_their_code() {
    for (signal, expected) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let home = Home::new();
        let mut session = opened(&home, &[]);
        session.signal(signal);
        assert_eq!(code(session.ended()), expected);
        assert!(session.given_back());
    }
}

/// The rest of a key may hang in a slow line; nothing waits for it.
#[test]
fn half_a_key_holds_nothing_up() {
    let home = Home::new();
    let mut session = opened(&home, &[]);
    session.keys("\x1b[");
    session.wipe();
    session.resize(100, 30);
    session.keys("A?");
    session.wait_for_text(HELP);
    session.keys("\x1b[");
    session.signal(Signal::TERM);
    assert_eq!(code(session.ended()), 143);
}

/// A connection that drops: exit code 0 or 129, no abort, and no thread that spins on the dead terminal.
#[test]
fn a_closed_terminal_ends_it_ten_times_out_of_ten() {
    for _ in 0..10 {
        let home = Home::new();
        let mut session = opened(&home, &[]);
        let (_, before) = session.stat();
        session.close();
        // Its CPU time is told until it is waited for.
        let spent = eventually("the end of midwatch", || match session.stat() {
            ('Z', ticks) => Some(ticks - before),
            _ => None,
        });
        let code = code(session.ended());
        assert!([0, 129].contains(&code), "{code}");
        assert!(spent < 50, "{spent} ticks of CPU time on a dead terminal");
    }
}

#[test]
fn a_terminal_closed_at_the_start_is_no_abort() {
    for round in 0..10 {
        let home = Home::new();
        let mut session = home.open(&[], 80, 24);
        if round % 2 == 1 {
            // The first bytes: somewhere between taking the terminal and the first frame.
            session.wait_for("its screen", Session::begun);
        }
        session.close();
        let code = code(session.ended());
        // 70: it could not even begin; 129: before it listened to the signal.
        assert!([0, 70, 129].contains(&code), "{code}");
    }
}

/// A shell with job control, for which midwatch is a job.
fn shell(home: &Home, args: &[&str]) -> (Session, Pid) {
    let mut session =
        home.run(&["bash", "--norc", "--noprofile", "--noediting", "-i"], &[("PS1", "ready> ".as_ref())], 80, 24);
    session.wait_for_text(PROMPT);
    let call = home.midwatch();
    let call: Vec<&str> = call.iter().map(String::as_str).chain(args.iter().copied()).collect();
    // The pid is written down by the job itself: exec keeps it.
    session.keys(&format!("sh -c 'echo $$ > pid; exec {}'\n", call.join(" ")));
    session.wait_for_text(TAB);
    let pid = std::fs::read_to_string(home.path().join("pid")).unwrap().trim().parse().unwrap();
    (session, Pid::from_raw(pid).unwrap())
}

fn back_in_the_shell(session: &mut Session, pid: Pid) {
    session.wait_for("the shell", |session| {
        session.given_back() && stat(pid).0 == 'T' && session.text().trim_end().ends_with(PROMPT)
    });
}

fn back_in_midwatch(session: &mut Session) {
    session.keys("fg\n");
    session.wait_for("midwatch again", |session| session.taken() && session.text().contains(TAB));
    // And it still answers keys.
    session.keys("?");
    session.wait_for_text(HELP);
    session.keys("Q");
    session.wait_for("the shell", |session| session.given_back() && session.text().trim_end().ends_with(PROMPT));
    session.keys("echo code=$?\n");
    session.wait_for_text("code=0");
}

#[test]
fn ctrl_z_stops_it_and_fg_brings_it_back() {
    for args in [&[] as &[&str], &["--read-only"]] {
        let home = Home::new();
        let (mut session, pid) = shell(&home, args);
        for _ in 0..3 {
            session.keys("\x1a");
            back_in_the_shell(&mut session, pid);
            session.keys("fg\n");
            session.wait_for("midwatch again", |session| session.taken() && session.text().contains(TAB));
        }
        session.keys("\x1a");
        back_in_the_shell(&mut session, pid);
        back_in_midwatch(&mut session);
    }
}

/// While it is stopped it polls nothing, so it must not keep others from it.
#[test]
fn ctrl_z_gives_the_poll_lock_back_and_fg_takes_it_again() {
    let home = Home::new();
    let (mut session, pid) = shell(&home, &[]);
    let state = std::path::PathBuf::from(home.state());
    let locks = || {
        let entries = std::fs::read_dir(&state).unwrap().map(Result::unwrap);
        let lock = entries.map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "lock"));
        std::fs::File::open(lock.unwrap()).unwrap()
    };
    let free = |file: &std::fs::File| {
        let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::fs::flock(file, exclusive).is_ok()
    };
    let file = eventually("it polls", || state.join("record.db").exists().then(locks));
    assert!(!free(&file), "it polls, and keeps the lock");
    session.keys("\x1a");
    back_in_the_shell(&mut session, pid);
    assert!(free(&file), "it is stopped: somebody else may poll");
    drop(file);
    session.keys("fg\n");
    session.wait_for("midwatch again", |session| session.taken() && session.text().contains(TAB));
    eventually("it polls again", || (!free(&locks())).then_some(()));
    session.keys("Q");
    session.wait_for("the shell", |session| session.given_back() && session.text().trim_end().ends_with(PROMPT));
}

/// Stopped by somebody else it can't give the terminal back, and finds another's modes there when it goes on.
#[test]
fn stopped_from_outside_it_takes_the_terminal_again() {
    let home = Home::new();
    let (mut session, pid) = shell(&home, &[]);
    kill_process(pid, Signal::STOP).unwrap();
    session.wait_for("the shell's line", |session| session.text().contains("Stopped"));
    session.wipe();
    back_in_midwatch(&mut session);
}

#[test]
fn without_a_shell_ctrl_z_does_not_stop_it_for_ever() {
    let home = Home::new();
    let mut session = opened(&home, &[]);
    session.keys("\x1a");
    session.wait_for("the terminal given back", |session| !session.taken());
    session.wait_for("the terminal taken again", |session| session.taken() && session.text().contains(TAB));
    session.keys("q");
    assert_eq!(code(session.ended()), 0);
}

#[test]
fn ctrl_l_draws_everything_anew() {
    let home = Home::new();
    let mut session = opened(&home, &[]);
    session.wipe();
    assert!(!session.text().contains(TAB));
    session.keys("\x0c");
    session.wait_for_text(TAB);
    assert!(session.taken());
}

#[test]
fn any_size_is_survived() {
    let home = Home::new();
    let mut session = opened(&home, &[]);
    for (columns, rows) in [(1, 1), (u16::MAX, u16::MAX), (3, 200), (200, 2), (60, 15), (0, 0), (1, 1)] {
        session.resize(columns, rows);
        session.resize(80, 24);
        // There and back at once: what the terminal lost in between must be drawn again.
        session.wipe();
        session.wait_for_text(TAB);
    }
    session.resize(160, 48);
    session.wait_for("a full line", |session| session.text().lines().any(|line| line.chars().count() > 120));
    session.keys("q");
    assert_eq!(code(session.ended()), 0);
}

#[test]
fn a_terminal_that_does_not_know_its_size_gets_a_screen() {
    let home = Home::new();
    let mut session = home.open(&[], 0, 0);
    session.wait_for("its screen", Session::begun);
    session.resize(80, 24);
    session.wait_for_text(TAB);
    session.keys("q");
    assert_eq!(code(session.ended()), 0);
}

#[test]
fn the_screen_can_be_copied_and_words_pasted() {
    let home = Home::new();
    let mut session = opened(&home, &[]);
    session.keys("Y");
    session.wait_for("the clipboard", |session| !session.clipboard().is_empty());
    session.keys(":\x1b[200~suspend\x1b[201~");
    session.wait_for_text("suspend");
    session.keys("\x1bQ");
}

#[test]
fn read_only_it_draws_and_leaves_as_ever() {
    let home = Home::new();
    let mut session = opened(&home, &["--read-only"]);
    session.keys("q");
    assert_eq!(code(session.ended()), 0);
    assert!(session.given_back());
    let mut written: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    written.sort();
    assert_eq!(written, ["midwatch.toml", "state"]);
}
