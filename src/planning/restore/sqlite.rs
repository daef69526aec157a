//! An SQLite database from a backup: made ready beside it, then in its place, which is held.

use std::path::Path;

use super::super::files::{checked, identity, impossible, moment, ours, room};
use super::super::values::backups::trusted;
use super::super::{Draft, NoPlan, Step, Subject};
use crate::backends::backups::likeness::{Content, content};
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::backups::unpack::unpack;
use crate::backends::look::files::{HELD, inode};
use crate::domain::app_state::pending;
use crate::domain::backup::kind::Kind;
use crate::runbook::plan::files::{Exchange, FilesAct, FilesProbe, Source};

impl Draft<'_> {
    pub(super) async fn restore_sqlite(
        &mut self,
        (backup, as_it_was): (&str, bool),
        step: &Step,
    ) -> Result<(), NoPlan> {
        let exchange = self.ready_sqlite((backup, as_it_was), step).await?;
        let users = self.stop_users(step).await?;
        self.exchange_all(exchange, step).await;
        self.start_users(&users, step).await
    }

    /// Makes the database ready beside the one in use, migrated if it is older than the code on disk, unless it shall be
    /// `as_it_was`; how the two change places.
    pub(in super::super) async fn ready_sqlite(
        &mut self,
        (backup, as_it_was): (&str, bool),
        step: &Step,
    ) -> Result<Exchange, NoPlan> {
        let live = self.sqlite()?.ok_or_else(|| impossible("the site has no SQLite database"))?;
        ours(&live)?;
        if inode(&live) == inode(backup) {
            return Err(impossible(format!("{backup} is the database in use itself")));
        }
        let (size, missing) = self.fit(backup, &live).await?;
        let at = moment(&live, self.ground.made);
        let (to, held) = (format!("{live}.mw-{at}"), format!("{live}{HELD}{at}"));
        let room = room(&to, size)?;
        let (was, seen) = (identity(&live)?, self.begin_from(backup, Subject::Source(backup.to_owned())).await?);
        self.count_on(Subject::Place(live.clone())).await?;
        let source = Source { backup: backup.to_owned(), was: seen, live: live.clone(), to: to.clone(), room };
        let ready = FilesAct::Prepare(source);
        let back = FilesAct::Remove(to.clone());
        self.file_step("make it ready beside", (ready, FilesProbe::There(to.clone())), Some(back), step);
        if as_it_was {
            self.costs.push(
                "The database is put into use as it was, not migrated: what is installed now may not work with it."
                    .to_owned(),
            );
        } else {
            self.migrate_file(&to, missing, step).await;
        }
        Ok(Exchange { live, ready: to, held, was, database: true })
    }

    /// Whether the backup may take the database's place; how many bytes it has, unpacked, and which migrations are missing
    /// in it, where that is known.
    async fn fit(&mut self, backup: &str, live: &str) -> Result<(u64, Option<Vec<String>>), NoPlan> {
        let verdict = checked(backup).await?;
        self.at_risk.extend(trusted(self.ground, backup, &verdict)?);
        let kind = verdict.kind;
        if kind != Some(Kind::Sqlite) {
            let is = kind.map_or("nothing that is known", Kind::word);
            return Err(impossible(format!("{backup} is {is}, and the database in use is SQLite")));
        }
        let path = backup.to_owned();
        let measure = move || {
            let control = Control::default();
            unpack(Path::new(&path), &Tools::find(), &control, &mut std::io::sink())
        };
        let size = tokio::task::spawn_blocking(measure).await.map_err(|error| impossible(error.to_string()))?;
        let size = size.map_err(NoPlan::Impossible)?;
        if std::fs::metadata(backup).is_ok_and(|meta| meta.len() != size) {
            self.at_risk.push(
                "the backup is packed: what it lacks is seen when it is unpacked, before anything is stopped"
                    .to_owned(),
            );
            return Ok((size, None));
        }
        let copy = content(Path::new(backup), true).await.map_err(NoPlan::Impossible)?;
        let now = content(Path::new(live), false).await;
        self.compare(backup, &copy, now.as_ref());
        let code = self.looker.code().await.ok().flatten().unwrap_or_default();
        if let Some(why) = copy.unfit(now.as_ref().ok(), &code) {
            return Err(impossible(format!("{backup} is not restored: {why}")));
        }
        Ok((size, Some(pending(&code, &copy.migrations))))
    }

    fn compare(&mut self, backup: &str, copy: &Content, now: Result<&Content, &String>) {
        match now {
            Ok(now) => self.at_risk.push(format!("{backup}: {}", copy.against(now))),
            Err(why) => self.at_risk.push(format!("it can't be compared with the database in use: {why}")),
        }
    }
}
