//! The runner: one process for one approved plan. It trusts nothing it is handed but checks it again, takes the target's
//! lock, spends the approval, and only then acts.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::advisory::{self, Taken};
use super::leftovers::{self, is_of, started};
use super::lock::{self, LockTrouble, TargetLock};
use super::order::{MOST, Order, Reply};
use super::work::{Run, Tools, destroys};
use crate::backends::journal::{self, Journal};
use crate::backends::look::Looker;
use crate::backends::process_id;
use crate::config::{Config, SiteConfig, StateDir};
use crate::domain::time::Timestamp;
use crate::runbook::approval::{ANSWER_TTL_MS, PLAN_TTL_MS, Refused, approve};
use crate::runbook::kept::{RunRecord, RunView};
use crate::runbook::plan::{Plan, SCHEMA};
use crate::runbook::run::{Outcome, ProcessId, Progress, What};
use crate::runbook::spec::Risk;

/// Refused: read-only.
pub const READ_ONLY: u8 = 10;
/// Refused: somebody else acts on the target.
pub const HELD: u8 = 11;
/// Refused: not confirmed, or the world has changed.
pub const UNCONFIRMED: u8 = 12;
/// Refused: it can't be done here.
pub const IMPOSSIBLE: u8 = 13;
/// How long what a dead runner left running may take to end.
const GRACE: Duration = Duration::from_secs(10);
/// How often the lock is tried when a run is taken up, and the pause between where it is not clear whose it is.
const ROUNDS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(400);
/// How often a runner shows that it lives.
const BEAT: Duration = Duration::from_secs(2);

type No = (u8, String);

/// Reads the order, checks everything, says whether it begins, and carries it out. The exit code.
pub async fn run(config: &Config, input: impl Read, now: fn() -> Timestamp, reply: impl FnOnce(&Reply)) -> u8 {
    let begun = begin(config, input, now).await;
    let mut begun = match begun {
        Ok(begun) => begun,
        Err((code, why)) => {
            reply(&Reply::Refused { code, why });
            return code;
        }
    };
    reply(&Reply::Begun);
    let (journal, run, me) = (Arc::clone(&begun.run.journal), begun.run.id.clone(), begun.me.clone());
    let heart = tokio::spawn(async move {
        loop {
            if let Err(error) = journal.beat(&run, &me, now()).await {
                tracing::warn!(%error, "no sign of life could be written");
            }
            tokio::time::sleep(BEAT).await;
        }
    });
    let outcome = begun.run.work().await;
    heart.abort();
    if let Err(error) = journal::sign_end(&begun.run.tools.state, &begun.run.id) {
        tracing::warn!(%error, "whoever watches is not told that the run has ended");
    }
    outcome.code()
}

struct Begun<'c> {
    run: Run<'c>,
    me: ProcessId,
}

fn order(input: impl Read) -> Result<Order, No> {
    let mut bytes = Vec::new();
    let read = input.take(MOST).read_to_end(&mut bytes);
    read.map_err(|error| (UNCONFIRMED, format!("the approval can't be read: {error}")))?;
    let order: Order = serde_json::from_slice(&bytes)
        .map_err(|error| (UNCONFIRMED, format!("what came through the pipe is no approval: {error}")))?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if order.plan.schema != SCHEMA || order.run.is_empty() || order.run.len() > 80 || !order.run.chars().all(good) {
        return Err((UNCONFIRMED, "the plan is of another midwatch: make it anew".to_owned()));
    }
    Ok(order)
}

