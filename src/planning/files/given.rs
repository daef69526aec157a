//! What can be given as a backup, a place for one, a directory, or something that is held.

use std::path::Path;

use super::{Draft, NoPlan, impossible};
use crate::backends::look::files::{Held, held, stamp};
use crate::domain::backup::Place;
use crate::domain::text::plain;
use crate::planning::values::backups;
use crate::planning::{Choice, Subject};
use crate::runbook::spec::{Kind, Parameter};

/// What stands for the newest good backup of the database.
const NEWEST: &str = "newest";

impl Draft<'_> {
    /// A path that is there.
    pub(in crate::planning) async fn path(
        &mut self,
        parameter: &Parameter,
        given: Option<&String>,
    ) -> Result<(), NoPlan> {
        let (name, kind) = (&parameter.name, &parameter.kind);
        let usual = if *kind == Kind::BackupPlace { self.usual_place().await } else { None };
        let newest = match given {
            Some(word) if *kind == Kind::Backup && word == NEWEST => Some(self.newest().await?),
            Some(_) | None => None,
        };
        let Some(value) = newest.or_else(|| given.cloned()).or(usual) else {
            return Err(NoPlan::Missing(name.clone(), parameter.title.clone(), self.paths(kind).await));
        };
        // A default that is no path stands for none.
        if parameter.default.as_ref() == Some(&value) && !value.starts_with('/') {
            self.values.insert(name.clone(), value);
            return Ok(());
        }
        if !value.starts_with('/') || !Path::new(&value).exists() {
            let why = "is no path that is there, from / on".to_owned();
            return Err(NoPlan::Wrong(name.clone(), plain(&value, 60), why, self.paths(kind).await));
        }
        let place = *kind == Kind::BackupPlace;
        let of = if place { Subject::Place(value.clone()) } else { Subject::File(value.clone()) };
        self.count_on(of).await?;
        self.values.insert(name.clone(), value);
        Ok(())
    }

    /// The newest good backup of the database, for what nobody is asked about: a timer's drill.
    async fn newest(&self) -> Result<String, NoPlan> {
        let all = backups::of_database(self.ground).await?;
        let good = all.into_iter().find(|backup| backup.usable() && backup.path.starts_with('/'));
        good.map(|backup| backup.path).ok_or_else(|| impossible("there is no good backup of the database"))
    }

    /// Something that midwatch holds.
    pub(in crate::planning) async fn what_is_held(
        &mut self,
        parameter: &Parameter,
        given: Option<&String>,
    ) -> Result<(), NoPlan> {
        let name = &parameter.name;
        let held = held(self.site()?);
        let label = |h: &Held| format!("of {} · displaced {} UTC", h.live, stamp(h.since));
        let choices: Vec<_> = held.iter().map(|h| Choice { value: h.path.clone(), label: label(h) }).collect();
        if choices.is_empty() {
            return Err(impossible("nothing is held of this site"));
        }
        let Some(value) = given else {
            return Err(NoPlan::Missing(name.clone(), parameter.title.clone(), choices));
        };
        let Some(one) = held.iter().find(|h| h.path == *value) else {
            let why = "is nothing that midwatch holds".to_owned();
            return Err(NoPlan::Wrong(name.clone(), plain(value, 60), why, choices));
        };
        self.count_on(Subject::Source(value.clone())).await?;
        self.values.insert(format!("{name}.live"), one.live.clone());
        self.values.insert(format!("{name}.since"), stamp(one.since));
        self.values.insert(name.clone(), value.clone());
        Ok(())
    }

    /// Where the newest good backup lies, else the first place there is.
    async fn usual_place(&self) -> Option<String> {
        let reading = self.backups().await.ok()?;
        let good = reading.backups.iter().filter(|backup| backup.usable() && backup.path.starts_with('/'));
        let parent = |path: &str| Path::new(path).parent().and_then(Path::to_str).map(str::to_owned);
        let beside = good.filter_map(|backup| parent(&backup.path));
        let places = reading.places.iter().map(|place| place.path.clone());
        beside.chain(places).find(|place| Path::new(place).is_dir())
    }

    /// What could be given for a path.
    async fn paths(&self, kind: &Kind) -> Vec<Choice> {
        let data = self.ground.site.and_then(|site| site.data_dir.as_ref());
        if *kind == Kind::Directory {
            let media = data.map(|data| data.join("media")).filter(|media| media.is_dir());
            let all = media.iter().chain(data).map(|dir| dir.display().to_string());
            return all.map(|value| Choice { value, label: "files of the site".to_owned() }).collect();
        }
        if *kind == Kind::Backup {
            return crate::planning::values::backups::choices(self.ground).await.unwrap_or_default();
        }
        let Ok(reading) = self.backups().await else { return Vec::new() };
        let choice = |place: &Place| Choice { value: place.path.clone(), label: place.found_by.clone() };
        reading.places.iter().filter(|place| Path::new(&place.path).is_dir()).map(choice).collect()
    }
}
