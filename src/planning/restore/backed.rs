//! The backup that something is given up for.

use super::super::services::planned;
use super::super::{Act, Draft, NoPlan, PlannedStep, Step, Subject};
use crate::domain::backup::Backup;
use crate::domain::backup::kind::Kind;
use crate::runbook::plan::files::FilesAct;

/// How a backup is proven once more, right before something is given up for it.
pub(in crate::planning) struct Backed(Option<FilesAct>);

impl Backed {
    /// The step that only reads it; none where it can't be read.
    pub(in crate::planning) fn alone(self, name: &str, step: &Step) -> Option<PlannedStep> {
        self.0.map(|reread| planned(name.to_owned(), Act::Files(reread), None, true, step))
    }

    /// The step that gives something up: in the same breath as the backup is read, also where the run is taken up later.
    pub(in crate::planning) fn before(self, name: &str, act: Act, step: &Step) -> PlannedStep {
        let act = match self.0 {
            Some(reread) => Act::InTurn(vec![Act::Files(reread), act]),
            None => act,
        };
        planned(name.to_owned(), act, None, true, step)
    }
}

impl Draft<'_> {
    /// Counts on a backup as it is now.
    pub(in crate::planning) async fn backed(&mut self, proven: &Backup) -> Result<Backed, NoPlan> {
        let path = &proven.path;
        if !path.starts_with('/') {
            self.at_risk.push(format!("{path} lies in a repository: it is not read again before"));
            return Ok(Backed(None));
        }
        let was = self.count_on(Subject::Source(path.clone())).await?;
        // A copied folder has no digest: the application may have added to it.
        let digest = proven.digest.clone().filter(|_| proven.kind != Kind::Folder);
        Ok(Backed(Some(FilesAct::Reread { backup: path.clone(), was, digest })))
    }
}
