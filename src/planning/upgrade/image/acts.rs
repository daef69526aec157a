//! What is done to a project by an upgrade of its image: what is run, looked at, and put back.

use super::super::steps::{LOCK_TIMEOUT, step};
use super::{Exchange, Reference};
use crate::runbook::plan::image::ImageProbe;
use crate::runbook::plan::{Act, Command, PlannedStep, Probe, UpgradeAct, UpgradeProbe};

/// How long containers that are stopped may take to end by themselves: gunicorn's own grace.
pub(super) const GRACE: &str = "30";
/// Minutes that a migration may take; its way back waits for it so long.
const MIGRATES: u64 = 240;
/// Both images migrate when they start, unless this says otherwise, and go on where that fails.
const BY_ITSELF: (&str, &str) = ("AUTOMIGRATE", "skip");

pub(super) fn probe(probe: ImageProbe) -> Probe {
    Probe::Upgrade(UpgradeProbe::Image(probe))
}

/// What keeps the old image from a schema that it does not know.
pub(super) struct Guard {
    pub(super) schema: Option<Act>,
}

impl Guard {
    pub(super) fn of(exchange: &Exchange, schema: Option<&str>, (backup, both): (&str, bool)) -> Self {
        let reference = &exchange.app.reference;
        let (to, services) = (&exchange.to, exchange.everything().join(" "));
        let comes_back = if both {
            format!("end this run, then undo-upgrade-and-restore with {backup}")
        } else {
            format!(
                "stop it (docker compose stop {services}), put the database from {backup} back by hand, then revert (or, when the \
                 run is over, undo-upgrade)"
            )
        };
        let otherwise = if backup.is_empty() {
            format!("{to} does not know that schema, so its tag is not put back; revert starts {reference} again")
        } else {
            format!(
                "{reference} does not know that schema, so its tag is not put back. Mend what failed and retry; or {comes_back}"
            )
        };
        let guard = |was: &str| {
            let was = was.to_owned();
            Act::Probe(Probe::Upgrade(UpgradeProbe::SchemaIs { was, otherwise }))
        };
        Self { schema: schema.map(guard) }
    }

    /// Waits for what migrates, and sees that nothing was migrated.
    pub(super) fn alone(&self, exchange: &Exchange) -> Act {
        let ended = Act::Upgrade(UpgradeAct::InOrder(exchange.ended_once().to_vec()));
        Act::InTurn(std::iter::once(ended).chain(self.schema.clone()).collect())
    }

    /// Stops what may migrate; before, and again after that, sees that nothing was migrated.
    pub(super) fn stops(&self, exchange: &Exchange, services: &[String]) -> Act {
        let ended = Act::Upgrade(UpgradeAct::InOrder(exchange.ended_once().to_vec()));
        let mut acts = vec![ended];
        acts.extend(self.schema.clone());
        acts.push(Act::Command(exchange.stop(services)));
        acts.push(Act::Wait(probe(ImageProbe::Stopped(exchange.of(services)))));
        acts.extend(self.schema.clone());
        Act::InTurn(acts)
    }
}

/// The tag in its file. Its way back has Compose make all of it from the old one.
pub(super) fn tag_changed(exchange: &Exchange) -> PlannedStep {
    let Exchange { app, retag, .. } = exchange;
    let all = exchange.everything();
    let back = vec![
        exchange.reads(&[false, true]),
        Act::Upgrade(UpgradeAct::Retag(retag.back())),
        exchange.up(&all, false),
        Act::Wait(exchange.runs(&all, &app.reference, false)),
    ];
    let act = Act::InTurn(vec![exchange.reads(&[false, true]), Act::Upgrade(UpgradeAct::Retag(retag.clone()))]);
    let mut planned = step(format!("{} instead of {}", retag.to, retag.from), act, 10, 1);
    planned.revert = Some(Act::InTurn(back));
    planned
}

