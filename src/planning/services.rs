//! How a service is restarted, started, stopped, or forgiven, by who runs it.

mod crash;

use super::{Act, Choice, Command, Draft, NoPlan, PlannedStep, Probe, Step, Subject};
use crate::backends::look::{is_down, told};
use crate::backends::store::who;
use crate::config::{Listener, ServiceConfig, ServicePlace, Start, SupervisorPlace};
use crate::domain::service::{Role, Service, State};
use crate::runbook::plan::UpgradeAct;

/// Every service a runbook is for.
pub(super) const ALL: &str = "all";
/// How long a process may take to end after TERM before it is killed: gunicorn's own grace is 30 s, and a task that is
/// cut off is done again.
const PATIENCE_MS: u64 = 30_000;

/// What is done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Restart,
    Start,
    Reset,
    Stop,
}

pub(super) fn choices(services: &[Service], several: bool) -> Vec<Choice> {
    let label = |s: &Service| format!("{} · {} · {}", s.role.word(), s.manager.word(), s.state.word());
    let mut choices: Vec<_> = services.iter().map(|s| Choice { value: s.name.clone(), label: label(s) }).collect();
    if several && services.len() > 1 {
        let names: Vec<_> = services.iter().map(|s| s.name.as_str()).collect();
        choices.push(Choice { value: ALL.to_owned(), label: names.join(", ") });
    }
    choices
}

/// The service that is meant: by its name, or by its role where only one has it.
pub(super) fn named<'a>(services: &'a [Service], given: &'a str) -> &'a str {
    let mut of_role = services.iter().filter(|service| service.role.word() == given);
    match (services.iter().any(|service| service.name == given), of_role.next(), of_role.next()) {
        (false, Some(only), None) => &only.name,
        (_, _, _) => given,
    }
}

