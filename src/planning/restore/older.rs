//! A backup that is older than the code: the application itself migrates what was restored from it, beside the database
//! in use.

use super::super::upgrade::{app, environment};
use super::super::{Act, Draft, NoPlan, Step};
use super::postgres::{no, step};
use crate::backends::app_state::installation::{Installation, installation};
use crate::backends::database::mysql::reach::works_in;
use crate::domain::app_state::{pending, shortened, unknown};
use crate::domain::database::{Engine, Migrated};
use crate::domain::text::plain;
use crate::runbook::plan::{Command, UpgradeAct};

/// Most migrations that are named where they are told.
const NAMED: usize = 5;
/// What becomes of a restored database that the code can't work with.
const STOPS: &str = "the run will stop before the databases change places, and say what is to be done.";

impl Draft<'_> {
    /// The migrations a backup that has `seen` these lacks of those that come with the code on disk; none where either can't
    /// be seen: then it is told when the restored database is compared. One that is newer than the code is refused.
    pub(super) async fn missing(&self, backup: &str, seen: Option<Vec<Migrated>>) -> Result<Vec<String>, NoPlan> {
        let Some(code) = self.looker.code().await.ok().flatten() else { return Ok(Vec::new()) };
        let seen = shortened(&seen.unwrap_or_default());
        if let Some(part) = unknown(&code, &seen).first() {
            return Err(no(format!(
                "{} is of a newer release than the code on disk, which doesn't know {}.{}: take an older backup, or upgrade \
                 first",
                plain(backup, 200),
                plain(&part.app, 60),
                plain(part.head(), 60)
            )));
        }
        Ok(pending(&code, &seen))
    }

    /// The step in which the application migrates the restored database, where that can be had; else what becomes of it.
    pub(super) async fn migrate_beside(&mut self, beside: &str, missing: Vec<String>, of: &Step) {
        if missing.is_empty() {
            return;
        }
        let older = older(&missing);
        match self.own_migrate(beside).await {
            Ok(commands) => {
                self.costs.push(format!(
                    "{older} The application itself applies them to the restored database before that is put into use."
                ));
                self.migrates(beside, commands, missing, of);
            }
            Err(why) => self.costs.push(format!("{older} midwatch can't have them applied ({why}): {STOPS}")),
        }
    }

    /// The same for a file: in one that is packed what is `missing` is not known yet (`None`), and nothing stops one that
    /// lacks something.
    pub(super) async fn migrate_file(&mut self, beside: &str, missing: Option<Vec<String>>, of: &Step) {
        if missing.as_ref().is_some_and(Vec::is_empty) || !matches!(self.looker.code().await, Ok(Some(_))) {
            return;
        }
        let older = match &missing {
            Some(missing) => older(missing),
            None => "The backup is packed, and may be older than the code on disk.".to_owned(),
        };
        match self.own_migrate(beside).await {
            Ok(commands) => {
                self.costs.push(format!(
                    "{older} The application itself applies what is missing to the copy before that is put into use."
                ));
                self.migrates(beside, commands, missing.unwrap_or_default(), of);
            }
            Err(why) => self.costs.push(format!(
                "{older} midwatch can't have what is missing applied beside ({why}): have the application migrate \
                 afterwards, or install the version it was made with first."
            )),
        }
    }

    fn migrates(&mut self, beside: &str, (list, migrate): (Command, Command), missing: Vec<String>, of: &Step) {
        let act = UpgradeAct::MigrateOther { database: beside.to_owned(), list, migrate, missing };
        let mut planned = step("have the application migrate it", Act::Upgrade(act), of.timeout_ms);
        planned.max_attempts = 3;
        self.steps.push(planned);
    }

    /// What lists the migrations of that database, and what applies them: the application's own commands, told of another
    /// database than the one in use by its environment.
    async fn own_migrate(&self, beside: &str) -> Result<(Command, Command), String> {
        let site = self.ground.site.ok_or_else(|| "there is no site".to_owned())?;
        let of = installation(site)?;
        Self::may_change(&of).and_then(|()| environment(&of)).map_err(|why| why.to_string())?;
        let variable = variable(&of)?;
        let database = site.database.as_ref().map_err(Clone::clone)?;
        if database.engine == Engine::Mysql {
            works_in(database, beside).await?;
        }
        // Which of the two the application sees is told by what is missing, and in the one in use nothing may be.
        let code = self.looker.code().await?.unwrap_or_default();
        if let Some(first) = self.looker.pending(&code).await?.first() {
            return Err(format!("the database in use lacks {first} itself: finish its upgrade first"));
        }
        let around = (site.source.as_deref(), database.engine == Engine::Postgresql);
        let told = |arguments: &[&str]| {
            let mut command = app(&of, &of.python(), arguments, around);
            command.env.remove(&format!("FILE__{variable}"));
            command.env.insert(variable.to_owned(), beside.to_owned());
            command
        };
        Ok((told(&["showmigrations", "--plan"]), told(&["migrate", "--noinput"])))
    }
}

/// What an application reads the name of its database from, before its configuration.
fn variable(of: &Installation) -> Result<&'static str, String> {
    match of.name {
        "pretix" => Ok("PRETIX_DATABASE_NAME"),
        "pretalx" => Ok("PRETALX_DB_NAME"),
        other => Err(format!("how {other} is told of another database is not known")),
    }
}

fn older(missing: &[String]) -> String {
    let mut named: Vec<String> = missing.iter().take(NAMED).map(|name| plain(name, 80)).collect();
    let more = missing.len().saturating_sub(NAMED);
    named.extend((more > 0).then(|| format!("{more} more")));
    format!("The backup is older than the code on disk: {} are missing in it.", named.join(", "))
}
