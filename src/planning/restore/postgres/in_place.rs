//! A database restored over what is in it, where no second one can be made: in one transaction, with a last dump first, and
//! with nobody at work. It costs the site as long as it takes.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::super::files::{in_names, save_postgres, trusted_place, written};
use super::super::super::values::backups::trusted;
use super::super::super::{Act, Draft, NoPlan, Step, Subject};
use super::{Facts, backup, no, planned};
use crate::backends::backups::applied::{applied, tables};
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::database::{psql, reach};
use crate::backends::look::files::{inode, stamp};
use crate::config::DatabaseConfig;
use crate::domain::app_state::by_app;
use crate::domain::database::{Engine, Migrated};
use crate::domain::text::{bytes, plain};
use crate::runbook::plan::files::FilesProbe;
use crate::runbook::plan::postgres::{Over, PostgresAct, Server};

/// Most names that are told.
const NAMED: usize = 5;

impl Draft<'_> {
    pub(in crate::planning) async fn restore_in_place(
        &mut self,
        (backup, directory): (&str, &str),
        step: &Step,
    ) -> Result<(), NoPlan> {
        let site = self.ground.site.ok_or_else(|| no("there is no site"))?;
        let config = site.database.as_ref().map_err(|why| no(why.clone()))?;
        if config.engine != Engine::Postgresql {
            return Err(no("only PostgreSQL is restored in place: restore-database does the others"));
        }
        self.count_on(Subject::Database(config.name.clone())).await?;
        let server = reach::over(config).await.map_err(NoPlan::Impossible)?;
        let facts = Facts::of(&server, config).await.map_err(NoPlan::Impossible)?;
        facts.fit(&config.name).map_err(NoPlan::Impossible)?;
        let found = backup::Found::read(backup, &config.name, facts.major).await.map_err(NoPlan::Impossible)?;
        if found.sql || found.packed {
            return Err(no(format!(
                "{} is SQL or packed: only an archive of pg_dump (-Fc, -Fd, -Ft) says what has to go first. Unpack it, or take \
                 another",
                plain(backup, 200)
            )));
        }
        self.at_risk.extend(trusted(self.ground, backup, &found.verdict)?);
        let why = match reach::reach(config).await {
            Err(_) => "no role that midwatch can act as may make databases".to_owned(),
            Ok(_) => match facts.room(found.restored) {
                Err(why) => why,
                Ok(()) => {
                    return Err(no(
                        "a second database can be made here: restore-database does it beside, and the site is away for a \
                         moment only",
                    ));
                }
            },
        };
        alike(&server, config, backup).await?;
        let was = self.begin_from(backup, Subject::Source(backup.to_owned())).await?;
        let readable = backup::readable(&server, backup).await;
        if found.directory && !readable {
            return Err(no(format!("pg_restore runs as another user, who may not read the directory {backup}")));
        }

        let directory = std::fs::canonicalize(directory).map_err(|error| no(format!("{directory}: {error}")))?;
        trusted_place(&directory)?;
        let id = in_names(&site.id);
        let to = written(&directory.join(format!("{id}-last-{}.dump", stamp(self.ground.made))))?;
        if inode(&to).is_some() {
            return Err(no(format!("{to} is there already")));
        }
        let (save, _) = save_postgres(config, to.clone()).await?;
        self.costs.push(format!(
            "In place, for {why}: the site is away from the first step to the last, for as long as the database takes to be \
             saved ({}) and the backup to be restored.",
            bytes(facts.size)
        ));
        let made = found.made.as_ref().map_or(String::new(), |made| format!(" (it was begun at {made})"));
        self.costs.push(format!(
            "What was written since the backup{made} is overwritten. It is in the last dump, {to}, which is kept: nothing else \
             has it."
        ));

        let users = self.stop_users(step).await?;
        self.file_step("save it into a last dump", (save, FilesProbe::There(to.clone())), None, step);
        let over = Over {
            name: facts.name.clone(),
            oid: facts.oid,
            owner: facts.owner.clone(),
            path: backup.to_owned(),
            handed: server.user.is_some() && !readable,
            was: Some(was),
        };
        // What it does, it does whole or not at all, and nobody else writes: done again, it comes to the same.
        let back = Over { path: to.clone(), handed: server.user.is_some(), was: None, ..over.clone() };
        let mut restore = planned("restore over it", PostgresAct::Over(server.clone(), over), step.timeout_ms);
        restore.revert = Some(Act::Postgres(Box::new(PostgresAct::Over(server.clone(), back))));
        self.steps.push(restore);
        let analyze = PostgresAct::Sql { server, database: facts.name.clone(), statements: vec!["analyze".to_owned()] };
        self.steps.push(planned("gather statistics", analyze, step.timeout_ms));
        // Named by the dump, so that they come back when that is restored.
        let tasks = self.tasks_change(&to, backup).await;
        self.steps.extend(tasks);
        self.forget_cache();
        self.start_users(&users, step).await
    }
}

/// Refuses a backup that would leave a mixture: what the database has and the backup has not stays where it is.
async fn alike(server: &Server, config: &DatabaseConfig, backup: &str) -> Result<(), NoPlan> {
    let path = backup.to_owned();
    let read = move || {
        let (path, tools, control) = (Path::new(&path), Tools::find(), Control::default());
        (tables(path, &tools, &control), applied(path, false, &tools, &control))
    };
    let (saved, then) = tokio::task::spawn_blocking(read).await.map_err(|error| no(error.to_string()))?;
    let saved = saved.ok_or_else(|| no(format!("which tables are in {backup} can't be read")))?;
    let ask = |sql: &'static str| psql::ask(server, Some(&config.password), &config.name, sql);
    let live = ask(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in \
         ('r', 'p') and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%' and not exists (select from \
         pg_depend d where d.objid = c.oid and d.deptype = 'e') order by 1, 2",
    );
    let live: Vec<(String, String)> = pairs(live.await.map_err(NoPlan::Impossible)?);
    let left: Vec<String> = live
        .iter()
        .filter(|table| !saved.contains(table))
        .take(NAMED)
        .map(|(schema, table)| plain(&format!("{schema}.{table}"), 80))
        .collect();
    if !left.is_empty() {
        return Err(no(format!(
            "the database has tables that are not in {backup}, and would keep them beside the restored ones: {}. Take a backup \
             of the same release",
            left.join(", ")
        )));
    }
    if !live.contains(&("public".to_owned(), "django_migrations".to_owned())) {
        return Ok(());
    }
    let now = pairs(ask("select app, name from public.django_migrations").await.map_err(NoPlan::Impossible)?);
    let same = then.is_some_and(|then| set(&then) == set(&by_app(now.into_iter())));
    if same {
        return Ok(());
    }
    Err(no(format!(
        "{backup} has not seen the same migrations as the database in use, and would be restored over another schema: take a \
         backup of the same release"
    )))
}

fn pairs(rows: psql::Rows) -> Vec<(String, String)> {
    let pair = |row: Vec<String>| {
        let mut cells = row.into_iter();
        Some((cells.next()?, cells.next()?))
    };
    rows.into_iter().filter_map(pair).collect()
}

fn set(all: &[Migrated]) -> BTreeSet<(&str, &str)> {
    all.iter().flat_map(|part| part.names.iter().map(|name| (part.app.as_str(), name.as_str()))).collect()
}