async fn begin(config: &Config, input: impl Read, now: fn() -> Timestamp) -> Result<Begun<'_>, No> {
    let order = order(input)?;
    if config.read_only {
        return Err((READ_ONLY, "this midwatch only looks (read-only)".to_owned()));
    }
    let StateDir::Directory(state) = &config.state else {
        return Err((IMPOSSIBLE, "there is no state directory: nothing is done that can't be recorded".to_owned()));
    };
    let site = site(config, &order.plan)?;
    let uid = rustix::process::geteuid().as_raw();
    let recorded_elsewhere = order.plan.risk != Risk::Destructive;
    let unrecorded = |error: journal::JournalError| {
        let else_where = if error.is_full() && recorded_elsewhere {
            ". What can be undone may be recorded in memory, until the next boot: give --state-dir /dev/shm/midwatch"
        } else {
            ""
        };
        (IMPOSSIBLE, format!("nothing is done unrecorded: {error}{else_where}"))
    };
    // Before the journal is opened to be written: closing what was read would drop the writer's locks.
    let mut before = None;
    if order.again.is_some() {
        let view = journal::read_trusted(state, &order.run).await.map_err(unrecorded)?;
        if view.record.plan != order.plan || view.record.digest != order.plan.digest() {
            return Err((UNCONFIRMED, "the run's plan is not the one that was approved".to_owned()));
        }
        before = Some(view);
    }
    let journal = Arc::new(Journal::open(state, uid).await.map_err(unrecorded)?);
    let host = process_id::host(&config.host.0);
    if journal.tight() && order.plan.steps.iter().any(|step| destroys(&order.plan, step)) {
        let dir = state.display();
        return Err((
            IMPOSSIBLE,
            format!("nothing was done: the disk of {dir} is full, and this can't be undone: make room"),
        ));
    }
    let good = approve(&order.plan, &order.answer, &host, now()).map_err(|refused| refusal(&refused))?;
    let fresh = before.is_some() || now().millis_since(order.plan.made) <= PLAN_TTL_MS + ANSWER_TTL_MS;
    if !fresh {
        return Err((UNCONFIRMED, "the plan is too old: make a new one".to_owned()));
    }
    let me = process_id::here().map_err(|error| (IMPOSSIBLE, format!("/proc can't be read: {error}")))?;
    let own_dir = own(&journal);
    let (lock, mut ended) = take((state, &own_dir), &order, before.as_ref()).await?;
    let left = leftovers::clear((state, &own_dir), &order.plan, before.as_ref(), GRACE).await;
    ended.extend(left.map_err(|why| (HELD, format!("nothing was done: {why}")))?);
    if let (Some(again), Some(view)) = (&order.again, &mut before) {
        // Another may have taken it up between the look at it and the lock.
        *view = journal.read(&order.run).await.map_err(unrecorded)?;
        let over = matches!(view.ended(), Some((Outcome::Done | Outcome::Reverted | Outcome::Refused, _)));
        if over || view.entries.last().map_or(0, |entry| entry.seq) != again.seq {
            return Err((UNCONFIRMED, "the run has gone on since it was looked at: nothing was done".to_owned()));
        }
    }
    if before.is_none() {
        let changed = changed(&order.plan, site).await;
        if !changed.is_empty() {
            return Err((
                UNCONFIRMED,
                format!("nothing was done: since the plan was made\n  {}", changed.join("\n  ")),
            ));
        }
    }
    let database = match advisory::take(site, &order.plan, &order.run).await.map_err(|why| (HELD, why))? {
        Taken::Held(lock) => Some(*lock),
        Taken::Without(why) => {
            ended.extend(why);
            None
        }
    };
    // Last of all, so that a refusal costs nothing.
    let permit = good.spent(spend(&journal, &order, now()).await).map_err(|refused| refusal(&refused))?;
    if before.is_none() {
        let record = RunRecord::new(order.run.clone(), order.plan.clone(), order.by.clone(), now());
        journal.begin(&record).await.map_err(unrecorded)?;
    }
    let progress = match &before {
        Some(view) => view.progress(),
        None => Progress::of(&order.plan, &[]),
    };
    let (own, memory) = (own(&journal), state.clone());
    let tools = Tools { site, looker: Looker::of(site), permit, lock, database, state: own, memory, now };
    let mut run = Run::new(order.run, order.plan, journal, (tools, progress));
    let why = order.again.as_ref().map(|again| again.why.clone());
    let began = What::Began { runner: me.clone(), by: order.by.clone(), why };
    run.note(began).await.map_err(|error| (IMPOSSIBLE, error))?;
    if before.is_some() {
        // What was said to the runner before is its own.
        run.deaf_to_what_was().await.map_err(|error| (IMPOSSIBLE, error))?;
    }
    for sentence in ended {
        run.note(What::Note(sentence)).await.ok();
    }
    if let Some(word) = order.again.and_then(|again| again.choice) {
        run.note(What::Said { by: order.by, word }).await.map_err(|error| (IMPOSSIBLE, error))?;
    }
    Ok(Begun { run, me })
}

