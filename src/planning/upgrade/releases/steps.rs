//! The steps from one release to another.

use super::super::BY_HAND;
use super::super::steps::{LOCK_TIMEOUT, step, word};
use super::{Change, Draft, NoPlan, ReleasesConfig, Step, midwatch, written};
use crate::domain::database::Engine;
use crate::runbook::plan::files::FilesProbe;
use crate::runbook::plan::releases::{ReleasesAct, ReleasesProbe};
use crate::runbook::plan::{Act, Command, PlannedStep, Probe, UpgradeAct, UpgradeProbe};

/// Minutes that a migration may take.
const MIGRATES: u64 = 240;

impl Draft<'_> {
    /// All of it. `backup`: the proven one from before; `schema`: what the database has seen, where it says so.
    pub(super) async fn release_steps(
        &mut self,
        change: &Change<'_>,
        config: &ReleasesConfig,
        (backup, schema): (Option<String>, Option<String>),
        given: &Step,
    ) -> Result<(), NoPlan> {
        let (from, to, current) = (&change.of.name, &change.to, &change.of.current);
        self.steps.push(step("what changes", Act::Note(format!("{current}: {from} → {to}")), 1, 0));
        if let Some(backup) = &backup {
            let there = Probe::Files(FilesProbe::There(backup.clone()));
            self.steps.push(step("the backup is still there", Act::Probe(there), 1, 1));
        }
        for service in &change.behind {
            self.stop(service, given).await?;
        }
        self.serve_on_with(change)?;
        self.point(change)?;
        let back = |revert: &str| {
            format!("{revert} (and when the run is done, undo-upgrade) has {current} point to {from} again")
        };
        self.way_back = Some(match (&config.migrate, &backup) {
            (Some(argv), Some(backup)) => {
                self.costs.push(format!(
                    "What {} changes in the database is not undone by midwatch, and begins while web serves {from}.",
                    argv.join(" ")
                ));
                self.migrate_release(change, argv, (backup, schema.as_deref()))?;
                match schema {
                    Some(_) => format!(
                        "As long as nothing was migrated, {}, which is left as it is. Once something was migrated both \
                         refuse, for {from} does not know the new schema: the database from {backup} has to come back, {}.",
                        back("revert"),
                        if self.does_both() { "too (undo-upgrade-and-restore)" } else { BY_HAND }
                    ),
                    None => format!(
                        "As long as the migration was not begun, {}. Then it can't be seen whether anything was migrated, \
                         for the database doesn't say: restore it from {backup}, then undo-upgrade.",
                        back("revert")
                    ),
                }
            }
            (_, _) => format!("{}. The database is not touched.", back("Revert")),
        });
        self.start_anew((&change.web, &change.behind), change.runs()?, given).await
    }

    /// Says what it means that web serves on.
    fn serve_on_with(&mut self, change: &Change<'_>) -> Result<(), NoPlan> {
        self.serve_on(&change.web, &change.of.name, &change.reads())
    }

    /// Has the link say the other release.
    pub(super) fn point(&mut self, change: &Change<'_>) -> Result<(), NoPlan> {
        let (current, to) = (&change.of.current, &change.to);
        let pointing = change.pointing()?;
        let points = ReleasesProbe::Points { current: current.clone(), to: pointing.to.clone() };
        let back = Act::Upgrade(UpgradeAct::Releases(ReleasesAct::Point(pointing.back())));
        let act = Act::Upgrade(UpgradeAct::Releases(ReleasesAct::Point(pointing)));
        let mut planned = step(format!("point to {to}"), act, 1, 1);
        planned.verify = Some(Probe::Upgrade(UpgradeProbe::Releases(points)));
        planned.revert = Some(back);
        self.steps.push(planned);
        Ok(())
    }

    fn migrate_release(
        &mut self,
        change: &Change<'_>,
        argv: &[String],
        (backup, schema): (&str, Option<&str>),
    ) -> Result<(), NoPlan> {
        let Some(web) = change.web.first() else { return Ok(()) };
        let mut command = Command { argv: argv.to_vec(), user: Some(change.user.clone()), ..Command::default() };
        command.dir = Some(written(&change.of.path(&change.to))?);
        if self.engine().ok() == Some(Engine::Postgresql) {
            command.env.insert("PGOPTIONS".to_owned(), LOCK_TIMEOUT.to_owned());
        }
        let act = ReleasesAct::Alike { midwatch: word(&midwatch()?), service: web.name.clone(), command };
        let mut planned = step("migrate", Act::Upgrade(UpgradeAct::Releases(act)), MIGRATES, 30);
        let from = &change.of.name;
        let otherwise = if schema.is_some() {
            format!(
                "{from} does not know that schema, so it is not put back. {}; or mend what failed and retry",
                if self.does_both() {
                    format!("Run undo-upgrade-and-restore with {backup}")
                } else {
                    format!("Restore the database from {backup} {BY_HAND}, then revert")
                }
            )
        } else {
            format!("mend what failed and retry; or restore the database from {backup}, then undo-upgrade")
        };
        let was = schema.unwrap_or("not known").to_owned();
        planned.revert = Some(Act::Probe(Probe::Upgrade(UpgradeProbe::SchemaIs { was, otherwise })));
        self.steps.push(planned);
        Ok(())
    }
}

impl Change<'_> {
    /// What else it means that web serves on.
    pub(super) fn reads(&self) -> String {
        format!("; what it reads through {} from here on is {}'s", self.of.current, self.to)
    }

    /// That the other release really runs.
    pub(super) fn runs(&self) -> Result<PlannedStep, NoPlan> {
        let services = self.web.iter().chain(&self.behind).map(|service| service.name.clone()).collect();
        let (current, release) = (self.of.current.clone(), written(&self.of.path(&self.to))?);
        let run = ReleasesProbe::Run { services, current, release, user: self.user.clone() };
        Ok(step(format!("{} runs", self.to), Act::Wait(Probe::Upgrade(UpgradeProbe::Releases(run))), 2, 3))
    }
}
