//! One program of a step: started through the shim, listened to, ended in time, and nothing of it left behind.

mod flood;
mod identity;
mod lines;
mod pump;

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command as Process};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use self::identity::Me;
use self::pump::{Heard, Pump, Pumped, SAVED_MAX, Saving};
use super::lock::{TargetLock, orphans};
use super::{advisory, shim, signal};
use crate::backends::process_id;
use crate::domain::text::{plain, span};
use crate::runbook::kept::Stream;
use crate::runbook::plan::Command;
use crate::runbook::run::ProcessId;

/// midwatch itself, also where its file was replaced meanwhile.
pub const MYSELF: &str = "/proc/self/exe";
/// How long the shim may take to become the program.
const SHIM_PATIENCE: Duration = Duration::from_secs(30);
/// How often its record is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// A program to run.
#[derive(Debug)]
pub struct Job<'a> {
    /// Which, and as whom.
    pub command: &'a Command,
    /// The target's lock, which the program inherits; `None` for one that only looks.
    pub lock: Option<&'a TargetLock>,
    /// Where the shim notes which process it is, as an absolute path. Stays there afterwards.
    pub record: &'a Path,
    /// midwatch itself: [`MYSELF`] but for tests.
    pub midwatch: &'a Path,
    /// What it may take.
    pub limits: Limits,
    /// What it gets besides.
    pub given: Given<'a>,
}

/// What a program gets that is no argument.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// The file on its standard input.
    pub input: Option<&'a Path>,
    /// The password for the server it speaks to, in `PGPASSWORD` and `MYSQL_PWD`: on no command line, in no journal.
    pub password: Option<&'a SecretString>,
    /// The run whose sessions on a PostgreSQL server these are.
    pub run: Option<&'a str>,
}

/// A variable of the environment, and its value.
pub type Secret = (&'static str, secrecy::SecretString);

/// What a program may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it may run; it is ended then.
    pub timeout: Duration,
    /// How long it may take to end by itself after TERM; it is killed then.
    pub grace: Duration,
    /// After such a span without output that is told. It is no reason to end it.
    pub silence: Duration,
}

/// What is heard of a program while it runs. Who takes it slowly makes the program slow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It runs as this process. Comes first.
    Started(ProcessId),
    /// It printed these lines: at most 4 KiB, secrets taken out, safe for a terminal.
    Printed(Stream, String),
    /// It prints more than anybody reads. So much of it is not told; nothing yet: from here on. What follows is its end.
    Passed {
        /// Which output.
        stream: Stream,
        /// Bytes.
        bytes: u64,
        /// Lines.
        lines: u64,
    },
    /// It has printed nothing for so long. Told after [`Limits::silence`], and each time it has become twice as long.
    Silent(Duration),
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal, which was not midwatch's.
    Signalled(i32),
    /// Ended by midwatch, for it took too long.
    TimedOut,
    /// Ended by midwatch, for it was told to.
    Stopped,
    /// It never ran, for this reason.
    NotStarted(String),
}

/// What was saved of a program's standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Bytes in the file.
    pub bytes: u64,
    /// Why that is not all; `None`: it is all, and on the disk.
    pub trouble: Option<String>,
}

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// What was done to end it and what it left, in sentences.
    pub notes: Vec<String>,
    /// What was saved, where the command says so.
    pub saved: Option<Saved>,
}

impl Finished {
    const fn not_started(why: String) -> Self {
        Self { end: End::NotStarted(why), notes: Vec::new(), saved: None }
    }
}

