//! The backups of a site: goes round their places, and reads one after the other to its end, at the lowest priority, on
//! a thread of its own.
//!
//! A place on a dead mount blocks its round and nothing else; a check that takes hours is no reason to wait for it.

mod access;
pub mod applied;
pub mod check;
mod directory;
mod dump;
mod folder;
mod heads;
pub mod likeness;
pub mod listing;
pub mod meter;
mod moment;
mod plan;
pub mod program;
pub mod proofs;
mod repository;
mod sqlite;
pub mod statements;
mod strays;
mod survey;
mod surveyor;
mod tar;
mod timers;
mod turn;
pub mod unpack;
pub mod verify;
mod writers;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use self::check::{Outcome, Verdict};
use self::meter::Control;
use self::plan::Plan;
use self::program::Tools;
use self::proofs::{Proofs, Record};
use self::surveyor::{File, Known, Round, Shared, Surveyor, locked};
use crate::config::SiteConfig;
use crate::domain::backup::kind::Kind;
use crate::domain::backup::{BackupsReading, Checking};
use crate::domain::reading::Seen;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::ports::Observe;

/// How long a round is waited for.
const ROUND: Duration = Duration::from_secs(5);
/// How long checks are waited for within one look: small backups are proven in it.
const CHECKS: Duration = Duration::from_millis(1_500);
/// In one process one backup is read at a time, however many sites there are.
static TURN: Mutex<()> = Mutex::new(());

/// Goes round a site's backups and has them read.
#[derive(Debug)]
pub struct BackupsProbe {
    shared: Shared,
    tools: Tools,
    data_dir: Option<PathBuf>,
    surveyor: Option<Surveyor>,
    round: Option<UnderWay<(Surveyor, Round)>>,
    check: Option<Check>,
}

#[derive(Debug)]
struct UnderWay<T> {
    since: Instant,
    answer: oneshot::Receiver<T>,
}

#[derive(Debug)]
struct Check {
    under_way: UnderWay<()>,
    control: Control,
    path: String,
    at: Timestamp,
}

impl Drop for Check {
    fn drop(&mut self) {
        self.control.stop();
    }
}

impl BackupsProbe {
    /// A probe for this site. `state`: where verdicts are remembered. `read_only`: tools that write to answer are not
    /// asked.
    pub fn new(site: &SiteConfig, state: Option<&Path>, read_only: bool) -> Self {
        let known = Known { proofs: Proofs::open(state), ..Known::default() };
        let (shared, tools) = (Arc::new(Mutex::new(known)), Tools::find());
        let surveyor = Surveyor::new(Plan::of(site, read_only), tools.clone(), Arc::clone(&shared));
        let data_dir = surveyor.plan().data_dir.clone();
        Self { shared, tools, data_dir, surveyor: Some(surveyor), round: None, check: None }
    }

    /// The answer of a round; `None`: it is still under way.
    async fn go_round(&mut self, deadline: Instant) -> Result<Option<Round>, String> {
        if self.round.is_none() {
            let Some(mut surveyor) = self.surveyor.take() else {
                return Err("the look at the backups ended without an answer; open midwatch again".to_owned());
            };
            let work = move || {
                let round = surveyor.round(now());
                (surveyor, round)
            };
            self.round =
                Some(begin("midwatch-backups", work).map_err(|error| format!("no thread is to be had: {error}"))?);
        }
        let Some(round) = &mut self.round else { return Ok(None) };
        match timeout_at(deadline.into(), &mut round.answer).await {
            Err(_) => Ok(None),
            Ok(answer) => {
                self.round = None;
                let (surveyor, round) =
                    answer.map_err(|error| format!("the look at the backups ended without an answer: {error}"))?;
                self.surveyor = Some(surveyor);
                Ok(Some(round))
            }
        }
    }

    fn begin_check(&mut self, file: File) {
        let control = Control::default();
        let path = file.path.to_string_lossy().into_owned();
        let (tools, shared, told, live) =
            (self.tools.clone(), Arc::clone(&self.shared), control.clone(), self.data_dir.clone());
        let work = move || {
            let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            program::yield_to_others(&tools);
            let begun = Instant::now();
            let verdict = examine(&file, live.as_deref(), &tools, &told);
            remember(&mut locked(&shared), &file, verdict, begun.elapsed());
        };
        match begin("midwatch-check", work) {
            Ok(under_way) => self.check = Some(Check { under_way, control, path, at: now() }),
            Err(error) => tracing::warn!("no backup can be checked: {error}"),
        }
    }

