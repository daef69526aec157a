//! A backup is made ready beside what is in use: unpacked, checked, compared, owned like it, and named last.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::{At, as_owned, aside, begin, name, remove, room, settle, whole};
use crate::backends::backups::listing::listing;
use crate::backends::backups::{likeness, program, unpack};
use crate::backends::look::files::inode;
use crate::domain::backup::kind::Kind;
use crate::domain::text::bytes;
use crate::hands::acts;
use crate::hands::work::Tools;
use crate::runbook::plan::files::{Source, partial};
use crate::runbook::plan::{Command, Subject};

/// An SQLite database.
pub(super) async fn database(tools: &Tools<'_>, source: &Source, mut at: At<'_>) -> Result<String, String> {
    free_to_begin(tools, source).await?;
    let unfinished = partial(&source.to);
    let (backup, path) = (source.backup.clone(), unfinished.clone());
    let size = aside(&mut at, move |control| {
        let mut file = begin(&path)?;
        let size = unpack::unpack(Path::new(&backup), &program::Tools::find(), control, &mut file)?;
        file.flush().and_then(|()| file.sync_all()).map_err(|error| format!("{path} can't be written: {error}"))?;
        drop(file);
        match whole(&path, control)?.kind {
            Some(Kind::Sqlite) => Ok(size),
            Some(_) | None => Err(format!("{backup} is no SQLite database")),
        }
    })
    .await?;
    unchanged(tools, source).await?;
    let copy = likeness::content(Path::new(&unfinished), true).await?;
    let live = likeness::content(Path::new(&source.live), false).await;
    if let Some(why) = copy.unfit(live.as_ref().ok(), &tools.looker.code().await.ok().flatten().unwrap_or_default()) {
        return Err(format!("{} is not restored: {why}", source.backup));
    }
    let differs = match &live {
        Ok(live) => copy.against(live),
        Err(why) => format!("it can't be compared: {why}"),
    };
    let file = File::open(&unfinished).map_err(|error| format!("{unfinished}: {error}"))?;
    as_owned(&file, &source.live)?;
    name(&unfinished, &source.to)?;
    Ok(format!("{}: {}; {differs}", source.to, bytes(size)))
}

/// A directory.
pub(super) async fn files(
    tools: &Tools<'_>,
    source: &Source,
    (root, files): (&str, u64),
    mut at: At<'_>,
) -> Result<String, String> {
    free_to_begin(tools, source).await?;
    let unfinished = partial(&source.to);
    remove(&unfinished)?;
    let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&unfinished);
    made.map_err(|error| format!("{unfinished} can't be made: {error}"))?;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let argv = if Path::new(&source.backup).is_dir() {
        let from = Path::new(&source.backup).join(root).join(".");
        let to = Path::new(&unfinished).join(root);
        let made = std::fs::create_dir_all(&to);
        made.map_err(|error| format!("{} can't be made: {error}", to.display()))?;
        words(&["cp", "--archive", "--", &from.display().to_string(), &to.display().to_string()])
    } else {
        let (file, directory) = (format!("--file={}", source.backup), format!("--directory={unfinished}"));
        let mut argv = words(&["tar", "--extract", "--numeric-owner", "--preserve-permissions", "--keep-old-files"]);
        argv.extend([file, directory, "--".to_owned()]);
        argv.extend((!root.is_empty()).then(|| root.to_owned()));
        argv
    };
    let command = Command { argv, ..Command::default() };
    let (stop, signs) = (at.stop.clone(), at.signs.clone());
    acts::command(tools, (at.run, &command), at.step, (at.deadline, stop), signs).await?;
    unchanged(tools, source).await?;
    let path = unfinished.clone();
    let found = aside(&mut at, move |control| listing(Path::new(&path), &program::Tools::find(), control))
        .await?
        .below(root.trim_start_matches("./"));
    if found.0 != files {
        return Err(format!("{} files were to be unpacked, and {} are there", files, found.0));
    }
    let inner = Path::new(&unfinished).join(root);
    let opened = File::open(&inner).map_err(|error| format!("{}: {error}", inner.display()))?;
    as_owned(&opened, &source.live)?;
    rustix::fs::syncfs(&opened)
        .map_err(|error| format!("{} can't be written to the disk: {error}", inner.display()))?;
    name(&inner.display().to_string(), &source.to)?;
    remove(&unfinished)?;
    settle(&source.to)?;
    Ok(format!("{}: {files} files, {}", source.to, bytes(found.1)))
}

async fn free_to_begin(tools: &Tools<'_>, source: &Source) -> Result<(), String> {
    if inode(&source.to).is_some() {
        return Err(format!("{} is there already: nothing is written over it", source.to));
    }
    unchanged(tools, source).await?;
    room(&source.to, source.room)
}

/// The backup is the one that was approved.
async fn unchanged(tools: &Tools<'_>, source: &Source) -> Result<(), String> {
    let now = tools.looker.subject(&Subject::Source(source.backup.clone())).await?;
    if now == source.was { Ok(()) } else { Err(format!("{} was {}, is {now}", source.backup, source.was)) }
}
