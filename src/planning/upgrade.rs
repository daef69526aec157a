//! How an application is upgraded: what must be so before, what is installed, and the steps.

mod back;
mod built;
mod down;
mod git;
mod image;
mod releases;
mod steps;
mod versions;

use std::time::{Duration, Instant};

use self::built::Built;
pub(super) use self::steps::app;
use self::versions::{Version, jump};
use super::{Choice, Draft, NoPlan, StateDir, Step};
use crate::backends::app_state::installation::{Installation, installation};
use crate::backends::backups::BackupsProbe;
use crate::backends::look::is_down;
use crate::backends::pip;
use crate::backends::store::who;
use crate::config::{ServicePlace, SiteConfig};
use crate::domain::backup::kind::Subject as Saved;
use crate::domain::backup::standing::standing;
use crate::domain::reading::Seen;
use crate::domain::service::{Manager, Role, Service};
use crate::domain::text::{bytes, span};
use crate::ports::Observe as _;
use crate::runbook::plan::Subject;

/// The backup may be this old.
const FRESH_MS: u64 = 3_600_000;
/// For how long backups that are still being read are waited for.
const READING: Duration = Duration::from_secs(20);
/// How a database from before comes back where no runbook puts an older one into use.
const BY_HAND: &str = "first, by hand, with the application stopped";
/// Versions that are shown to choose from.
const SHOWN: usize = 30;

/// What an upgrade needs to know.
struct Upgrade {
    of: Installation,
    version: String,
    /// A directory with wheels; `None`: they come from the index.
    wheels: Option<String>,
    /// The packages that change; none where the version is installed, and only what follows is left to do.
    changes: Vec<Change>,
    /// The commit it is built from; `None`: it is a release, or nothing is installed.
    built: Option<Built>,
    /// The proven backup from before.
    backup: String,
    /// What the database has seen.
    schema: String,
    /// Those that run now; on the way back all there are.
    web: Vec<Service>,
    /// Worker and beat, the same.
    behind: Vec<Service>,
}

/// A package that changes.
struct Change {
    name: String,
    from: Option<String>,
    to: String,
}

fn no(why: impl Into<String>) -> NoPlan {
    NoPlan::Impossible(why.into())
}

impl Upgrade {
    /// Whether something is installed, and not only brought to its end.
    const fn installs(&self) -> bool {
        !self.changes.is_empty() || self.built.is_some()
    }
}

