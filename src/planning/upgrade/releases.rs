//! An application whose releases lie side by side: which there are, which may take over, and from which it may go back.

mod back;
mod steps;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use self::back::Record;
use super::super::Choice;
use super::super::files::written;
use super::down::rests;
use super::steps::midwatch;
use super::{Draft, NoPlan, SHOWN, Step, Subject, Version, jump, no};
use crate::backends::database::migrations;
use crate::backends::look::releases::{runs_as, runs_from};
use crate::backends::store::who;
use crate::config::{AppKind, ReleasesConfig, SiteConfig};
use crate::domain::service::Service;
use crate::runbook::plan::releases::Pointing;

/// Most entries of the directory of releases that are looked at.
const MOST: usize = 2_000;
/// What says where a process was started, and moves nothing.
const WHERE: [&str; 3] = ["PWD", "OLDPWD", "_"];

/// The releases of a site, and the one in use.
#[derive(Debug)]
struct Releases {
    /// The link.
    current: String,
    /// What it says, as it is written there.
    says: PathBuf,
    /// The directory of the releases, links followed.
    dir: PathBuf,
    /// The one in use: its directory's name.
    name: String,
}

/// A release that changes places with the one in use.
struct Change<'c> {
    of: Releases,
    /// The other one: its directory's name.
    to: String,
    /// The user whose application it is.
    user: String,
    site: &'c SiteConfig,
    /// Those that run now; on the way back all there are.
    web: Vec<Service>,
    /// Worker and beat, the same.
    behind: Vec<Service>,
}

impl Releases {
    fn of(config: &ReleasesConfig) -> Result<Self, NoPlan> {
        let current = written(&config.current)?;
        let fail = |error: std::io::Error| no(format!("{current}: {error}"));
        if !std::fs::symlink_metadata(&current).map_err(fail)?.is_symlink() {
            return Err(no(format!("{current} is no link: it has to point to the release in use")));
        }
        let says = std::fs::read_link(&current).map_err(fail)?;
        let target = config.current.parent().unwrap_or(Path::new("/")).join(&says);
        let astray =
            || no(format!("{current} points to {}, which is no release: a directory among others", says.display()));
        let (above, name) = (target.parent().ok_or_else(astray)?, target.file_name().ok_or_else(astray)?);
        let dir = std::fs::canonicalize(above).map_err(|error| no(format!("{}: {error}", above.display())))?;
        let name = name.to_str().ok_or_else(astray)?.to_owned();
        if !std::fs::symlink_metadata(dir.join(&name)).is_ok_and(|meta| meta.is_dir()) {
            return Err(astray());
        }
        if version(&name).is_none() {
            return Err(no(format!(
                "{current} points to {}, whose name is no version midwatch can compare",
                says.display()
            )));
        }
        Ok(Self { current, says, dir, name })
    }