fn refusal(refused: &Refused) -> No {
    (UNCONFIRMED, format!("refused: {refused}"))
}

async fn spend(journal: &Journal, order: &Order, now: Timestamp) -> Result<bool, String> {
    let fail = |error: journal::JournalError| error.to_string();
    // A plan is good for one run, however often its token is shown; taking a run up is approved anew each time.
    let fresh = order.again.is_some() || journal.spend(&order.plan.digest(), &order.run, now).await.map_err(fail)?;
    Ok(journal.spend(order.answer.nonce(), &order.run, now).await.map_err(fail)? && fresh)
}

fn site<'c>(config: &'c Config, plan: &Plan) -> Result<Option<&'c SiteConfig>, No> {
    let Some(name) = &plan.site else { return Ok(config.sites.first().filter(|_| config.sites.len() == 1)) };
    let found = config.sites.iter().find(|site| site.id.0 == *name);
    found.map(Some).ok_or_else(|| (IMPOSSIBLE, format!("there is no site {name} in the configuration any more")))
}

/// Takes the target's lock; where a dead runner's children still hold it, and this order takes up that run, ends them.
async fn take(
    (state, own): (&Path, &Path),
    order: &Order,
    before: Option<&RunView>,
) -> Result<(TargetLock, Vec<String>), No> {
    let dir = Path::new(lock::DIR);
    let mut ended = Vec::new();
    for round in 0..ROUNDS {
        match TargetLock::take(dir, &order.plan.names()) {
            Ok(lock) => return Ok((lock, ended)),
            Err(LockTrouble::Nowhere(why)) => return Err((HELD, format!("nothing excludes others here: {why}"))),
            Err(LockTrouble::Held { target, file, holders, .. }) => {
                let holder = holder(state, &order.plan, &order.run).await;
                let Some(view) = before.filter(|_| holder.is_none() && round + 1 < ROUNDS) else {
                    let lines = holder.into_iter().chain(holders).collect::<Vec<_>>().join("\n  ");
                    return Err((HELD, format!("somebody else acts on {target}:\n  {lines}")));
                };
                let own = started(view, own);
                let file = std::slice::from_ref(&file);
                if lock::orphans(file).iter().all(|process| is_of(&own, view, process)) {
                    ended.extend(lock::end_orphans(file, GRACE).await);
                } else {
                    // One that is just becoming the program of a step has not noted itself yet.
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
    Err((HELD, "the lock can't be taken".to_owned()))
}

/// Who acts on the target, by the journals: a run that goes on, whose runner lives.
async fn holder(state: &Path, plan: &Plan, run: &str) -> Option<String> {
    let all = journal::runs(state).await.runs;
    let live = |view: &&RunView| {
        view.record.plan.shares(plan) && view.ended().is_none() && view.runner().is_some_and(process_id::lives)
    };
    let view = all.iter().find(live)?;
    let progress = view.progress();
    let at = progress.steps.iter().position(|state| !matches!(state, crate::runbook::run::StepState::Done(_)));
    let step = at.and_then(|at| {
        Some(format!("step {} of {}: {}", at + 1, view.record.plan.steps.len(), view.record.plan.steps.get(at)?.name))
    });
    let again = if view.record.id == run { "this run goes on: " } else { "" };
    Some(format!(
        "{again}{} since {} · {} · run {} · {}",
        view.record.by.whole(),
        utc(view.record.began),
        view.record.plan.title,
        view.record.id,
        step.unwrap_or_default()
    ))
}

/// The directory of this user's runs, which nobody else can write.
fn own(journal: &Journal) -> std::path::PathBuf {
    journal.path().parent().map(Path::to_owned).unwrap_or_default()
}

/// The time of day.
pub(super) fn utc(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%H:%M:%S UTC").to_string())
}

/// What of all the plan counts on is different now, in sentences.
async fn changed(plan: &Plan, site: Option<&SiteConfig>) -> Vec<String> {
    let looker = Looker::of(site);
    let mut out = Vec::new();
    for fact in &plan.facts {
        let now = looker.subject(&fact.of).await.unwrap_or_else(|why| format!("can't be seen: {why}"));
        if now != fact.was {
            out.push(format!("{}: was {}, is {now}", crate::runbook::plan::subject(&fact.of), fact.was));
        }
    }
    out
}
