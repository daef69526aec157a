//! A run at work: step after step, each written down before and after it is done.

mod settle;
mod together;
pub(super) mod wait;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::advisory::DatabaseLock;
use super::lock::TargetLock;
use super::{acts, cache, drill, files, mysql, postgres, space, tasks, upgrade};
use crate::backends::journal::{Journal, OutputBound};
use crate::backends::look::Looker;
use crate::config::SiteConfig;
use crate::domain::time::Timestamp;
use crate::runbook::approval::Permit;
use crate::runbook::kept::Printed;
use crate::runbook::plan::drill::DrillAct;
use crate::runbook::plan::mysql::MysqlAct;
use crate::runbook::plan::postgres::PostgresAct;
use crate::runbook::plan::{Act, Plan, PlannedStep, Probe, Subject, UpgradeAct, subject};
use crate::runbook::run::{Next, Outcome, Progress, StepState, What, Word};
use crate::runbook::spec::Risk;

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(700);
/// How often operators' words are looked for.
const LISTEN: Duration = Duration::from_millis(200);
/// For how long a probe is asked that settles a step nobody knows of: what was begun may still be coming up.
const SETTLE: Duration = Duration::from_secs(15);

/// What a run works with.
pub(super) struct Tools<'c> {
    pub(super) site: Option<&'c SiteConfig>,
    pub(super) looker: Looker<'c>,
    pub(super) permit: Permit,
    pub(super) lock: TargetLock,
    /// The lock in the site's database, where it has one.
    pub(super) database: Option<DatabaseLock>,
    pub(super) state: PathBuf,
    /// The state directory all share, where what was proven of backups is remembered.
    pub(super) memory: PathBuf,
    pub(super) now: fn() -> Timestamp,
}

/// One run.
pub(super) struct Run<'c> {
    pub(super) id: String,
    pub(super) plan: Plan,
    pub(super) journal: Arc<Journal>,
    pub(super) tools: Arc<Tools<'c>>,
    pub(super) progress: Progress,
    heard: u64,
    bound: OutputBound,
    told_full: bool,
    stop: watch::Sender<bool>,
}

/// Why nothing that destroys is begun.
const FULL: &str = "the disk of the state directory is full";

/// Whether a step can't be taken back, so that it must be on record for good. Services may be started and stopped, and a
/// deleted file that takes the disk's space may be emptied.
pub(super) fn destroys(plan: &Plan, step: &PlannedStep) -> bool {
    let destroys = match &step.act {
        Act::Probe(_)
        | Act::Wait(_)
        | Act::Ask(_)
        | Act::Note(_)
        | Act::Unseen(_)
        | Act::End { .. }
        | Act::Session { .. }
        | Act::Halt(_)
        | Act::Upgrade(UpgradeAct::Renew { .. })
        | Act::Empty(_) => false,
        Act::Command(_) | Act::Upgrade(UpgradeAct::InOrder(_)) => {
            let service = |probe: &Probe| matches!(probe, Probe::Runs(_) | Probe::Restarted { .. } | Probe::Stopped(_));
            !step.verify.as_ref().is_some_and(service)
        }
        Act::Postgres(_)
        | Act::Mysql(_)
        | Act::Forget(_)
        | Act::Tasks(_)
        | Act::Upgrade(
            UpgradeAct::MigrateOther { .. } | UpgradeAct::Again(_) | UpgradeAct::Retag(_) | UpgradeAct::Releases(_),
        )
        | Act::Files(_)
        | Act::Drill(_)
        | Act::Together(_)
        | Act::InTurn(_) => true,
    };
    plan.risk == Risk::Destructive && destroys
}

/// What of a way back comes first and only looks.
fn looks_first(act: &Act) -> &[Act] {
    let looks = |act: &&Act| matches!(act, Act::Probe(_) | Act::Wait(_));
    if let Act::InTurn(acts) = act {
        return acts.get(..acts.iter().take_while(looks).count()).unwrap_or_default();
    }
    if looks(&act) { std::slice::from_ref(act) } else { &[] }
}

