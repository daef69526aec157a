//! The way back from an upgrade that was done: the release it began with, as its run has it on record.

use std::path::Path;

use super::super::BY_HAND;
use super::super::steps::step;
use super::{Change, Draft, NoPlan, Releases, ReleasesConfig, SiteConfig, Step, no};
use crate::backends::backups::likeness::content;
use crate::backends::look::releases::runs_from;
use crate::backends::look::{is_down, schema_told};
use crate::backends::store::who;
use crate::domain::database::Engine;
use crate::domain::service::Service;
use crate::runbook::kept::RunView;
use crate::runbook::plan::files::FilesProbe;
use crate::runbook::plan::postgres::Fit;
use crate::runbook::plan::releases::{Pointing, ReleasesAct, ReleasesProbe};
use crate::runbook::plan::{Act, Probe, Subject, UpgradeAct, UpgradeProbe};
use crate::runbook::run::StepState;

/// What the run of an upgrade has on record.
pub(super) struct Record {
    /// The run.
    run: String,
    /// The release it began with: its directory's name.
    from: String,
    /// The backup from before.
    backup: Option<String>,
    /// What the database had seen.
    schema: Option<String>,
    /// Whether it has migrated.
    migrated: bool,
    /// As whom the application ran.
    pub(super) uid: Option<u32>,
}

impl<'c> Draft<'c> {
    /// Has the link say the release that the last upgrade to this one began with; with a backup from before, the database comes
    /// back too.
    pub(in super::super) async fn undo_release(
        &mut self,
        (site, config): (&'c SiteConfig, &'c ReleasesConfig),
        backup: Option<&str>,
        given: &Step,
    ) -> Result<(), NoPlan> {
        let of = Releases::of(config)?;
        let record = self.record(&of, site).await?;
        if !of.all().iter().any(|(_, name)| *name == record.from) {
            return Err(no(format!(
                "{} began with {}, which is not in {} any more",
                record.run,
                record.from,
                of.dir.display()
            )));
        }
        let change = self.change(of, &record.from, site, Some(&record)).await?;
        self.costs
            .push(format!("{} points to {} again, with which {} began.", change.of.current, change.to, record.run));
        if let Some(backup) = backup {
            return self.undo_with_database(&change, &record, backup, given).await;
        }
        let (from, to) = (change.of.name.clone(), change.to.clone());
        let backup = record.backup.as_deref().unwrap_or("a backup from before");
        match (&record.schema, self.schema_of(site).await?) {
            (Some(was), Some(now)) if *was == now => {}
            (Some(was), Some(now)) => {
                return Err(no(format!(
                    "the database has been migrated since the upgrade to {from} began (it had {was}, and has {now}), and {to} \
                     does not know that schema: bring the database from before back, too, with {backup}: {}",
                    if self.does_both() { "undo-upgrade-and-restore does both" } else { BY_HAND }
                )));
            }
            (_, _) if record.migrated => {
                let question = format!(
                    "The database doesn't say which migrations it has seen, and the upgrade to {from} has run some. Is it the \
                     one from before again ({backup} was restored)? Otherwise {to} meets a schema that it does not know"
                );
                self.steps.push(step("the database is the one from before", Act::Ask(question), 60, 30));
            }
            (_, _) => {}
        }
        let (release, link) = (change.of.path(&to), Path::new(&change.of.current));
        let older = |service: &Service| runs_from(service, &[&release], link).is_ok();
        self.stop_for_back((&change.web, &change.behind), older, &change.reads(), given).await?;
        self.point(&change)?;
        self.start_anew((&change.web, &change.behind), change.runs()?, given).await
    }

    /// Neither of the two may meet the other's half, so everything is stopped while both change.
    async fn undo_with_database(
        &mut self,
        change: &Change<'_>,
        record: &Record,
        backup: &str,
        given: &Step,
    ) -> Result<(), NoPlan> {
        let to = &change.to;
        let (engine, as_it_was) =
            (self.engine()?, if self.engine()? == Engine::Sqlite { " older=as-it-was" } else { "" });
        if engine == Engine::Mysql {
            return Err(no(format!(
                "with releases side by side, both at once are for PostgreSQL and SQLite: put the database from before back \
                 {BY_HAND}, then undo-upgrade"
            )));
        }
        let unknown = || {
            no(format!(
                "which migrations the database has seen is not known: restore-database{as_it_was} first, then undo-upgrade"
            ))
        };
        let was = record.schema.as_ref().ok_or_else(unknown)?;
        if self.schema_of(change.site).await?.ok_or_else(unknown)? == *was {
            return Err(no(format!(
                "{to} knows the database as it is: undo-upgrade goes back to it, and nothing that was written is lost"
            )));
        }
        match engine {
            Engine::Postgresql => Box::pin(self.undo_with_postgres(change, (backup, was), given)).await,
            Engine::Sqlite | Engine::Mysql => {
                Box::pin(self.undo_with_sqlite(change, (record, backup, was), given)).await
            }
        }
    }

