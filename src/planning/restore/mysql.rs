//! How a MySQL or MariaDB database is restored: into a schema beside, compared, and its tables put in the place of those in
//! use, which are held.
//!
//! A schema can't be renamed, tables can. So the schema in use stays what it is, with its grants, views, routines and
//! events, and only tables come and go.

mod backup;
mod drill;

use super::super::values::backups::trusted;
use super::super::{Act, Draft, NoPlan, PlannedStep, Probe, Step, Subject};
use super::postgres::{SHORT_MS, no, step as step_of};
use crate::backends::database::held::{Held, held};
use crate::backends::database::mysql::collations;
use crate::backends::database::mysql::facts::Facts;
use crate::backends::database::mysql::own::reader;
use crate::backends::database::mysql::reach::reach;
use crate::config::DatabaseConfig;
use crate::domain::text::{bytes, count, plain};
use crate::runbook::plan::mysql::{
    Beside, CHECKED, Exchange, HELD, MADE, MysqlAct, MysqlProbe, RESTORE, Server, WHOLE,
};
use backup::{Found, applied};

/// A step of midwatch's own.
fn planned(name: &str, act: MysqlAct, timeout_ms: u64) -> PlannedStep {
    step_of(name, Act::Mysql(Box::new(act)), timeout_ms)
}

fn probe(probe: MysqlProbe) -> Probe {
    Probe::Mysql(Box::new(probe))
}

impl<'c> Draft<'c> {
    /// The site's database, the way to its server, and what there is.
    async fn mysql(&mut self) -> Result<(&'c DatabaseConfig, Server, Facts), NoPlan> {
        let site = self.ground.site.ok_or_else(|| no("there is no site"))?;
        let config = site.database.as_ref().map_err(|why| no(why.clone()))?;
        let server = reach(config).await.map_err(NoPlan::Impossible)?;
        self.count_on(Subject::Database(config.name.clone())).await?;
        let mut link = reader(&server, Some(&config.password)).await.map_err(NoPlan::Impossible)?;
        let facts = Facts::of(&mut link, config).await.map_err(NoPlan::Impossible)?;
        link.close().await;
        facts.fit(&config.name).map_err(NoPlan::Impossible)?;
        Ok((config, server, facts))
    }

    pub(super) async fn restore_mysql(&mut self, backup: &str, step: &Step) -> Result<(), NoPlan> {
        let (config, server, facts) = self.mysql().await?;
        let name = config.name.clone();
        let found = Found::read(backup, &name, &facts.version).await.map_err(NoPlan::Impossible)?;
        self.at_risk.extend(trusted(self.ground, backup, &found.verdict)?);
        let mut link = reader(&server, Some(&config.password)).await.map_err(NoPlan::Impossible)?;
        let unknown = collations::unknown(&mut link, &found.collations).await;
        link.close().await;
        if let Some(unknown) = unknown {
            let server = format!("the site's server ({})", plain(&facts.version, 40));
            return Err(no(collations::refused(&plain(backup, 200), &unknown, &server)));
        }
        if let Some(more) = &found.left_out {
            self.costs.push(format!(
                "Only tables and rows are restored. The backup holds {more}, too: {name} keeps those it has now, and gets none \
                 that it lacks."
            ));
        }
        facts.room(found.bytes).map_err(NoPlan::Impossible)?;
        self.begin_from(backup, Subject::Source(backup.to_owned())).await?;
        let stamp = self.stamp();
        let beside = Beside {
            name: format!("{name}{RESTORE}{stamp}"),
            mark: format!("{MADE} for the restore of {stamp}"),
            charset: facts.charset.clone(),
            collation: facts.collation.clone(),
        };
        let exchange =
            Exchange { mark: format!("{}{CHECKED}", beside.mark), ..exchange(&name, &beside.name, &stamp, &facts) };
        let missing = self.missing(backup, applied(backup).await).await?;
        self.fill_schema(&server, (&name, &beside), (backup, &found), missing, step).await?;
        let made = found.made.as_ref().map_or(String::new(), |made| format!(" (it was begun at {made})"));
        self.costs.push(format!(
            "What was written since the backup{made} is not in it. It stays in the tables in use now, which are kept in {}.",
            exchange.held
        ));
        self.change_tables(&server, (&exchange, &beside), &facts, step).await
    }

    /// The steps until the restored tables are ready; the site goes on meanwhile.
    async fn fill_schema(
        &mut self,
        server: &Server,
        (name, beside): (&str, &Beside),
        (backup, found): (&str, &Found),
        missing: Vec<String>,
        step: &Step,
    ) -> Result<(), NoPlan> {
        let mut path = backup.to_owned();
        if found.packed {
            let dir = self.values.get("dir").ok_or_else(|| no("there is no state directory to unpack into"))?;
            path = format!("{dir}.unpacked");
            let unpack = MysqlAct::Unpack { from: backup.to_owned(), to: path.clone() };
            let mut unpack = planned("unpack the backup", unpack, step.timeout_ms);
            unpack.revert = Some(Act::Mysql(Box::new(MysqlAct::Remove(path.clone()))));
            self.steps.push(unpack);
        }
        let discard = Act::Mysql(Box::new(MysqlAct::Discard(server.clone(), beside.clone())));
        let marked =
            |how: &str| probe(MysqlProbe::Marked(server.clone(), beside.name.clone(), format!("{}{how}", beside.mark)));
        let make = MysqlAct::Make(server.clone(), beside.clone());
        let mut make = planned("make an empty schema beside", make, SHORT_MS);
        (make.verify, make.revert) = (Some(marked("")), Some(discard.clone()));
        let load = MysqlAct::Load(server.clone(), beside.clone(), path.clone());
        let mut load = planned("restore into it", load, step.timeout_ms);
        (load.verify, load.revert) = (Some(marked(WHOLE)), Some(discard));
        self.steps.extend([make, load]);
        if found.packed {
            self.steps.push(planned("remove what was unpacked", MysqlAct::Remove(path), SHORT_MS));
        }
        self.migrate_beside(&beside.name, missing, step).await;
        let compare = MysqlAct::Compare {
            server: server.clone(),
            name: name.to_owned(),
            beside: beside.name.clone(),
            mark: beside.mark.clone(),
        };
        let mut compare = planned("compare it with the one in use", compare, step.timeout_ms);
        compare.verify = Some(marked(CHECKED));
        self.steps.push(compare);
        Ok(())
    }

