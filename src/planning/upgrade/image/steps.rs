//! The steps of an upgrade by an image's tag, and of its way back.

use super::super::steps::step;
use super::acts::{GRACE, Guard, created, probe, stopped, tag_changed};
use super::{App, Draft, Exchange, NoPlan, Step};
use crate::domain::database::Engine;
use crate::runbook::plan::files;
use crate::runbook::plan::image::ImageProbe;
use crate::runbook::plan::postgres::{Exchange as Exchanged, Server};
use crate::runbook::plan::{Act, Command, OnFailure, PlannedStep, Probe, UpgradeProbe};

/// How long containers may take to come up whose start may migrate.
const MIGRATES_MS: u64 = 240 * 60_000;
/// How often a migration is tried that gives up where it would have to wait for a lock.
const TRIES: u32 = 3;
/// What an application may want to be run with another version, of what it leaves in its data directory: what it has of these
/// is run. What it builds for itself is in the image.
const AFTERWARDS: [&str; 2] = ["updatestyles", "regenerate_css"];

/// What is said of databases that do not take back what a migration has done before it failed.
const HALF: &str = "MariaDB and MySQL do not take back what a migration that fails has changed until then, and nothing shows \
                    that: look at the tables before anything is put back. ";

/// What becomes of the database on the way back.
pub(super) enum Database {
    /// It stays.
    Stays,
    /// It changes places with one of this server that was made ready beside.
    Postgres(Server, Exchanged),
    /// It changes places with a file that was made ready beside.
    File(files::Exchange),
}

/// Who migrates the database.
enum Migrating {
    /// The image's own program.
    Known,
    /// A program that is run in the new image, as configured.
    By(Vec<String>),
    /// Nobody, as far as midwatch knows.
    Unknown,
}