    async fn undo_with_postgres(
        &mut self,
        change: &Change<'_>,
        (backup, was): (&str, &str),
        given: &Step,
    ) -> Result<(), NoPlan> {
        let (server, databases) = self.beside_postgres(backup, Some(Fit::Schema(was.to_owned())), given).await?;
        for service in change.behind.iter().chain(&change.web) {
            self.stop(service, given).await?;
        }
        self.point(change)?;
        self.exchange_databases(&server, &databases).await;
        self.start_stopped((&change.web, &change.behind), change.runs()?, given).await
    }

    async fn undo_with_sqlite(
        &mut self,
        change: &Change<'_>,
        (record, backup, was): (&Record, &str, &str),
        given: &Step,
    ) -> Result<(), NoPlan> {
        let (from, to) = (&change.of.name, &change.to);
        let held = content(Path::new(backup), true).await.map_err(|why| {
            no(format!("which migrations {backup} has seen can't be told ({why}); one that is packed is restored by restore-database older=as-it-was"))
        })?;
        let saved = schema_told(&held.migrations);
        if saved != was {
            let other = record.backup.as_deref().filter(|other| *other != backup);
            let other = other.map(|other| format!(", like {other}")).unwrap_or_default();
            return Err(no(format!(
                "{backup} has seen other migrations ({saved}) than the database had with {to} ({was}): take one from before the \
                 upgrade to {from}{other}"
            )));
        }
        // The release that comes back knows it as it was.
        let exchange = self.ready_sqlite((backup, true), given).await?;
        let mut users = self.users().await?;
        users.retain(|user| {
            !is_down(user) || change.web.iter().chain(&change.behind).any(|part| part.name == user.name)
        });
        self.stop_those(&users, given).await?;
        self.point(change)?;
        self.exchange_all(exchange, given).await;
        self.start_users(&users, given).await?;
        self.steps.push(change.runs()?);
        Ok(())
    }

    /// What the newest upgrade of this site to the release in use has on record.
    async fn record(&self, of: &Releases, site: &SiteConfig) -> Result<Record, NoPlan> {
        self.recorded_runs(site).await.iter().find_map(|view| recorded(view, of)).ok_or_else(|| {
            no(format!(
                "no upgrade by midwatch that has led to {} is on record: nothing says where to go back to",
                of.name
            ))
        })
    }
}

/// What the run of an upgrade to this release has on record; `None`: it is none, or has not come so far.
fn recorded(view: &RunView, of: &Releases) -> Option<Record> {
    let (plan, progress) = (&view.record.plan, view.progress());
    let done = |at: usize| matches!(progress.steps.get(at), Some(StepState::Done(_)));
    let pointed = |(at, act): (usize, &Act)| {
        let Act::Upgrade(UpgradeAct::Releases(ReleasesAct::Point(pointing))) = act else { return None };
        done(at).then(|| pointing.clone())
    };
    let acts = || plan.steps.iter().map(|step| &step.act);
    let Pointing { current, to, from, .. } = acts().enumerate().find_map(pointed)?;
    let name = |says: &str| Path::new(says).file_name()?.to_str().map(str::to_owned);
    if plan.runbook != "upgrade" || current != of.current || name(&to)? != of.name {
        return None;
    }
    Some(Record {
        run: view.record.id.clone(),
        from: name(&from)?,
        backup: acts().find_map(|act| {
            let Act::Probe(Probe::Files(FilesProbe::There(backup))) = act else { return None };
            Some(backup.clone())
        }),
        schema: plan.facts.iter().find(|fact| fact.of == Subject::Schema).map(|fact| fact.was.clone()),
        uid: acts().find_map(|act| {
            let Act::Wait(Probe::Upgrade(UpgradeProbe::Releases(ReleasesProbe::Run { user, .. }))) = act else {
                return None;
            };
            who::number(user).or_else(|| user.parse().ok())
        }),
        migrated: acts().any(|act| matches!(act, Act::Upgrade(UpgradeAct::Releases(ReleasesAct::Alike { .. })))),
    })
}