    /// The steps that exchange tables, with those around them.
    async fn change_tables(
        &mut self,
        server: &Server,
        (at, left): (&Exchange, &Beside),
        facts: &Facts,
        step: &Step,
    ) -> Result<(), NoPlan> {
        self.costs.push(format!(
            "While the tables change places ({}, and those that come: some milliseconds each), requests wait. A transaction \
             that is open then may fail; one that stays open for longer than some seconds makes the exchange fail, and \
             nothing is changed.",
            count(facts.tables(), "table")
        ));
        if facts.others > 0 {
            self.costs.push(format!(
                "Views, routines and events of {} stay as they are now: only tables are exchanged. What does not fit them is \
                 told when they have changed places.",
                at.name
            ));
        }
        if facts.replicas > 0 {
            self.costs.push("The replicas of the server take all of it in, too, and lag behind meanwhile.".to_owned());
        }
        self.at_risk.push(format!("{} are held until release-held", bytes(facts.size)));
        let told = |(who, count): &(String, String)| {
            format!("{}: {} sessions use {}, too", plain(who, 80), plain(count, 10), at.name)
        };
        self.at_risk.extend(facts.sessions.iter().map(told));
        let swap = MysqlAct::Exchange(server.clone(), at.clone());
        let mut swap = planned("put its tables in the place of those in use", swap, SHORT_MS);
        swap.verify = Some(probe(MysqlProbe::Exchanged(server.clone(), at.clone())));
        swap.revert = Some(Act::Mysql(Box::new(MysqlAct::Undo(server.clone(), at.clone()))));
        let sweep = MysqlAct::Discard(server.clone(), left.clone());
        let mut sweep = planned("drop the schema that is empty now", sweep, SHORT_MS);
        sweep.verify = Some(probe(MysqlProbe::Gone(server.clone(), left.name.clone())));
        let mut steps = vec![swap, sweep];
        steps.extend(self.tasks_change(&at.held, &at.other).await);
        self.while_nobody_works(steps, step).await
    }

    /// One held schema, which is counted on.
    async fn held_schema(&mut self, config: &DatabaseConfig, name: &str) -> Result<Held, NoPlan> {
        let all = held(config).await.map_err(NoPlan::Impossible)?;
        let found = all.into_iter().find(|one| one.name == name);
        let found = found.ok_or_else(|| no(format!("{name} is not held by midwatch for this site")))?;
        self.count_on(Subject::Database(found.name.clone())).await?;
        Ok(found)
    }

    /// The tables of a held schema come back; those in use are held.
    pub(super) async fn swap_back_mysql(&mut self, name: &str, step: &Step) -> Result<(), NoPlan> {
        let (config, server, facts) = self.mysql().await?;
        let found = self.held_schema(config, name).await?;
        let at = exchange(&config.name, &found.name, &self.stamp(), &facts);
        if at.held == found.name {
            return Err(no(format!("{} was put away in this very second: ask again in the next", found.name)));
        }
        let compare = MysqlAct::Compare {
            server: server.clone(),
            name: config.name.clone(),
            beside: found.name.clone(),
            mark: MADE.to_owned(),
        };
        self.steps.push(planned("compare it with the one in use", compare, step.timeout_ms));
        self.costs.push(format!(
            "What was written since {} was put away is not in it. It stays in the tables in use now, which are kept in {}.",
            found.name, at.held
        ));
        // Its tables and its mark are gone by then: it is dropped only if nothing is in it.
        let left = Beside {
            mark: format!("{MADE} for nothing"),
            name: found.name,
            charset: facts.charset.clone(),
            collation: facts.collation.clone(),
        };
        self.change_tables(&server, (&at, &left), &facts, step).await
    }

    /// Drops a held schema, if there is a newer backup that was read to its end.
    pub(super) async fn release_mysql(&mut self, name: &str, step: &Step) -> Result<(), NoPlan> {
        let site = self.ground.site.ok_or_else(|| no("there is no site"))?;
        let config = site.database.as_ref().map_err(|why| no(why.clone()))?;
        let server = reach(config).await.map_err(NoPlan::Impossible)?;
        let found = self.held_schema(config, name).await?;
        let proof = self.newer_backup(&found).await?;
        let act = MysqlAct::Release(server.clone(), found.name.clone());
        let mut drop = proof.before("drop it", Act::Mysql(Box::new(act)), step);
        drop.verify = Some(probe(MysqlProbe::Gone(server, found.name)));
        self.steps.push(drop);
        self.drop_tasks(name).await;
        Ok(())
    }
}

fn exchange(name: &str, other: &str, stamp: &str, facts: &Facts) -> Exchange {
    Exchange {
        name: name.to_owned(),
        other: other.to_owned(),
        mark: MADE.to_owned(),
        held: format!("{name}{HELD}{stamp}"),
        charset: facts.charset.clone(),
        collation: facts.collation.clone(),
    }
}
