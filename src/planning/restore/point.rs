//! A restore point: the database and the files that were saved with it, both made ready beside, then exchanged together.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::super::files::{self, impossible};
use super::super::services::planned;
use super::super::{Act, Draft, NoPlan, PlannedStep, Step};
use super::postgres;
use crate::backends::look::files::{free, held};
use crate::domain::backup::points::{FURTHEST_S, points};
use crate::domain::database::Engine;
use crate::domain::text::{bytes, span};
use crate::domain::time::Timestamp;
use crate::runbook::plan::files::FilesAct;
use crate::runbook::plan::postgres::PostgresAct;
use crate::runbook::plan::together::{self, Turn};

/// What stands for the files that were saved nearest to the database.
const NEAREST: &str = "nearest";
/// How long the exchange may take: who has the database open is waited for.
const EXCHANGE_MS: u64 = 180_000;
/// How often it is tried.
const ATTEMPTS: u32 = 2;

impl Draft<'_> {
    /// Both at once, or neither.
    pub(in crate::planning) async fn restore_point(
        &mut self,
        (backup, files, directory): (&str, &str, &str),
        step: &Step,
    ) -> Result<(), NoPlan> {
        let files = self.paired(backup, files).await?;
        let database = self.ready_database(backup, step).await?;
        let exchange = self.ready_files(&files, directory, step).await?;
        self.room_for_all()?;
        self.exchange_together(vec![database, files::turn(exchange)], step).await
    }

    /// Whether there is room for all that is made ready on one file system: each alone has been looked at.
    fn room_for_all(&self) -> Result<(), NoPlan> {
        let sources = || {
            self.steps.iter().filter_map(|step| {
                let Act::Files(FilesAct::Prepare(source) | FilesAct::Unpack { source, .. }) = &step.act else {
                    return None;
                };
                let parent = Path::new(&source.to).parent()?;
                Some((parent, std::fs::metadata(parent).ok()?.dev(), source.room))
            })
        };
        for (parent, device, _) in sources() {
            let needed = sources().filter(|other| other.1 == device).map(|other| other.2).sum::<u64>();
            let there = free(parent).map_err(NoPlan::Impossible)?;
            if there < needed {
                let (there, needed, parent) = (bytes(there), bytes(needed), parent.display());
                return Err(impossible(format!("{parent} has {there} free, and {needed} are needed for both")));
            }
        }
        Ok(())
    }

    /// Puts back the database and the files that one restore has displaced, of which one is named.
    pub(in crate::planning) async fn swap_back_point(&mut self, path: &str, step: &Step) -> Result<(), NoPlan> {
        let named = self.held_file(path)?;
        let alone = |what: &str| {
            impossible(format!(
                "no {what} was displaced at the same moment as {path}: put it back alone, with swap-back-file"
            ))
        };
        let all = held(self.site()?);
        let together = |database: bool| {
            let other = all.iter().find(|other| other.database == database && other.since == named.since);
            other.map(|other| other.path.clone())
        };
        let files = if named.database { together(false) } else { Some(named.path.clone()) };
        let files = files.ok_or_else(|| alone("directory"))?;
        let database = match self.engine()? {
            Engine::Sqlite => {
                let database = together(true).ok_or_else(|| alone("database"))?;
                files::turn(self.ready_held_file(&database).await?)
            }
            Engine::Postgresql => {
                let database = self.held_at(named.since).await?.ok_or_else(|| alone("database"))?;
                let (server, at) = self.ready_held(&database, step).await?;
                postgres::turn(&server, &at)
            }
            Engine::Mysql => return Err(no_mysql()),
        };
        let exchange = self.ready_held_file(&files).await?;
        self.exchange_together(vec![database, files::turn(exchange)], step).await
    }

    /// Makes the database ready beside the one in use.
    async fn ready_database(&mut self, backup: &str, step: &Step) -> Result<Turn, NoPlan> {
        match self.engine()? {
            Engine::Sqlite => self.ready_sqlite((backup, false), step).await.map(files::turn),
            Engine::Postgresql => {
                let (server, at) = self.beside_postgres(backup, None, step).await?;
                Ok(postgres::turn(&server, &at))
            }
            Engine::Mysql => Err(no_mysql()),
        }
    }

    /// The backup of the files that belongs to that of the database; how far they are apart is part of what is approved.
    async fn paired(&mut self, backup: &str, files: &str) -> Result<String, NoPlan> {
        let reading = self.backups().await?;
        let files = if files == NEAREST {
            let all = points(&reading);
            let point = all.iter().find(|point| point.database.is_some_and(|database| database.path == backup));
            let nearest = point.and_then(|point| point.files).map(|files| files.path.clone());
            nearest.ok_or_else(|| {
                impossible(format!(
                    "no files were saved within a day of {backup}: name their backup with files=PATH, or restore the \
                     database alone"
                ))
            })?
        } else {
            files.to_owned()
        };
        if std::fs::canonicalize(&files).ok() == std::fs::canonicalize(backup).ok() {
            return Err(impossible(format!(
                "{backup} holds database and files in one: unpack it, and restore what is in it"
            )));
        }
        let listed = |path: &str| reading.backups.iter().find(|backup| backup.path == path).map(|backup| backup.made);
        let made = |path: &str| listed(path).or_else(|| changed(path));
        let (Some(database), Some(saved)) = (made(backup), made(&files)) else {
            return Err(impossible(format!("when {backup} and {files} were made can't be told")));
        };
        let gap = database.millis_since(saved).max(saved.millis_since(database));
        if gap > FURTHEST_S * 1000 {
            return Err(impossible(format!(
                "{backup} and {files} were made {} apart: that is no restore point; restore each by itself",
                span(gap)
            )));
        }
        self.costs.push(match gap {
            0..1000 => format!("The files come from {files}, of the same moment as the database."),
            _ if saved < database => format!(
                "The gap: the files ({files}) were saved {} before the database. What was uploaded in between is known to \
                 the database and is not among the files; it stays in what is held, if it was there until now.",
                span(gap)
            ),
            _ => format!(
                "The gap: the files ({files}) were saved {} after the database. What was uploaded in between is among the \
                 files and unknown to the database; what was deleted in between is missing.",
                span(gap)
            ),
        });
        Ok(files)
    }

    /// Stops who uses the site's data, exchanges all of it or nothing, and starts them again.
    async fn exchange_together(&mut self, turns: Vec<Turn>, step: &Step) -> Result<(), NoPlan> {
        let users = self.stop_users(step).await?;
        let step = Step { timeout_ms: EXCHANGE_MS, max_attempts: ATTEMPTS, ..step.clone() };
        let (act, done) = (together::forth(&turns), together::done(&turns));
        let exchange = planned("exchange both".to_owned(), act, Some(done), true, &step);
        self.steps.push(PlannedStep { revert: Some(together::back(&turns)), ..exchange });
        for turn in &turns {
            if let Act::Postgres(act) = &turn.act
                && let PostgresAct::Exchange(_, at) = &**act
            {
                let tasks = self.tasks_change(&at.held, &at.other).await;
                self.steps.extend(tasks);
                self.forget_cache();
            } else if let Act::Files(FilesAct::Exchange(exchange)) = &turn.act {
                self.forget_database(exchange).await;
            }
        }
        self.start_users(&users, &step).await
    }
}

fn no_mysql() -> NoPlan {
    impossible("a restore point is of PostgreSQL or SQLite: restore a MySQL or MariaDB database by itself")
}

/// When a file was last changed.
fn changed(path: &str) -> Option<Timestamp> {
    let changed = std::fs::metadata(Path::new(path)).ok()?.modified().ok()?;
    let since = changed.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?))
}
