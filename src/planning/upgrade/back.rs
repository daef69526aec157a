//! The way back from an upgrade that was done: the installation it kept.

use std::path::PathBuf;

use super::steps::Places;
use super::{BY_HAND, Draft, Installation, NoPlan, Step, Subject, Upgrade, environment, installation, no};
use crate::domain::database::Engine;
use crate::runbook::plan::postgres::Fit;

/// What an upgrade has kept.
struct Kept {
    version: String,
    own: PathBuf,
}

impl Draft<'_> {
    /// Exchanges the installation for the one that the last upgrade to this version kept; with a backup from before, the
    /// database too.
    pub(in crate::planning) async fn undo_upgrade(&mut self, backup: Option<&str>, step: &Step) -> Result<(), NoPlan> {
        let site = self.upgraded()?;
        if let Some(releases) = &site.releases {
            return Box::pin(self.undo_release((site, releases), backup, step)).await;
        }
        let of = installation(site).map_err(no)?;
        Self::may_change(&of)?;
        environment(&of)?;
        let kept = kept(&of).ok_or_else(|| {
            no(format!(
                "no upgrade by midwatch to {} has kept what was before in {}",
                of.version,
                of.venv.join("midwatch-upgrades").display()
            ))
        })?;
        let places = Places::at(kept.own);
        let packages = places.beside.join(of.packages.strip_prefix(&of.venv).unwrap_or(&of.packages));
        let foreign = self.looker.foreign(&packages, of.name).await.map_err(no)?;
        match backup {
            None if !foreign.is_empty() => {
                return Err(no(format!(
                    "the database has seen migrations that {} {} does not know: {}. Bring back the database from before the \
                     upgrade too, as it was, not migrated anew: {}",
                    of.name,
                    kept.version,
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
                    of.name, kept.version
                )));
            }
            None | Some(_) => {}
        }
        self.costs
            .push(format!("{} {} is exchanged for {}, which its upgrade has kept.", of.name, of.version, kept.version));
        let (web, behind) = self.running(&of).await?;
        let schema = self.count_on(Subject::Schema).await?;
        let back = Upgrade {
            of,
            version: kept.version,
            wheels: None,
            changes: Vec::new(),
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

    /// What brings a database from before an upgrade back, as it was.
    pub(super) fn brings_back(&self) -> &'static str {
        match self.engine() {
            Ok(Engine::Postgresql) => "undo-upgrade-and-restore does both",
            Ok(Engine::Sqlite) => "restore-database older=as-it-was first",
            Ok(Engine::Mysql) | Err(_) => BY_HAND,
        }
    }
}

/// Of what upgrades to the installed version have kept, the newest.
fn kept(of: &Installation) -> Option<Kept> {
    let entries = std::fs::read_dir(of.venv.join("midwatch-upgrades")).ok()?;
    let inside = of.packages.strip_prefix(&of.venv).ok()?.to_owned();
    let one = |own: PathBuf| {
        let name = own.file_name()?.to_str()?.to_owned();
        let (versions, made) = name.rsplit_once('-')?;
        let (from, to) = versions.split_once("-to-")?;
        let mark = format!("{}-{from}.dist-info", of.name);
        let whole = own.join("venv").join(&inside).join(mark).join("RECORD").is_file();
        let made: i64 = made.parse().ok()?;
        (to == of.version && whole).then(|| (made, Kept { version: from.to_owned(), own }))
    };
    entries.flatten().filter_map(|entry| one(entry.path())).max_by_key(|(made, _)| *made).map(|(_, kept)| kept)
}