/// Runs a program to its end, which comes when it has ended, is over its time, or `stop` turns true. Unless its command
/// `leaves` something running, nothing of it runs afterwards: its process group and whoever holds the lock are ended too.
///
/// One at a time with the same lock: what else holds it is taken for what this one left. What runs through sudo does not
/// hold it, for sudo closes what it inherits; such a program is found by its record alone.
///
/// Dropping the future leaves the program running, as if this process had been killed.
pub async fn run(job: &Job<'_>, news: mpsc::Sender<News>, mut stop: watch::Receiver<bool>) -> Finished {
    let until = Instant::now() + job.limits.timeout;
    let (mut child, saving) = match spawn(job) {
        Ok(spawned) => spawned,
        Err(why) => return Finished::not_started(why),
    };
    let Some(process) = recorded(&mut child, job.record).await else { return unrecorded(child).await };
    news.send(News::Started(process.clone())).await.ok();
    let heard = Heard::now();
    let (tell_end, ended) = watch::channel(false);
    let pump = |stream, saving| (stream, news.clone(), heard.clone(), saving, ended.clone());
    let out = listen(child.stdout.take(), pump(Stream::Out, saving));
    let err = listen(child.stderr.take(), pump(Stream::Err, None));
    let mut notes = Vec::new();
    let end = match wait(&mut child, until, &mut stop, (&job.limits, &heard, &news)).await {
        Cause::Ended(status) => ended_as(&status),
        Cause::TimedOut => {
            notes.push(format!("it was not done after {} and was ended", span(millis(job.limits.timeout))));
            end(&mut child, &process, job.limits.grace, &mut notes).await;
            End::TimedOut
        }
        Cause::Stopped => {
            end(&mut child, &process, job.limits.grace, &mut notes).await;
            End::Stopped
        }
    };
    if !job.command.leaves {
        let lock = job.lock.map(TargetLock::paths).unwrap_or_default();
        notes.extend(signal::end_all(|| left(&process, &lock), job.limits.grace).await);
    }
    tell_end.send_replace(true);
    let (out, err) = (out.await.unwrap_or_default(), err.await.unwrap_or_default());
    if out.kept_open || err.kept_open {
        notes.push("something it started keeps its output open; what that prints from here on is not kept".to_owned());
    }
    let end = refused(job.record, end);
    Finished { end, notes, saved: out.saved }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn spawn(job: &Job<'_>) -> Result<(Child, Option<Saving>), String> {
    let me = Me::here();
    let words = me.words(job.command)?;
    for stale in [job.record.to_owned(), shim::failure(job.record)] {
        match std::fs::remove_file(&stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{} can't be removed: {error}", stale.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let mut process = Process::new(job.midwatch);
    process.arg0("midwatch").arg("shim").arg("--record").arg(job.record);
    let lock = job.lock.filter(|_| !job.command.leaves).map(TargetLock::handed).transpose();
    match lock.map_err(|error| format!("the lock can't be handed over: {error}"))? {
        Some(lock) => process.stdin(Stdio::from(lock)),
        None => process.stdin(Stdio::null()).arg("--leaves"),
    };
    if let Some(input) = job.given.input {
        process.arg("--input").arg(input);
    }
    process.arg("--").args(words).env_clear().envs(me.environment(job.command));
    for variable in ["PGPASSWORD", "MYSQL_PWD"] {
        process.envs(job.given.password.map(|password| (variable, password.expose_secret())));
    }
    process.envs(job.given.run.map(|run| ("PGAPPNAME", advisory::name(run))));
    let saving = job.command.save.as_deref().map(|path| {
        Saving::begin(path, SAVED_MAX).map_err(|error| format!("the output can't be saved in {path}: {error}"))
    });
    let saving = saving.transpose()?;
    process.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).current_dir(me.directory(job.command));
    let child = process.spawn().map_err(|error| format!("midwatch can't start itself: {error}"))?;
    Ok((child, saving))
}

/// Which process it is, as soon as the shim has noted it durably; `None`: it has not.
async fn recorded(child: &mut Child, record: &Path) -> Option<ProcessId> {
    let until = Instant::now() + SHIM_PATIENCE;
    let pid = child.id();
    loop {
        let over = Instant::now() >= until || child.try_wait().is_ok_and(|status| status.is_some());
        // Looked for after that: one that ended at once has noted it all the same.
        let found = shim::recorded(record).filter(|process| Some(process.pid) == pid);
        if found.is_some() || over {
            return found;
        }
        sleep(LOOK).await;
    }
}

/// The shim has ended, or hangs, before it could become the program.
async fn unrecorded(mut child: Child) -> Finished {
    child.start_kill().ok();
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        timeout(signal::KILL_PATIENCE, stderr.take(4096).read_to_end(&mut said)).await.map(Result::ok).ok();
    }
    timeout(signal::KILL_PATIENCE, child.wait()).await.map(Result::ok).ok();
    let said = plain(&String::from_utf8_lossy(&said), 400);
    Finished::not_started(if said.is_empty() { "midwatch's own shim ended without a word".to_owned() } else { said })
}

type Listening = (Stream, mpsc::Sender<News>, Heard, Option<Saving>, watch::Receiver<bool>);

fn listen<R: tokio::io::AsyncRead + Unpin + Send + 'static>(from: Option<R>, how: Listening) -> JoinHandle<Pumped> {
    let (stream, news, heard, saving, ended) = how;
    tokio::spawn(async move {
        match from {
            Some(from) => Pump { from, stream, news, heard, saving, ended }.run().await,
            None => Pumped::default(),
        }
    })
}