    /// The others and this one, by their names, the newest first.
    fn all(&self) -> Vec<(Version, String)> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten().take(MOST);
        let one = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let is_one = entry.file_type().is_ok_and(|kind| kind.is_dir());
            Some((version(&name).filter(|_| is_one)?, name))
        };
        let mut all: Vec<(Version, String)> = entries.filter_map(one).collect();
        all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| b.1.cmp(&a.1)));
        all
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What the link says when it points to another one, written as it is now.
    fn saying(&self, name: &str) -> Result<String, NoPlan> {
        written(&self.says.with_file_name(name))
    }

    /// Whether it may be upgraded to this one.
    fn may_become(&self, to: &str, site: &SiteConfig) -> Result<(), NoPlan> {
        let all = self.all();
        let known = all.iter().find(|(_, name)| name == to);
        let Some((wanted, _)) = known else {
            let names: Vec<&str> = all.iter().take(SHOWN).map(|(_, name)| name.as_str()).collect();
            return Err(no(format!(
                "there is no release {to} in {}: lay it there first; there are {}",
                self.dir.display(),
                names.join(", ")
            )));
        };
        let Some(now) = version(&self.name) else { return Err(no("the release in use has no version")) };
        if *wanted == now {
            return Err(no(format!("{} is in use already: nothing is to be done", self.name)));
        }
        if *wanted < now {
            return Err(no(format!(
                "{} is in use: {to} is older. That is no upgrade but a way back: undo-upgrade goes back to where an upgrade by \
                 midwatch began, where the database allows it",
                self.name
            )));
        }
        let offered: Vec<Version> = all.iter().map(|(version, _)| version.clone()).collect();
        let name = match site.app {
            AppKind::Pretix => "pretix",
            AppKind::Pretalx => "pretalx",
            AppKind::Web => "",
        };
        jump(name, &now, wanted, Some(offered.as_slice())).map_err(no)
    }

    /// Nobody but root and the application's own user may put anything there.
    fn trusted(&self, others: &[&str], uid: u32) -> Result<(), NoPlan> {
        let beside = Path::new(&self.current).parent().unwrap_or(Path::new("/"));
        let beside = std::fs::canonicalize(beside).map_err(|error| no(format!("{}: {error}", beside.display())))?;
        let mut places = vec![beside, self.dir.clone()];
        places.extend(others.iter().map(|name| self.path(name)));
        for place in places {
            let told = place.display();
            let meta = std::fs::symlink_metadata(&place).map_err(|error| no(format!("{told}: {error}")))?;
            if !meta.is_dir() {
                return Err(no(format!("{told} is no directory")));
            }
            if ![0, uid].contains(&meta.uid()) {
                return Err(no(format!(
                    "{told} belongs to {}, who is neither root nor {}, as whom the application runs: whose code runs must be \
                     in nobody else's hands; chown it",
                    who::name(meta.uid()),
                    who::name(uid)
                )));
            }
            if meta.mode() & 0o022 != 0 {
                return Err(no(format!("{told} can be written by others: chmod go-w")));
            }
        }
        Ok(())
    }
}

fn version(name: &str) -> Option<Version> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    Version::of(name).filter(|_| name.chars().all(good))
}

/// The releases that could be chosen, the newest first.
pub(super) fn offered(current: &Path) -> Vec<Choice> {
    let config = ReleasesConfig { current: current.to_owned(), migrate: None };
    let Ok(of) = Releases::of(&config) else { return Vec::new() };
    let Some(now) = version(&of.name) else { return Vec::new() };
    let label = |version: &Version| if *version == now { "in use" } else { "" };
    let newer = of.all().into_iter().filter(|(version, _)| *version >= now).take(SHOWN);
    newer.map(|(version, value)| Choice { label: label(&version).to_owned(), value }).collect()
}

impl<'c> Draft<'c> {
    /// Looks at everything that must be so, and makes the steps.
    pub(super) async fn upgrade_release(
        &mut self,
        (site, config): (&'c SiteConfig, &'c ReleasesConfig),
        to: &str,
        step: &Step,
    ) -> Result<(), NoPlan> {
        let of = Releases::of(config)?;
        of.may_become(to, site)?;
        let change = self.change(of, to, site, None).await?;
        if config.migrate.is_some() {
            environment(&change)?;
        }
        let (backup, schema) = if site.database.is_ok() || config.migrate.is_some() {
            (Some(self.fresh_backup(site).await?), self.schema_of(site).await?)
        } else {
            (None, None)
        };
        self.release_steps(&change, config, (backup, schema), step).await
    }

