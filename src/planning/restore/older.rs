//! A backup that is older than the code: the application itself migrates what was restored from it, beside the database
//! in use.

use std::path::Path;

use super::super::super::upgrade::{app, environment};
use super::super::super::{Act, Draft, Step};
use super::{NoPlan, backup, no, step};
use crate::backends::app_state::installation::installation;
use crate::backends::backups::applied::applied;
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::domain::app_state::{pending, shortened, unknown};
use crate::domain::text::plain;
use crate::runbook::plan::{Command, UpgradeAct};

/// Most migrations that are named where they are told.
const NAMED: usize = 5;

impl Draft<'_> {
    /// The migrations a backup lacks of those that come with the code on disk; none where either can't be seen: then it is
    /// told when the restored database is compared. One that is newer than the code is refused.
    pub(super) async fn missing(&self, backup: &str, found: &backup::Found) -> Result<Vec<String>, NoPlan> {
        let Some(code) = self.looker.code().await.ok().flatten() else { return Ok(Vec::new()) };
        let (path, sql) = (backup.to_owned(), found.sql);
        let read = move || applied(Path::new(&path), sql, &Tools::find(), &Control::default());
        let seen = tokio::task::spawn_blocking(read).await.ok().flatten().unwrap_or_default();
        let seen = shortened(&seen);
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
        let mut named: Vec<String> = missing.iter().take(NAMED).map(|name| plain(name, 80)).collect();
        let more = missing.len().saturating_sub(NAMED);
        named.extend((more > 0).then(|| format!("{more} more")));
        let older = format!("The backup is older than the code on disk: {} are missing in it.", named.join(", "));
        match self.own_migrate(beside).await {
            Ok((list, migrate)) => {
                self.costs.push(format!(
                    "{older} The application itself applies them to the restored database before that is put into use."
                ));
                let act = UpgradeAct::MigrateOther { database: beside.to_owned(), list, migrate, missing };
                let mut planned = step("have the application migrate it", Act::Upgrade(act), of.timeout_ms);
                planned.max_attempts = 3;
                self.steps.push(planned);
            }
            Err(why) => self.costs.push(format!(
                "{older} midwatch can't have them applied ({why}): the run will stop before the databases change places, and \
                 say what is to be done."
            )),
        }
    }

    /// What lists the migrations of that database, and what applies them: the application's own commands, told of another
    /// database than the one in use by its environment.
    async fn own_migrate(&self, beside: &str) -> Result<(Command, Command), String> {
        let site = self.ground.site.ok_or_else(|| "there is no site".to_owned())?;
        let of = installation(site)?;
        Self::may_change(&of).and_then(|()| environment(&of)).map_err(|why| why.to_string())?;
        let variable = match of.name {
            "pretix" => "PRETIX_DATABASE_NAME",
            "pretalx" => "PRETALX_DB_NAME",
            other => return Err(format!("how {other} is told of another database is not known")),
        };
        // Which of the two the application sees is told by what is missing, and in the one in use nothing may be.
        let code = self.looker.code().await?.unwrap_or_default();
        if let Some(first) = self.looker.pending(&code).await?.first() {
            return Err(format!("the database in use lacks {first} itself: finish its upgrade first"));
        }
        let told = |arguments: &[&str]| {
            let mut command = app(&of, &of.python(), arguments, (site.source.as_deref(), true));
            command.env.remove(&format!("FILE__{variable}"));
            command.env.insert(variable.to_owned(), beside.to_owned());
            command
        };
        Ok((told(&["showmigrations", "--plan"]), told(&["migrate", "--noinput"])))
    }
}