pub(super) fn stopped(exchange: &Exchange, services: &[String]) -> PlannedStep {
    let mut planned = step(format!("stop {}", services.join(", ")), Act::Command(exchange.stop(services)), 3, 10);
    let stopped = probe(ImageProbe::Stopped(exchange.of(services)));
    planned.unless = Some(stopped.clone());
    planned.verify = Some(stopped);
    planned
}

impl Exchange {
    /// That the project is read as it was seen: `after` the exchange of the tag, or before it.
    fn reads(&self, after: &[bool]) -> Act {
        let sum = |after: &bool| if *after { self.sums.1.clone() } else { self.sums.0.clone() };
        let project = &self.app.project;
        let (list, again) = project.sums_commands();
        Act::Probe(probe(ImageProbe::Reads {
            project: project.name.clone(),
            list,
            again: again.map(Box::new),
            sums: after.iter().map(sum).collect(),
        }))
    }

    /// Has Compose make these services' containers as its files say; those that are so already stay.
    pub(super) fn up(&self, services: &[String], after: bool) -> Act {
        let app = &self.app;
        // So many as there are, also where somebody has said that by hand.
        let many = |service: &&String| app.all.iter().filter(|one| one.service == **service && one.runs()).count();
        let several = services.iter().filter(|service| many(service) > 1);
        let scales: Vec<String> = several.map(|service| format!("{service}={}", many(&service))).collect();
        let mut words = vec!["up", "--detach", "--no-build"];
        words.extend(self.alone.then_some("--no-deps"));
        words.extend(scales.iter().flat_map(|scale| ["--scale", scale.as_str()]));
        words.extend(services.iter().map(String::as_str));
        Act::InTurn(vec![self.reads(&[after]), Act::Upgrade(UpgradeAct::Again(app.project.compose_command(&words)))])
    }

    fn stop(&self, services: &[String]) -> Command {
        let mut words = vec!["stop", "--timeout", GRACE];
        words.extend(services.iter().map(String::as_str));
        self.app.project.compose_command(&words)
    }

    pub(super) fn runs(&self, services: &[String], reference: &Reference, anew: bool) -> Probe {
        let since = anew.then_some(self.since);
        probe(ImageProbe::Run { of: self.of(services), reference: reference.to_string(), since })
    }

    /// The name of the container that migrates, of this plan alone.
    fn once_name(&self) -> String {
        format!("{}-midwatch-{}", self.app.project.name, self.since.as_millis())
    }

    /// What a runner that is gone has left is waited for, and never doubled.
    fn ended_once(&self) -> [Command; 2] {
        let (project, name) = (&self.app.project, self.once_name());
        ["wait", "rm"].map(|word| {
            let mut command = project.docker_command(&[word, &name]);
            // There is none, usually.
            command.exits = vec![1];
            command
        })
    }

    /// A program in a container of its own, of the web service's settings; one with a name is found again.
    pub(super) fn once(&self, name: Option<(&str, bool)>, words: &[&str]) -> Command {
        let mut run = vec!["run", "--rm", "--no-deps", "-T"];
        let set = [BY_ITSELF.0, "=", BY_ITSELF.1].concat();
        let options = format!("PGOPTIONS={LOCK_TIMEOUT}");
        if let Some((name, postgres)) = name {
            run.extend(["--name", name]);
            run.extend(postgres.then_some(["-e", options.as_str()]).into_iter().flatten());
        }
        run.extend(["-e", set.as_str()]);
        run.extend(self.web.first().map(String::as_str));
        run.extend(words);
        self.app.project.compose_command(&run)
    }

    /// Migrates, with these words.
    pub(super) fn migrate(&self, words: &[String], postgres: bool) -> PlannedStep {
        let name = self.once_name();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut commands = self.ended_once().to_vec();
        commands.push(self.once(Some((&name, postgres)), &words));
        let act = Act::InTurn(vec![self.reads(&[true]), Act::Upgrade(UpgradeAct::InOrder(commands))]);
        step("migrate", act, MIGRATES, 30)
    }
}
