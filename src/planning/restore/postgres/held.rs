//! Databases that are held: put back into use, or released.

use super::super::super::values::backups::of_database;
use super::super::super::{Act, Choice, Draft, NoPlan, Probe, Step, Subject};
use super::super::backed::Backed;
use super::{no, planned};
use crate::backends::database::held::{Held, held};
use crate::config::SiteConfig;
use crate::domain::backup::proof::Proof;
use crate::domain::text::{bytes, span};
use crate::domain::time::Timestamp;
use crate::runbook::plan::postgres::{Exchange, PostgresAct, Question, Server, literal};

/// The databases of a site that are held.
pub(in crate::planning) async fn choices(site: &SiteConfig, now: Timestamp) -> Result<Vec<Choice>, NoPlan> {
    let config = site.database.as_ref().map_err(|why| no(why.clone()))?;
    let all = held(config).await.map_err(NoPlan::Impossible)?;
    let label = |one: &Held| {
        let size = one.bytes.map_or("of unknown size".to_owned(), bytes);
        let age = one.since.map(|since| format!(" · held for {}", span(now.millis_since(since))));
        format!("{size}{}", age.unwrap_or_default())
    };
    Ok(all.iter().map(|one| Choice { value: one.name.clone(), label: label(one) }).collect())
}

impl Draft<'_> {
    /// One held database, which is counted on.
    async fn held(&mut self, name: &str) -> Result<Held, NoPlan> {
        let site = self.ground.site.ok_or_else(|| no("there is no site"))?;
        let config = site.database.as_ref().map_err(|why| no(why.clone()))?;
        let all = held(config).await.map_err(NoPlan::Impossible)?;
        let found = all.into_iter().find(|one| one.name == name);
        let found = found.ok_or_else(|| no(format!("{name} is not held by midwatch for this site")))?;
        self.count_on(Subject::Database(found.name.clone())).await?;
        Ok(found)
    }

    /// A held database gets its name back; the one in use is held.
    pub(in super::super) async fn swap_back_postgres(&mut self, name: &str, step: &Step) -> Result<(), NoPlan> {
        let (server, at) = self.ready_held(name, step).await?;
        self.change_places(&server, &at, step).await
    }

    /// Looks at a held database; how it and the one in use change places.
    pub(in super::super) async fn ready_held(&mut self, name: &str, step: &Step) -> Result<(Server, Exchange), NoPlan> {
        let (config, server, facts) = self.server().await?;
        let found = self.held(name).await?;
        let at = Exchange {
            name: config.name.clone(),
            now: facts.oid,
            other: found.name.clone(),
            mark: found.comment.clone(),
            held: format!("{}_held_{}", config.name, self.stamp()),
        };
        let (name, beside) = (facts.name.clone(), found.name.clone());
        let compare = PostgresAct::Compare { server: server.clone(), name, beside, fit: None };
        self.steps.push(planned("compare it with the one in use", compare, step.timeout_ms));
        self.costs.push(format!(
            "What was written since {} was put away is not in it. It stays in the database in use now, which is kept as {}.",
            found.name, at.held
        ));
        self.sessions(&facts);
        Ok((server, at))
    }

    /// The database that was displaced at this moment.
    pub(in super::super) async fn held_at(&self, since: Timestamp) -> Result<Option<String>, NoPlan> {
        let site = self.ground.site.ok_or_else(|| no("there is no site"))?;
        let config = site.database.as_ref().map_err(|why| no(why.clone()))?;
        let all = held(config).await.map_err(NoPlan::Impossible)?;
        Ok(all.into_iter().find(|one| one.since == Some(since)).map(|one| one.name))
    }

    /// Drops a held database, if there is a newer backup that was read to its end.
    pub(in super::super) async fn release_postgres(&mut self, name: &str, step: &Step) -> Result<(), NoPlan> {
        let (_, server, _) = self.server().await?;
        let found = self.held(name).await?;
        let proof = self.newer_backup(&found).await?;
        let act = PostgresAct::Release { server: server.clone(), name: found.name.clone(), oid: found.oid };
        let mut drop = proof.before("drop it", Act::Postgres(Box::new(act)), step);
        let sql = format!("select count(*) from pg_database where datname = {}", literal(&found.name));
        let means = format!("there is no {name}");
        drop.verify = Some(Probe::Postgres(Box::new(Question { server, sql, answer: "0".to_owned(), means })));
        self.steps.push(drop);
        self.drop_tasks(name).await;
        Ok(())
    }

    /// Whether there is a proven backup that was begun after this was put away: else it must stay.
    pub(in super::super) async fn newer_backup(&mut self, found: &Held) -> Result<Backed, NoPlan> {
        let name = &found.name;
        let since = found.since.ok_or_else(|| no(format!("since when {name} is held can't be told from its name")))?;
        // Of what it was when it was listed: one that has changed since is proven no more.
        let mut proven = of_database(self.ground).await?;
        proven.retain(|backup| {
            backup.made > since && matches!(backup.proof, Proof::Complete { .. } | Proof::Restored { .. })
        });
        // One that can be read again right before is worth more than a newer one in a repository.
        proven.sort_by_key(|backup| !backup.path.starts_with('/'));
        let proven = proven.into_iter().next();
        let Some(proven) = proven else {
            return Err(no(format!(
                "no backup of the database that was begun after {name} was put away is proven complete: take one, have it \
                 read (midwatch backups verify), then release"
            )));
        };
        self.costs.push(format!("{name} and all that is in it are gone. The newest proven backup is {}.", proven.path));
        self.at_risk.extend(found.bytes.map(|size| format!("{} become free", bytes(size))));
        self.backed(&proven).await
    }
}
