//! Space that deleted files take.

use super::{Draft, NoPlan, values};
use crate::backends::look::files::opened;
use crate::runbook::plan::{Act, OpenFile, PlannedStep, Probe, Subject};
use crate::runbook::spec::Step;

impl Draft<'_> {
    /// Empties a deleted log that a process holds open.
    pub(super) async fn empty_log(&mut self, log: &str, step: &Step) -> Result<(), NoPlan> {
        let (pid, fd) = values::descriptor(log).map_err(NoPlan::Impossible)?;
        self.count_on(Subject::Descriptor(pid, fd)).await?;
        let inode = opened(pid, fd).map_err(NoPlan::Impossible)?;
        self.steps.push(PlannedStep {
            name: self.fill(&step.name)?,
            act: Act::Empty(OpenFile { pid, fd, inode }),
            repeatable: true,
            verify: Some(Probe::Freed { pid, fd }),
            unless: None,
            revert: None,
            timeout_ms: step.timeout_ms,
            max_attempts: step.max_attempts,
            on_failure: step.on_failure,
            estimate_ms: step.estimate_ms,
        });
        Ok(())
    }
}
