//! An application in an image of a Compose project, as it runs now, and where its image's tag is written.

use std::path::PathBuf;

use super::places::{Places, Reference, Text, image_of, places};
use super::{Draft, NoPlan, no};
use crate::backends::compose::{Project, Read};
use crate::backends::images::{self, Placed};
use crate::config::{AppKind, ServicePlace, SiteConfig};
use crate::domain::service::Role;

/// No file of a project is longer.
const MOST: u64 = 4 * 1024 * 1024;

/// What is known of the project.
pub(super) struct App {
    pub(super) project: Project,
    /// What runs now; on the way back, what the project's files say.
    pub(super) reference: Reference,
    /// Its id.
    pub(super) image: String,
    /// All containers of the project.
    pub(super) all: Vec<Placed>,
    /// The services with role web.
    pub(super) web: Vec<String>,
    pub(super) places: Places,
    /// The application, where midwatch knows it.
    pub(super) name: Option<&'static str>,
    /// What migrates the database when it is run in a container of web, where that is configured.
    pub(super) migrate: Option<Vec<String>>,
}

impl Draft<'_> {
    /// The project, its image, and where the tag of that is written. On the way `back` an upgrade may have ended half-way: then
    /// what runs is not what the files say.
    pub(super) async fn app(&self, site: &SiteConfig, back: bool) -> Result<App, NoPlan> {
        let place = |role: Role| {
            site.services.iter().filter(move |service| service.role == role).filter_map(|service| {
                match &service.place {
                    ServicePlace::Compose { socket, project, service } => Some((socket, project, service)),
                    ServicePlace::Unit { .. } | ServicePlace::Supervisor { .. } | ServicePlace::Process { .. } => None,
                }
            })
        };
        let (socket, project, _) = place(Role::Web).next().ok_or_else(|| no("its web service is no container"))?;
        let elsewhere = site.services.iter().filter(|s| matches!(s.role, Role::Web | Role::Worker | Role::Beat)).find(|s| {
            !matches!(&s.place, ServicePlace::Compose { socket: at, project: of, .. } if at == socket && of == project)
        });
        if let Some(other) = elsewhere {
            return Err(no(format!(
                "{} is not in the same Compose project as web: which code it has can't be told",
                other.name
            )));
        }
        let mut all = images::containers(socket, project).await.map_err(no)?;
        let web: Vec<String> = place(Role::Web).map(|(_, _, service)| service.clone()).collect();
        let first = all.iter().find(|one| web.contains(&one.service)).cloned();
        let first = first.ok_or_else(|| no(format!("{} has no container: start it first", web.join(", "))))?;
        if all.iter().any(|one| web.contains(&one.service) && one.project != first.project) {
            return Err(no(format!(
                "several projects have a service {}: write compose = \"project/service\"",
                web.join(", ")
            )));
        }
        all.retain(|one| one.project == first.project);
        let reference = Reference::of(&first.reference).ok_or_else(|| {
            no(format!("{} runs {}, which has no tag: midwatch changes tags alone", first.name, first.reference))
        })?;
        let project = Project::of(socket, &first).await.map_err(no)?;
        let reference = if back {
            let settings = project.settings(Read::AsItIs).await.map_err(no)?;
            image_of(&settings, &first.service).unwrap_or(reference)
        } else {
            reference
        };
        let image = images::image(socket, &reference.to_string()).await.map_err(no)?.unwrap_or_default();
        if image != first.image && !back {
            return Err(no(format!(
                "{} runs {}, and {reference} is another image by now, or none: there would be no way back. Run `docker compose \
                 up -d` first, or tag what runs",
                first.name, first.image
            )));
        }
        let others: Vec<String> = [Role::Database, Role::Redis, Role::Proxy]
            .into_iter()
            .flat_map(|role| place(role).map(|(_, _, service)| service.clone()))
            .collect();
        let places = written(&project, &reference, &others)?;
        let name = known(site.app, &first, &reference);
        Ok(App { project, reference, image, all, web, places, name, migrate: site.migrate.clone() })
    }
}

/// The application, where midwatch knows what its image does.
fn known(app: AppKind, container: &Placed, reference: &Reference) -> Option<&'static str> {
    let begins = |name: &str| {
        container.program.rsplit('/').next() == Some(name) || reference.name.ends_with(&[name, "/standalone"].concat())
    };
    match app {
        AppKind::Pretix => Some("pretix"),
        AppKind::Pretalx => Some("pretalx"),
        AppKind::Web => ["pretix", "pretalx"].into_iter().find(|name| begins(name)),
    }
}

/// Where the tag is written.
fn written(project: &Project, reference: &Reference, others: &[String]) -> Result<Places, NoPlan> {
    let read = |path: &PathBuf| -> Result<Text, NoPlan> {
        let fail = |error: std::io::Error| no(format!("{}: {error}", path.display()));
        // What is exchanged is the file itself, not a link to it.
        let real = std::fs::canonicalize(path).map_err(fail)?;
        let shown =
            real.to_str().ok_or_else(|| no(format!("{} is no name midwatch can write down", real.display())))?;
        if std::fs::metadata(&real).map_err(fail)?.len() > MOST {
            return Err(no(format!("{shown} is too long for a file of a project")));
        }
        Ok(Text { path: shown.to_owned(), text: std::fs::read_to_string(&real).map_err(fail)? })
    };
    let files: Vec<Text> = project.files.iter().map(read).collect::<Result<_, _>>()?;
    let variables = project.env_file.as_ref().map(read).transpose()?;
    places(&files, variables.as_ref(), reference, others).map_err(|why| no(format!("{why}; change it by hand")))
}