impl<'c> Draft<'c> {
    fn upgraded(&self) -> Result<&'c SiteConfig, NoPlan> {
        self.ground.site.ok_or_else(|| no("there is no site to upgrade"))
    }

    fn wheels(&self) -> Option<String> {
        self.values.get("wheels").filter(|wheels| wheels.starts_with('/')).cloned()
    }

    /// The versions that could be chosen, the newest first; none where nothing says which there are.
    pub(super) async fn versions(&self) -> Vec<Choice> {
        if let Some(releases) = self.ground.site.and_then(|site| site.releases.as_ref()) {
            return releases::offered(&releases.current);
        }
        let Ok(of) = self.upgraded().and_then(|site| installation(site).map_err(no)) else { return Vec::new() };
        let offered = pip::offered(&of, self.wheels().as_deref()).await.unwrap_or_default();
        let Some(now) = Version::of(&of.version) else { return Vec::new() };
        let mut known: Vec<(Version, String)> = offered
            .into_iter()
            .filter_map(|text| Some((Version::of(&text)?, text)))
            .filter(|(v, _)| *v >= now)
            .collect();
        if !known.iter().any(|(version, _)| *version == now) {
            known.push((now.clone(), of.version.clone()));
        }
        known.sort_by(|a, b| b.0.cmp(&a.0));
        known.truncate(SHOWN);
        let label = |version: &Version| if *version == now { "installed" } else { "" };
        known.into_iter().map(|(v, value)| Choice { label: label(&v).to_owned(), value }).collect()
    }

    /// Looks at everything that must be so, and makes the steps.
    pub(super) async fn upgrade(&mut self, (version, wheels): (&str, &str), step: &Step) -> Result<(), NoPlan> {
        let site = self.upgraded()?;
        if image::contained(site) {
            return Box::pin(self.upgrade_image((version, wheels), step)).await;
        }
        if let Some(releases) = &site.releases {
            return Box::pin(self.upgrade_release((site, releases), version, step)).await;
        }
        let of = installation(site).map_err(no)?;
        Self::may_change(&of)?;
        let wheels = Some(wheels.to_owned()).filter(|wheels| wheels.starts_with('/'));
        let same = Version::of(version).is_some_and(|to| Some(to) == Version::of(&of.version));
        if same {
            self.is_unfinished(&of).await?;
        } else {
            self.may_jump(&of, version, wheels.as_deref()).await?;
        }
        environment(&of)?;
        let (web, behind) = self.running(&of).await?;
        let backup = self.fresh_backup(site).await?;
        let schema = self.count_on(Subject::Schema).await?;
        let changes = if same { Vec::new() } else { changes(&of, version, wheels.as_deref()).await? };
        let version = if same { of.version.clone() } else { version.to_owned() };
        let upgrade = Upgrade { of, version, wheels, changes, built: None, backup, schema, web, behind };
        self.upgrade_steps(&upgrade, step).await
    }

    /// Whether this user can act as the one whose installation it is.
    pub(super) fn may_change(of: &Installation) -> Result<(), NoPlan> {
        let own = who::user();
        if own == "root" || own == of.user {
            return Ok(());
        }
        Err(no(format!("{} belongs to {}: run midwatch as root or as {}", of.venv.display(), of.user, of.user)))
    }

    /// What was installed by hand, or by a run that ended half-way, can be brought to its end.
    async fn is_unfinished(&mut self, of: &Installation) -> Result<(), NoPlan> {
        let installed = format!("{} {} is installed already", of.name, of.told());
        match self.looker.unfinished().await.map_err(no)? {
            None => Err(no(format!(
                "{installed}, its migrations are applied, and every process has it: nothing is to be done"
            ))),
            Some(left) => {
                self.costs.push(format!("{installed}; what is left is done: {left}."));
                Ok(())
            }
        }
    }

    async fn may_jump(&self, of: &Installation, version: &str, wheels: Option<&str>) -> Result<(), NoPlan> {
        let read =
            |text: &str| Version::of(text).ok_or_else(|| no(format!("{text} is no version midwatch can compare")));
        let (from, to) = (read(&of.version)?, read(version)?);
        if to < from {
            return Err(no(format!(
                "{} {} is installed: {version} is older. That is no upgrade but a way back: \
                 undo-upgrade puts back what an upgrade by midwatch has kept, where the database allows it",
                of.name, of.version
            )));
        }
        // What lies in a directory is not all there is.
        let offered = match wheels {
            Some(_) => None,
            None => pip::offered(of, None).await.ok(),
        };
        let offered: Option<Vec<Version>> =
            offered.map(|all| all.iter().filter_map(|version| Version::of(version)).collect());
        jump(of.name, &from, &to, offered.as_deref()).map_err(no)
    }

    /// Web, and what works behind it: those that run now, each as the application's own user.
    async fn running(&self, of: &Installation) -> Result<(Vec<Service>, Vec<Service>), NoPlan> {
        let (web, behind) = self.parts(of.name).await?;
        for service in web.iter().chain(&behind) {
            self.own_user(service, of)?;
        }
        Ok((web, behind))
    }

    /// Web, and what works behind it: those that run now.
    async fn parts(&self, name: &str) -> Result<(Vec<Service>, Vec<Service>), NoPlan> {
        let mut all = self.all_parts().await?;
        all.retain(|service| !is_down(service));
        let (web, behind): (Vec<_>, Vec<_>) = all.into_iter().partition(|service| service.role == Role::Web);
        if web.is_empty() {
            return Err(no(format!(
                "no web service of {name} runs that midwatch knows: an upgrade is no repair, and one that can't be restarted goes \
                 on with the old code; start it first, or name it in midwatch.toml"
            )));
        }
        Ok((web, behind))
    }

    /// All of them, running or not.
    async fn all_parts(&self) -> Result<Vec<Service>, NoPlan> {
        let mut all = self.looker.services().await.map_err(NoPlan::Impossible)?;
        all.retain(|service| matches!(service.role, Role::Web | Role::Worker | Role::Beat));
        if let Some(contained) = all.iter().find(|service| service.manager == Manager::Compose) {
            return Err(no(format!(
                "{} is a container, and its web service is none: its code is in an image, which pip does not replace",
                contained.name
            )));
        }
        Ok(all)
    }

    /// A plain process is started as who runs it now: where that is a wrapper's user, it would not be the application's.
    fn own_user(&self, service: &Service, of: &Installation) -> Result<(), NoPlan> {
        let configured = self.looker.configured(&service.name).map_err(NoPlan::Impossible)?;
        let ServicePlace::Process { uid: None, .. } = configured.place else { return Ok(()) };
        let owner = self.owner(service, None)?;
        if owner == of.user {
            return Ok(());
        }
        Err(no(format!(
            "{} would be started as {owner}, and {} belongs to {}: write user = \"{}\" (or \"{owner}\", if what starts it \
             changes the user itself) into its table in midwatch.toml",
            service.name,
            of.venv.display(),
            of.user,
            of.user
        )))
    }

    /// The newest proven backup of the database, which must be young.
    async fn fresh_backup(&self, site: &SiteConfig) -> Result<String, NoPlan> {
        let state = match &self.ground.config.state {
            StateDir::Directory(dir) => Some(dir.as_path()),
            StateDir::Memory(_) => None,
        };
        let mut probe = BackupsProbe::new(site, state, self.ground.config.read_only);
        let age = |at: crate::domain::time::Timestamp| self.ground.made.millis_since(at);
        let deadline = Instant::now() + READING;
        // A backup that was made just now is read to its end first.
        let reading = loop {
            let reading = match probe.observe().await {
                Seen::Value(reading) => reading,
                Seen::Failed(why) | Seen::Unseen(why) => return Err(no(format!("the backups can't be seen: {why}"))),
                Seen::Asking => return Err(no("the look at the backups has not ended: try again")),
            };
            let proven = standing(&reading, Saved::Database).proven;
            if let Some(proven) = proven.filter(|backup| age(backup.made) <= FRESH_MS) {
                return Ok(proven.path.clone());
            }
            if reading.waiting == 0 || Instant::now() >= deadline {
                break reading;
            }
        };
        let stands = standing(&reading, Saved::Database);
        let newest = match (stands.proven, stands.newest) {
            (Some(proven), _) => format!("the newest proven one, {}, is {} old", proven.path, span(age(proven.made))),
            (None, Some(newest)) => {
                let why = newest.proof.why().map(|why| format!(": {why}")).unwrap_or_default();
                format!("the newest, {}, is not proven ({}{why})", newest.path, newest.proof.word())
            }
            (None, None) => "there is none".to_owned(),
        };
        let waiting = match reading.waiting {
            0 => String::new(),
            n => format!("; {n} are still being read: try again when they are"),
        };
        Err(no(format!(
            "an upgrade needs a proven backup of the database that is younger than an hour: {newest}{waiting}. Run take-backup \
             first"
        )))
    }
}

