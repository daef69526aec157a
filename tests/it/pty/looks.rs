//! What is on the screen: the host's numbers, each screen and overlay by its key, and what a terminal can't show.

use std::ffi::OsStr;

use super::TAB;
use crate::support::pty::{Home, Session, code};

/// Whether the first screen is there with a reading of the host.
fn with_numbers(session: &Session) -> bool {
    let memory = |line: &str| line.trim_start().starts_with("memory") && line.contains("iB free");
    let text = session.text();
    text.contains(TAB) && text.lines().any(memory)
}

fn opened_with(home: &Home, env: &[(&str, &str)]) -> Session {
    let call = home.midwatch();
    let call: Vec<&str> = call.iter().map(String::as_str).collect();
    let env: Vec<(&str, &OsStr)> = env.iter().map(|(name, value)| (*name, OsStr::new(*value))).collect();
    let mut session = home.run(&call, &env, 80, 24);
    session.wait_for("the numbers of the host", with_numbers);
    session
}

fn press(session: &mut Session, keys: &str, shows: &str) {
    session.keys(keys);
    session.wait_for_text(shows);
}

#[test]
fn it_opens_on_now_and_every_screen_and_overlay_has_its_key() {
    let home = Home::new();
    let mut session = opened_with(&home, &[]);
    for (key, shows) in
        [("2", "no requests to show"), ("3", "no tasks to show"), ("4", "pressure"), ("1", "No application found")]
    {
        press(&mut session, key, shows);
    }
    press(&mut session, "?", "┌─ help");
    session.keys("\x1b");
    session.wait_for("help closed", |session| !session.text().contains("┌─ help"));
    press(&mut session, ":", "┌─ command");
    session.keys("host\r");
    let on_host = |session: &Session| session.text().contains("pressure") && !session.text().contains("┌─ command");
    session.wait_for("the host by name", on_host);
    press(&mut session, "/", "filter:");
    press(&mut session, "nobody runs this", "filter: nobody runs this");
    session.keys("\x1b");
    session.wait_for("no filter", |session| !session.text().contains("filter:"));
    press(&mut session, "q", "No application found");
    session.keys("q");
    assert_eq!(code(session.ended()), 0);
    assert!(session.given_back());
}

#[test]
fn too_small_a_terminal_is_told_so_and_recovers() {
    let home = Home::new();
    let mut session = opened_with(&home, &[]);
    session.resize(30, 8);
    session.wait_for("a word about the size", |session| session.text().contains("too small: 30×8"));
    session.resize(80, 24);
    session.wait_for("the numbers again", with_numbers);
}

/// The numbers of every style sequence (`ESC [ … m`) that was written.
fn styles(session: &Session) -> Vec<u16> {
    let raw = String::from_utf8_lossy(session.raw()).into_owned();
    let sequences = raw.split("\x1b[").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        rest.get(end..)?.starts_with('m').then(|| rest.get(..end)).flatten()
    });
    sequences.flat_map(|s| s.split([';', ':'])).filter_map(|n| n.parse().ok()).collect()
}

/// Whether a style number sets a colour; those that reset one (39, 49, 59) don't.
fn is_colour(n: u16) -> bool {
    matches!(n, 30..=38 | 40..=48 | 58 | 90..=107)
}

#[test]
fn no_color_leaves_bold_and_reverse() {
    let home = Home::new();
    let mut session = opened_with(&home, &[("NO_COLOR", "1")]);
    press(&mut session, "4", "pressure");
    press(&mut session, ":", "┌─ command");
    let styles = styles(&session);
    assert!(!styles.iter().copied().any(is_colour), "{styles:?}");
    assert!(styles.contains(&1) && styles.contains(&7), "{styles:?}");
}

#[test]
fn a_terminal_with_colours_gets_them() {
    let home = Home::new();
    let session = opened_with(&home, &[]);
    assert!(styles(&session).into_iter().any(is_colour));
}

#[test]
fn a_locale_without_utf8_gets_ascii_alone() {
    let home = Home::new();
    let mut session = opened_with(&home, &[("LANG", "C")]);
    for (key, shows) in [("4", "pressure"), ("2", "no requests"), ("?", "help"), ("\x1b", "no requests"), ("1", TAB)] {
        press(&mut session, key, shows);
    }
    press(&mut session, ":", "command");
    let foreign: Vec<char> = String::from_utf8_lossy(session.raw()).chars().filter(|c| !c.is_ascii()).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn a_dumb_terminal_is_no_reason_to_fail() {
    let home = Home::new();
    let mut session = opened_with(&home, &[("TERM", "dumb")]);
    assert!(!styles(&session).into_iter().any(is_colour));
    session.keys("q");
    assert_eq!(code(session.ended()), 0);
    assert!(session.given_back());
}