    /// What takes part, and whether it may be touched. `back`: to the release with which an upgrade has begun, as its run has
    /// it on record; that may have failed half-way.
    async fn change(
        &mut self,
        of: Releases,
        to: &str,
        site: &'c SiteConfig,
        back: Option<&Record>,
    ) -> Result<Change<'c>, NoPlan> {
        let (web, behind) = match back {
            None => self.parts(&site.id.0).await?,
            Some(_) => self.parts_back(&site.id.0).await?,
        };
        let (now, other) = (of.path(&of.name), of.path(to));
        let from: &[&Path] = if back.is_some() { &[&now, &other] } else { &[&now] };
        let mut uid = None;
        for service in web.iter().chain(&behind).filter(|service| back.is_none() || !rests(service)) {
            runs_from(service, from, Path::new(&of.current)).map_err(no)?;
            let own = runs_as(service).map_err(no)?;
            if *uid.get_or_insert(own) != own {
                return Err(no(format!(
                    "{} runs as {}, and others of the site as somebody else: whose application it is can't be told",
                    service.name,
                    who::name(own)
                )));
            }
        }
        let uid = uid.or_else(|| back.and_then(|record| record.uid));
        let uid = uid.ok_or_else(|| {
            no("no process of the site runs, and as whom they did is not on record: start one of them")
        })?;
        let (own, user) = (rustix::process::geteuid().as_raw(), who::name(uid));
        self.starts_as = back.map(|_| user.clone());
        if own != 0 && own != uid {
            return Err(no(format!("the application runs as {user}: run midwatch as root or as {user}")));
        }
        of.trusted(&[of.name.as_str(), to], uid)?;
        may_start(&midwatch()?, uid)?;
        self.count_on(Subject::Link(of.current.clone())).await?;
        self.count_on(Subject::Place(written(&of.path(to))?)).await?;
        Ok(Change { of, to: to.to_owned(), user, site, web, behind })
    }

    /// What the database has seen; `None`: it doesn't say, or there is none that is known.
    async fn schema_of(&mut self, site: &SiteConfig) -> Result<Option<String>, NoPlan> {
        let Ok(database) = &site.database else { return Ok(None) };
        match migrations(database).await.map_err(no)? {
            Some(_) => self.count_on(Subject::Schema).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Change<'_> {
    /// The link's change.
    fn pointing(&self) -> Result<Pointing, NoPlan> {
        let place = Path::new(&self.of.current).parent().unwrap_or(Path::new("/"));
        let owner = std::fs::metadata(place).map_err(|error| no(format!("{}: {error}", place.display())))?.uid();
        let own = rustix::process::geteuid().as_raw();
        if own != 0 && own != owner {
            return Err(no(format!("{} is {}'s: run midwatch as root", place.display(), who::name(owner))));
        }
        Ok(Pointing {
            midwatch: written(&midwatch()?)?,
            user: who::name(owner),
            current: self.of.current.clone(),
            to: self.of.saying(&self.to)?,
            from: written(&self.of.says)?,
        })
    }
}

/// Whether a user can start midwatch itself, for what it does as them.
pub(super) fn may_start(midwatch: &Path, uid: u32) -> Result<(), NoPlan> {
    if uid == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let closed = midwatch.ancestors().find(|path| {
        let open =
            |meta: std::fs::Metadata| meta.mode() & 0o001 != 0 || (meta.uid() == uid && meta.mode() & 0o100 != 0);
        !std::fs::metadata(path).is_ok_and(open)
    });
    match closed {
        None => Ok(()),
        Some(closed) => Err(no(format!(
            "{} can't be started by {}, which takes part in this as that user: {} is closed to it; install midwatch where every \
             user can start it",
            midwatch.display(),
            who::name(uid),
            closed.display()
        ))),
    }
}

/// What web finds in its environment can be had, and leads nowhere into the release that is left.
fn environment(change: &Change<'_>) -> Result<(), NoPlan> {
    let Some((web, pid)) = change.web.iter().find_map(|service| Some((&service.name, service.pid?))) else {
        return Err(no("which process web is can't be seen"));
    };
    let path = format!("/proc/{pid}/environ");
    let fail = |error: std::io::Error| no(format!("what {web} finds in its environment can't be read: {error}"));
    let owner = std::fs::metadata(&path).map_err(fail)?.uid();
    if who::name(owner) != change.user {
        return Err(no(format!(
            "what {web} finds in its environment is not for {} to read, for it has changed its user by itself: have what starts \
             it start it as {}",
            change.user, change.user
        )));
    }
    let bytes = std::fs::read(&path).map_err(fail)?;
    let left = change.of.path(&change.of.name).display().to_string();
    let names = bytes.split(|byte| *byte == 0).find_map(|entry| {
        let entry = String::from_utf8_lossy(entry);
        let (name, value) = entry.split_once('=')?;
        let leads = value.contains(&left) && !WHERE.contains(&name);
        leads.then(|| name.to_owned())
    });
    match names {
        None => Ok(()),
        Some(name) => Err(no(format!(
            "{web} finds {left} in its environment ({name}): what migrates would run with the older release; have it name {} \
             instead",
            change.of.current
        ))),
    }
}

#[cfg(test)]
mod tests;