/// The packages that change.
async fn changes(of: &Installation, version: &str, wheels: Option<&str>) -> Result<Vec<Change>, NoPlan> {
    room(of).await?;
    let before = of.installed();
    let wanted = pip::resolve(of, version, wheels).await.map_err(|why| {
        no(format!("{} {version} can't be had, or does not fit: {why}; nothing was changed", of.name))
    })?;
    let change = |w: pip::Wanted| Change { from: before.get(&w.name).cloned(), name: w.name, to: w.version };
    let changes: Vec<Change> = wanted.into_iter().map(change).collect();
    if changes.iter().any(|change| change.name == of.name && change.to == version) {
        return Ok(changes);
    }
    Err(no(format!("pip would not install {} {version}: write the version as the index does", of.name)))
}

/// What configures the application must be known, and no secret, for it is shown and kept.
pub(super) fn environment(of: &Installation) -> Result<(), NoPlan> {
    let telling = ["PASS", "SECRET", "KEY", "TOKEN", "URL", "BROKER", "BACKEND", "LOCATION", "DSN"];
    let secret = |name: &&String| telling.iter().any(|word| name.to_uppercase().contains(word));
    match of.env.keys().find(secret) {
        None => Ok(()),
        Some(name) => Err(no(format!(
            "{} is configured by {name} in its processes' environment, which midwatch does not hand on, for it may be a \
             secret; without it another database might be migrated. Write it into the configuration file",
            of.name
        ))),
    }
}

/// The copy and what is fetched need room beside the installation.
async fn room(of: &Installation) -> Result<(), NoPlan> {
    let size = pip::size(of).await.map_err(no)?;
    let space = rustix::fs::statvfs(&of.venv).map_err(|error| no(format!("{}: {error}", of.venv.display())))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let needed = size.saturating_mul(13) / 10 + (256 << 20);
    if free >= needed {
        return Ok(());
    }
    Err(no(format!(
        "{} takes {}: the new installation beside it and its packages need {}, and {} are free",
        of.venv.display(),
        bytes(size),
        bytes(needed),
        bytes(free)
    )))
}
