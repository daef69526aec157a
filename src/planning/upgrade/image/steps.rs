//! The steps of an upgrade by an image's tag, and of its way back.

use super::{App, Draft, Exchange, Reference, Step};
use crate::runbook::plan::image::ImageProbe;
use crate::runbook::plan::{Act, Command, OnFailure, PlannedStep, Probe, UpgradeAct, UpgradeProbe};

const MINUTE_MS: u64 = 60_000;
/// How long containers that are stopped may take to end by themselves: gunicorn's own grace.
const GRACE: &str = "30";

/// Who migrates the database.
enum Migrating {
    /// The image does when its containers start.
    Itself,
    /// A program that is run in the new image.
    By(Vec<String>),
    /// Nobody, as far as midwatch knows.
    Unknown,
}

fn step(name: impl Into<String>, act: Act, minutes: u64, estimate_s: u64) -> PlannedStep {
    PlannedStep {
        name: name.into(),
        act,
        repeatable: true,
        verify: None,
        unless: None,
        revert: None,
        timeout_ms: minutes * MINUTE_MS,
        max_attempts: 1,
        on_failure: OnFailure::Stop,
        estimate_ms: Some(estimate_s * 1000),
    }
}

fn probe(probe: ImageProbe) -> Probe {
    Probe::Upgrade(UpgradeProbe::Image(probe))
}

