//! The steps of an upgrade.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::services::Verb;
use super::down::rests;
use super::releases::may_start;
use super::{Change, Draft, Installation, NoPlan, Step, Upgrade, no};
use crate::backends::app_state::installation::marked;
use crate::domain::database::Engine;
use crate::domain::service::Service;
use crate::runbook::plan::postgres::{Exchange, Server};
use crate::runbook::plan::{Act, Command, OnFailure, PlannedStep, Probe, UpgradeAct, UpgradeProbe};

/// What an application may want to be run after it was upgraded: what it has of these is run, in this order.
const AFTERWARDS: [&str; 4] = ["rebuild", "updateassets", "updatestyles", "regenerate_css"];
/// How long a migration waits for a lock before it gives up, so that it doesn't hold up everybody behind it.
pub(super) const LOCK_TIMEOUT: &str = "-c lock_timeout=10s";

const MINUTE_MS: u64 = 60_000;

/// A directory of the upgrade's own inside the virtual environment: it is its user's, on its disk, and found again.
pub(super) struct Places {
    pub(super) own: PathBuf,
    pub(super) packages: PathBuf,
    /// The copy: a virtual environment without its own tools.
    pub(super) beside: PathBuf,
}

impl Places {
    fn of(upgrade: &Upgrade, made: i64) -> Self {
        let own = upgrade.of.venv.join("midwatch-upgrades");
        Self::at(own.join(format!("{}-to-{}-{made}", upgrade.of.version, upgrade.version)))
    }

    /// Where something of an installation lies in the copy.
    pub(super) fn inside(&self, of: &Installation, path: &Path) -> PathBuf {
        self.beside.join(path.strip_prefix(&of.venv).unwrap_or(path))
    }

    /// Those of an upgrade with this directory.
    pub(super) fn at(own: PathBuf) -> Self {
        Self { packages: own.join("packages"), beside: own.join("venv"), own }
    }
}

pub(super) fn word(path: &Path) -> String {
    path.display().to_string()
}

impl Upgrade {
    pub(super) fn command(&self, argv: Vec<String>) -> Command {
        Command { argv, user: Some(self.of.user.clone()), ..Command::default() }
    }

    pub(super) fn pip(&self, python: &Path, arguments: &[&str]) -> Command {
        let mut argv = vec![word(python)];
        let always = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir"];
        argv.extend(always.iter().chain(arguments).map(|word| (*word).to_owned()));
        self.command(argv)
    }

    /// The application's own command, run as its services run.
    fn app(&self, python: &Path, arguments: &[&str], around: (Option<&Path>, bool)) -> Command {
        app(&self.of, python, arguments, around)
    }

    pub(super) fn mark(&self, version: &str) -> String {
        format!("{}-{version}.dist-info", self.of.name)
    }

    /// What becomes of web's workers meanwhile.
    fn recycles(&self) -> &'static str {
        if self.of.recycles {
            ". Its workers are replaced by themselves after so many requests (--max-requests): one that is replaced from \
             here on has the other version before everything else has"
        } else {
            ""
        }
    }

    /// That its version really runs.
    fn runs(&self) -> PlannedStep {
        let version = self.version.clone();
        let runs = Act::Wait(Probe::Upgrade(UpgradeProbe::Running { version }));
        step(format!("{} runs", self.version), runs, 2, 3)
    }

    /// What makes a copy of the installation that says of no commit that it was built from it.
    pub(super) fn copy(&self, places: &Places) -> Vec<Command> {
        let (of, beside) = (&self.of, word(&places.beside));
        let words = |words: &[&str]| self.command(words.iter().map(|word| (*word).to_owned()).collect());
        // pip finds its index by its file there.
        let parts: Vec<String> = ["bin", "lib", "lib64", "pyvenv.cfg", "pip.conf"]
            .map(|part| of.venv.join(part))
            .iter()
            .filter(|part| part.symlink_metadata().is_ok())
            .map(|part| word(part))
            .collect();
        let mut copy = vec!["cp", "-a", "--reflink=auto", "--"];
        copy.extend(parts.iter().map(String::as_str));
        copy.push(&beside);
        let mut out = vec![words(&["rm", "-rf", "--", &beside]), words(&["mkdir", "--", &beside]), words(&copy)];
        let marks: Vec<String> =
            marked(&of.packages, of.name).iter().map(|mark| word(&places.inside(of, mark))).collect();
        if !marks.is_empty() {
            let marks: Vec<&str> = marks.iter().map(String::as_str).collect();
            out.push(words(&[&["rm", "-rf", "--"], &marks[..]].concat()));
        }
        out
    }

    /// What has to be fetched, as pip is told it.
    fn specs(&self) -> Vec<String> {
        self.changes.iter().map(|change| format!("{}=={}", change.name, change.to)).collect()
    }
}