enum Cause {
    Ended(std::io::Result<ExitStatus>),
    TimedOut,
    Stopped,
}

async fn wait(
    child: &mut Child,
    until: Instant,
    stop: &mut watch::Receiver<bool>,
    (limits, heard, news): (&Limits, &Heard, &mpsc::Sender<News>),
) -> Cause {
    let (mut since, mut told) = (heard.last(), Duration::ZERO);
    loop {
        // Whoever has heard of an hour need not hear of every half minute of it.
        if heard.last() > since {
            (since, told) = (heard.last(), Duration::ZERO);
        }
        let due = limits.silence.max(told * 2);
        tokio::select! {
            biased;
            status = child.wait() => return Cause::Ended(status),
            () = stopped(stop) => return Cause::Stopped,
            () = tokio::time::sleep_until(until) => return Cause::TimedOut,
            () = tokio::time::sleep_until(since + due) => {
                if heard.last() <= since {
                    told = due;
                    // Where the news are full, it is not silent.
                    news.try_send(News::Silent(since.elapsed())).ok();
                }
            }
        }
    }
}

/// Comes back when it shall be stopped; never, where nobody can say so any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn ended_as(status: &std::io::Result<ExitStatus>) -> End {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Exited(code),
            (None, signal) => End::Signalled(signal.unwrap_or(0)),
        },
        // It can't be waited for: nobody knows, which is no success.
        Err(_) => End::Signalled(0),
    }
}

/// Whether it was the shim that ended, for there was no program to become.
fn refused(record: &Path, end: End) -> End {
    let tried =
        matches!(end, End::Exited(code) if code == i32::from(shim::NOT_FOUND) || code == i32::from(shim::NOT_STARTED));
    match std::fs::read_to_string(shim::failure(record)) {
        Ok(why) if tried => End::NotStarted(plain(&why, 400)),
        Ok(_) | Err(_) => end,
    }
}

/// Ends a program that runs: TERM to its group, after `grace` KILL.
async fn end(child: &mut Child, process: &ProcessId, grace: Duration, notes: &mut Vec<String>) {
    for (signal, word, patience) in [(Signal::TERM, "TERM", grace), (Signal::KILL, "KILL", signal::KILL_PATIENCE)] {
        // It is not waited for yet, so the number is still its own.
        if let Err(why) = to_group(process, signal, word).await {
            notes.push(format!("{word} could not be sent: {why}"));
        }
        if timeout(patience, child.wait()).await.is_ok() {
            notes.push(format!("it ended after {word}"));
            return;
        }
    }
    notes.push(format!("{} does not end, not even after KILL", process_id::told(process.pid)));
}

async fn to_group(process: &ProcessId, signal: Signal, word: &str) -> Result<(), String> {
    let Some(group) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
    match kill_process_group(group, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        // What runs as another user through sudo is ended the same way.
        Err(Errno::PERM) => {
            let group = format!("-{}", process.pid);
            let mut kill = Process::new("sudo");
            kill.args(["-n", "--", "kill", "-s", word, "--", &group]).stdin(Stdio::null()).kill_on_drop(true);
            match timeout(Duration::from_secs(5), kill.output()).await {
                Ok(Ok(output)) if output.status.success() => Ok(()),
                Ok(Ok(output)) => Err(plain(&String::from_utf8_lossy(&output.stderr), 200)),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_elapsed) => Err("sudo does not answer".to_owned()),
            }
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What a program that has ended has left running: its process group, and whoever holds the lock it was given.
fn left(process: &ProcessId, lock: &[PathBuf]) -> Vec<ProcessId> {
    let mut out = group(process);
    for orphan in orphans(lock) {
        if !out.contains(&orphan) {
            out.push(orphan);
        }
    }
    out
}

fn group(leader: &ProcessId) -> Vec<ProcessId> {
    // The number has come round: the group is another's, and the old one has no members.
    if process_id::stat(leader.pid).is_ok_and(|stat| stat.started != leader.started) {
        return Vec::new();
    }
    let Ok(number) = i32::try_from(leader.pid) else { return Vec::new() };
    let member = |pid: &u32| process_id::stat(*pid).is_ok_and(|stat| stat.group == number && stat.lives());
    process_id::all().filter(member).filter_map(|pid| process_id::of(pid).ok()).collect()
}
