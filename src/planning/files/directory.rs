//! A directory of the site from a backup of its files: made ready beside it, then in its place, which is held.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Draft, NoPlan, StateDir, Step, checked, identity, impossible, moment, ours, room, written};
use crate::backends::backups::listing::{Listing, listing};
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::look::files::HELD;
use crate::domain::backup::kind::Kind;
use crate::planning::Subject;
use crate::planning::values::backups::trusted;
use crate::runbook::plan::files::{Exchange, FilesAct, FilesProbe, Source};

impl Draft<'_> {
    pub(in super::super) async fn restore_files(
        &mut self,
        backup: &str,
        directory: &str,
        step: &Step,
    ) -> Result<(), NoPlan> {
        let exchange = self.ready_files(backup, directory, step).await?;
        let users = self.stop_users(step).await?;
        self.exchange_files(exchange, step);
        self.start_users(&users, step).await
    }

    /// Makes the directory ready beside the one in use; how the two change places.
    pub(in super::super) async fn ready_files(
        &mut self,
        backup: &str,
        directory: &str,
        step: &Step,
    ) -> Result<Exchange, NoPlan> {
        let live = self.replaceable(backup, directory)?;
        ours(&live)?;
        if !Path::new(backup).is_dir() {
            let verdict = checked(backup).await?;
            self.at_risk.extend(trusted(self.ground, backup, &verdict)?);
            let kind = verdict.kind;
            if kind != Some(Kind::Tar) {
                let is = kind.map_or("nothing that is known", Kind::word);
                return Err(impossible(format!("{backup} is {is}, and no archive of files")));
            }
        }
        let path = PathBuf::from(backup);
        let list = move || listing(&path, &Tools::find(), &Control::default());
        let listing = tokio::task::spawn_blocking(list).await.map_err(|error| impossible(error.to_string()))?;
        let listing = listing.map_err(|why| impossible(format!("{backup} is not unpacked: {why}")))?;
        let (root, files, size) = self.within(&listing, backup, &live)?;
        listing.keeps_within(&root).map_err(|why| impossible(format!("{backup} is not unpacked: {why}")))?;
        let at = moment(&live, self.ground.made);
        let (to, held) = (format!("{live}.mw-{at}"), format!("{live}{HELD}{at}"));
        let room = room(&to, size)?;
        let (was, seen) = (identity(&live)?, self.begin_from(backup, Subject::Source(backup.to_owned())).await?);
        self.begin_from(directory, Subject::Place(live.clone())).await?;
        let source = Source { backup: backup.to_owned(), was: seen, live: live.clone(), to: to.clone(), room };
        let unpack = FilesAct::Unpack { source, root, files };
        let back = FilesAct::Remove(to.clone());
        self.file_step("unpack it beside", (unpack, FilesProbe::There(to.clone())), Some(back), step);
        Ok(Exchange { live, ready: to, held, was, database: false })
    }

    /// The directory, links followed, if it is one that can be put aside whole.
    fn replaceable(&self, backup: &str, directory: &str) -> Result<String, NoPlan> {
        let follow = |path: &str| std::fs::canonicalize(path).map_err(|error| impossible(format!("{path}: {error}")));
        let live = follow(directory)?;
        let site = self.site()?;
        let data = site.data_dir.as_ref().and_then(|dir| std::fs::canonicalize(dir).ok());
        let told = live.display();
        if !live.is_dir() || !data.as_ref().is_some_and(|data| live.starts_with(data)) {
            let data = data.map_or("which is not known".to_owned(), |data| data.display().to_string());
            return Err(impossible(format!("{told} is no directory of the site's data ({data})")));
        }
        let parent = live.parent().ok_or_else(|| impossible(format!("{told} is the root of all files")))?;
        let device = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
        if device(&live) != device(parent) {
            return Err(impossible(format!(
                "{told} is a file system of its own, which can't be exchanged: name a directory in it"
            )));
        }
        let inside = |path: &Path| path.starts_with(&live);
        if let Some(database) = self.sqlite()?.filter(|database| inside(Path::new(database))) {
            return Err(impossible(format!(
                "{told} holds the database {database}, which must not go along: name a directory beside it, like media"
            )));
        }
        if inside(&follow(backup)?) {
            return Err(impossible(format!("{backup} lies in {told} itself: copy it elsewhere first")));
        }
        if let StateDir::Directory(state) = &self.ground.config.state
            && inside(state)
        {
            return Err(impossible(format!("{told} holds midwatch's own state ({})", state.display())));
        }
        written(&live)
    }

    /// Which part of the backup it is, with its files and bytes.
    fn within(&mut self, listing: &Listing, backup: &str, live: &str) -> Result<(String, u64, u64), NoPlan> {
        let known: BTreeSet<String> = std::fs::read_dir(live)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        let root = listing.root_for(Path::new(live), &known).ok_or_else(|| {
            impossible(format!(
                "{backup} holds nothing that could be {live}: neither its name nor anything that is in it"
            ))
        })?;
        let (files, size) = listing.below(&root);
        if files == 0 {
            return Err(impossible(format!("{backup} holds no files for {live}")));
        }
        let lacks: Vec<String> = known.difference(&listing.top(&root)).take(8).cloned().collect();
        if !lacks.is_empty() {
            self.at_risk
                .push(format!("in {live} and not in the backup, so only in what is held then: {}", lacks.join(", ")));
        }
        Ok((root, files, size))
    }
}