impl Draft<'_> {
    pub(super) async fn services(&mut self, service: &str, verb: Verb, step: &Step) -> Result<(), NoPlan> {
        let wanted = self.fill(service)?;
        let roles = [Role::Web, Role::Worker, Role::Beat];
        let mut chosen: Vec<Service> = self.looker.services().await.map_err(NoPlan::Impossible)?;
        chosen.retain(|s| if wanted == ALL { roles.contains(&s.role) } else { s.name == wanted });
        if chosen.is_empty() {
            return Err(NoPlan::Impossible(format!("there is no service {wanted}")));
        }
        self.down = Some(self.down.unwrap_or(true) && chosen.iter().all(is_down));
        for service in chosen {
            if verb != Verb::Reset {
                self.cost(&service, verb).await;
            }
            self.one(&service, verb, step).await?;
        }
        Ok(())
    }

    /// What it costs that this service is away.
    async fn cost(&mut self, service: &Service, verb: Verb) {
        if is_down(service) || verb == Verb::Start {
            return;
        }
        let cost = match service.role {
            Role::Web => "Requests under way are cut off, and new ones refused, until it is up again.".to_owned(),
            Role::Worker => {
                let broker = self.looker.queues().await.ok().and_then(|reading| reading.broker);
                let held = broker.and_then(|broker| broker.unacked);
                let held = held.map_or("an unknown number of".to_owned(), |n| n.to_string());
                self.at_risk.push(format!("{}: {held} tasks are taken and not yet done", service.name));
                "Tasks that are cut off are lost or done twice, as the task is written.".to_owned()
            }
            Role::Beat | Role::Periodic => "What is due while it is away starts late, or not at all.".to_owned(),
            Role::Database | Role::Redis | Role::Proxy | Role::Other => {
                "Everything that stands on it fails until it is up again.".to_owned()
            }
        };
        self.costs.push(format!("{}: {cost}", service.name));
    }

    async fn one(&mut self, service: &Service, verb: Verb, step: &Step) -> Result<(), NoPlan> {
        let configured = self.looker.configured(&service.name).map_err(NoPlan::Impossible)?.clone();
        self.count_on(Subject::Service(service.name.clone())).await?;
        let name = format!("{} {}", step.name, service.name);
        let seen = match verb {
            Verb::Restart => Some(Probe::Restarted { service: service.name.clone(), was: told(service) }),
            Verb::Start => Some(Probe::Runs(service.name.clone())),
            Verb::Stop => Some(Probe::Stopped(service.name.clone())),
            Verb::Reset => Some(Probe::Forgiven(service.name.clone())),
        };
        if let ServicePlace::Process { .. } = configured.place {
            return self.process(service, &configured, verb, (name, seen, step)).await;
        }
        let Some(act) = command(&configured.place, service, verb)? else { return Ok(()) };
        let mut planned = planned(name, Act::Command(act), seen.clone(), verb == Verb::Reset, step);
        if verb == Verb::Reset {
            planned.unless = seen;
        } else if verb == Verb::Stop {
            planned.unless = seen;
            planned.revert = command(&configured.place, service, Verb::Start)?.map(Act::Command);
        }
        self.steps.push(planned);
        Ok(())
    }

    /// A plain process: ended by signals, then started by its own program, or by who keeps it.
    async fn process(
        &mut self,
        service: &Service,
        configured: &ServiceConfig,
        verb: Verb,
        (name, seen, step): (String, Option<Probe>, &Step),
    ) -> Result<(), NoPlan> {
        if verb == Verb::Reset {
            return Ok(());
        }
        let Some(start) = &configured.start else {
            return Err(NoPlan::Impossible(format!(
                "{} is a plain process, and midwatch doesn't know what starts it again: write start = [\"/program\", …] or \
                 kept = true into [sites.{}.services.{}]",
                service.name,
                self.ground.site.map(|site| site.id.0.as_str()).unwrap_or_default(),
                service.name
            )));
        };
        if service.alike > 0 && matches!(verb, Verb::Restart | Verb::Stop) {
            return Err(NoPlan::Impossible(format!(
                "{} processes have the words by which {} is known ({}), and midwatch would have to guess which it may end: \
                 write process = \"…\", with words that only this one has, into [sites.{}.services.{}]",
                service.alike.saturating_add(1),
                service.name,
                service.place,
                self.ground.site.map(|site| site.id.0.as_str()).unwrap_or_default(),
                service.name
            )));
        }
        if (verb, start) == (Verb::Stop, &Start::Kept) {
            return Err(NoPlan::Impossible(format!(
                "{} can't be stopped by midwatch: whoever keeps it starts it again (kept = true); stop it there",
                service.name
            )));
        }
        let end = match service.pid {
            Some(pid) if matches!(verb, Verb::Restart | Verb::Stop) => {
                let was = self.count_on(Subject::Process(pid)).await?;
                let end = Act::End { pid, patience_ms: PATIENCE_MS, kill: true };
                Some(planned(format!("end {}", service.name), end, Some(Probe::Gone { pid, was }), true, step))
            }
            Some(_) | None => None,
        };
        let ServicePlace::Process { uid, .. } = configured.place else { return Ok(()) };
        let act = match start {
            Start::Command(argv) => {
                let user = Some(self.owner(service, uid)?);
                Act::Command(Command { argv: argv.clone(), user, leaves: true, ..Command::default() })
            }
            Start::Kept => Act::Wait(seen.clone().unwrap_or_else(|| Probe::Runs(service.name.clone()))),
        };
        if verb == Verb::Stop {
            // Whatever runs of it by then: who finds it gone in between may have started it.
            let halt = Act::Halt(service.name.clone());
            let halt = planned(name, halt, seen.clone(), true, step);
            // Nothing of it runs: then nothing is done, and nothing is to be undone.
            let unless = seen.filter(|_| end.is_none());
            self.steps.push(PlannedStep { unless, revert: Some(act), ..halt });
            return Ok(());
        }
        self.steps.extend(end);
        let repeatable = *start == Start::Kept;
        self.steps.push(planned(name, act, seen, repeatable, step));
        Ok(())
    }
}

