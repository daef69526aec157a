//! An application whose code is in an image of a Compose project: its upgrade exchanges the image's tag in the project's
//! own file, and has Compose make the containers anew.

mod app;
mod back;
mod places;
mod steps;
mod tag;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use self::app::App;
use self::places::{Places, Reference, changed};
use self::tag::{Tag, good};
use super::versions::{Version, jump};
use super::{Draft, NoPlan, Step, no};
use crate::backends::compose::Read;
use crate::backends::images::{self, Placed};
use crate::backends::store::who;
use crate::config::{ServicePlace, SiteConfig};
use crate::domain::service::Role;
use crate::domain::time::Timestamp;
use crate::runbook::plan::Subject;
use crate::runbook::plan::image::{Containers, Retag};

/// One exchange of tags, forwards or back.
struct Exchange {
    app: App,
    to: Reference,
    retag: Retag,
    /// The services with the image that run: web, and what works behind it.
    web: Vec<String>,
    behind: Vec<String>,
    /// Whether Compose is told to leave alone what these stand on.
    alone: bool,
    /// When the plan was made.
    since: Timestamp,
}

impl Exchange {
    fn of(&self, services: &[String]) -> Containers {
        let (socket, project) = (self.app.project.socket.clone(), self.app.project.name.clone());
        Containers { socket, project, services: services.to_vec() }
    }

    fn everything(&self) -> Vec<String> {
        [self.web.clone(), self.behind.clone()].concat()
    }
}

/// Whether the site's web service is a container of a Compose project.
pub(super) fn contained(site: &SiteConfig) -> bool {
    let compose = |place: &ServicePlace| matches!(place, ServicePlace::Compose { .. });
    site.services.iter().any(|service| service.role == Role::Web && compose(&service.place))
}

