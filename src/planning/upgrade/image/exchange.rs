//! What exactly would change with another tag, as Compose itself reads the project.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::places::{Places, Reference, changed};
use super::trust::in_good_hands;
use super::{App, Draft, Exchange, NoPlan, Way, no};
use crate::backends::compose::Read;
use crate::backends::images::{self, Placed};
use crate::backends::store::who;
use crate::config::ServicePlace;
use crate::domain::service::Role;
use crate::runbook::plan::Subject;
use crate::runbook::plan::image::{Retag, sum};

impl Draft<'_> {
    /// What exactly would change, as Compose itself reads the project; nothing else may. On the way back
    /// the application may be stopped, or half of it upgraded.
    pub(super) async fn exchange_of(&mut self, app: App, to: Reference, way: Way) -> Result<Exchange, NoPlan> {
        let (from, Places { file, at, variable }) = (&app.reference, &app.places);
        ours(&file.path)?;
        in_good_hands(&app.project.socket, app.project.files.iter().chain(&app.project.env_file))?;
        if let Some(other) = images::by_hand(&app.project.socket, &app.project.name).await.map_err(no)?.first() {
            return Err(no(format!(
                "{} still runs, a program that somebody or an earlier run has started in a container of {}: wait until it has \
                 ended (docker wait {})",
                other.name, other.service, other.name
            )));
        }
        let (keep, back) = match way {
            Way::Forth { keep } => (Some(keep), None),
            Way::Back { id } => (None, Some(id)),
        };
        let retag = Retag::of(&file.path, &file.text, at.clone(), (&from.tag, &to.tag), keep);
        let retag = retag.ok_or_else(|| no(format!("{} is not where it was found in {}", from.tag, file.path)))?;
        let path = Path::new(&file.path);
        let new = match variable {
            Some((_, rest)) => [rest.as_str(), &to.tag].concat(),
            None => retag.applied(&file.text).unwrap_or_default(),
        };
        let read = variable.as_ref().map_or(Read::Instead(path, &new), |(name, _)| Read::With(name, &new));
        let before = app.project.settings(Read::AsItIs).await.map_err(no)?;
        let after = app.project.settings(read).await.map_err(no)?;
        let now = app.project.sums(Read::AsItIs).await.map_err(no)?;
        let then = app.project.sums(read).await.map_err(no)?;
        let services = changed(&before, &after, from, &to)
            .map_err(|why| no(format!("{}: {why}; change it by hand", app.places.told())))?;
        let works = self.works()?;
        let counts = |one: &&Placed| one.runs() || (back.is_some() && works.contains(&one.service));
        let of = |service: &String| app.all.iter().filter(|one| one.service == *service).collect::<Vec<_>>();
        let (there, rest): (Vec<String>, Vec<String>) =
            services.iter().cloned().partition(|service| of(service).iter().any(&counts));
        let ended = rest.into_iter().filter(|service| !of(service).is_empty()).collect();
        let (web, behind): (Vec<String>, Vec<String>) =
            there.into_iter().partition(|service| app.web.contains(service));
        self.only_its_own(&app, &services)?;
        if web.is_empty() {
            return Err(no(format!(
                "no container of {} runs: an upgrade is no repair; start it first",
                app.web.join(", ")
            )));
        }
        let (hashes, other) = (hashes(&now), hashes(&then));
        for one in app.all.iter().filter(|one| web.contains(&one.service) || behind.contains(&one.service)) {
            // What an upgrade that ended half-way has left as it was.
            let left = back.as_ref().is_some_and(|id| one.image.starts_with(id.as_str()))
                && other.get(&one.service) == Some(&one.hash);
            if !left {
                as_written(&app, one, hashes.get(&one.service))?;
            }
        }
        // The files it is made anew from, and what runs now.
        let files = app.project.files.iter().chain(&app.project.env_file).map(|file| file.display().to_string());
        let files: BTreeSet<String> = files.chain([file.path.clone()]).collect();
        for file in files {
            self.begin_from(&file, Subject::Source(file.clone())).await?;
        }
        let site = self.upgraded()?;
        for configured in &site.services {
            if let ServicePlace::Compose { service, .. } = &configured.place
                && services.contains(service)
            {
                self.count_on(Subject::Service(configured.name.clone())).await?;
            }
        }
        let alone = self.others_differ(&app, &services, &hashes).await;
        let sums = (sum(&now), sum(&then));
        Ok(Exchange { to, id: back, retag, web, behind, ended, sums, app, alone, since: self.ground.made })
    }

    /// Whether Compose would make more of the project anew than what is exchanged: the database, because a file or its image
    /// has changed since it was made.
    async fn others_differ(
        &mut self,
        app: &App,
        services: &BTreeSet<String>,
        hashes: &BTreeMap<String, String>,
    ) -> bool {
        let mut differ = BTreeSet::new();
        for one in app.all.iter().filter(|one| !services.contains(&one.service)) {
            let image = images::image(&app.project.socket, &one.reference).await.ok().flatten();
            if hashes.get(&one.service) != Some(&one.hash) || image.as_ref() != Some(&one.image) {
                differ.insert(one.service.clone());
            }
        }
        if differ.is_empty() {
            return false;
        }
        let differ: Vec<String> = differ.into_iter().collect();
        self.costs.push(format!(
            "{} would be made anew by the next `docker compose up -d`, for its files or its image have changed since: this run \
             leaves them alone (--no-deps). Compose 2 then takes what it makes here for changed, too: it makes them anew once \
             more at that next time, which undo-upgrade asks for.",
            differ.join(", ")
        ));
        true
    }

    /// The Compose services that do the application's work.
    pub(super) fn works(&self) -> Result<BTreeSet<String>, NoPlan> {
        let works = |role: Role| matches!(role, Role::Web | Role::Worker | Role::Beat);
        let named = self.upgraded()?.services.iter().filter(|service| works(service.role));
        Ok(named
            .filter_map(|service| match &service.place {
                ServicePlace::Compose { service, .. } => Some(service.clone()),
                ServicePlace::Unit { .. } | ServicePlace::Supervisor { .. } | ServicePlace::Process { .. } => None,
            })
            .collect())
    }

    /// Everything of the application changes, and nothing else.
    fn only_its_own(&self, app: &App, services: &BTreeSet<String>) -> Result<(), NoPlan> {
        let site = self.upgraded()?;
        for configured in &site.services {
            let ServicePlace::Compose { service, .. } = &configured.place else { continue };
            let same = [&app.reference.name, ":"].concat();
            let has = app.all.iter().any(|one| one.service == *service && one.reference.starts_with(&same));
            match configured.role {
                Role::Web | Role::Worker | Role::Beat if has && !services.contains(service) => {
                    return Err(no(format!(
                        "{service} runs {}, and its tag is written elsewhere than in {}: change it by hand",
                        app.reference,
                        app.places.told()
                    )));
                }
                Role::Database | Role::Redis | Role::Proxy if services.contains(service) => {
                    return Err(no(format!(
                        "{service} would get another image, too, from {}: change it by hand",
                        app.places.told()
                    )));
                }
                Role::Web
                | Role::Worker
                | Role::Beat
                | Role::Periodic
                | Role::Database
                | Role::Redis
                | Role::Proxy
                | Role::Other => {}
            }
        }
        let others = |role: Role| matches!(role, Role::Database | Role::Redis | Role::Proxy);
        let other = |service: &str| {
            let named =
                |place: &ServicePlace| matches!(place, ServicePlace::Compose { service: of, .. } if of == service);
            site.services.iter().any(|one| others(one.role) && named(&one.place))
        };
        let left = |one: &&Placed| {
            one.runs() && one.image == app.image && !services.contains(&one.service) && !other(&one.service)
        };
        if let Some(left) = app.all.iter().find(left) {
            return Err(no(format!(
                "{} runs the same image, and would not get the other one with {}: change it by hand",
                left.name,
                app.places.told()
            )));
        }
        Ok(())
    }
}

