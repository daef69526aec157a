//! What is asked about a service that crashes again and again: what its log says, and whether it stays up.

use super::super::{Act, Command, Draft, NoPlan, PlannedStep, Probe, Step};
use super::{listens, planned};
use crate::config::ServicePlace;

/// For how long a service must have run to count as up: what crashes in a loop is seen running now and then, too.
const STEADY_S: u64 = 15;

impl Draft<'_> {
    /// Keeps what the service's log says, as its manager has it.
    pub(in super::super) async fn service_log(&mut self, service: &str, file: &str, step: &Step) -> Result<(), NoPlan> {
        let configured = self.looker.configured(service).map_err(NoPlan::Impossible)?;
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let argv = match &configured.place {
            ServicePlace::Unit { unit, user } => {
                let of = if user.is_some() { "--user-unit" } else { "--unit" };
                words(&["journalctl", "--no-pager", "-n", "500", "-o", "short-iso", of, unit])
            }
            ServicePlace::Compose { socket, .. } => {
                let host = format!("unix://{}", socket.display());
                let container = self.looker.service(service).await.map_err(NoPlan::Impossible)?.place;
                words(&["docker", "--host", &host, "logs", "--timestamps", "--tail", "500", "--", &container])
            }
            ServicePlace::Supervisor { at, program } => {
                words(&["supervisorctl", "-s", &listens(at), "tail", "-50000", program])
            }
            ServicePlace::Process { .. } => {
                let note = Act::Note(format!("{service} is a plain process: where it logs is its own affair"));
                self.steps.push(planned(step.name.clone(), note, None, true, step));
                return Ok(());
            }
        };
        let act = Act::Command(Command { argv, save: Some(file.to_owned()), ..Command::default() });
        self.steps.push(planned(step.name.clone(), act, None, true, step));
        Ok(())
    }

    /// Waits until the service has run for a while without a break.
    pub(in super::super) fn stays_up(&mut self, service: &str, step: &Step) -> Result<(), NoPlan> {
        self.looker.configured(service).map_err(NoPlan::Impossible)?;
        let wait = Act::Wait(Probe::Steady { service: service.to_owned(), seconds: STEADY_S });
        self.steps.push(PlannedStep { repeatable: true, ..planned(step.name.clone(), wait, None, true, step) });
        Ok(())
    }
}
