//! An application whose code is in an image of a Compose project: its upgrade exchanges the image's tag in the project's
//! own file, and has Compose make the containers anew.

mod acts;
mod app;
mod back;
mod exchange;
mod places;
mod steps;
mod tag;
mod trust;

use self::app::App;
use self::places::Reference;
use self::tag::{Tag, good};
use super::versions::{Version, jump};
use super::{Draft, NoPlan, Step, no};
use crate::backends::images::Placed;
use crate::backends::look::schema_sum;
use crate::config::{ServicePlace, SiteConfig};
use crate::domain::service::Role;
use crate::domain::time::Timestamp;
use crate::runbook::plan::Subject;
use crate::runbook::plan::image::{Containers, Retag};

/// Where an exchange leads.
enum Way {
    /// To another tag; the text from before is kept there.
    Forth { keep: String },
    /// To the one from before, which was this image, by how its id begins.
    Back { id: String },
}

/// One exchange of tags, forwards or back.
struct Exchange {
    app: App,
    to: Reference,
    /// On the way back: the image that must be, by how its id begins.
    id: Option<String>,
    retag: Retag,
    /// The services with the image that run: web, and what works behind it.
    web: Vec<String>,
    behind: Vec<String>,
    /// Those with the image that have ended: what another waits for before it starts.
    ended: Vec<String>,
    /// The sum of the project's settings before and after.
    sums: (String, String),
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
        let app = self.app(site, false).await?;
        let to = app.reference.with(tag);
        self.may_change_tag(&app, tag)?;
        let backup = self.fresh_backup(site).await?;
        let schema = self.schema_seen(&app).await?;
        let made = self.ground.made.as_millis();
        let sum = schema.as_deref().map_or("unseen", schema_sum);
        let id = app.image.get(..19).unwrap_or(&app.image).replace(':', "_");
        let keep = format!("{}.midwatch-{}-to-{tag}-{made}-{sum}-{id}", app.places.file.path, app.reference.tag);
        let exchange = self.exchange_of(app, to, Way::Forth { keep }).await?;
        if let Some(ended) = exchange.ended.first().filter(|_| exchange.alone) {
            return Err(no(format!(
                "{ended} has the image, too, and would have to run first where another service waits for its end, but the rest \
                 of the project is not as its files say: run `docker compose up -d` first, and see that all is well"
            )));
        }
        self.image_steps(&exchange, (&backup, schema.as_deref()), step);
        Ok(())
    }

    /// Whether this user may, and whether this is a way forward.
    fn may_change_tag(&mut self, app: &App, tag: &str) -> Result<(), NoPlan> {
        let (from, to) = (Tag::of(&app.reference.tag), Tag::of(tag));
        if app.reference.tag == tag {
            let works = self.works()?;
            let same = |one: &&Placed| {
                works.contains(&one.service) && one.reference.starts_with(&[&app.reference.name, ":"].concat())
            };
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
        if app.name.is_some() {
            return Err(no(format!(
                "which version {} is can't be told, and so not whether {tag} is newer: give what runs the tag of its version \
                 first (docker tag {} {}:VERSION), write that into {}, and run `docker compose up -d`",
                app.reference, app.image, app.reference.name, app.places.file.path
            )));
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
}
