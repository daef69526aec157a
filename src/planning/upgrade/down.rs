//! On the way back everything takes part, running or not: an upgrade that failed half-way has left worker and beat stopped,
//! web with the older code in memory, or has not brought it up again.

use std::os::unix::fs::MetadataExt as _;

use super::steps::step;
use super::{Draft, NoPlan, Step, Upgrade, no};
use crate::backends::journal;
use crate::backends::look::is_down;
use crate::config::{SiteConfig, StateDir};
use crate::domain::service::{Role, Service, State};
use crate::runbook::kept::RunView;
use crate::runbook::plan::Act;

/// Whether nothing of a service runs now: it is down, or waits to be tried once more.
pub(super) fn rests(service: &Service) -> bool {
    is_down(service) || (service.state == State::Restarting && service.pid.is_none())
}

impl Upgrade {
    /// Whether a service runs since before what is installed was written: it has the older code in memory.
    pub(super) fn older(&self, service: &Service) -> bool {
        let record = self.of.packages.join(self.mark(&self.of.version)).join("RECORD");
        let written = std::fs::metadata(record).map(|meta| meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000);
        service.started.zip(written.ok()).is_some_and(|(began, written)| began.as_millis() < written)
    }
}

impl Draft<'_> {
    /// Web, and what works behind it, running or not. What rests is started, and that is said.
    pub(super) async fn parts_back(&mut self, name: &str) -> Result<(Vec<Service>, Vec<Service>), NoPlan> {
        let all = self.all_parts().await?;
        if !all.iter().any(|service| service.role == Role::Web) {
            return Err(no(format!(
                "midwatch knows no web service of {name}, and what it can't restart goes on with the code it has: name it in \
                 midwatch.toml"
            )));
        }
        let resting: Vec<&str> = all.iter().filter(|s| rests(s)).map(|s| s.name.as_str()).collect();
        if !resting.is_empty() {
            self.costs.push(format!("What does not run now is started: {}.", resting.join(", ")));
        }
        Ok(all.into_iter().partition(|service| service.role == Role::Web))
    }

    /// Worker and beat are stopped, and so is a web that rests, should it have come up by then; one that runs serves on.
    /// `older`: whether it has the older code in memory already, and so keeps it when this is undone.
    pub(super) async fn stop_for_back(
        &mut self,
        (web, behind): (&[Service], &[Service]),
        older: impl Fn(&Service) -> bool,
        more: &str,
        written: &Step,
    ) -> Result<(), NoPlan> {
        for service in behind.iter().chain(web.iter().filter(|service| rests(service))) {
            self.stop(service, written).await?;
        }
        for service in web.iter().filter(|service| !rests(service)) {
            if older(service) {
                let note = format!(
                    "{} runs the older version still, which comes back below, and serves on until it is restarted: nobody may \
                     reload it meanwhile{more}",
                    service.name
                );
                self.steps.push(step(format!("{} serves on", service.name), Act::Note(note), 5, 0));
            } else {
                self.serve_on(std::slice::from_ref(service), "what it does now", more)?;
            }
        }
        Ok(())
    }

    /// The runs of a site that are on record, the newest first; nobody else's word is taken for where to go back to.
    pub(super) async fn recorded_runs(&self, site: &SiteConfig) -> Vec<RunView> {
        let StateDir::Directory(dir) = &self.ground.config.state else { return Vec::new() };
        let mut runs = journal::runs(dir).await.runs;
        let own = rustix::process::geteuid().as_raw();
        let taken = |owner: u32| [0, own].contains(&owner) && journal::trusted(&journal::path(dir, owner)).is_ok();
        runs.retain(|view| taken(view.owner) && view.record.plan.site.as_deref() == Some(site.id.0.as_str()));
        runs
    }
}