impl Draft<'_> {
    pub(super) fn image_steps(&mut self, exchange: &Exchange, (backup, schema): (&str, Option<&str>), written: &Step) {
        let migrating = migrating(&exchange.app);
        self.told_image(exchange, (backup, &migrating), schema.is_some());
        self.fetched(exchange);
        let argv = ["test", "-e", backup].map(str::to_owned).to_vec();
        let there = Act::Probe(Probe::Succeeds(Command { argv, ..Command::default() }));
        self.steps.push(step("the backup is still there", there, 1, 1));
        let guard = Guard::forth(exchange, schema, (backup, self.does_both()));
        self.steps.push(tag_changed(exchange, &guard));
        let known = matches!(migrating, Migrating::Known);
        if known {
            let mut planned = step("what would be migrated", exchange.own(&["migrate", "--plan"]), 5, 15);
            planned.on_failure = OnFailure::Continue;
            self.steps.push(planned);
        }
        if !exchange.behind.is_empty() {
            self.steps.push(stopped(exchange, &exchange.behind));
        }
        let postgres = self.engine().ok() == Some(Engine::Postgresql);
        match &migrating {
            Migrating::Known => {
                let mut planned = exchange.migrate(&["migrate", "--noinput"].map(str::to_owned), postgres);
                // What Django has applied it does not apply again.
                planned.max_attempts = TRIES;
                self.steps.push(PlannedStep { revert: Some(guard.alone(exchange)), ..planned });
                let nothing = exchange.own(&["migrate", "--check"]);
                self.steps.push(step("nothing is left to migrate", nothing, 5, 10));
            }
            Migrating::By(words) => {
                let planned = exchange.migrate(words, postgres);
                self.steps.push(PlannedStep { revert: Some(guard.alone(exchange)), ..planned });
            }
            Migrating::Unknown => {}
        }
        let unknown = matches!(migrating, Migrating::Unknown) || !exchange.ended.is_empty();
        self.made_anew(exchange, &guard, if unknown { MIGRATES_MS } else { written.timeout_ms });
        if known {
            self.own_words(exchange);
        }
    }

    /// The way back: everything is stopped, so that nobody migrates while the schema is looked at and the tag exchanged, and
    /// neither image meets the other's database.
    pub(super) async fn image_steps_back(
        &mut self,
        exchange: &Exchange,
        (schema, database): (Option<&str>, Database),
        written: &Step,
    ) -> Result<(), NoPlan> {
        let all = exchange.everything();
        let guard = Guard::back(exchange, schema);
        self.steps.push(step("the image from before is here", exchange.new_is_here(), 1, 1));
        let mut stop = stopped(exchange, &all);
        let from = exchange.app.reference.clone();
        stop.revert = Some(Act::InTurn(vec![exchange.up(&all, false), Act::Wait(exchange.runs(&all, &from, false))]));
        self.steps.push(stop);
        if let Some(schema) = &guard.schema {
            self.steps.push(step("nothing was migrated", schema.clone(), 1, 1));
        }
        self.steps.push(tag_changed(exchange, &Guard::NONE));
        self.steps.push(created(exchange));
        match database {
            Database::Stays => {}
            Database::Postgres(server, databases) => self.exchange_databases(&server, &databases).await,
            Database::File(files) => self.exchange_all(files, written).await,
        }
        self.made_anew(exchange, &Guard::NONE, written.timeout_ms);
        if matches!(migrating(&exchange.app), Migrating::Known) {
            self.own_words(exchange);
        }
        Ok(())
    }

    fn told_image(&mut self, exchange: &Exchange, (backup, migrating): (&str, &Migrating), guarded: bool) {
        let Exchange { app, to, retag, web, behind, .. } = exchange;
        let (from, web, services) = (&app.reference, web.join(", "), exchange.everything().join(", "));
        let id = app.image.get(..19).unwrap_or(&app.image);
        self.costs.push(format!("{services}: {from} ({id}) is exchanged for {to}."));
        self.costs.push(format!(
            "{web}: requests are refused from when its containers are stopped until the new ones answer."
        ));
        if !behind.is_empty() {
            self.costs.push(format!(
                "{}: stopped before that; a task that has not ended {GRACE} s later is cut off, and lost or done twice, as it is \
                 written.",
                behind.join(", ")
            ));
        }
        self.costs.push(match migrating {
            Migrating::Known => format!(
                "Migrations that {to} brings change the database while {web} still serves {from}, and are not undone by \
                 midwatch. They are listed before anything is stopped, in the step `what would be migrated`: a run that is \
                 aborted there has changed no data, and its revert puts the tag back, which is in the file by then."
            ),
            Migrating::By(words) => format!(
                "What `{}` changes in the database, while {web} still serves {from}, is not undone by midwatch. Where this \
                 run is cut off in the middle of it, it is waited for and run once more.",
                words.join(" ")
            ),
            Migrating::Unknown => format!(
                "Whether {to} migrates the database when it starts, midwatch does not know, and it runs no migrations itself: \
                 if the image does not, write migrate = [\"…\"] into the site's table in midwatch.toml, the words that \
                 are run in the new image."
            ),
        });
        if !exchange.ended.is_empty() {
            self.costs.push(format!(
                "{}: has the image, too, and does not run now. Compose makes it anew and runs it once more where {web} waits for \
                 its end (depends_on), as one that migrates does.",
                exchange.ended.join(", ")
            ));
        }
        self.costs.push(format!(
            "{} is changed on this host only: if it comes from a repository or a configuration management, change it there \
             too, or the next deployment puts {} back.",
            retag.file, from.tag
        ));
        let both = self.does_both();
        let once = match (guarded, both) {
            (true, true) => format!(
                "Once something was migrated both refuse, for the old version does not know the new schema: then \
                 undo-upgrade-and-restore brings the database from {backup} back, too."
            ),
            (true, false) => format!(
                "Once something was migrated both refuse, for the old version does not know the new schema: then the \
                 containers are stopped, the database from {backup} is put back by hand, and undo-upgrade starts them."
            ),
            (false, _) => format!(
                "Once a migration was begun, or a container made from {to}, revert refuses, for whether anything was migrated \
                 can't be seen; undo-upgrade asks. Where something was, the containers are stopped, the database from {backup} is \
                 put back by hand, and undo-upgrade starts them."
            ),
        };
        let half = if self.engine().ok() == Some(Engine::Mysql) { HALF } else { "" };
        self.way_back = Some(format!(
            "{half}As long as nothing was migrated, revert (and when the run is done, undo-upgrade) stops the containers, puts {} back \
             into {} and has Compose make them anew from {from}, if that very image is still on this engine then. \
             {once}",
            from.tag, retag.file
        ));
    }

    /// The image is had before anything is stopped.
    fn fetched(&mut self, exchange: &Exchange) {
        let reference = exchange.to.to_string();
        let socket = exchange.app.project.socket.clone();
        let here = ImageProbe::Here { socket, reference: reference.clone(), id: None };
        let pull = exchange.app.project.docker_command(&["pull", &reference]);
        let mut planned = step("fetch", Act::Command(pull), 30, 30);
        planned.unless = Some(probe(here.clone()));
        planned.verify = Some(probe(here));
        self.steps.push(planned);
    }

    fn made_anew(&mut self, exchange: &Exchange, guard: &Guard, timeout_ms: u64) {
        for (n, services) in [&exchange.web, &exchange.behind].into_iter().enumerate() {
            if services.is_empty() {
                continue;
            }
            let name = format!("{} from {}", services.join(", "), exchange.to);
            let mut planned = step(name, exchange.up(services, true), 10, 20);
            planned.timeout_ms = timeout_ms;
            planned.verify = Some(exchange.runs(services, &exchange.to, true));
            planned.revert = Some(guard.stops(exchange, services));
            self.steps.push(planned);
            if n == 0 {
                // An image's own migrations come before its first answer.
                let answers = step("the site answers", Act::Wait(Probe::Healthy), 10, 10);
                self.steps.push(PlannedStep { timeout_ms, ..answers });
            }
        }
        self.steps.push(step("a worker listens", Act::Wait(Probe::WorkerListens), 2, 5));
        let all = Act::Wait(exchange.runs(&exchange.everything(), &exchange.to, true));
        self.steps.push(step(format!("{} runs", exchange.to.tag), all, 2, 1));
    }

    /// What the application wants to be run with another version.
    fn own_words(&mut self, exchange: &Exchange) {
        for name in AFTERWARDS {
            let list = exchange.once(None, &["help", "--commands"]);
            let mut planned = step(name, exchange.own(&[name]), 30, 15);
            planned.unless = Some(Probe::Upgrade(UpgradeProbe::Lacks { list, word: name.to_owned() }));
            // The site is better off with code and schema that fit than held up by a stylesheet.
            planned.on_failure = OnFailure::Continue;
            self.steps.push(planned);
        }
    }
}

fn migrating(app: &App) -> Migrating {
    let web = app.all.iter().find(|one| app.web.contains(&one.service));
    let own = web.and_then(|one| one.program.rsplit('/').next()).unwrap_or_default();
    match (&app.migrate, app.name) {
        (Some(words), _) => Migrating::By(words.clone()),
        // Both images begin with a program of that name, which hands on what it does not know to the application.
        (None, Some(name)) if own == name => Migrating::Known,
        (None, Some(_) | None) => Migrating::Unknown,
    }
}
