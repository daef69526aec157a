//! Whether a step was done whose runner is gone.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{LOOK, Run, SETTLE};
use crate::backends::look::NOT_YET;
use crate::runbook::plan::{Act, Probe, UpgradeAct, UpgradeProbe};
use crate::runbook::run::What;

impl Run<'_> {
    /// The runner was gone in the middle of this step: its probe says whether it was done.
    pub(super) async fn settle(&mut self, index: usize, attempt: u32) -> Result<(), String> {
        let Some(step) = self.plan.steps.get(index).cloned() else { return Ok(()) };
        let what = match &step.verify {
            // What it did was done: only its verification was cut off.
            Some(probe) if self.progress.acted(index) => {
                let deadline = Instant::now() + Duration::from_millis(step.timeout_ms);
                match self.verified(&step.act, probe, deadline).await? {
                    Ok(how) => What::Done { step: index, how: format!("it had been done: {how}"), verified: true },
                    Err(why) => What::Failed { step: index, attempt, why },
                }
            }
            // What ends whatever runs by then: done again it is sure to run what there is.
            Some(_) if matches!(step.act, Act::Upgrade(UpgradeAct::Renew { .. } | UpgradeAct::InOrder(_))) => {
                What::NotDone { step: index, how: "it is done again".to_owned() }
            }
            Some(probe) => match self.settled(probe).await? {
                Ok(how) => What::Done { step: index, how: format!("it had been done: {how}"), verified: true },
                Err(why) => What::NotDone { step: index, how: format!("it had not been done: {why}") },
            },
            None if step.repeatable => What::NotDone { step: index, how: "it may be done again".to_owned() },
            None => {
                let why = "its runner was gone in the middle of it, and nothing tells whether it was done: look, then \
                           retry or skip it";
                What::Failed { step: index, attempt: attempt.max(step.max_attempts), why: why.to_owned() }
            }
        };
        self.note(what).await.map(|_| ())
    }

    /// Whether a step was done that nobody knows of. What was begun may still be coming up, and a server may still recover;
    /// what that says once it answers, and what lies on the disk, holds at once: whatever worked on it was ended.
    async fn settled(&mut self, probe: &Probe) -> Result<Result<String, String>, String> {
        let deadline = Instant::now() + SETTLE;
        match probe {
            // What Compose was doing to containers it finds, and does to its end, when it is asked again.
            Probe::Files(_) | Probe::Drill(_) | Probe::Upgrade(UpgradeProbe::Image(_) | UpgradeProbe::Releases(_)) => {
                Ok(self.holds(probe).await)
            }
            Probe::Postgres(_) | Probe::Mysql(_) => loop {
                match self.holds(probe).await {
                    Err(why) if !why.starts_with(NOT_YET) && Instant::now() < deadline => sleep(LOOK).await,
                    told => return Ok(told),
                }
            },
            Probe::Runs(_)
            | Probe::Steady { .. }
            | Probe::Restarted { .. }
            | Probe::Stopped(_)
            | Probe::Forgiven(_)
            | Probe::Healthy
            | Probe::WorkerListens
            | Probe::Gone { .. }
            | Probe::SessionGone { .. }
            | Probe::Freed { .. }
            | Probe::Upgrade(
                UpgradeProbe::Lacks { .. } | UpgradeProbe::SchemaIs { .. } | UpgradeProbe::Running { .. },
            )
            | Probe::All(_)
            | Probe::Succeeds(_) => self.until(probe, deadline).await,
        }
    }
}
