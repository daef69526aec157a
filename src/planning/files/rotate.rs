//! Old backups go: by the written policy of their place, and never one without a newer that is proven.
//!
//! One rule says all of it: a backup goes only if so many as are kept are newer, of the same subject, and proven. So the
//! newest never goes, nor the last that is proven, and where nothing is proven nothing goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::take::trusted_place;
use super::{Draft, NoPlan, Step, impossible, written};
use crate::backends::look::files::plain_file;
use crate::config::backups::Rotation;
use crate::domain::backup::kind::{Kind, Subject as Saves};
use crate::domain::backup::name::fits;
use crate::domain::backup::proof::Proof;
use crate::domain::backup::{Backup, BackupsReading};
use crate::domain::database::Engine;
use crate::domain::text::{bytes, count, plain};
use crate::planning::values::backups::listed;
use crate::runbook::plan::files::{FilesAct, FilesProbe, Leaving};

/// Most that go in one run: a plan must be readable.
const MOST: usize = 60;
/// Most that are named of those that are left alone.
const NAMED: usize = 12;
const DAY_S: u64 = 86_400;

/// A backup that can be told to be one, in the place it is about.
struct Found<'r> {
    backup: &'r Backup,
    path: String,
    state: String,
}

impl Found<'_> {
    fn proven(&self) -> bool {
        self.backup.proven() && self.backup.digest.is_some()
    }
}

/// What else must not be touched.
struct Others {
    paths: BTreeSet<PathBuf>,
    database: Option<(Engine, String)>,
}

impl Draft<'_> {
    /// Removes the backups that the policy of this directory lets go.
    pub(in super::super) async fn rotate_backups(&mut self, directory: &str, step: &Step) -> Result<(), NoPlan> {
        let directory =
            std::fs::canonicalize(directory).map_err(|error| impossible(format!("{directory}: {error}")))?;
        trusted_place(&directory)?;
        let policies = self.policies(&directory)?;
        let reading = self.backups().await?;
        let others = self.others(&directory).await?;
        let (mut going, mut staying) = (Vec::new(), BTreeMap::new());
        let (mut alone, mut kept, mut later, mut seen) = (Vec::new(), 0_u64, 0_u64, BTreeSet::new());
        for policy in &policies {
            let found = found(&reading, (&directory, policy), &others, (&mut seen, &mut alone));
            // The oldest first.
            for one in found.iter().rev() {
                match self.gone_for(one, &found, policy) {
                    Some(newer) if going.len() < MOST => {
                        staying.extend(newer.iter().map(|one| (one.path.clone(), one.backup)));
                        going.push((one.backup.bytes.unwrap_or(0), self.leaving(one, &newer)));
                    }
                    Some(_) => later += 1,
                    None => kept += 1,
                }
            }
        }
        let proven = staying.len();
        if going.is_empty() {
            let why = alone.first().map_or(String::new(), |why| format!("; left alone: {why}"));
            return Err(impossible(format!(
                "nothing goes from {}: {} stay by its policy, which lets one go only when enough newer ones are proven \
                 (midwatch backups verify){why}",
                directory.display(),
                count(kept, "backup")
            )));
        }
        let size = going.iter().map(|(size, _)| size).sum();
        self.costs.push(format!(
            "{} go ({}), {} stay besides those left alone; {} proven for what goes and read again first.",
            count(going.len() as u64, "backup"),
            bytes(size),
            count(kept, "backup"),
            if proven == 1 { "one is".to_owned() } else { format!("{proven} are") }
        ));
        if later > 0 {
            self.costs.push(format!("{} more would go: the next run takes them.", count(later, "backup")));
        }
        if !alone.is_empty() {
            let more = alone.len().saturating_sub(NAMED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            alone.truncate(NAMED);
            self.costs.push(format!("Left alone: {}{more}.", alone.join("; ")));
        }
        for (path, backup) in staying {
            let name = format!("read {} again", last(&path));
            let proof = self.backed(&Backup { path, ..backup.clone() }).await?;
            self.steps.extend(proof.alone(&name, step));
        }
        for (_, leaving) in going {
            let (name, gone) = (format!("delete {}", last(&leaving.path)), FilesProbe::Gone(leaving.path.clone()));
            self.file_step(&name, (FilesAct::Rotate(leaving), gone), None, step);
        }
        Ok(())
    }

    /// What is written about this directory; there must be something.
    fn policies(&self, directory: &Path) -> Result<Vec<Rotation>, NoPlan> {
        let site = self.site()?;
        let there = |path: &Path| std::fs::canonicalize(path).is_ok_and(|path| path == directory);
        let of = site.backups.places.iter().filter(|place| there(&place.path));
        let policies: Vec<_> = of.filter_map(|place| place.rotation.clone()).collect();
        if policies.is_empty() {
            return Err(impossible(format!(
                "nothing says how many backups stay in {}, so none goes: add to the configuration [[sites.{}.backups]] path \
                 = \"{0}\", pattern = \"…\", keep = 14",
                directory.display(),
                site.id
            )));
        }
        Ok(policies)
    }

    /// What other sites count as theirs, and what links lead to.
    async fn others(&self, directory: &Path) -> Result<Others, NoPlan> {
        let site = self.site()?;
        let mut paths = BTreeSet::new();
        for other in self.ground.config.sites.iter().filter(|other| other.id != site.id) {
            let near = |path: &Path| {
                let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                path.starts_with(directory) || directory.starts_with(&path)
            };
            if !other.backups.places.iter().any(|place| near(&place.path)) {
                continue;
            }
            let theirs = listed(self.ground, other).await?.backups;
            paths.extend(theirs.iter().filter_map(|backup| std::fs::canonicalize(&backup.path).ok()));
        }
        let entries =
            std::fs::read_dir(directory).map_err(|error| impossible(format!("{}: {error}", directory.display())))?;
        let links = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_symlink());
        paths.extend(links.filter_map(|link| std::fs::canonicalize(link).ok()));
        let database = site.database.as_ref().ok().map(|database| (database.engine, database.name.clone()));
        Ok(Others { paths, database })
    }

    /// The newer proven backups that let this one go, one for each thing it saves; `None`: it stays.
    fn gone_for<'f, 'r>(&self, one: &Found<'r>, all: &'f [Found<'r>], policy: &Rotation) -> Option<Vec<&'f Found<'r>>> {
        if matches!(one.backup.proof, Proof::Running { .. }) {
            return None;
        }
        if self.ground.made.secs_since(one.backup.made) < u64::from(policy.days) * DAY_S {
            return None;
        }
        let restored = |found: &Found<'_>| matches!(found.backup.proof, Proof::Restored { .. });
        let mut out: Vec<&Found<'_>> = Vec::new();
        for subject in Saves::EACH.into_iter().filter(|subject| one.backup.saves(*subject)) {
            let newer = || {
                all.iter().filter(move |other| {
                    other.backup.made > one.backup.made && other.backup.saves(subject) && other.proven()
                })
            };
            let enough = newer().count() >= usize::try_from(policy.keep.max(1)).unwrap_or(usize::MAX);
            // What a drill has restored is worth more than what was read.
            if !enough || (restored(one) && !newer().any(restored)) {
                return None;
            }
            let newest = newer().max_by_key(|other| other.backup.made)?;
            if !out.iter().any(|known| known.path == newest.path) {
                out.push(newest);
            }
        }
        (!out.is_empty()).then_some(out)
    }

    fn leaving(&self, one: &Found<'_>, newer: &[&Found<'_>]) -> Leaving {
        let days = self.ground.made.secs_since(one.backup.made) / DAY_S;
        let size = one.backup.bytes.map_or("of unknown size".to_owned(), bytes);
        Leaving {
            path: one.path.clone(),
            was: one.state.clone(),
            told: format!(
                "{}, {}, {size}, {} old, {}",
                one.backup.subject.word(),
                one.backup.kind.word(),
                count(days, "day"),
                one.backup.proof.word()
            ),
            stay: newer.iter().map(|one| (one.path.clone(), one.state.clone())).collect(),
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The backups that a policy is about; `alone`: why those that fit its pattern are none of them.
fn found<'r>(
    reading: &'r BackupsReading,
    (directory, policy): (&Path, &Rotation),
    others: &Others,
    (seen, alone): (&mut BTreeSet<PathBuf>, &mut Vec<String>),
) -> Vec<Found<'r>> {
    let mut out = Vec::new();
    for backup in &reading.backups {
        let parent = Path::new(&backup.path).parent().and_then(|parent| std::fs::canonicalize(parent).ok());
        if parent.as_deref() != Some(directory) || !fits(&policy.pattern, backup.name()) {
            continue;
        }
        let path = directory.join(backup.name());
        if !seen.insert(path.clone()) {
            continue;
        }
        let state = written(&path)
            .map_err(|_unshown| "its name can't be shown".to_owned())
            .and_then(|path| Ok((plain_file(&path)?, path)))
            .and_then(|(state, path)| theirs(backup, others).map_or(Ok((state, path)), Err));
        match state {
            Ok((state, path)) => out.push(Found { backup, path, state }),
            Err(why) => alone.push(format!("{} ({})", plain(backup.name(), 80), plain(&why, 160))),
        }
    }
    out
}

