//! What a step does to the world. Each takes the run's tools, which hold its permit: there is no other way here.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::child::{self, End, Finished, Given, Job, Limits, News, Saved};
use super::runner::utc;
use super::work::Tools;
use super::{session as database, signal};
use crate::backends::look::process;
use crate::backends::process_id;
use crate::domain::text::span;
use crate::domain::time::Timestamp;
use crate::runbook::approval::Permit;
use crate::runbook::kept::{Printed, Stream};
use crate::runbook::plan::Command;
use crate::runbook::run::ProcessId;

/// How long a program may take to end after TERM: as long as systemd waits, by default, less what a person would.
const GRACE: Duration = Duration::from_secs(10);
/// How long a service may take to end after TERM: gunicorn's own grace.
const PATIENCE: Duration = Duration::from_secs(30);
/// After so long without output that is told.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a program that only looks may take.
const GLANCE: Duration = Duration::from_secs(30);

/// The name of a step's program that is midwatch itself.
const ITSELF: &str = "midwatch";

/// About as much of what a program that only looks says is kept.
const HEARD: usize = 256 * 1024;

/// Something heard of a step's program.
pub(super) enum Sign {
    /// It runs as this process: the step, the attempt.
    Started(usize, u32, ProcessId),
    /// It printed something.
    Printed(Printed),
    /// More was printed than anybody reads: where, and how many bytes and lines of it are not told.
    Passed(Printed, u64, u64),
    /// Something worth knowing.
    Note(String),
}

/// Runs a step's program. `Ok`: it ended with 0.
pub(super) async fn command(
    tools: &Tools<'_>,
    told: (&str, &Command),
    at: (usize, u32),
    until: (Instant, watch::Receiver<bool>),
    signs: mpsc::Sender<Sign>,
) -> Result<String, String> {
    supplied(tools, (told.0, told.1, Given::default()), at, until, signs).await
}

