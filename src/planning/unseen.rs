//! What a runbook wants to be seen and can't be on this site: said in the plan instead of being counted as seen.

use super::{Act, Draft, PlannedStep, Probe};
use crate::config::SiteConfig;
use crate::domain::service::Role;

impl Draft<'_> {
    /// Steps that would look for a worker where none can be seen.
    pub(super) fn tell_unseen(&mut self) {
        let Some(why) = self.ground.site.and_then(no_queues) else { return };
        let mut steps = Vec::new();
        for mut step in std::mem::take(&mut self.steps) {
            if let Act::Wait(Probe::WorkerListens) | Act::Probe(Probe::WorkerListens) = step.act {
                step.act = why.clone();
            }
            let told = step.verify.take_if(|probe| *probe == Probe::WorkerListens).map(|_| PlannedStep {
                name: format!("a worker listens after {}", step.name),
                act: why.clone(),
                repeatable: true,
                unless: None,
                revert: None,
                ..step.clone()
            });
            steps.push(step);
            steps.extend(told);
        }
        self.steps = steps;
    }
}

/// What stands for a look at the workers where the queues can't be asked; `None`: they can.
fn no_queues(site: &SiteConfig) -> Option<Act> {
    let why = site.broker.as_ref().err()?;
    if site.services.iter().any(|service| service.role == Role::Worker) {
        return Some(Act::Unseen(why.clone()));
    }
    Some(Act::Note(format!("no worker is looked for: {why}")))
}
