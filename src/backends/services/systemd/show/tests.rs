//! What systemd 252 really said: recorded answers of `systemctl show`.

use proptest::prelude::*;

use super::{Unit, exit, failed_unit, parse, service};
use crate::domain::service::{Manager, Role, Service, State};

const ACTIVE: &str = include_str!("../../../../../tests/fixtures/systemd/show-active.txt");
const FAILED: &str = include_str!("../../../../../tests/fixtures/systemd/show-failed.txt");
const MASKED: &str = include_str!("../../../../../tests/fixtures/systemd/show-masked.txt");
const ABSENT: &str = include_str!("../../../../../tests/fixtures/systemd/show-notfound.txt");
const ONESHOT: &str = include_str!("../../../../../tests/fixtures/systemd/show-oneshot-inactive.txt");
const TIMER: &str = include_str!("../../../../../tests/fixtures/systemd/show-timer.txt");

fn one(text: &str) -> Unit {
    let mut units = parse(text);
    assert_eq!(units.len(), 1);
    units.remove(0)
}

fn read(text: &str) -> Service {
    let mut out = Service::new("web", Role::Web, Manager::Systemd, "x.service");
    service(&one(text), &mut out);
    out
}

#[test]
fn a_unit_that_runs_is_read_in_full() {
    let web = read(ACTIVE);
    assert_eq!((web.state, web.said.as_str(), web.pid), (State::Running, "active (running)", Some(314)));
    assert_eq!((web.restarts, web.exit.as_deref(), web.memory, web.memory_max), (Some(0), None, None, None));
    assert_eq!(web.started.unwrap().as_secs(), 1_795_231_773);
    assert!(web.command.starts_with("/srv/pretalx/venv/bin/gunicorn pretalx.wsgi"), "{}", web.command);
    assert!(web.facts.contains(&("says".to_owned(), "Gunicorn arbiter booted".to_owned())));
    assert!(!web.facts.iter().any(|(name, _)| name == "changed on disk"));
}

#[test]
fn a_crash_loop_that_systemd_left_is_known_by_its_count() {
    let failed = read(FAILED);
    assert_eq!((failed.state, failed.restarts), (State::GaveUp, Some(3)));
    assert_eq!(failed.exit.as_deref(), Some("exit status 3"));
    let told = failed_unit(&one(FAILED), false);
    assert_eq!((told.unit.as_str(), told.exit.as_str()), ("testbed-crashloop.service", "exit status 3"));
    assert_eq!(told.since.unwrap().as_secs(), 1_795_231_776);
    // `reset-failed` takes the count away: then it has only failed.
    assert_eq!(read(&FAILED.replace("NRestarts=3", "NRestarts=0")).state, State::Failed);
}

#[test]
fn states_are_told_apart() {
    assert_eq!(read(MASKED).state, State::Stopped);
    assert_eq!(read(MASKED).said, "masked");
    assert_eq!(read(ABSENT).state, State::Missing);
    assert_eq!(read(ONESHOT).state, State::Waiting);
    assert_eq!(read(TIMER).state, State::Waiting);
    let as_said =
        |active: &str, sub: &str| read(&format!("Id=x.service\nActiveState={active}\nSubState={sub}\n")).state;
    assert_eq!(as_said("activating", "auto-restart"), State::Restarting);
    assert_eq!(as_said("activating", "start-pre"), State::Starting);
    assert_eq!(as_said("reloading", "reload"), State::Running);
    assert_eq!(as_said("inactive", "dead"), State::Stopped);
    assert_eq!(as_said("maintenance", "x"), State::Unknown);
}

#[test]
fn how_it_ended_is_said_in_words() {
    for (said, words) in [
        ("Result=signal\nExecMainCode=2\nExecMainStatus=9", "killed by SIGKILL"),
        ("Result=exit-code\nExecMainCode=1\nExecMainStatus=203", "exit status 203 (its program can't be executed)"),
        ("Result=oom-kill\nExecMainStatus=9", "killed for want of memory"),
        ("Result=core-dump\nExecMainStatus=11", "crashed by SIGSEGV (core dumped)"),
        ("Result=timeout", "it did not start or stop in time"),
    ] {
        assert_eq!(exit(&one(said)).as_deref(), Some(words));
    }
    assert_eq!(exit(&one("Result=success")), None);
    assert!(read("Id=x.service\nResult=oom-kill\nExecMainExitTimestamp=Sat 2026-11-21 03:29:36 UTC").oom.is_some());
}

#[test]
fn credentials_of_a_command_line_are_masked() {
    let text = "Id=x.service\nExecStart={ path=/x ; argv[]=/x --password=hunter2 run ; ignore_errors=no ; pid=0 }\n";
    assert_eq!(read(text).command, "/x --password=*** run");
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "(\\PC{0,20}=?\\PC{0,20}\n{0,2}){0,20}") {
        for unit in parse(&text) {
            let mut out = Service::new("x", Role::Other, Manager::Systemd, "x");
            service(&unit, &mut out);
        }
    }
}