/// Why a file is not this site's to remove.
fn theirs(backup: &Backup, others: &Others) -> Option<String> {
    let engine = match backup.kind {
        Kind::PgCustom | Kind::PgTar | Kind::PgSql => Some(Engine::Postgresql),
        Kind::Mysql => Some(Engine::Mysql),
        Kind::Sqlite | Kind::SqliteSql => Some(Engine::Sqlite),
        Kind::Tar => None,
        Kind::PgAll => return Some("it holds all databases of a server".to_owned()),
        Kind::PgDirectory
        | Kind::Folder
        | Kind::Sql
        | Kind::Restic
        | Kind::Borg
        | Kind::PgBackRest
        | Kind::Barman
        | Kind::Unknown => return Some(format!("{} is not removed by midwatch", backup.kind.word())),
    };
    let named = backup.header.as_ref().and_then(|header| header.database.as_ref());
    match (&others.database, engine, named) {
        (Some((ours, _)), Some(engine), _) if engine != *ours => {
            return Some(format!("it is of {}, which the site does not have", engine.name()));
        }
        (None, Some(_), _) => return Some("the site has no database".to_owned()),
        (Some((_, ours)), _, Some(named)) if named != ours => {
            return Some(format!("it is of the database {}", plain(named, 60)));
        }
        (_, _, _) => {}
    }
    // A base backup belongs to the WAL that is kept for it.
    let base = backup.contents.as_ref().is_some_and(|contents| {
        contents.sample.iter().any(|name| name.ends_with("backup_label") || name.ends_with("PG_VERSION"))
    });
    if base
        || (backup.kind == Kind::Tar && (backup.name().starts_with("base.") || backup.name().starts_with("pg_wal.")))
    {
        return Some("it is a base backup of a server, which the WAL after it needs".to_owned());
    }
    let real = std::fs::canonicalize(&backup.path).ok()?;
    others.paths.contains(&real).then(|| "another site counts it as its own, or a link leads to it".to_owned())
}
