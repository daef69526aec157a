//! From a runbook and what the operator chose to a plan: looks everything up, decides, changes nothing.

mod catalogue;
mod files;
mod identity;
mod privileges;
mod restore;
mod services;
mod space;
mod tasks;
mod unseen;
mod upgrade;
mod values;

use std::collections::BTreeMap;

use crate::backends::contained;
use crate::backends::look::Looker;
use crate::backends::process_id;
use crate::backends::store::who;
use crate::config::{Config, SiteConfig, StateDir};
use crate::domain::time::Timestamp;
use crate::runbook::plan::{Act, Command, Confirm, Fact, HostCard, Plan, PlannedStep, Probe, SCHEMA, Subject};
use crate::runbook::spec::{Does, Holds, Risk, Runbook, Step};
use crate::runbook::template::{Values, fill};

/// The choice of `restore-database` by which an older backup is not migrated.
const AS_IT_WAS: &str = "as-it-was";

pub use catalogue::{Broken, Catalogue};
pub use values::Choice;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// A parameter has no value; these could be given.
    #[error("{0} ({1}) has to be given{choices}", choices = listed(.2))]
    Missing(String, String, Vec<Choice>),
    /// A value can't be used; these can.
    #[error("{0} = {1}: {2}{choices}", choices = listed(.3))]
    Wrong(String, String, String, Vec<Choice>),
    /// Such a parameter there is not.
    #[error("the runbook has no parameter `{0}`; it has {1}")]
    Unknown(String, String),
    /// Such a runbook or site there is not.
    #[error("{0}")]
    Unheard(String),
    /// It can't be done now, or not by midwatch, or not by this user.
    #[error("{0}")]
    Impossible(String),
}

fn listed(choices: &[Choice]) -> String {
    if choices.is_empty() {
        return String::new();
    }
    let lines: Vec<String> =
        choices.iter().map(|choice| format!("\n  {:<16} {}", choice.value, choice.label)).collect();
    format!(". There are:{}", lines.concat())
}

/// What a plan is made from besides the runbook.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'c> {
    /// The configuration.
    pub config: &'c Config,
    /// The site it is for; `None`: the host.
    pub site: Option<&'c SiteConfig>,
    /// The moment it is made, or for a token: was made.
    pub made: Timestamp,
}

/// A plan in the making.
struct Draft<'c> {
    ground: Ground<'c>,
    looker: Looker<'c>,
    values: Values,
    facts: Vec<Fact>,
    steps: Vec<PlannedStep>,
    costs: Vec<String>,
    at_risk: Vec<String>,
    /// The way back, where the runbook's own words don't say it all.
    way_back: Option<String>,
    /// What has to be typed besides the usual, where that is something of its own.
    typed: Option<String>,
    /// Whether all services it touches are down anyway; `None`: it touches none.
    down: Option<bool>,
    /// As whom a plain process is started that does not run, where its table doesn't say; `None`: that is not known.
    starts_as: Option<String>,
}

