//! Finds where backups are made: cron lines and timers whose commands, or whose scripts, name a tool that dumps or copies;
//! and the places where people usually put them.

mod command;
mod cron;
mod timers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Surroundings;
use crate::config::backups::{BackupJob, BackupPlace, BackupsConfig, Repository, Trust};
use crate::config::{Found, SiteConfig, Trace};
use crate::domain::backup::kind::Subject;
use crate::domain::text::plain;

/// Where backups usually lie.
const USUAL: [&str; 14] = [
    "/var/backups",
    "/var/backup",
    "/backup",
    "/backups",
    "/srv/backup",
    "/srv/backups",
    "/opt/backup",
    "/opt/backups",
    "/mnt/backup",
    "/mnt/backups",
    "/data/backups",
    "/home/backup",
    "/var/lib/automysqlbackup",
    "/var/lib/autopostgresqlbackup",
];
/// Names of directories for backups, beside an application's data or in a home.
const NAMES: [&str; 6] = ["backups", "backup", "dumps", "dump", "db_backups", "db-backups"];
/// Directories beside an application that are looked at for such names.
const MOST_PARENTS: usize = 3;

/// A job as it was found, with the repositories its command names.
#[derive(Debug, Default)]
pub(super) struct Job {
    told: BackupJob,
    repositories: Vec<Repository>,
    kept_days: Option<u32>,
}

/// What makes backups on this host.
#[derive(Debug, Default)]
pub struct Jobs {
    found: Vec<Job>,
    unseen: Vec<String>,
}

impl Jobs {
    /// Reads the schedules of this host.
    pub fn find(around: &Surroundings) -> Self {
        let mut out = Self::default();
        cron::read(around, &mut out);
        timers::read(around, &mut out);
        out
    }
}

/// Where a site's backups may lie: the jobs' targets, the usual places, and beside its data.
pub fn places(around: &Surroundings, site: &SiteConfig, jobs: &Jobs) -> BackupsConfig {
    let mut out = BackupsConfig { unseen: jobs.unseen.clone(), ..site.backups.clone() };
    let database = site.database.as_ref().ok();
    let mut seen: BTreeSet<PathBuf> = out.places.iter().map(|place| place.path.clone()).collect();
    for found in &jobs.found {
        // A job that names other databases only is not this site's.
        let others =
            !found.told.databases.is_empty() && database.is_none_or(|d| !found.told.databases.contains(&d.name));
        if others {
            continue;
        }
        out.jobs.push(found.told.clone());
        for target in &found.told.targets {
            if seen.insert(target.clone()) {
                out.places.push(place(target, &found.told.name, Trust::Job, found.kept_days));
            }
        }
        for repository in &found.repositories {
            let path = PathBuf::from(&repository.repo);
            if seen.insert(path.clone()) {
                out.places.push(BackupPlace {
                    subject: Some(repository.tool.subject()),
                    repository: Some(repository.clone()),
                    ..place(&path, &found.told.name, Trust::Job, None)
                });
            }
        }
    }
    for path in beside(around, site).into_iter().chain(USUAL.iter().map(PathBuf::from)) {
        if around.at(&path).symlink_metadata().is_ok() && seen.insert(path.clone()) {
            out.places.push(place(&path, "usual place", Trust::Usual, None));
        }
    }
    // A place within another one that is trusted no more would be looked at twice.
    let all: Vec<(PathBuf, Trust, bool)> =
        out.places.iter().map(|p| (p.path.clone(), p.trust, p.pattern.is_some() || p.repository.is_some())).collect();
    out.places.retain(|place| {
        place.trust != Trust::Usual
            || !all.iter().any(|(path, trust, narrow)| {
                !narrow && *trust >= place.trust && *path != place.path && place.path.starts_with(path)
            })
    });
    out
}

/// What was found, for `doctor`.
pub fn trail(site: &SiteConfig) -> Vec<Trace> {
    let what = format!("{} backups", site.id);
    let trace = |outcome| Trace { what: what.clone(), outcome };
    let mut out: Vec<Trace> = Vec::new();
    for place in site.backups.places.iter().filter(|place| place.trust > Trust::Usual) {
        out.push(trace(Found::Yes(format!("{} ({})", plain(&place.path.to_string_lossy(), 160), place.found_by))));
    }
    for job in &site.backups.jobs {
        out.push(trace(Found::Yes(format!("made by {} ({})", job.name, job.schedule))));
    }
    if out.is_empty() {
        let why = "neither a job nor the configuration names a place; usual places are looked through";
        out.push(trace(Found::No(why.to_owned())));
    }
    out.extend(site.backups.unseen.iter().map(|why| trace(Found::No(why.clone()))));
    out
}

fn place(path: &Path, found_by: &str, trust: Trust, kept_days: Option<u32>) -> BackupPlace {
    BackupPlace {
        path: path.to_owned(),
        pattern: None,
        subject: None::<Subject>,
        off_host: None,
        found_by: found_by.to_owned(),
        trust,
        repository: None,
        kept_days,
        rotation: None,
    }
}

/// Directories for backups in the homes of the application's user, and beside its data and its configuration.
fn beside(around: &Surroundings, site: &SiteConfig) -> Vec<PathBuf> {
    let mut parents: Vec<PathBuf> = Vec::new();
    let data = site.data_dir.as_deref();
    parents.extend(data.into_iter().flat_map(Path::ancestors).take(MOST_PARENTS).map(Path::to_owned));
    parents.extend(site.source.as_deref().and_then(Path::parent).map(Path::to_owned));
    parents.extend(data.and_then(|dir| home_of_owner(around, dir)));
    parents.extend(around.home.clone());
    parents.retain(|dir| dir.parent().is_some());
    let mut out: Vec<PathBuf> = parents.iter().flat_map(|dir| NAMES.map(|name| dir.join(name))).collect();
    out.extend(["pretix", "pretalx"].iter().flat_map(|app| NAMES.map(|name| Path::new("/var").join(app).join(name))));
    out
}

/// The home of whoever owns a directory.
fn home_of_owner(around: &Surroundings, dir: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(around.at(dir)).ok()?.uid().to_string();
    let users = std::fs::read_to_string(around.at(Path::new("/etc/passwd"))).ok()?;
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(owner.as_str()))?;
    line.split(':').nth(5).filter(|home| home.len() > 1).map(PathBuf::from)
}

#[cfg(test)]
mod tests;