    /// Waits for the check under way; whether it is done.
    async fn check_done(&mut self, deadline: Instant) -> bool {
        let Some(check) = &mut self.check else { return true };
        let done = timeout_at(deadline.into(), &mut check.under_way.answer).await.is_ok();
        if done {
            self.check = None;
        }
        done
    }

    fn checking(&self) -> Option<Checking> {
        let check = self.check.as_ref()?;
        let (done, total) = check.control.progress();
        Some(Checking { path: check.path.clone(), done, total, since: check.at })
    }
}

impl Observe for BackupsProbe {
    type Value = BackupsReading;

    async fn observe(&mut self) -> Seen<BackupsReading> {
        let begun = Instant::now();
        let mut last = None;
        loop {
            let round = match self.go_round(begun + ROUND).await {
                Ok(round) => round,
                Err(why) => return Seen::Failed(why),
            };
            let Some(mut round) = round else {
                let since = self.round.as_ref().map_or(ROUND, |round| round.since.elapsed());
                let since = text::span(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
                return last.map_or_else(
                    || Seen::Failed(format!("a place of backups has not answered for {since}: a mount may hang")),
                    Seen::Value,
                );
            };
            let waiting = round.unread.len();
            if self.check.is_none() && waiting > 0 {
                self.begin_check(round.unread.swap_remove(0));
            }
            let done = self.check_done(begun + CHECKS).await;
            round.reading.waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
            round.reading.checking = self.checking();
            // What was found out meanwhile belongs into this answer.
            if waiting == 0 || !done {
                return Seen::Value(round.reading);
            }
            last = Some(round.reading);
        }
    }
}

fn begin<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<UnderWay<T>> {
    let (tell, answer) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(2 << 20);
    drop(thread.spawn(move || drop(tell.send(work())))?);
    Ok(UnderWay { since: Instant::now(), answer })
}

fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// Checks a file of whatever kind.
fn examine(file: &File, live: Option<&Path>, tools: &Tools, control: &Control) -> Verdict {
    if file.kind == Kind::Folder {
        return folder::check(&file.path, live.filter(|live| *live != file.path), control);
    }
    check::check(&file.path, tools, control)
}

/// Takes a verdict in.
fn remember(known: &mut Known, file: &File, verdict: Verdict, took: Duration) {
    if let Err(error) = take_in(known, file, verdict, took) {
        tracing::warn!("what was found out about a backup is not kept on disk: {error}");
    }
}

fn take_in(known: &mut Known, file: &File, verdict: Verdict, took: Duration) -> std::io::Result<()> {
    let path = file.path.to_string_lossy().into_owned();
    let (flaw, why) = match verdict.outcome {
        Outcome::Stopped => return Ok(()),
        Outcome::Growing(_) => {
            known.growing.insert(path, file.changed_ns);
            return Ok(());
        }
        Outcome::Unproven(why) => {
            known.unproven.insert(path, (file.changed_ns, why));
            return Ok(());
        }
        Outcome::Whole => (None, None),
        Outcome::Broken(flaw, why) => (Some(flaw), Some(why)),
    };
    let record = Record {
        path,
        bytes: file.bytes,
        changed_ns: file.changed_ns,
        digest: verdict.digest,
        flaw,
        why,
        at: now(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        kind: verdict.kind,
        header: verdict.header,
        contents: verdict.contents,
        seal: verdict.seal,
    };
    known.proofs.keep(record)
}

/// Remembers in a state directory that a file was read to its end under another name, and found whole.
///
/// # Errors
/// When that can't be written.
pub fn remember_whole(state: &Path, path: &Path, verdict: Verdict, took: Duration) -> std::io::Result<()> {
    let meta = std::fs::metadata(path)?;
    let changed_ns = moment::changed_ns(&meta);
    let file = File { path: path.to_owned(), bytes: meta.len(), changed_ns, kind: Kind::Unknown };
    let mut known = Known { proofs: Proofs::open(Some(state)), ..Known::default() };
    take_in(&mut known, &file, verdict, took)
}