/// Makes the plan.
///
/// # Errors
/// Why there is none: a value that is missing, wrong, or not possible now.
pub async fn plan(runbook: &Runbook, given: &BTreeMap<String, String>, ground: Ground<'_>) -> Result<Plan, NoPlan> {
    if !runbook.host && ground.site.is_none() {
        return Err(NoPlan::Impossible(format!("{} acts on a site: name one with --site", runbook.id)));
    }
    if let Some(name) = given.keys().find(|name| !runbook.parameters.iter().any(|p| p.name == **name)) {
        let known: Vec<_> = runbook.parameters.iter().map(|p| p.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(NoPlan::Unknown(name.clone(), known));
    }
    let site = ground.site.filter(|_| !runbook.host);
    same_container(site).await?;
    let mut draft = Draft {
        ground,
        looker: Looker::of(ground.site),
        values: values::given(runbook, ground),
        facts: Vec::new(),
        steps: Vec::new(),
        costs: Vec::new(),
        at_risk: Vec::new(),
        way_back: None,
        typed: None,
        down: None,
        starts_as: None,
    };
    for parameter in &runbook.parameters {
        let value = given.get(&parameter.name).or(parameter.default.as_ref());
        draft.parameter(parameter, value).await?;
    }
    for step in &runbook.steps {
        draft.step(step).await?;
    }
    draft.tell_unseen();
    // Who only looks may run nothing anyway.
    if !ground.config.read_only {
        privileges::proven(&draft.steps, draft.looker).await?;
    }
    let parameters =
        runbook.parameters.iter().filter_map(|p| Some((p.name.clone(), draft.values.get(&p.name)?.clone())));
    let mut costs = Vec::new();
    for cost in &runbook.costs {
        costs.push(draft.fill(cost)?);
    }
    costs.append(&mut draft.costs);
    let host = process_id::host(&ground.config.host.0);
    let mut names = identity::names(&host, site);
    let usual = confirm(runbook.risk, draft.down == Some(true), &host, site, &draft.values);
    let confirm = match (draft.typed.take(), usual) {
        (Some(word), Confirm::Type(usual)) => Confirm::Type(format!("{usual} {word}")),
        (Some(word), Confirm::Yes | Confirm::Nothing) => Confirm::Type(word),
        (None, usual) => usual,
    };
    Ok(Plan {
        schema: SCHEMA,
        made: ground.made,
        runbook: runbook.id.clone(),
        title: draft.fill(&runbook.title)?,
        risk: runbook.risk,
        user: who::user(),
        site: site.map(|site| site.id.0.clone()),
        target: names.remove(0),
        also: names,
        parameters: parameters.collect(),
        costs,
        at_risk: draft.at_risk.clone(),
        way_back: match draft.way_back.take() {
            Some(way_back) => way_back,
            None => draft.fill(&runbook.way_back)?,
        },
        facts: draft.facts,
        steps: draft.steps,
        confirm,
        past_ms: Vec::new(),
        host,
    })
}

/// A plan names the address that was found when midwatch began; the container may have been made anew since.
async fn same_container(site: Option<&SiteConfig>) -> Result<(), NoPlan> {
    let database = site.and_then(|site| site.database.as_ref().ok());
    let Some((database, container)) = database.and_then(|found| Some((found, found.container.as_ref()?))) else {
        return Ok(());
    };
    match contained::address(container).await {
        Ok(now) if now != database.host => Err(NoPlan::Impossible(format!(
            "the database's container {container} was made anew since midwatch began, and has another address ({}, now \
             {now}): leave midwatch and start it again",
            database.host
        ))),
        // One that is down has none: what needs it says so itself.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn confirm(risk: Risk, down: bool, host: &HostCard, site: Option<&SiteConfig>, values: &Values) -> Confirm {
    match risk {
        Risk::Observe => Confirm::Nothing,
        Risk::Reversible => Confirm::Yes,
        Risk::Interrupts if down => Confirm::Yes,
        Risk::Interrupts => {
            let service = values.get("service").filter(|service| *service != services::ALL).cloned();
            let name = service.or_else(|| site.map(|site| site.id.0.clone()));
            Confirm::Type(name.unwrap_or_else(|| host.name.clone()))
        }
        Risk::Destructive => match site {
            Some(site) => Confirm::Type(format!("{}/{}", host.name, site.id)),
            None => Confirm::Type(host.name.clone()),
        },
    }
}

impl Draft<'_> {
    fn fill(&self, text: &str) -> Result<String, NoPlan> {
        fill(text, &self.values).map_err(|error| NoPlan::Impossible(error.to_string()))
    }

    fn words(&self, words: &[String]) -> Result<Vec<String>, NoPlan> {
        words.iter().map(|word| self.fill(word)).collect()
    }

    /// Notes what something is now, for it must still be so when the run begins.
    async fn count_on(&mut self, of: Subject) -> Result<String, NoPlan> {
        let was = self.looker.subject(&of).await.map_err(NoPlan::Impossible)?;
        if !self.facts.iter().any(|fact| fact.of == of) {
            self.facts.push(Fact { of, was: was.clone() });
        }
        Ok(was)
    }

    async fn step(&mut self, step: &Step) -> Result<(), NoPlan> {
        let name = self.fill(&step.name)?;
        let command = |argv: Vec<String>, save: Option<String>| Command {
            argv,
            user: step.user.clone(),
            save,
            exits: step.exits.clone(),
            leaves: step.leaves,
            ..Command::default()
        };
        let act = match &step.does {
            Does::Run(words) => {
                let save = step.save.as_ref().map(|save| self.fill(save)).transpose()?;
                Act::Command(command(self.words(words)?, save))
            }
            Does::Probe(holds) => Act::Probe(self.probe(holds).await?),
            Does::Wait(holds) => Act::Wait(self.probe(holds).await?),
            Does::Ask(text) => Act::Ask(self.fill(text)?),
            Does::Note(text) => Act::Note(self.fill(text)?),
            Does::Restart(service) => return self.services(service, services::Verb::Restart, step).await,
            Does::Start(service) => return self.services(service, services::Verb::Start, step).await,
            Does::Reset(service) => return self.services(service, services::Verb::Reset, step).await,
            Does::Stop(service) => return self.services(service, services::Verb::Stop, step).await,
            Does::Own(name, with) => {
                let mut given = BTreeMap::new();
                for (key, value) in with {
                    given.insert(key.as_str(), self.fill(value)?);
                }
                return self.own(name, &given, step).await;
            }
            Does::Cancel(session) => self.session(session, false).await?,
            Does::Terminate(session) => self.session(session, true).await?,
        };
        let looks = matches!(act, Act::Probe(_) | Act::Wait(_) | Act::Note(_) | Act::Ask(_));
        let planned = PlannedStep {
            name,
            act,
            repeatable: step.repeatable || looks,
            verify: self.maybe(step.verify.as_ref()).await?,
            unless: self.maybe(step.unless.as_ref()).await?,
            revert: match &step.revert {
                Some(words) => Some(Act::Command(command(self.words(words)?, None))),
                None => None,
            },
            timeout_ms: step.timeout_ms,
            max_attempts: step.max_attempts,
            on_failure: step.on_failure,
            estimate_ms: step.estimate_ms,
        };
        self.steps.push(planned);
        Ok(())
    }

    /// Something of midwatch's own ([`crate::runbook::spec::OWN`]), in as many steps as it takes.
    async fn own(&mut self, name: &str, given: &BTreeMap<&str, String>, step: &Step) -> Result<(), NoPlan> {
        let value = |key: &str| given.get(key).map(String::as_str).unwrap_or_default();
        match name {
            "restore-database" => self.restore_database((value("backup"), value("older") == AS_IT_WAS), step).await,
            "restore-in-place" => self.restore_in_place((value("backup"), value("directory")), step).await,
            "prove-backup" => self.prove_backup(value("backup"), step).await,
            "swap-back" => self.swap_back(value("held"), step).await,
            "release-held" => self.release_held(value("held"), step).await,
            "undo-upgrade" => Box::pin(self.undo_upgrade(None, step)).await,
            "undo-upgrade-and-restore" => Box::pin(self.undo_upgrade(Some(value("backup")), step)).await,
            "upgrade" => Box::pin(self.upgrade((value("version"), value("wheels")), step)).await,
            "upgrade-from-git" => Box::pin(self.upgrade_from_git((value("commit"), value("repository")), step)).await,
            "restore-files" => self.restore_files(value("backup"), value("directory"), step).await,
            "rotate-backups" => self.rotate_backups(value("directory"), step).await,
            "take-backup" => self.take_backup(value("directory"), step).await,
            "restore-point" => self.restore_point((value("backup"), value("files"), value("directory")), step).await,
            "swap-back-point" => self.swap_back_point(value("held"), step).await,
            "swap-back-file" => self.swap_back_file(value("held"), step).await,
            "release-held-file" => self.release_file(value("held"), step).await,
            "give-back-tasks" => self.give_back_tasks(value("parked")).await,
            "drop-tasks" => self.drop_parked(value("parked")).await,
            "service-log" => self.service_log(value("service"), value("file"), step).await,
            "service-stays-up" => self.stays_up(value("service"), step),
            "empty-log" => self.empty_log(value("log"), step).await,
            _ => Err(NoPlan::Impossible(format!("midwatch has nothing called `{name}`"))),
        }
    }

    async fn maybe(&mut self, holds: Option<&Holds>) -> Result<Option<Probe>, NoPlan> {
        match holds {
            Some(holds) => self.probe(holds).await.map(Some),
            None => Ok(None),
        }
    }

    async fn session(&mut self, session: &str, terminate: bool) -> Result<Act, NoPlan> {
        let pid = number(&self.fill(session)?)?;
        let was = self.count_on(Subject::Session(pid)).await?;
        Ok(Act::Session { pid, was, terminate })
    }

    async fn probe(&mut self, holds: &Holds) -> Result<Probe, NoPlan> {
        Ok(match holds {
            Holds::Runs(service) => Probe::Runs(self.fill(service)?),
            Holds::Stopped(service) => Probe::Stopped(self.fill(service)?),
            Holds::Healthy => Probe::Healthy,
            Holds::WorkerListens => Probe::WorkerListens,
            Holds::SessionGone(session) => {
                let pid = number(&self.fill(session)?)?;
                Probe::SessionGone { pid, was: self.count_on(Subject::Session(pid)).await? }
            }
            Holds::Freed(log) => {
                let (pid, fd) = values::descriptor(&self.fill(log)?).map_err(NoPlan::Impossible)?;
                self.count_on(Subject::Descriptor(pid, fd)).await?;
                Probe::Freed { pid, fd }
            }
            Holds::Succeeds(words) => {
                let argv = self.words(words)?;
                Probe::Succeeds(Command { argv, ..Command::default() })
            }
        })
    }
}

fn number(text: &str) -> Result<i64, NoPlan> {
    text.parse().map_err(|_no_number| NoPlan::Impossible(format!("{text} is no number of a session")))
}