impl Draft<'_> {
    /// Looks at everything that must be so, and makes the steps.
    pub(super) async fn upgrade_image(&mut self, (tag, wheels): (&str, &str), step: &Step) -> Result<(), NoPlan> {
        let site = self.upgraded()?;
        if wheels.starts_with('/') {
            return Err(no("wheels are for pip: this application is in an image, which comes from a registry"));
        }
        good(tag)?;
        let app = self.app(site).await?;
        let to = app.reference.with(tag);
        self.may_change_tag(&app, tag)?;
        let backup = self.fresh_backup(site).await?;
        let schema = self.schema_seen(&app).await?;
        let made = self.ground.made.as_millis();
        let sum = schema.as_deref().map_or("unseen", sum);
        let keep = format!("{}.midwatch-{}-to-{tag}-{made}-{sum}", app.places.file.path, app.reference.tag);
        let exchange = self.exchange_of(app, to, Some(keep)).await?;
        self.image_steps(&exchange, (&backup, schema.as_deref()), step);
        Ok(())
    }

    /// Whether this user may, and whether this is a way forward.
    fn may_change_tag(&mut self, app: &App, tag: &str) -> Result<(), NoPlan> {
        let (from, to) = (Tag::of(&app.reference.tag), Tag::of(tag));
        if app.reference.tag == tag {
            let same = |one: &&Placed| one.reference.starts_with(&[&app.reference.name, ":"].concat());
            let behind = app.all.iter().filter(same).find(|one| one.image != app.image || !one.runs());
            return Err(no(match behind {
                None => format!("{} runs already: nothing is to be done", app.reference),
                Some(one) => format!(
                    "{} runs already, but {} ({}) is {}: resume the run that has changed the tag, or see to it with `docker \
                     compose up -d`",
                    app.reference, one.name, one.reference, one.status
                ),
            }));
        }
        let (Some(from), Some(to)) = (from, to) else { return self.can_not_compare(app, tag) };
        if from.variant != to.variant {
            return self.can_not_compare(app, tag);
        }
        if to.version < from.version {
            return Err(no(format!(
                "{} runs: {tag} is older. That is no upgrade but a way back: undo-upgrade puts back the tag that an upgrade by \
                 midwatch has kept, where the database allows it",
                app.reference
            )));
        }
        jump(app.name.unwrap_or_default(), &from.version, &to.version, None).map_err(no)
    }

    fn can_not_compare(&mut self, app: &App, tag: &str) -> Result<(), NoPlan> {
        let from = &app.reference.tag;
        if app.name.is_some() && Tag::of(from).is_some() {
            return Err(no(format!("{tag} is no version midwatch can compare with {from}")));
        }
        self.costs.push(format!(
            "Whether {tag} is newer than {from}, and whether one may go from the one to the other at once, midwatch can't tell: \
             that is for whoever approves this."
        ));
        Ok(())
    }

    /// The migrations the database has seen; `None`: that can't be seen of an application that midwatch does not know.
    async fn schema_seen(&mut self, app: &App) -> Result<Option<String>, NoPlan> {
        match self.count_on(Subject::Schema).await {
            Ok(schema) => Ok(Some(schema)),
            Err(why) if app.name.is_some() => Err(why),
            Err(why) => {
                self.costs.push(format!(
                    "Which migrations the database has seen can't be seen ({why}). So nothing checks whether the older image \
                     still knows the schema when it is put back: that is for whoever does it."
                ));
                Ok(None)
            }
        }
    }

    /// What exactly would change, as Compose itself reads the project; nothing else may.
    async fn exchange_of(&mut self, app: App, to: Reference, keep: Option<String>) -> Result<Exchange, NoPlan> {
        let (from, Places { file, at, variable }) = (&app.reference, &app.places);
        ours(&file.path)?;
        let retag = Retag::of(&file.path, &file.text, at.clone(), (&from.tag, &to.tag), keep);
        let retag = retag.ok_or_else(|| no(format!("{} is not where it was found in {}", from.tag, file.path)))?;
        let (before, after) = if let Some((name, rest)) = variable {
            let (old, new) = ([rest.as_str(), &from.tag].concat(), [rest.as_str(), &to.tag].concat());
            let before = app.project.settings(Read::With(name, &old)).await.map_err(no)?;
            (before, app.project.settings(Read::With(name, &new)).await.map_err(no)?)
        } else {
            let path = Path::new(&file.path);
            let new = retag.applied(&file.text).unwrap_or_default();
            let before = app.project.settings(Read::Instead(path, &file.text)).await.map_err(no)?;
            (before, app.project.settings(Read::Instead(path, &new)).await.map_err(no)?)
        };
        let services = changed(&before, &after, from, &to)
            .map_err(|why| no(format!("{}: {why}; change it by hand", app.places.told())))?;
        let running = |service: &&String| app.all.iter().any(|one| one.service == **service && one.runs());
        let (web, behind): (Vec<String>, Vec<String>) =
            services.iter().filter(running).cloned().partition(|service| app.web.contains(service));
        self.only_its_own(&app, &services)?;
        if web.is_empty() {
            return Err(no(format!(
                "no container of {} runs: an upgrade is no repair; start it first",
                app.web.join(", ")
            )));
        }
        let hashes = app.project.hashes().await.map_err(no)?;
        for one in app.all.iter().filter(|one| web.contains(&one.service) || behind.contains(&one.service)) {
            as_written(&app, one, hashes.get(&one.service))?;
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
        Ok(Exchange { to, retag, web, behind, app, alone, since: self.ground.made })
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

    /// Everything of the application changes, and nothing else.
    fn only_its_own(&self, app: &App, services: &BTreeSet<String>) -> Result<(), NoPlan> {
        let site = self.upgraded()?;
        for configured in &site.services {
            let ServicePlace::Compose { service, .. } = &configured.place else { continue };
            let has = app.all.iter().any(|one| one.service == *service && one.reference == app.reference.to_string());
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

/// The sum by which the migrations a database has seen are known.
fn sum(schema: &str) -> &str {
    schema.rsplit(' ').next().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_schema_is_known_by_its_sum() {
        assert_eq!(sum("3 applied in 1 parts, sum 00ff"), "00ff");
    }
}
