//! The way back from an upgrade by an image's tag that was done: the tag from before, which it has kept.

use std::path::Path;

use super::{App, Draft, NoPlan, Step, no, sum};
use crate::runbook::plan::Subject;

/// What an upgrade has kept.
struct Kept {
    /// The tag from before.
    tag: String,
    /// The sum of the migrations the database had seen; `None`: that could not be seen.
    sum: Option<String>,
}

impl Draft<'_> {
    /// Puts back the tag that the last upgrade to this one has kept.
    pub(in super::super) async fn undo_image(&mut self, step: &Step) -> Result<(), NoPlan> {
        let app = self.app(self.upgraded()?).await?;
        let file = app.places.file.path.clone();
        let kept = kept(&app).ok_or_else(|| {
            no(format!("no upgrade by midwatch to {} has kept what was before beside {file}", app.reference))
        })?;
        let to = app.reference.with(&kept.tag);
        let schema = match self.count_on(Subject::Schema).await {
            Ok(now) if kept.sum.as_deref() == Some(sum(&now)) => Some(now),
            Ok(now) if kept.sum.is_some() => {
                return Err(no(format!(
                    "the database has been migrated since {to} ran ({now}), and {to} does not know that schema: stop what \
                     works with it (docker compose stop {}), put the database from before the upgrade back by hand, then undo-upgrade \
                     starts it with {to}. (restore-database would start the newer image with it, which migrates it again.)",
                    self.works()?.into_iter().collect::<Vec<_>>().join(" ")
                )));
            }
            Err(why) if kept.sum.is_some() => return Err(why),
            Ok(_) | Err(_) => {
                self.costs.push(format!(
                    "Which migrations the database had seen before the upgrade is not known: whether {to} knows its schema as \
                     it is now is for whoever approves this."
                ));
                None
            }
        };
        self.costs.push(format!("{} ({}) is exchanged for {to}.", app.reference, app.image));
        let exchange = self.exchange_of(app, to, None).await?;
        self.image_steps_back(&exchange, schema.as_deref(), step);
        Ok(())
    }
}

/// Of what upgrades to the tag in use have kept beside its file, the newest.
fn kept(app: &App) -> Option<Kept> {
    let path = Path::new(&app.places.file.path);
    let before = [path.file_name()?.to_str()?, ".midwatch-"].concat();
    let after = format!("-to-{}", app.reference.tag);
    let one = |name: &str| {
        let (rest, sum) = name.strip_prefix(&before)?.rsplit_once('-')?;
        let (tags, made) = rest.rsplit_once('-')?;
        let made: i64 = made.parse().ok()?;
        let tag = tags.strip_suffix(&after)?.to_owned();
        let sum = Some(sum.to_owned()).filter(|sum| sum != "unseen");
        Some((made, Kept { tag, sum }))
    };
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let all = entries.flatten().filter_map(|entry| one(entry.file_name().to_str()?));
    all.max_by_key(|(made, _)| *made).map(|(_, kept)| kept)
}
