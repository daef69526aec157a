//! Several acts of one step: each in turn, or all of them or none.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::runbook::plan::together::Turn;
use crate::runbook::plan::{Act, PlannedStep};
use crate::runbook::run::What;

/// How long it may take to undo what was done, whatever time the step has left.
const BACK: Duration = Duration::from_mins(3);

impl Run<'_> {
    /// Does each that is not done yet. Where one fails, it and those before it are undone: it is all of them or none.
    /// Found half done by who takes the run up, it is finished.
    pub(super) async fn together(
        &mut self,
        turns: &[Turn],
        step: &PlannedStep,
        at: (usize, u32),
        deadline: Instant,
    ) -> Result<Result<String, String>, String> {
        let mut told = Vec::new();
        for (n, turn) in turns.iter().enumerate() {
            if let Ok(how) = self.holds(&turn.done).await {
                told.push(how);
                continue;
            }
            match self.part(&turn.act, step, at, deadline).await? {
                Ok(how) => told.push(how),
                Err(why) => {
                    self.note(What::Note(format!("step {}: {why}; all of it is put back", at.0 + 1))).await?;
                    let back: Vec<Act> = turns.iter().take(n + 1).rev().map(|turn| turn.back.clone()).collect();
                    return Ok(match self.in_turn(&back, step, at, Instant::now() + BACK).await? {
                        Ok(_) => Err(format!("{why}; nothing of it is exchanged")),
                        Err(left) => Err(format!(
                            "{why}; and putting back what was done failed, too: {left}. Not all of it is \
                                                 exchanged: revert puts back what is left of it"
                        )),
                    });
                }
            }
        }
        Ok(Ok(told.join("; ")))
    }

    /// Does one after the other; the first that fails ends it.
    pub(super) async fn in_turn(
        &mut self,
        acts: &[Act],
        step: &PlannedStep,
        at: (usize, u32),
        deadline: Instant,
    ) -> Result<Result<String, String>, String> {
        let mut told = Vec::new();
        for act in acts {
            match self.part(act, step, at, deadline).await? {
                Ok(how) => told.push(how),
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Ok(told.join("; ")))
    }

    pub(super) async fn part(
        &mut self,
        act: &Act,
        step: &PlannedStep,
        at: (usize, u32),
        deadline: Instant,
    ) -> Result<Result<String, String>, String> {
        let part = PlannedStep { act: act.clone(), ..step.clone() };
        Box::pin(self.act(&part, at, deadline)).await
    }
}