/// Nothing but the tag may be another when Compose makes a container anew.
fn as_written(app: &App, one: &Placed, hash: Option<&String>) -> Result<(), NoPlan> {
    if one.image != app.image {
        return Err(no(format!(
            "{} runs {}, the others {}: run `docker compose up -d` first",
            one.name, one.image, app.image
        )));
    }
    if hash.is_some_and(|hash| *hash == one.hash) {
        return Ok(());
    }
    Err(no(format!(
        "{} was made from other settings than its files have now, or by another version of Compose ({}), or with variables \
         that were set by hand: it would change in more than its image. Run `docker compose up -d` in {} first, and see that all \
         is well",
        one.name,
        one.version,
        one.dir.display()
    )))
}

/// The sum of each service's settings, of what Compose prints.
fn hashes(said: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| line.split_once(' ').map(|(service, hash)| (service.to_owned(), hash.trim().to_owned()));
    said.lines().filter_map(pair).collect()
}

/// Whether this user can put another file in its place, with the same owner.
fn ours(path: &str) -> Result<(), NoPlan> {
    let meta = std::fs::metadata(path).map_err(|error| no(format!("{path}: {error}")))?;
    let me = rustix::process::geteuid();
    if !me.is_root() && me.as_raw() != meta.uid() {
        let owner = who::name(meta.uid());
        return Err(no(format!("{path} belongs to {owner}: run midwatch as root or as {owner}")));
    }
    let dir = Path::new(path).parent().unwrap_or(Path::new("/"));
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK)
        .map_err(|error| no(format!("{} can't be written: {error}", dir.display())))
}