impl Draft<'_> {
    pub(super) fn image_steps(&mut self, exchange: &Exchange, (backup, schema): (&str, Option<&str>), written: &Step) {
        let app = &exchange.app;
        let migrating = migrating(app);
        self.told_image(exchange, (backup, &migrating), schema.is_some());
        self.fetched(exchange);
        let argv = ["test", "-e", backup].map(str::to_owned).to_vec();
        let there = Act::Probe(Probe::Succeeds(Command { argv, ..Command::default() }));
        self.steps.push(step("the backup is still there", there, 1, 1));
        let otherwise = format!(
            "{} does not know that schema, so its tag is not put back. Bring back the database from {backup} with \
             restore-database first, then revert (or, when the run is over, undo-upgrade); or mend what failed and retry",
            app.reference
        );
        self.tag_changed(exchange, schema.map(|was| (was, otherwise)));
        if let Some(list) = listing(exchange) {
            let mut planned = step("what would be migrated", Act::Command(list), 5, 15);
            planned.on_failure = OnFailure::Continue;
            self.steps.push(planned);
        }
        self.stopped(exchange);
        if let Migrating::By(words) = &migrating {
            let mut planned = step("migrate", run_once(exchange, words), 240, 30);
            planned.max_attempts = 3;
            self.steps.push(planned);
        }
        self.made_anew(exchange, written);
    }

    /// What is common to a way forth and a way back: everything but migrations.
    pub(super) fn image_steps_back(&mut self, exchange: &Exchange, schema: Option<&str>, written: &Step) {
        self.fetched(exchange);
        let otherwise = format!("{} does not know that schema, so its tag is not put back", exchange.app.reference);
        self.tag_changed(exchange, schema.map(|was| (was, otherwise)));
        self.stopped(exchange);
        self.made_anew(exchange, written);
    }

    fn told_image(&mut self, exchange: &Exchange, (backup, migrating): (&str, &Migrating), guarded: bool) {
        let Exchange { app, to, retag, web, behind, .. } = exchange;
        let (from, web, services) = (&app.reference, web.join(", "), exchange.everything().join(", "));
        let id = app.image.get(..19).unwrap_or(&app.image);
        self.costs.push(format!("{services}: {from} ({id}) is exchanged for {to}."));
        self.costs.push(format!(
            "{web}: requests are refused from when its containers are stopped until the new ones answer, their migrations \
             included."
        ));
        if !behind.is_empty() {
            self.costs.push(format!(
                "{}: stopped before that; a task that has not ended {GRACE} s later is cut off, and lost or done twice, as it is \
                 written.",
                behind.join(", ")
            ));
        }
        self.costs.push(match migrating {
            Migrating::Itself => format!(
                "{to} migrates the database by itself when it starts, which midwatch does not undo; whoever stops the run \
                 before its containers are made anew has changed no data."
            ),
            Migrating::By(_) => format!("Migrations that {to} brings change the database and are not undone by midwatch."),
            Migrating::Unknown => format!(
                "Whether {to} migrates the database when it starts, midwatch does not know, and it runs no migrations itself: \
                 if the image does not, write migrate = [\"…\"] into the site's table in midwatch.toml, the words that \
                 are run in the new image."
            ),
        });
        self.costs.push(format!(
            "{} is changed on this host only: if it comes from a repository or a configuration management, change it there \
             too, or the next deployment puts {} back.",
            retag.file, from.tag
        ));
        let once = if guarded {
            "Once something was migrated both refuse, for the old version does not know the new schema: the database"
        } else {
            "Nothing checks whether the database was migrated meanwhile: where it was, the one"
        };
        self.way_back = Some(format!(
            "As long as nothing was migrated, revert (and when the run is done, undo-upgrade) puts {} back into {} and has \
             Compose make the containers anew from {from}, whose image stays on this engine unless somebody removes it. {once} \
             from {backup} has to be brought back first.",
            from.tag, retag.file
        ));
    }

    /// The image is had before anything is stopped.
    fn fetched(&mut self, exchange: &Exchange) {
        let reference = exchange.to.to_string();
        let here = ImageProbe::Here { socket: exchange.app.project.socket.clone(), reference: reference.clone() };
        let pull = exchange.app.project.docker_command(&["pull", &reference]);
        let mut planned = step("fetch", Act::Command(pull), 30, 30);
        planned.unless = Some(probe(here.clone()));
        planned.verify = Some(probe(here));
        self.steps.push(planned);
    }

    /// The tag in its file, with all of the way back: the old tag, and whatever it takes to have all of it run again.
    fn tag_changed(&mut self, exchange: &Exchange, schema: Option<(&str, String)>) {
        let Exchange { app, retag, .. } = exchange;
        let all = exchange.everything();
        let mut back = Vec::new();
        if let Some((was, otherwise)) = schema {
            let was = was.to_owned();
            back.push(Act::Probe(Probe::Upgrade(UpgradeProbe::SchemaIs { was, otherwise })));
        }
        back.push(Act::Upgrade(UpgradeAct::Retag(retag.back())));
        back.push(up(exchange, &all));
        back.push(Act::Wait(runs(exchange, &all, &app.reference, false)));
        let mut planned = step(
            format!("{} instead of {}", retag.to, retag.from),
            Act::Upgrade(UpgradeAct::Retag(retag.clone())),
            10,
            1,
        );
        planned.revert = Some(Act::InTurn(back));
        self.steps.push(planned);
    }

    fn stopped(&mut self, exchange: &Exchange) {
        if exchange.behind.is_empty() {
            return;
        }
        let mut words = vec!["stop", "--timeout", GRACE];
        words.extend(exchange.behind.iter().map(String::as_str));
        let stop = exchange.app.project.compose_command(&words);
        let mut planned = step(format!("stop {}", exchange.behind.join(", ")), Act::Command(stop), 3, 10);
        let stopped = probe(ImageProbe::Stopped(exchange.of(&exchange.behind)));
        planned.unless = Some(stopped.clone());
        planned.verify = Some(stopped);
        self.steps.push(planned);
    }

    fn made_anew(&mut self, exchange: &Exchange, written: &Step) {
        for (n, services) in [&exchange.web, &exchange.behind].into_iter().enumerate() {
            if services.is_empty() {
                continue;
            }
            let name = format!("{} from {}", services.join(", "), exchange.to);
            let mut planned = step(name, up(exchange, services), 10, 20);
            planned.timeout_ms = written.timeout_ms;
            planned.verify = Some(runs(exchange, services, &exchange.to, true));
            self.steps.push(planned);
            if n == 0 {
                // Its own migrations come before its first answer.
                let answers = step("the site answers", Act::Wait(Probe::Healthy), 10, 10);
                self.steps.push(PlannedStep { timeout_ms: written.timeout_ms, ..answers });
            }
        }
        self.steps.push(step("a worker listens", Act::Wait(Probe::WorkerListens), 2, 5));
        let all = Act::Wait(runs(exchange, &exchange.everything(), &exchange.to, true));
        self.steps.push(step(format!("{} runs", exchange.to.tag), all, 2, 1));
    }
}