impl<'c> Run<'c> {
    pub(super) fn new(id: String, plan: Plan, journal: Arc<Journal>, (tools, progress): (Tools<'c>, Progress)) -> Self {
        let bound = OutputBound::after(0);
        let tools = Arc::new(tools);
        Self { id, plan, journal, tools, progress, heard: 0, bound, told_full: false, stop: watch::Sender::new(false) }
    }

    /// Writes down what has happened; on the disk when it returns.
    pub(super) async fn note(&mut self, what: What) -> Result<u64, String> {
        let entry =
            self.journal.append(&self.id, (self.tools.now)(), &what).await.map_err(|error| error.to_string())?;
        self.progress.take(&what);
        Ok(entry.seq)
    }

    /// Passes over what operators have said so far.
    pub(super) async fn deaf_to_what_was(&mut self) -> Result<(), String> {
        let spoken = self.journal.words_after(&self.id, 0).await.map_err(|error| error.to_string())?;
        self.heard = spoken.last().map_or(0, |said| said.seq);
        Ok(())
    }

    /// Works until the run is over. What can't be written down is not done.
    pub(super) async fn work(&mut self) -> Outcome {
        if let Ok(kept) = self.journal.output_kept(&self.id).await {
            self.bound = OutputBound::after(kept);
        }
        let worked = self.steps().await;
        let (outcome, left) = match worked {
            Ok(outcome) => (outcome, self.left(outcome)),
            Err(why) => (Outcome::Failed, format!("the journal could not be written, so nothing more was done: {why}")),
        };
        if let Err(why) = self.note(What::Ended { outcome, left }).await {
            tracing::error!(%why, "the end of the run could not be written down");
        }
        outcome
    }

    async fn steps(&mut self) -> Result<Outcome, String> {
        loop {
            self.listen().await?;
            match self.progress.next(&self.plan) {
                Next::End(outcome) => return Ok(outcome),
                Next::Do(step, attempt) => self.step(step, attempt).await?,
                Next::Settle(step, attempt) => self.settle(step, attempt).await?,
                Next::Undo(step) => {
                    if !self.undo(step).await? {
                        return Ok(Outcome::Failed);
                    }
                }
            }
        }
    }

    /// Says once that the journal lives on its last room.
    async fn tell_of_full_disk(&mut self) -> Result<(), String> {
        if self.journal.tight() && !std::mem::replace(&mut self.told_full, true) {
            let what =
                format!("{FULL}: the journal goes on in the room that was kept for it; output is no longer kept");
            self.note(What::Note(what)).await?;
        }
        Ok(())
    }

    /// Takes in what operators have said.
    async fn listen(&mut self) -> Result<(), String> {
        let spoken = self.journal.words_after(&self.id, self.heard).await.map_err(|error| error.to_string())?;
        for said in spoken {
            self.heard = said.seq;
            if said.word == Word::StopNow {
                self.stop.send_replace(true);
            }
            self.note(What::Said { by: said.by, word: said.word }).await?;
        }
        Ok(())
    }

    async fn step(&mut self, index: usize, attempt: u32) -> Result<(), String> {
        let Some(step) = self.plan.steps.get(index).cloned() else { return Ok(()) };
        let deadline = Instant::now() + Duration::from_millis(step.timeout_ms);
        if let Some(probe) = &step.unless
            && let Ok(how) = self.holds(probe).await
        {
            self.note(What::Spared { step: index, how }).await?;
            return Ok(());
        }
        self.note(What::Intended { step: index, attempt }).await?;
        self.tell_of_full_disk().await?;
        if self.journal.tight() && destroys(&self.plan, &step) {
            let why = format!("nothing was done: {FULL}, and this can't be undone: make room, then retry it");
            self.note(What::Failed { step: index, attempt, why }).await?;
            return Ok(());
        }
        let acted = self.act(&step, (index, attempt), deadline).await?;
        let how = match acted {
            Ok(how) => how,
            Err(why) => {
                self.note(What::Failed { step: index, attempt, why }).await?;
                return Ok(());
            }
        };
        self.note(What::Acted { step: index, how: how.clone() }).await?;
        let done = match &step.verify {
            None => Ok((how, matches!(step.act, Act::Probe(_) | Act::Wait(_)))),
            Some(probe) => self.verified(&step.act, probe, deadline).await?.map(|how| (how, true)),
        };
        match done {
            Ok((how, verified)) => self.note(What::Done { step: index, how, verified }).await?,
            Err(why) => self.note(What::Failed { step: index, attempt, why }).await?,
        };
        Ok(())
    }

    async fn act(
        &mut self,
        step: &PlannedStep,
        at: (usize, u32),
        deadline: Instant,
    ) -> Result<Result<String, String>, String> {
        match &step.act {
            Act::Note(text) => Ok(Ok(text.clone())),
            Act::Unseen(why) => Ok(Ok(format!("not verified, for it can't be seen from here: {why}"))),
            Act::Probe(probe) => Ok(self.holds(probe).await),
            Act::Wait(probe) => self.until(probe, deadline).await,
            Act::Ask(question) => {
                self.note(What::Asked { step: at.0, question: question.clone() }).await?;
                self.answered().await
            }
            Act::Command(command) => {
                if let Some(changed) = self.moved(false).await {
                    return Ok(Err(changed));
                }
                let (sender, receiver) = mpsc::channel(64);
                let (tools, run) = (Arc::clone(&self.tools), self.id.clone());
                let told = acts::command(&tools, (&run, command), at, (deadline, self.stop.subscribe()), sender);
                self.while_heard(told, receiver).await
            }
            Act::End { pid, patience_ms, kill } => {
                let was = self.plan.facts.iter().find(|fact| fact.of == Subject::Process(*pid));
                let was = was.map(|fact| fact.was.clone()).unwrap_or_default();
                Ok(acts::end(&self.tools.permit, (*pid, &was), Duration::from_millis(*patience_ms), *kill).await)
            }
            Act::Upgrade(act) => {
                if let Some(changed) = self.moved(false).await {
                    return Ok(Err(changed));
                }
                let (sender, receiver) = mpsc::channel(64);
                let (tools, run) = (Arc::clone(&self.tools), self.id.clone());
                let told = upgrade::act(&tools, (&run, act), at, (deadline, self.stop.subscribe()), sender);
                let told = Box::pin(told);
                self.while_heard(told, receiver).await
            }
            Act::Files(act) => {
                let (signs, receiver) = mpsc::channel(64);
                let (tools, run) = (Arc::clone(&self.tools), self.id.clone());
                let at = files::At { run: &run, step: at, deadline, stop: self.stop.subscribe(), signs };
                let told = Box::pin(files::act(&tools, act, at));
                self.while_heard(told, receiver).await
            }
            Act::Drill(act) => {
                let reads = matches!(**act, DrillAct::Prove { .. });
                if let Some(changed) = self.moved(true).await.filter(|_| reads) {
                    return Ok(Err(changed));
                }
                let (signs, receiver) = mpsc::channel(64);
                let (tools, run) = (Arc::clone(&self.tools), self.id.clone());
                let at = files::At { run: &run, step: at, deadline, stop: self.stop.subscribe(), signs };
                let told = Box::pin(drill::act(&tools, act, at));
                self.while_heard(told, receiver).await
            }
            Act::Session { pid, was, terminate } => Ok(acts::session(&self.tools, (*pid, was), *terminate).await),
            Act::Postgres(act) => {
                let reads = matches!(**act, PostgresAct::Load(..) | PostgresAct::Unpack { .. });
                if let Some(changed) = self.moved(true).await.filter(|_| reads) {
                    return Ok(Err(changed));
                }
                if let Some(Err(lost)) = self.kept().await {
                    return Ok(Err(lost));
                }
                let (sender, receiver) = mpsc::channel(64);
                let (tools, run) = (Arc::clone(&self.tools), self.id.clone());
                let told = postgres::act(&tools, (&run, act), at, (deadline, self.stop.subscribe()), sender);
                let told = Box::pin(told);
                self.while_heard(told, receiver).await
            }
            Act::Empty(file) => match self.moved(false).await {
                Some(changed) => Ok(Err(changed)),
                None => Ok(space::empty(&self.tools.permit, file)),
            },
            Act::Mysql(act) => {
                let reads = matches!(**act, MysqlAct::Load(..) | MysqlAct::Unpack { .. });
                if let Some(changed) = self.moved(true).await.filter(|_| reads) {
                    return Ok(Err(changed));
                }
                if let Some(Err(lost)) = self.kept().await {
                    return Ok(Err(lost));
                }
                let (signs, receiver) = mpsc::channel(64);
                let (tools, run) = (Arc::clone(&self.tools), self.id.clone());
                let at = files::At { run: &run, step: at, deadline, stop: self.stop.subscribe(), signs };
                let told = Box::pin(mysql::act(&tools, act, at));
                self.while_heard(told, receiver).await
            }
            Act::Tasks(act) => Ok(Box::pin(tasks::act(&self.tools, act)).await),
            Act::Forget(prefix) => Ok(cache::forget(&self.tools, prefix).await),
            Act::Halt(service) => Ok(acts::halt(&self.tools, service).await),
            Act::Together(turns) => self.together(turns, step, at, deadline).await,
            Act::InTurn(acts) => self.in_turn(acts, step, at, deadline).await,
        }
    }

    /// Whether the lock in the database is still held; `None`: there is none.
    async fn kept(&self) -> Option<Result<(), String>> {
        match &self.tools.database {
            Some(lock) => Some(Box::pin(lock.kept()).await),
            None => None,
        }
    }

    /// What a program of the plan is about to touch (or reads, where it `reads` a backup) and is no longer what was seen, in a sentence. A run may be taken up
    /// hours later, when a number belongs to another process.
    async fn moved(&self, reads: bool) -> Option<String> {
        for fact in &self.plan.facts {
            let touched = matches!(fact.of, Subject::Descriptor(..) | Subject::File(_));
            if touched || (reads && matches!(fact.of, Subject::Source(_))) {
                let now = self.tools.looker.subject(&fact.of).await.unwrap_or_else(|why| why);
                if now != fact.was {
                    return Some(format!("nothing was done: {} was {}, is {now}", subject(&fact.of), fact.was));
                }
            }
        }
        None
    }

    /// Carries out what takes long while its output is written down and operators are listened to.
    async fn while_heard(
        &mut self,
        work: impl Future<Output = Result<String, String>>,
        mut receiver: mpsc::Receiver<acts::Sign>,
    ) -> Result<Result<String, String>, String> {
        let mut work = std::pin::pin!(work);
        let mut listen = tokio::time::interval(LISTEN);
        let mut trouble = None;
        let ended = loop {
            let noted = tokio::select! {
                biased;
                ended = &mut work => break ended,
                _ = listen.tick() => self.listen().await,
                Some(sign) = receiver.recv() => self.sign(sign).await,
            };
            // What can't be written down is ended, and waited for: nothing is left working behind a run that is over.
            if let Err(why) = noted {
                trouble.get_or_insert(why);
                self.stop.send_replace(true);
            }
        };
        if let Some(why) = trouble {
            return Err(why);
        }
        while let Ok(sign) = receiver.try_recv() {
            self.sign(sign).await?;
        }
        let rest = self.bound.end_step();
        self.printed(&rest).await?;
        Ok(ended)
    }

    async fn sign(&mut self, sign: acts::Sign) -> Result<(), String> {
        match sign {
            acts::Sign::Started(step, attempt, child) => {
                self.note(What::Started { step, attempt, child }).await.map(|_| ())
            }
            acts::Sign::Printed(printed) => {
                let rows = self.bound.take(printed);
                self.printed(&rows).await
            }
            acts::Sign::Passed(printed, bytes, lines) => {
                let rows = self.bound.pass(&printed, bytes, lines);
                self.printed(&rows).await
            }
            acts::Sign::Note(text) => self.note(What::Note(text)).await.map(|_| ()),
        }
    }

    async fn printed(&mut self, rows: &[Printed]) -> Result<(), String> {
        if rows.is_empty() {
            return Ok(());
        }
        self.journal.output(&self.id, rows).await.map(|_| ()).map_err(|error| error.to_string())
    }

    async fn answered(&mut self) -> Result<Result<String, String>, String> {
        loop {
            self.listen().await?;
            if *self.stop.borrow() || self.progress.stopping {
                return Ok(Err("stopped instead of answered".to_owned()));
            }
            match self.progress.answer {
                Some(true) => return Ok(Ok("yes".to_owned())),
                Some(false) => return Ok(Err("the operator said no".to_owned())),
                None => sleep(LISTEN).await,
            }
        }
    }

    async fn holds(&self, probe: &Probe) -> Result<String, String> {
        if let Probe::Succeeds(command) = probe {
            return acts::succeeds(&self.tools, (&self.id, command)).await;
        }
        if let Probe::Upgrade(probe) = probe
            && let Some(held) = upgrade::holds(&self.tools, &self.id, probe).await
        {
            return held;
        }
        self.tools.looker.holds(probe).await
    }

    /// Undoes a step. A way back may be begun twice: it is written so that it finds what is left to do.
    async fn undo(&mut self, index: usize) -> Result<bool, String> {
        let Some(step) = self.plan.steps.get(index).cloned() else { return Ok(false) };
        let Some(act) = step.revert.clone() else { return Ok(false) };
        // What was stopped may have been started again by a later step: never twice. With other code on disk than it has
        // in memory it has to run anew all the same.
        if !matches!(act, Act::Upgrade(_))
            && let Some(Probe::Stopped(service)) = &step.verify
            && let Ok(how) = self.holds(&Probe::Runs(service.clone())).await
        {
            self.note(What::Reverted { step: index, how: format!("it runs already: {how}") }).await?;
            return Ok(true);
        }
        let deadline = Instant::now() + Duration::from_millis(step.timeout_ms);
        // What only looks has changed nothing where it refuses: the run can still go on.
        for look in looks_first(&act) {
            if let Err(why) = self.part(look, &step, (index, 0), deadline).await? {
                self.note(What::Note(format!("the way back of step {} failed: {why}", index + 1))).await?;
                return Ok(false);
            }
        }
        self.note(What::Undoing { step: index }).await?;
        let way_back = PlannedStep { act, ..step };
        match self.act(&way_back, (index, 0), deadline).await? {
            Ok(how) => {
                self.note(What::Reverted { step: index, how }).await?;
                Ok(true)
            }
            Err(why) => {
                self.note(What::Note(format!("the way back of step {} failed: {why}", index + 1))).await?;
                Ok(false)
            }
        }
    }

    /// What should have been seen and could not be, as the end of a sentence.
    fn unseen(&self) -> String {
        let unseen = |step: &&PlannedStep| matches!(step.act, Act::Unseen(_));
        let names: Vec<String> = self.plan.steps.iter().filter(unseen).map(|step| format!("`{}`", step.name)).collect();
        if names.is_empty() {
            return String::new();
        }
        format!("; not verified, for it can't be seen from here: {}", names.join(", "))
    }

    /// The state it leaves, in a sentence.
    fn left(&self, outcome: Outcome) -> String {
        let of = self.plan.steps.len();
        let done = self.progress.steps.iter().filter(|state| matches!(state, StepState::Done(_))).count();
        let failed = self.plan.steps.iter().zip(&self.progress.steps).find_map(|(step, state)| match state {
            StepState::Failed(_, why) => Some(format!("`{}` failed: {why}", step.name)),
            StepState::Waiting
            | StepState::Begun(_)
            | StepState::Done(_)
            | StepState::Skipped
            | StepState::Reverted => None,
        });
        let failed = failed.map(|why| format!("; {why}")).unwrap_or_default();
        match outcome {
            Outcome::Done => format!("all {of} steps are done{}", self.unseen()),
            Outcome::Unverified => format!("{done} of {of} steps are done{failed}"),
            Outcome::Failed | Outcome::Refused => format!("{done} of {of} steps are done{failed}; nothing was undone"),
            Outcome::Cancelled => format!("stopped by the operator: {done} of {of} steps are done{failed}"),
            Outcome::Reverted => "what could be undone was undone".to_owned(),
        }
    }
}