/// A command of an application, run as its services run.
pub(in crate::planning) fn app(
    of: &Installation,
    python: &Path,
    arguments: &[&str],
    (config, postgres): (Option<&Path>, bool),
) -> Command {
    let mut argv = vec![word(python), "-m".to_owned(), of.name.to_owned()];
    argv.extend(arguments.iter().map(|word| (*word).to_owned()));
    let mut command = Command { argv, user: Some(of.user.clone()), env: of.env.clone(), ..Command::default() };
    if let Some(config) = config {
        let variable = format!("{}_CONFIG_FILE", of.name.to_uppercase());
        command.env.entry(variable).or_insert_with(|| word(config));
    }
    if postgres {
        command.env.insert("PGOPTIONS".to_owned(), LOCK_TIMEOUT.to_owned());
    }
    command.dir = Some(word(&of.cwd));
    command
}

pub(super) fn step(name: impl Into<String>, act: Act, minutes: u64, estimate_s: u64) -> PlannedStep {
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

impl Draft<'_> {
    /// All of it: what can be done beforehand, what interrupts, what shows that it was done.
    pub(super) async fn upgrade_steps(&mut self, upgrade: &Upgrade, written: &Step) -> Result<(), NoPlan> {
        let places = Places::of(upgrade, self.ground.made.as_millis());
        let installs = upgrade.installs();
        self.told(upgrade, installs.then_some(&places));
        if let Some(built) = &upgrade.built {
            self.build_beside(upgrade, built, &places);
        } else if installs {
            self.install_beside(upgrade, &places);
        }
        self.listed(upgrade, installs.then_some(&places));
        for service in &upgrade.behind {
            self.stop(service, written).await?;
        }
        if installs {
            self.serve_on(&upgrade.web, &upgrade.of.version, upgrade.recycles())?;
            self.exchange(upgrade, &places)?;
        }
        self.migrate(upgrade);
        self.start_anew((&upgrade.web, &upgrade.behind), upgrade.runs(), written).await
    }

    /// The way back: the same exchange, and nothing of the database.
    pub(super) async fn steps_back(&mut self, back: &Upgrade, places: &Places, written: &Step) -> Result<(), NoPlan> {
        let python = places.beside.join("bin/python");
        let check = back.app(&python, &["migrate", "--check"], self.surroundings());
        let name = format!("{} finds its schema", back.version);
        self.steps.push(step(name, Act::Command(check), 5, 5));
        let older = |service: &Service| back.older(service);
        self.stop_for_back((&back.web, &back.behind), older, back.recycles(), written).await?;
        self.exchange(back, places)?;
        self.own_commands(back);
        self.start_anew((&back.web, &back.behind), back.runs(), written).await
    }

    /// The same with the database from before: neither of the two may meet the other's half, so everything is stopped.
    pub(super) async fn steps_back_with_database(
        &mut self,
        back: &Upgrade,
        places: &Places,
        (server, databases): (&Server, &Exchange),
        written: &Step,
    ) -> Result<(), NoPlan> {
        for service in back.behind.iter().chain(&back.web) {
            self.stop(service, written).await?;
        }
        self.exchange(back, places)?;
        self.exchange_databases(server, databases).await;
        self.own_commands(back);
        self.start_stopped((&back.web, &back.behind), back.runs(), written).await
    }

    /// Everything that was stopped runs again, and is seen to. On the way back it is stopped first: neither half is put back
    /// under who runs.
    pub(super) async fn start_stopped(
        &mut self,
        (web, behind): (&[Service], &[Service]),
        runs: PlannedStep,
        written: &Step,
    ) -> Result<(), NoPlan> {
        for service in web.iter().chain(behind) {
            let stop = self.stops_again(service);
            Box::pin(self.anew(service, (Verb::Start, "start"), written)).await?;
            if let Some(started) = self.steps.last_mut() {
                started.revert = Some(stop);
            }
        }
        self.afterwards(runs);
        Ok(())
    }

    /// Has a service run anew, whatever runs of it by then: who finds it gone in between may have started it with what there
    /// was.
    async fn anew(&mut self, service: &Service, (verb, name): (Verb, &str), written: &Step) -> Result<(), NoPlan> {
        let before = self.steps.len();
        let step = Step { name: name.to_owned(), timeout_ms: 3 * MINUTE_MS, ..written.clone() };
        self.services(&service.name, verb, &step).await?;
        let renewed = self.renewed(service)?;
        // What would end it first is part of that.
        let last = self.steps.pop();
        self.steps.truncate(before);
        self.steps.extend(last.map(|last| PlannedStep { act: renewed.unwrap_or(last.act), repeatable: true, ..last }));
        Ok(())
    }

    /// Web is not stopped: it is told what that means. `more`: what else there is to it.
    pub(super) fn serve_on(&mut self, web: &[Service], version: &str, more: &str) -> Result<(), NoPlan> {
        for service in web {
            let note = format!(
                "{} keeps serving {version} from memory until it is restarted below: nobody may reload it meanwhile{more}",
                service.name
            );
            let mut planned = step(format!("{} serves on", service.name), Act::Note(note), 5, 0);
            // Undone after the exchange is: then it takes in what is on disk again.
            planned.revert = self.renewed(service)?;
            self.steps.push(planned);
        }
        Ok(())
    }

    /// Everything runs anew, and is seen to. What rests, and came to run by this, rests again when that is undone.
    pub(super) async fn start_anew(
        &mut self,
        (web, behind): (&[Service], &[Service]),
        runs: PlannedStep,
        written: &Step,
    ) -> Result<(), NoPlan> {
        for service in web.iter().chain(behind) {
            let stopped = self.steps.iter().any(|step| step.name == format!("stop {}", service.name));
            let verb = if stopped { (Verb::Start, "start") } else { (Verb::Restart, "restart") };
            let stop = (stopped && rests(service)).then(|| self.stops_again(service));
            Box::pin(self.anew(service, verb, written)).await?;
            if let (Some(stop), Some(started)) = (stop, self.steps.last_mut()) {
                started.revert = Some(stop);
            }
        }
        self.afterwards(runs);
        Ok(())
    }

    /// What it costs, and the way back, in words.
    fn told(&mut self, upgrade: &Upgrade, places: Option<&Places>) {
        let Upgrade { of, version, backup, .. } = upgrade;
        self.costs.push(format!(
            "Migrations that {version} brings change the database and are not undone by midwatch. They are listed before \
             anything is stopped, in the step `what would be migrated`: a run that is aborted there has changed nothing."
        ));
        let Some(places) = places else {
            self.way_back =
                Some(format!("There is none but the database from {backup}, with the version that wrote it."));
            return;
        };
        let own = places.own.display();
        let when = if self.surroundings().1 { "too (undo-upgrade-and-restore)" } else { "first" };
        self.way_back = Some(format!(
            "As long as nothing was migrated, revert (and when the run is done, undo-upgrade) puts {} {} back at once: it is \
             kept whole in {own} (remove that when the upgrade has proven itself). Once something was migrated both refuse, \
             for the old version does not know the new schema: the database from {backup} has to be brought back {when}.",
            of.name,
            of.told()
        ));
    }

    fn install_beside(&mut self, upgrade: &Upgrade, places: &Places) {
        let of = &upgrade.of;
        let specs = upgrade.specs();
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let lines: Vec<String> = upgrade.changes.iter().map(Change::told).collect();
        self.steps.push(step("what changes", Act::Note(lines.join(", ")), 1, 0));

        let place = [&places.packages].map(|dir| word(dir));
        let mkdir = ["mkdir", "-p", "-m", "0700", "--"].map(str::to_owned).into_iter().chain(place).collect();
        self.steps.push(step("a place beside it", Act::Command(upgrade.command(mkdir)), 1, 1));

        let packages = word(&places.packages);
        let mut fetch = vec!["wheel", "--no-deps", "--wheel-dir", packages.as_str()];
        fetch.extend(upgrade.wheels.iter().flat_map(|dir| ["--no-index", "--find-links", dir.as_str()]));
        fetch.extend(&specs);
        self.steps.push(step("fetch", Act::Command(upgrade.pip(&of.python(), &fetch)), 30, 20));

        let python = places.beside.join("bin/python");
        let mut install = vec!["install", "--no-index", "--no-deps", "--find-links", packages.as_str()];
        install.extend(&specs);
        let mut prepared = upgrade.copy(places);
        prepared.push(upgrade.pip(&python, &install));
        let prepared = Act::Upgrade(UpgradeAct::InOrder(prepared));
        self.steps.push(step("install into a copy of the installation", prepared, 30, 30));

        let target = of.spec(&upgrade.version);
        let check = upgrade.pip(&python, &["install", "--dry-run", "--no-index", "--find-links", &packages, &target]);
        self.steps.push(step("everything fits together", Act::Command(check), 5, 5));
    }

    /// What is known before anything is stopped.
    fn listed(&mut self, upgrade: &Upgrade, places: Option<&Places>) {
        let python = places.map_or_else(|| upgrade.of.python(), |places| places.beside.join("bin/python"));
        let listed = upgrade.app(&python, &["migrate", "--plan"], self.surroundings());
        self.steps.push(step("what would be migrated", Act::Command(listed), 5, 5));
        let argv = ["test", "-e", &upgrade.backup].map(str::to_owned).to_vec();
        let there = Act::Probe(Probe::Succeeds(Command { argv, ..Command::default() }));
        self.steps.push(step("the backup is still there", there, 1, 1));
    }

    /// The configuration file, and whether the database is PostgreSQL.
    fn surroundings(&self) -> (Option<&Path>, bool) {
        let site = self.ground.site;
        let engine = site.and_then(|site| site.database.as_ref().ok()).map(|database| database.engine);
        (site.and_then(|site| site.source.as_deref()), engine == Some(Engine::Postgresql))
    }

    /// Stops what works behind the web; the way back makes it run anew, with the code that is there by then.
    pub(super) async fn stop(&mut self, service: &Service, written: &Step) -> Result<(), NoPlan> {
        let stop = Step { name: "stop".to_owned(), timeout_ms: 3 * MINUTE_MS, ..written.clone() };
        let before = self.steps.len();
        self.services(&service.name, Verb::Stop, &stop).await?;
        let renewed = self.renewed(service)?;
        for planned in self.steps.iter_mut().skip(before).filter(|planned| planned.revert.is_some()) {
            planned.revert.clone_from(&renewed);
        }
        Ok(())
    }

    fn exchange(&mut self, upgrade: &Upgrade, places: &Places) -> Result<(), NoPlan> {
        let of = &upgrade.of;
        let midwatch = midwatch()?;
        let owner =
            std::fs::metadata(&of.packages).map_err(|error| no(format!("{}: {error}", of.packages.display())))?;
        may_start(&midwatch, owner.uid())?;
        let beside = word(&places.inside(of, &of.packages));
        let apart = upgrade.apart();
        let to = |new: &str, old: &str, forth: bool| {
            let (new, old) = (upgrade.mark(new), upgrade.mark(old));
            let mut argv =
                [&word(&midwatch), "exchange", &word(&of.packages), &beside, &new, &old].map(str::to_owned).to_vec();
            argv.extend(apart.iter().flat_map(|apart| apart.told(forth)));
            upgrade.command(argv)
        };
        let record = of.packages.join(upgrade.mark(&upgrade.version)).join("RECORD");
        let mut looks = ["test", "-e", &word(&record)].map(str::to_owned).to_vec();
        looks.extend(apart.iter().flat_map(|apart| apart.test(&of.packages)));
        let mut planned = step("exchange the two", Act::Command(to(&upgrade.version, &of.version, true)), 1, 1);
        planned.verify = Some(Probe::Succeeds(upgrade.command(looks)));
        planned.revert = Some(Act::Command(to(&of.version, &upgrade.version, false)));
        self.steps.push(planned);
        Ok(())
    }

    fn migrate(&mut self, upgrade: &Upgrade) {
        let of = &upgrade.of;
        let around = self.surroundings();
        let migrate = upgrade.app(&of.python(), &["migrate", "--noinput"], around);
        let checked = upgrade.app(&of.python(), &["migrate", "--check"], around);
        let mut planned = step("migrate", Act::Command(migrate), 240, 30);
        planned.max_attempts = 3;
        let otherwise = format!(
            "{} {} does not know that schema, so it is not put back. {}; or mend what failed and retry",
            of.name,
            of.version,
            if around.1 {
                format!("Run undo-upgrade-and-restore with {}", upgrade.backup)
            } else {
                format!("Restore the database from {} first ({}), then revert", upgrade.backup, self.brings_back())
            }
        );
        let was = upgrade.schema.clone();
        planned.revert = Some(Act::Probe(Probe::Upgrade(UpgradeProbe::SchemaIs { was, otherwise })));
        self.steps.push(planned);
        self.steps.push(step("nothing is left to migrate", Act::Command(checked), 5, 5));
        self.own_commands(upgrade);
    }

    /// What the application wants to be run with another version: it also puts its built files where the proxy and the
    /// templates look for them, which are this version's alone.
    fn own_commands(&mut self, upgrade: &Upgrade) {
        let (of, around) = (&upgrade.of, self.surroundings());
        let list = upgrade.app(&of.python(), &["help", "--commands"], around);
        let mut own = Vec::new();
        for name in AFTERWARDS {
            let act = Act::Command(upgrade.app(&of.python(), &[name], around));
            let lacks = UpgradeProbe::Lacks { list: list.clone(), word: name.to_owned() };
            let mut planned = step(format!("{} {name}", of.name), act, 30, 15);
            planned.unless = Some(Probe::Upgrade(lacks));
            // The site is better off with code and schema that fit than held up by a stylesheet.
            planned.on_failure = OnFailure::Continue;
            own.push(planned);
        }
        self.steps.extend(own);
    }

    fn afterwards(&mut self, runs: PlannedStep) {
        self.steps.push(runs);
        self.steps.push(step("the site answers", Act::Wait(Probe::Healthy), 2, 3));
        self.steps.push(step("a worker listens", Act::Wait(Probe::WorkerListens), 2, 5));
    }
}

/// midwatch itself, for what it does as somebody else.
pub(super) fn midwatch() -> Result<PathBuf, NoPlan> {
    let midwatch = std::env::current_exe().map_err(|error| no(format!("midwatch does not find itself: {error}")))?;
    if midwatch.is_file() {
        Ok(midwatch)
    } else {
        Err(no("midwatch itself was replaced: leave it and start the new one"))
    }
}

impl Change {
    fn told(&self) -> String {
        match &self.from {
            Some(from) => format!("{} {from} → {}", self.name, self.to),
            None => format!("{} {} is new", self.name, self.to),
        }
    }
}