/// Has Compose make these services' containers as its files say; those that are so already stay.
fn up(exchange: &Exchange, services: &[String]) -> Act {
    let app = &exchange.app;
    // So many as there are, also where somebody has said that by hand.
    let many = |service: &&String| app.all.iter().filter(|one| one.service == **service && one.runs()).count();
    let several = services.iter().filter(|service| many(service) > 1);
    let scales: Vec<String> = several.map(|service| format!("{service}={}", many(&service))).collect();
    let mut words = vec!["up", "--detach", "--no-build"];
    words.extend(exchange.alone.then_some("--no-deps"));
    words.extend(scales.iter().flat_map(|scale| ["--scale", scale.as_str()]));
    words.extend(services.iter().map(String::as_str));
    Act::Upgrade(UpgradeAct::Again(app.project.compose_command(&words)))
}

fn runs(exchange: &Exchange, services: &[String], reference: &Reference, anew: bool) -> Probe {
    let since = anew.then_some(exchange.since);
    probe(ImageProbe::Run { of: exchange.of(services), reference: reference.to_string(), since })
}

/// A program in a container of its own, of the web service's settings and the new image. Its name is of this plan alone: what
/// a runner that is gone has left is waited for, and never doubled.
fn run_once(exchange: &Exchange, words: &[String]) -> Act {
    let project = &exchange.app.project;
    let name = format!("{}-midwatch-{}", project.name, exchange.since.as_millis());
    let mut wait = project.docker_command(&["wait", &name]);
    let mut remove = project.docker_command(&["rm", &name]);
    // There is none, usually.
    wait.exits = vec![1];
    remove.exits = vec![1];
    let mut run = vec!["run", "--rm", "--no-deps", "-T", "--name", &name];
    run.extend(exchange.web.first().map(String::as_str));
    run.extend(words.iter().map(String::as_str));
    Act::Upgrade(UpgradeAct::InOrder(vec![wait, remove, project.compose_command(&run)]))
}

fn migrating(app: &App) -> Migrating {
    let web = app.all.iter().find(|one| app.web.contains(&one.service));
    let off = web.is_some_and(|one| one.automigrate.as_deref() == Some("skip"));
    let own = web.and_then(|one| one.program.rsplit('/').next()).unwrap_or_default();
    match (&app.migrate, app.name) {
        (Some(words), _) => Migrating::By(words.clone()),
        // Both images begin with a program of that name, which migrates unless it is told not to.
        (None, Some(name)) if own == name && off => Migrating::By(vec!["migrate".to_owned(), "--noinput".to_owned()]),
        (None, Some(name)) if own == name => Migrating::Itself,
        (None, Some(_) | None) => Migrating::Unknown,
    }
}

/// What lists the migrations that the new image brings, where its own program is known.
fn listing(exchange: &Exchange) -> Option<Command> {
    let app = &exchange.app;
    let service = exchange.web.first()?;
    let web = app.all.iter().find(|one| one.service == *service)?;
    app.name.filter(|name| web.program.rsplit('/').next() == Some(name))?;
    let words = ["run", "--rm", "--no-deps", "-T", "-e", "AUTOMIGRATE=skip", service, "migrate", "--plan"];
    Some(app.project.compose_command(&words))
}
