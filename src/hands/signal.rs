//! Signals to processes that are known for sure, and patience until they have ended.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use crate::backends::process_id;
use crate::runbook::run::ProcessId;

/// How long a killed process may take to be gone.
pub(super) const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How often processes that shall end are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Sentences about processes that were ended.
const TOLD: usize = 20;

/// Sends a signal to this process and no other; `false`: it has ended.
///
/// # Errors
/// When this user may not.
pub(super) fn send(process: &ProcessId, signal: Signal) -> io::Result<bool> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(false),
        opened => opened?,
    };
    // The descriptor stays with whatever had the number when it was opened: whether that is the one, is asked after.
    if !process_id::lives(process) {
        return Ok(false);
    }
    match pidfd_send_signal(&fd, signal) {
        Err(Errno::SRCH) => Ok(false),
        sent => sent.map(|()| true).map_err(Into::into),
    }
}

/// A process that was told to end.
struct Told {
    process: ProcessId,
    who: String,
    how: Result<&'static str, String>,
}

/// Ends what `find` finds, again and again until it finds nothing: TERM, after `grace` KILL. What was ended, in sentences.
pub(super) async fn end_all(find: impl Fn() -> Vec<ProcessId>, grace: Duration) -> Vec<String> {
    let mut told: Vec<Told> = Vec::new();
    for (signal, word, patience) in [(Signal::TERM, "TERM", grace), (Signal::KILL, "KILL", KILL_PATIENCE)] {
        let until = Instant::now() + patience;
        let mut round: Vec<ProcessId> = Vec::new();
        loop {
            let found = find();
            if found.is_empty() {
                return sentences(&told);
            }
            for process in found {
                if !round.contains(&process) {
                    tell(&mut told, &process, signal, word);
                    round.push(process);
                }
            }
            while round.iter().any(process_id::lives) && Instant::now() < until {
                sleep(LOOK).await;
            }
            if Instant::now() >= until {
                break;
            }
        }
    }
    for left in find() {
        if let Some(known) = told.iter_mut().find(|known| known.process == left && known.how.is_ok()) {
            known.how = Err("the kernel does not let it go".to_owned());
        }
    }
    sentences(&told)
}

fn tell(told: &mut Vec<Told>, process: &ProcessId, signal: Signal, word: &'static str) {
    let at = told.iter().position(|known| known.process == *process);
    let who = at.is_none().then(|| process_id::told(process.pid));
    let how = match send(process, signal) {
        Ok(true) => Ok(word),
        Ok(false) => return,
        Err(error) => Err(error.to_string()),
    };
    match (at.and_then(|at| told.get_mut(at)), who) {
        (Some(known), _) => known.how = how,
        (None, who) => told.push(Told { process: process.clone(), who: who.unwrap_or_default(), how }),
    }
}

fn sentences(told: &[Told]) -> Vec<String> {
    let mut out: Vec<String> = told
        .iter()
        .take(TOLD)
        .map(|Told { who, how, .. }| match how {
            Ok(word) => format!("{who} was left running, and was ended with {word}"),
            Err(why) => format!("{who} was left running, and can't be ended: {why}"),
        })
        .collect();
    if told.len() > TOLD {
        out.push(format!("and {} more", told.len() - TOLD));
    }
    out
}
