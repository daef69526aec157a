//! The way back from an upgrade that was done: the installation it kept.

use std::path::{Path, PathBuf};

use super::built::built_from;
use super::down::rests;
use super::steps::Places;
use super::{BY_HAND, Draft, Installation, NoPlan, SiteConfig, Step, Subject, Upgrade, environment, image, no};
use crate::backends::app_state::installation::{Remembered, commit, installation_as, told};
use crate::domain::database::Engine;
use crate::domain::repository::mark;
use crate::runbook::kept::RunView;
use crate::runbook::plan::postgres::Fit;
use crate::runbook::plan::{Act, Command, PlannedStep};

/// What an upgrade has kept.
struct Kept {
    version: String,
    commit: Option<String>,
    own: PathBuf,
}

impl Kept {
    fn told(&self) -> String {
        told(&self.version, self.commit.as_deref())
    }
}

impl Draft<'_> {
    /// Exchanges the installation for the one that the last upgrade to this version kept; with a backup from before, the
    /// database too.
    pub(in crate::planning) async fn undo_upgrade(&mut self, backup: Option<&str>, step: &Step) -> Result<(), NoPlan> {
        let site = self.upgraded()?;
        if image::contained(site) {
            return Box::pin(self.undo_image(backup, step)).await;
        }
        if let Some(releases) = &site.releases {
            return Box::pin(self.undo_release((site, releases), backup, step)).await;
        }
        let of = self.installed_back(site).await?;
        Self::may_change(&of)?;
        environment(&of)?;
        let kept = kept(&of).ok_or_else(|| {
            no(format!(
                "no upgrade by midwatch to {} has kept what was before in {}",
                of.told(),
                of.venv.join("midwatch-upgrades").display()
            ))
        })?;
        let was = kept.told();
        let places = Places::at(kept.own);
        let packages = places.inside(&of, &of.packages);
        let foreign = self.looker.foreign(&packages, of.name).await.map_err(no)?;
        match backup {
            None if !foreign.is_empty() => {
                return Err(no(format!(
                    "the database has seen migrations that {} {} does not know: {}. Bring back the database from before the \
                     upgrade too, as it was, not migrated anew: {}",
                    of.name,
                    was,
                    foreign.join(", "),
                    self.brings_back()
                )));
            }
            Some(_) if self.engine()? != Engine::Postgresql => {
                return Err(no(format!(
                    "both at once are for PostgreSQL here: {}, then undo-upgrade",
                    self.brings_back()
                )));
            }
            Some(_) if foreign.is_empty() => {
                return Err(no(format!(
                    "{} {} knows the database as it is: undo-upgrade puts it back, and nothing that was written is lost",
                    of.name, was
                )));
            }
            None | Some(_) => {}
        }
        self.costs.push(format!("{} {} is exchanged for {was}, which its upgrade has kept.", of.name, of.told()));
        let (web, behind) = self.parts_back(of.name).await?;
        self.starts_as = Some(of.user.clone());
        for service in web.iter().chain(&behind) {
            self.own_user(service, &of)?;
        }
        let schema = self.count_on(Subject::Schema).await?;
        let back = Upgrade {
            of,
            version: kept.version,
            wheels: None,
            changes: Vec::new(),
            built: None,
            backup: String::new(),
            schema,
            web,
            behind,
        };
        let Some(backup) = backup else { return self.steps_back(&back, &places, step).await };
        let code = Fit::Code(packages.display().to_string(), back.of.name.to_owned());
        let (server, exchange) = self.beside_postgres(backup, Some(code), step).await?;
        self.steps_back_with_database(&back, &places, (&server, &exchange), step).await
    }

    /// What is installed. Where nothing of it runs that would show it, as it was when its last upgrade began.
    async fn installed_back(&self, site: &SiteConfig) -> Result<Installation, NoPlan> {
        let remembered = self.recorded_runs(site).await.iter().find_map(remembered);
        if remembered.is_none() && self.all_parts().await?.iter().all(rests) {
            return Err(no(
                "none of the application's processes runs, and no upgrade by midwatch is on record that says how they did: \
                 start one of them",
            ));
        }
        installation_as(site, remembered).map_err(no)
    }

    /// Whether a database from before comes back together with the release or image.
    pub(super) fn does_both(&self) -> bool {
        matches!(self.engine(), Ok(Engine::Postgresql | Engine::Sqlite))
    }

    /// What brings a database from before an upgrade back, as it was.
    pub(super) fn brings_back(&self) -> &'static str {
        match self.engine() {
            Ok(Engine::Postgresql) => "undo-upgrade-and-restore does both",
            Ok(Engine::Sqlite) => "restore-database older=as-it-was first",
            Ok(Engine::Mysql) | Err(_) => BY_HAND,
        }
    }
}

/// How the application was run when this upgrade began: so its own commands were to be run; `None`: it is no upgrade.
fn remembered(view: &RunView) -> Option<Remembered> {
    let plan = &view.record.plan;
    let one = |step: &PlannedStep| {
        let Act::Command(Command { argv, env, dir: Some(dir), .. }) = &step.act else { return None };
        let [python, .., migrate, _] = argv.as_slice() else { return None };
        let venv = Path::new(python).parent()?.parent()?.to_owned();
        (step.name == "migrate" && migrate == "migrate").then(|| Remembered { venv, cwd: dir.into(), env: env.clone() })
    };
    ["upgrade", "upgrade-from-git"].contains(&plan.runbook.as_str()).then(|| plan.steps.iter().find_map(one))?
}

/// Of what upgrades to what is installed have kept, the newest.
fn kept(of: &Installation) -> Option<Kept> {
    let entries = std::fs::read_dir(of.venv.join("midwatch-upgrades")).ok()?;
    let one = |own: PathBuf| {
        let name = own.file_name()?.to_str()?.to_owned();
        let (versions, made) = name.rsplit_once('-')?;
        let (from, to) = versions.split_once("-to-")?;
        let made: i64 = made.parse().ok()?;
        let packages = Places::at(own.clone()).inside(of, &of.packages);
        let whole = packages.join(format!("{}-{from}.dist-info", of.name)).join("RECORD").is_file();
        // Versions may be the same: it must be what was put into use, and nothing of that be left where the old one is kept.
        let its_own = match built_from(&own) {
            Some(id) => of.commit.as_ref() == Some(&id) && !packages.join(mark(of.name, to, &id)).exists(),
            None => of.commit.is_none(),
        };
        let kept = || Kept { commit: commit(&packages, of.name, from), version: from.to_owned(), own };
        (to == of.version && whole && its_own).then(|| (made, kept()))
    };
    entries.flatten().filter_map(|entry| one(entry.path())).max_by_key(|(made, _)| *made).map(|(_, kept)| kept)
}
