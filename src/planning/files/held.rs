//! What is held: put in use again, or deleted.

use std::path::Path;

use super::{Draft, NoPlan, Step, checked, identity, impossible, moment, ours};
use crate::backends::look::files::{self, HELD, Held, SIDECARS, inode};
use crate::domain::backup::Backup;
use crate::domain::backup::kind::Subject as Saves;
use crate::planning::{Act, PlannedStep, Probe};
use crate::runbook::plan::files::{Exchange, FilesAct, FilesProbe};

impl Draft<'_> {
    /// Puts what is held in its old place; what is in use is held instead.
    pub(in super::super) async fn swap_back_file(&mut self, path: &str, step: &Step) -> Result<(), NoPlan> {
        let exchange = self.ready_held_file(path).await?;
        let users = self.stop_users(step).await?;
        self.exchange_all(exchange, step).await;
        self.start_users(&users, step).await
    }

    /// Looks at something that is held; how it and what is in use change places.
    pub(in super::super) async fn ready_held_file(&self, path: &str) -> Result<Exchange, NoPlan> {
        let held = self.held_file(path)?;
        ours(&held.live)?;
        if let Some(sidecar) = SIDECARS.iter().map(|s| format!("{path}{s}")).find(|path| inode(path).is_some()) {
            return Err(impossible(format!(
                "{sidecar} lies beside it: the database was damaged when it was displaced; open it with sqlite3 and mend \
                 it first"
            )));
        }
        let was = identity(&held.live)?;
        let now = format!("{}{HELD}{}", held.live, moment(&held.live, self.ground.made));
        if held.database && !checked(path).await.is_ok_and(|verdict| verdict.kind.is_some()) {
            return Err(impossible(format!("{path} is damaged: it is not put in use")));
        }
        Ok(Exchange { live: held.live, ready: path.to_owned(), held: now, was, database: held.database })
    }

    /// Deletes what is held, once a newer backup is proven.
    pub(in super::super) async fn release_file(&mut self, path: &str, step: &Step) -> Result<(), NoPlan> {
        let held = self.held_file(path)?;
        let was = identity(path)?;
        let proven = self.newer(&held).await?;
        self.at_risk.push(format!("a newer backup is proven: {}", proven.path));
        let proof = self.backed(&proven).await?;
        let act = FilesAct::Release { path: path.to_owned(), was };
        let delete = proof.before("delete it", Act::Files(act), step);
        let gone = Probe::Files(FilesProbe::Gone(path.to_owned()));
        self.steps.push(PlannedStep { verify: Some(gone), ..delete });
        if held.database {
            self.drop_tasks(path).await;
        }
        Ok(())
    }

    pub(in super::super) fn held_file(&self, path: &str) -> Result<Held, NoPlan> {
        let all = files::held(self.site()?);
        all.into_iter()
            .find(|held| held.path == path)
            .ok_or_else(|| impossible(format!("{path} is nothing that is held")))
    }

    /// A backup of the same that is newer and whole; it is read now, if nobody has read it yet.
    async fn newer(&self, held: &Held) -> Result<Backup, NoPlan> {
        let subject = if held.database { Saves::Database } else { Saves::Files };
        let reading = self.backups().await?;
        // Names hold whole seconds.
        let since = held.since.plus_secs(1);
        let newer = |backup: &&Backup| backup.saves(subject) && backup.made > since && backup.usable();
        let mut candidates: Vec<_> = reading.backups.iter().filter(newer).collect();
        let here = |backup: &Backup| backup.path.starts_with('/');
        candidates.sort_by_key(|backup| (!backup.proven(), !here(backup), std::cmp::Reverse(backup.made)));
        for backup in candidates {
            if backup.proven() {
                return Ok(backup.clone());
            }
            if Path::new(&backup.path).is_file()
                && let Ok(verdict) = checked(&backup.path).await
            {
                return Ok(Backup { digest: verdict.digest, ..backup.clone() });
            }
        }
        Err(impossible(format!(
            "there is no proven backup of the {} that is newer than {}: take one first (midwatch runbook run take-backup)",
            subject.word(),
            held.path
        )))
    }
}