/// The same, for a program that gets more than arguments.
pub(super) async fn supplied(
    tools: &Tools<'_>,
    (run, command, given): (&str, &Command, Given<'_>),
    (step, attempt): (usize, u32),
    (deadline, stop): (Instant, watch::Receiver<bool>),
    signs: mpsc::Sender<Sign>,
) -> Result<String, String> {
    let record = record(&tools.state, run, &format!("{step}-{attempt}"))?;
    if let (Some(path), 2..) = (&command.save, attempt) {
        put_aside(Path::new(path), attempt - 1)?;
    }
    let timeout = deadline.saturating_duration_since(Instant::now());
    let limits = Limits { timeout, grace: GRACE, silence: SILENCE };
    let midwatch = Path::new(child::MYSELF);
    let itself = itself(command);
    let command = itself.as_ref().unwrap_or(command);
    let job = Job { command, lock: Some(&tools.lock), record: &record, midwatch, limits, given };
    let (sender, mut news) = mpsc::channel(16);
    let running = child::run(&job, sender, stop);
    let mut running = std::pin::pin!(running);
    let mut over = None;
    while over.is_none() {
        tokio::select! {
            finished = &mut running => over = Some(finished),
            Some(one) = news.recv() => tell(&signs, one, ((tools.now)(), step, attempt), command.save.is_some()).await,
        }
    }
    while let Ok(one) = news.try_recv() {
        tell(&signs, one, ((tools.now)(), step, attempt), command.save.is_some()).await;
    }
    let Some(Finished { end, notes, saved }) = over else { return Err("it was not waited for".to_owned()) };
    for note in notes {
        signs.send(Sign::Note(note)).await.ok();
    }
    let ended = if let End::Exited(code) = end
        && command.exits.contains(&code)
    {
        format!("exit {code}")
    } else {
        ended(end)?
    };
    match saved {
        None => Ok(ended),
        Some(Saved { trouble: Some(trouble), .. }) => Err(format!("its output was not saved whole: {trouble}")),
        Some(Saved { bytes, trouble: None }) => {
            let path = command.save.as_deref().unwrap_or_default();
            Ok(format!("{ended}, {} in {path}", crate::domain::text::bytes(bytes)))
        }
    }
}

/// midwatch itself, with the configuration and the state directory of this run; `None`: it is another program.
fn itself(command: &Command) -> Option<Command> {
    let (program, rest) = command.argv.split_first()?;
    if program != ITSELF || command.user.is_some() {
        return None;
    }
    let mut argv = vec![child::MYSELF.to_owned()];
    let flags = std::env::args().skip(1).take_while(|word| word != "runner");
    argv.extend(flags.chain(rest.iter().cloned()));
    let mut env = command.env.clone();
    for name in ["MIDWATCH_CONFIG", "MIDWATCH_STATE_DIR"] {
        env.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
    }
    Some(Command { argv, env, ..command.clone() })
}

/// What an attempt before has saved is kept, under another name: nothing is overwritten.
fn put_aside(path: &Path, attempt: u32) -> Result<(), String> {
    let aside = path.with_added_extension(format!("attempt-{attempt}"));
    match std::fs::rename(path, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} is in the way and can't be put aside: {error}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What goes into a file is not written down a second time.
async fn tell(signs: &mpsc::Sender<Sign>, news: News, (at, step, attempt): (Timestamp, usize, u32), saved: bool) {
    let sign = match news {
        News::Printed(Stream::Out, _) if saved => return,
        News::Started(child) => Sign::Started(step, attempt, child),
        News::Printed(stream, text) => Sign::Printed(Printed { at, step, attempt, stream, text }),
        News::Passed { stream, bytes, lines } => {
            Sign::Passed(Printed { at, step, attempt, stream, text: String::new() }, bytes, lines)
        }
        News::Silent(silent) => {
            let silent = millis(silent);
            let since = utc(at.plus_millis(-i64::try_from(silent).unwrap_or(0)));
            Sign::Note(format!("step {}: nothing printed for {}, since {since}", step + 1, span(silent)))
        }
    };
    signs.send(sign).await.ok();
}

fn ended(end: End) -> Result<String, String> {
    match end {
        End::Exited(0) => Ok("exit 0".to_owned()),
        End::Exited(code) => Err(format!("exit {code}")),
        End::Signalled(signal) => Err(format!("ended by signal {signal}")),
        End::TimedOut => Err("it took too long and was ended".to_owned()),
        End::Stopped => Err("stopped by the operator".to_owned()),
        End::NotStarted(why) => Err(why),
    }
}

/// Where a program's shim notes which process it is.
pub(super) fn record(state: &Path, run: &str, name: &str) -> Result<std::path::PathBuf, String> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = state.join(run);
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(|error| format!("{} can't be made: {error}", dir.display()))?;
    Ok(dir.join(name))
}

/// Whether a program that only looks ends with 0.
pub(super) async fn succeeds(tools: &Tools<'_>, (run, command): (&str, &Command)) -> Result<String, String> {
    let (end, said) = glance(tools, (run, command)).await?;
    let said = said.lines().last().unwrap_or_default().to_owned();
    ended(end).map_err(|why| format!("`{}`: {why} {said}", command.argv.join(" ")).trim_end().to_owned())
}

/// What a program that only looks prints, if it ends with 0.
pub(super) async fn output(tools: &Tools<'_>, (run, command): (&str, &Command)) -> Result<String, String> {
    let (end, said) = glance(tools, (run, command)).await?;
    ended(end).map(|_| said).map_err(|why| format!("`{}`: {why}", command.argv.join(" ")))
}

/// How a program that only looks ends, and what it says, as far as that is not too much.
async fn glance(tools: &Tools<'_>, (run, command): (&str, &Command)) -> Result<(End, String), String> {
    let record = record(&tools.state, run, "look")?;
    let limits = Limits { timeout: GLANCE, grace: GRACE, silence: GLANCE };
    let midwatch = Path::new(child::MYSELF);
    let job = Job { command, lock: None, record: &record, midwatch, limits, given: Given::default() };
    let (sender, mut news) = mpsc::channel(16);
    let (_never, stop) = watch::channel(false);
    let (finished, said) = tokio::join!(child::run(&job, sender, stop), async {
        let mut all = String::new();
        while let Some(one) = news.recv().await {
            if let News::Printed(_, text) = one {
                // The end of much is what tells.
                if all.len() > HEARD {
                    all.clear();
                }
                all.push_str(&text);
                all.push('\n');
            }
        }
        all
    });
    Ok((finished.end, said))
}

/// Ends a process that is still the one that was seen: TERM, then patience, then KILL for it and its children.
pub(super) async fn end(
    _permit: &Permit,
    (pid, was): (u32, &str),
    patience: Duration,
    kill: bool,
) -> Result<String, String> {
    let Ok(main) = process_id::of(pid) else { return Ok(format!("process {pid} had ended by itself")) };
    if process(pid) != was {
        return Ok(format!("process {pid} had ended by itself"));
    }
    let family = family(&main);
    let sent = signal::send(&main, Signal::TERM).map_err(|error| format!("TERM can't be sent to {pid}: {error}"))?;
    if !sent {
        return Ok(format!("process {pid} had ended by itself"));
    }
    if gone(std::slice::from_ref(&main), patience).await {
        return Ok(format!("process {pid} ended after TERM"));
    }
    if !kill {
        return Err(format!("process {pid} has not ended {} after TERM", span(millis(patience))));
    }
    for process in &family {
        signal::send(process, Signal::KILL)
            .map_err(|error| format!("KILL can't be sent to {}: {error}", process.pid))?;
    }
    if gone(&family, GRACE).await {
        Ok(format!(
            "process {pid} did not end {} after TERM: it and {} children were killed",
            span(millis(patience)),
            family.len() - 1
        ))
    } else {
        Err(format!("process {pid} does not end even after KILL: the kernel holds it (a disk that hangs?)"))
    }
}

/// Ends what runs as a plain service now: it alone, and only where it is clear which that is.
pub(super) async fn halt(tools: &Tools<'_>, name: &str) -> Result<String, String> {
    let service = tools.looker.service(name).await?;
    let Some(pid) = service.pid else { return Ok(format!("{name} does not run")) };
    if service.alike > 0 {
        return Err(format!("several processes are taken for {name}, and it would have to be guessed which to end"));
    }
    let ended = end(&tools.permit, (pid, &process(pid)), PATIENCE, true).await?;
    Ok(format!("{name}: {ended}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A process and its children.
fn family(main: &ProcessId) -> Vec<ProcessId> {
    let child = |pid: &u32| process_id::stat(*pid).is_ok_and(|stat| stat.parent == main.pid);
    let children = process_id::all().filter(child).filter_map(|pid| process_id::of(pid).ok());
    std::iter::once(main.clone()).chain(children).collect()
}

async fn gone(processes: &[ProcessId], patience: Duration) -> bool {
    let until = Instant::now() + patience;
    // A child that nobody has collected yet has ended all the same.
    let lives = |p: &ProcessId| process_id::lives(p) && process_id::stat(p.pid).is_ok_and(|stat| stat.state != 'Z');
    while processes.iter().any(lives) {
        if Instant::now() >= until {
            return false;
        }
        sleep(Duration::from_millis(50)).await;
    }
    true
}

/// Cancels what a session of the database does, or ends it.
pub(super) async fn session(tools: &Tools<'_>, (pid, was): (i64, &str), terminate: bool) -> Result<String, String> {
    let site = tools.site.ok_or_else(|| "there is no site".to_owned())?;
    let config = site.database.as_ref().map_err(Clone::clone)?;
    database::end(config, (pid, was), terminate, &tools.permit).await
}
