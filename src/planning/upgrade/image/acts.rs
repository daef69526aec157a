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
    /// That nothing was migrated.
    pub(super) schema: Option<Act>,
    /// Whether that can be seen at all.
    seen: bool,
}

impl Guard {
    /// None at all: for the way back from a way back.
    pub(super) const NONE: Self = Self { schema: None, seen: true };

    /// For the way back of an upgrade. Where the schema can't be seen, it refuses.
    pub(super) fn forth(exchange: &Exchange, schema: Option<&str>, (backup, both): (&str, bool)) -> Self {
        let (reference, services) = (&exchange.app.reference, exchange.everything().join(" "));
        let comes_back = match (schema, both) {
            (None, _) => "undo-upgrade, which asks whether anything was migrated".to_owned(),
            (Some(_), true) => format!("undo-upgrade-and-restore with {backup}"),
            (Some(_), false) => format!(
                "stop it (docker compose stop {services}), put the database from {backup} back by hand, then revert (or, when \
                 the run is over, undo-upgrade)"
            ),
        };
        let otherwise = format!(
            "{reference} does not know another schema, so its tag is not put back. Mend what failed and retry; or {comes_back}"
        );
        let was = schema.unwrap_or("not known").to_owned();
        let schema_is = Act::Probe(Probe::Upgrade(UpgradeProbe::SchemaIs { was, otherwise }));
        Self { schema: Some(schema_is), seen: schema.is_some() }
    }

    /// For the step of a way back.
    pub(super) fn back(exchange: &Exchange, schema: Option<&str>) -> Self {
        let otherwise = format!(
            "{} does not know that schema, so its tag is not put back; revert starts {} again",
            exchange.to, exchange.app.reference
        );
        let guard = |was: &str| {
            let was = was.to_owned();
            Act::Probe(Probe::Upgrade(UpgradeProbe::SchemaIs { was, otherwise }))
        };
        Self { schema: schema.map(guard), seen: true }
    }

    /// Waits for what migrates, and sees that nothing was migrated.
    pub(super) fn alone(&self, exchange: &Exchange) -> Act {
        let (socket, project) = (exchange.app.project.socket.clone(), exchange.app.project.name.clone());
        let ended = Act::Wait(probe(ImageProbe::Ended { socket, project, name: exchange.once_name() }));
        Act::InTurn(std::iter::once(ended).chain(self.schema.clone()).collect())
    }

    /// Stops what may migrate; before, and again after that, sees that nothing was migrated. What runs once is waited for, and
    /// nothing is stopped if there is no image to go back to.
    pub(super) fn stops(&self, exchange: &Exchange, services: &[String]) -> Act {
        let ended = probe(ImageProbe::Stopped(exchange.of(&exchange.ended)));
        let mut acts = vec![exchange.old_is_here()];
        acts.extend((!exchange.ended.is_empty()).then_some(Act::Wait(ended)));
        acts.extend(self.schema.clone());
        let all = [services, &exchange.ended].concat();
        acts.push(Act::Command(exchange.stop(&all)));
        acts.push(Act::Wait(probe(ImageProbe::Stopped(exchange.of(&all)))));
        acts.extend(self.schema.clone());
        Act::InTurn(acts)
    }
}

/// The tag in its file. Its way back has Compose make all of it from the old one.
pub(super) fn tag_changed(exchange: &Exchange, guard: &Guard) -> PlannedStep {
    let Exchange { app, retag, .. } = exchange;
    let all = exchange.everything();
    let mut back = vec![exchange.old_is_here()];
    // Somebody may have run Compose since the tag is there.
    back.extend(guard.schema.clone().filter(|_| guard.seen));
    back.extend([
        exchange.reads(&[false, true]),
        Act::Upgrade(UpgradeAct::Retag(retag.back())),
        exchange.up(&all, false),
        Act::Wait(exchange.runs(&all, &app.reference, false)),
    ]);
    let act = Act::InTurn(vec![exchange.reads(&[false, true]), Act::Upgrade(UpgradeAct::Retag(retag.clone()))]);
    let mut planned = step(format!("{} instead of {}", retag.to, retag.from), act, 10, 1);
    planned.revert = Some(Act::InTurn(back));
    planned
}

/// The containers of what comes, which do not start yet: none of the other image is left that could, were the engine started
/// anew, while the databases change places.
pub(super) fn created(exchange: &Exchange) -> PlannedStep {
    let all = exchange.everything();
    let up = exchange.compose_up("--no-start", &all);
    let act = Act::InTurn(vec![exchange.reads(&[true]), Act::Upgrade(UpgradeAct::Again(up))]);
    let mut planned = step(format!("containers from {}", exchange.to), act, 10, 10);
    let reference = exchange.to.to_string();
    planned.verify = Some(probe(ImageProbe::Made { of: exchange.of(&all), reference }));
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
        let up = self.compose_up("--detach", services);
        Act::InTurn(vec![self.reads(&[after]), Act::Upgrade(UpgradeAct::Again(up))])
    }

    fn compose_up(&self, how: &str, services: &[String]) -> Command {
        let app = &self.app;
        // So many as there are, also where somebody has said that by hand, and where all are stopped.
        let many = |service: &&String| {
            let of = || app.all.iter().filter(|one| one.service == **service);
            let run = of().filter(|one| one.runs()).count();
            if run == 0 { of().count() } else { run }
        };
        let several = services.iter().filter(|service| many(service) > 1);
        let scales: Vec<String> = several.map(|service| format!("{service}={}", many(&service))).collect();
        let mut words = vec!["up", how, "--no-build"];
        words.extend(app.project.without_fetching());
        words.extend(self.alone.then_some("--no-deps"));
        words.extend(scales.iter().flat_map(|scale| ["--scale", scale.as_str()]));
        words.extend(services.iter().map(String::as_str));
        app.project.compose_command(&words)
    }

    /// That what runs now can come back: under its name there is still the same image.
    fn old_is_here(&self) -> Act {
        let (socket, reference) = (self.app.project.socket.clone(), self.app.reference.to_string());
        let id = Some(self.app.image.clone()).filter(|id| !id.is_empty());
        Act::Probe(probe(ImageProbe::Here { socket, reference, id }))
    }

    /// The same for what comes, on the way back.
    pub(super) fn new_is_here(&self) -> Act {
        let (socket, reference) = (self.app.project.socket.clone(), self.to.to_string());
        Act::Probe(probe(ImageProbe::Here { socket, reference, id: self.id.clone() }))
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

    /// The application's own program with these words, which only looks, or does what may fail.
    pub(super) fn own(&self, words: &[&str]) -> Act {
        Act::InTurn(vec![self.reads(&[true]), Act::Command(self.once(None, words))])
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