impl Draft<'_> {
    /// What makes a service run anew whatever runs of it by then: the way back of a step that comes long after.
    pub(super) fn renewed(&self, service: &Service) -> Result<Option<Act>, NoPlan> {
        let configured = self.looker.configured(&service.name).map_err(NoPlan::Impossible)?;
        let ServicePlace::Process { uid, .. } = configured.place else {
            let restart = command(&configured.place, service, Verb::Restart)?;
            return Ok(restart.map(|restart| Act::Upgrade(UpgradeAct::InOrder(vec![restart]))));
        };
        let start = match &configured.start {
            Some(Start::Command(argv)) => {
                let user = Some(self.owner(service, uid)?);
                Some(Command { argv: argv.clone(), user, leaves: true, ..Command::default() })
            }
            Some(Start::Kept) | None => None,
        };
        Ok(Some(Act::Upgrade(UpgradeAct::Renew { service: service.name.clone(), start })))
    }

    /// As whom a plain process is started: who is configured, or who runs it now, or who ran it.
    pub(super) fn owner(&self, service: &Service, uid: Option<u32>) -> Result<String, NoPlan> {
        use std::os::unix::fs::MetadataExt;
        let seen = || std::fs::metadata(format!("/proc/{}", service.pid?)).ok().map(|meta| meta.uid());
        uid.or_else(seen).map(who::name).or_else(|| self.starts_as.clone()).ok_or_else(|| {
            let site = self.ground.site.map(|site| site.id.0.as_str()).unwrap_or_default();
            let name = &service.name;
            NoPlan::Impossible(format!(
                "as whom is {name} started? Write user = \"…\" into [sites.{site}.services.{name}]"
            ))
        })
    }
}

pub(super) fn planned(name: String, act: Act, verify: Option<Probe>, repeatable: bool, step: &Step) -> PlannedStep {
    PlannedStep {
        name,
        act,
        repeatable,
        verify,
        unless: None,
        revert: None,
        timeout_ms: step.timeout_ms,
        max_attempts: step.max_attempts,
        on_failure: step.on_failure,
        estimate_ms: step.estimate_ms,
    }
}

/// Where a supervisord listens, as supervisorctl is told it.
fn listens(at: &SupervisorPlace) -> String {
    match &at.listens {
        Listener::Unix(path) => format!("unix://{}", path.display()),
        Listener::Tcp(at) => format!("http://{at}"),
    }
}

/// The command of the service's manager; `None`: there is nothing to do.
fn command(place: &ServicePlace, service: &Service, verb: Verb) -> Result<Option<Command>, NoPlan> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (argv, user) = match place {
        ServicePlace::Unit { unit, user } => {
            let verb = match verb {
                Verb::Restart => "restart",
                Verb::Start => "start",
                Verb::Reset => "reset-failed",
                Verb::Stop => "stop",
            };
            let own = rustix::process::geteuid().as_raw();
            match user {
                None => (words(&["systemctl", "--no-ask-password", verb, unit]), Some("root".to_owned())),
                Some(of) if of.uid == own => (words(&["systemctl", "--user", verb, unit]), None),
                Some(of) => {
                    let machine = format!("--machine={}@.host", who::name(of.uid));
                    (words(&["systemctl", "--user", &machine, verb, unit]), Some("root".to_owned()))
                }
            }
        }
        ServicePlace::Compose { socket, .. } => {
            let host = format!("unix://{}", socket.display());
            match verb {
                Verb::Reset => return Ok(None),
                Verb::Restart => (words(&["docker", "--host", &host, "restart", "-t", "30", &service.place]), None),
                // One that is about to be started again counts as started: only a restart ends its waiting.
                Verb::Start if service.state == State::Restarting => {
                    (words(&["docker", "--host", &host, "restart", "-t", "30", &service.place]), None)
                }
                Verb::Start => (words(&["docker", "--host", &host, "start", &service.place]), None),
                Verb::Stop => (words(&["docker", "--host", &host, "stop", "-t", "30", &service.place]), None),
            }
        }
        ServicePlace::Supervisor { at, program } => {
            let verb = match verb {
                Verb::Reset => return Ok(None),
                Verb::Restart => "restart",
                Verb::Start => "start",
                Verb::Stop => "stop",
            };
            let server = listens(at);
            // Who needs a password has it in supervisord's own file, which supervisorctl reads: it is on no command line.
            (words(&["supervisorctl", "-s", &server, verb, program]), None)
        }
        ServicePlace::Process { .. } => return Ok(None),
    };
    if service.place.starts_with('-') {
        return Err(NoPlan::Impossible(format!("{} is no name to hand to a program", service.place)));
    }
    Ok(Some(Command { argv, user, ..Command::default() }))
}
