//! The way back from an upgrade by an image's tag that was done: the tag from before, which it has kept; with a backup from
//! before, the database too.

use std::path::Path;

use super::super::steps::step;
use super::steps::Database;
use super::{App, Draft, NoPlan, Reference, Step, Way, no};
use crate::backends::backups::likeness::content;
use crate::backends::images;
use crate::backends::look::{schema_is, schema_sum};
use crate::domain::database::Engine;
use crate::runbook::plan::postgres::Fit;
use crate::runbook::plan::{Act, Subject};

/// What an upgrade has kept.
struct Kept {
    /// The tag from before.
    tag: String,
    /// The sum of the migrations the database had seen; `None`: that could not be seen.
    sum: Option<String>,
    /// The image that was, by how its id begins.
    id: String,
}

impl Draft<'_> {
    /// Puts back the tag that the last upgrade to this one has kept.
    pub(in super::super) async fn undo_image(&mut self, backup: Option<&str>, step: &Step) -> Result<(), NoPlan> {
        let app = self.app(self.upgraded()?, true).await?;
        let file = app.places.file.path.clone();
        let kept = kept(&app).ok_or_else(|| {
            no(format!("no upgrade by midwatch to {} has kept what was before beside {file}", app.reference))
        })?;
        let to = app.reference.with(&kept.tag);
        let here = images::image(&app.project.socket, &to.to_string()).await.map_err(no)?;
        if here.as_ref().is_none_or(|here| !here.starts_with(&kept.id)) {
            return Err(no(format!(
                "the image that ran before was {}, and {to} is {} by now: nothing else may meet the database as it was. Fetch or \
                 tag that very image (docker pull {to}; docker tag {} {to}), then it goes",
                kept.id,
                here.as_deref().map_or("not on this engine", |here| here.get(..19).unwrap_or(here)),
                kept.id
            )));
        }
        let way = Way::Back { id: kept.id.clone() };
        self.costs.push(format!("{} ({}) is exchanged for {to}.", app.reference, app.image));
        let Some(backup) = backup else {
            let schema = self.knows_schema(&kept, &to).await?;
            let exchange = self.exchange_of(app, to, way).await?;
            return self.image_steps_back(&exchange, (schema.as_deref(), Database::Stays), step).await;
        };
        let was = self.needs_database(&kept, &to).await?;
        let exchange = self.exchange_of(app, to, way).await?;
        let database = if self.engine()? == Engine::Sqlite {
            let held = content(Path::new(backup), true).await.map_err(|why| {
                no(format!(
                    "which migrations {backup} has seen can't be told ({why}): unpack it, and take what was in it"
                ))
            })?;
            schema_is(backup, &held.migrations, &was).map_err(no)?;
            Database::File(self.ready_sqlite((backup, true), step).await?)
        } else {
            let (server, databases) = self.beside_postgres(backup, Some(Fit::Schema(was)), step).await?;
            Database::Postgres(server, databases)
        };
        self.image_steps_back(&exchange, (None, database), step).await
    }

    /// What the database has seen, which must be what the older image knows.
    async fn knows_schema(&mut self, kept: &Kept, to: &Reference) -> Result<Option<String>, NoPlan> {
        match self.count_on(Subject::Schema).await {
            Ok(now) if kept.sum.as_deref() == Some(schema_sum(&now)) => Ok(Some(now)),
            Ok(now) if kept.sum.is_some() => Err(no(format!(
                "the database has been migrated since {to} ran ({now}), and {to} does not know that schema: {}",
                if self.does_both() { "undo-upgrade-and-restore does both".to_owned() } else { self.by_hand()? }
            ))),
            Err(why) if kept.sum.is_some() => Err(why),
            Ok(_) | Err(_) => {
                let question = format!(
                    "Which migrations the database had seen before the upgrade is not known. Does {to} know it as it is now, for \
                     nothing was migrated, or the one from before was put back?"
                );
                self.steps.push(step("the database is one it knows", Act::Ask(question), 60, 30));
                Ok(None)
            }
        }
    }

    /// The sum of what the database had seen, which a backup must have seen, too; only where both have to come back.
    async fn needs_database(&mut self, kept: &Kept, to: &Reference) -> Result<String, NoPlan> {
        if !self.does_both() {
            return Err(no(format!("both at once are for PostgreSQL and SQLite: {}", self.by_hand()?)));
        }
        let Some(was) = kept.sum.clone() else {
            let by_hand = self.by_hand()?;
            return Err(no(format!(
                "which migrations the database had seen before the upgrade is not known: {by_hand}"
            )));
        };
        let now = self.count_on(Subject::Schema).await?;
        if schema_sum(&now) == was {
            return Err(no(format!(
                "{to} knows the database as it is: undo-upgrade goes back to it, and nothing that was written is lost"
            )));
        }
        Ok(was)
    }

    /// How the database from before comes back where no runbook brings it.
    fn by_hand(&self) -> Result<String, NoPlan> {
        Ok(format!(
            "stop what works with it (docker compose stop {}), put the database from before the upgrade back by hand, then \
             undo-upgrade starts them with the older image. (restore-database would start the newer one, which migrates it again.)",
            self.works()?.into_iter().collect::<Vec<_>>().join(" ")
        ))
    }
}

/// Of what upgrades to the tag in use have kept beside its file, the newest.
fn kept(app: &App) -> Option<Kept> {
    let path = Path::new(&app.places.file.path);
    let before = [path.file_name()?.to_str()?, ".midwatch-"].concat();
    let after = format!("-to-{}", app.reference.tag);
    let one = |name: &str| {
        let (rest, id) = name.strip_prefix(&before)?.rsplit_once('-')?;
        let (rest, sum) = rest.rsplit_once('-')?;
        let (tags, made) = rest.rsplit_once('-')?;
        let id = id.replace('_', ":");
        let made: i64 = made.parse().ok()?;
        let tag = tags.strip_suffix(&after)?.to_owned();
        let sum = Some(sum.to_owned()).filter(|sum| sum != "unseen");
        id.starts_with("sha256:").then_some((made, Kept { tag, sum, id }))
    };
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let all = entries.flatten().filter_map(|entry| one(entry.file_name().to_str()?));
    all.max_by_key(|(made, _)| *made).map(|(_, kept)| kept)
}
