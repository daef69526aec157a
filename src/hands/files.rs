//! What a step does with files. Everything new is written under another name, read to its end, and named last; what is
//! in use changes places with it in one step of the file system; what was in use is held.

mod exchange;
mod ready;
mod rotate;
mod save;

pub(super) use exchange::settled;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::acts::Sign;
use super::drill;
use super::work::Tools;
use crate::backends::backups::check::{self, Outcome, Verdict};
use crate::backends::backups::meter::Control;
use crate::backends::backups::program;
use crate::backends::look::files::{SIDECARS, free, inode};
use crate::domain::text::bytes;
use crate::runbook::plan::Subject;
use crate::runbook::plan::files::{FilesAct, partial};

/// What a step is done with.
pub(super) struct At<'a> {
    pub(super) run: &'a str,
    pub(super) step: (usize, u32),
    pub(super) deadline: Instant,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) signs: mpsc::Sender<Sign>,
}

/// Does it. Of what fails nothing unfinished is left: its space may be what is missing.
pub(super) async fn act(tools: &Tools<'_>, act: &FilesAct, at: At<'_>) -> Result<String, String> {
    let (done, to) = match act {
        FilesAct::SaveSqlite { database, to } => (save::sqlite(tools, (database, to), at).await, to),
        FilesAct::Save { argv, to, password } => (save::program(tools, (argv, to), *password, at).await, to),
        FilesAct::Prepare(source) => (ready::database(tools, source, at).await, &source.to),
        FilesAct::Unpack { source, root, files } => (ready::files(tools, source, (root, *files), at).await, &source.to),
        FilesAct::Exchange(exchange) => return exchange::exchange(&tools.permit, exchange).await,
        FilesAct::PutBack(exchange) => return exchange::put_back(&tools.permit, exchange).await,
        FilesAct::Remove(path) => {
            // The application may have been ended while it migrated it.
            for sidecar in SIDECARS {
                remove(&format!("{path}{sidecar}"))?;
            }
            remove(path)?;
            remove(&partial(path))?;
            return Ok(format!("{path} is removed"));
        }
        FilesAct::Reread { backup, was, digest } => return reread(tools, (backup, was, digest.as_deref()), at).await,
        FilesAct::Release { path, was } => return release(path, was),
        FilesAct::Rotate(leaving) => return rotate::leave(&tools.permit, leaving),
    };
    if done.is_err() {
        remove(&partial(to))?;
    }
    done
}

/// Reads a backup to its end; it is the one that was proven, and whole.
async fn reread(
    tools: &Tools<'_>,
    (backup, was, digest): (&str, &str, Option<&str>),
    mut at: At<'_>,
) -> Result<String, String> {
    let refused = |why: String| format!("nothing is given up: {why}");
    let now = tools.looker.subject(&Subject::Source(backup.to_owned())).await.map_err(refused)?;
    if now != was {
        return Err(refused(format!("{backup}, which was proven, was {was}, is {now}")));
    }
    drill::read(tools, (backup, digest), &tools.memory, &mut at).await.map_err(refused)?;
    Ok(format!("{backup} is whole, and the one that was proven"))
}

/// Deletes what is held, if it is still what was seen.
fn release(path: &str, was: &str) -> Result<String, String> {
    match inode(path) {
        None => return Ok(format!("{path} is gone")),
        Some(now) if now != was => return Err(format!("{path} is another than was seen: nothing is deleted")),
        Some(_) => {}
    }
    for sidecar in SIDECARS {
        remove(&format!("{path}{sidecar}"))?;
    }
    remove(path)?;
    Ok(format!("{path} is deleted"))
}

/// Removes a file or a directory with all that is in it, if there is one.
pub(super) fn remove(path: &str) -> Result<(), String> {
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(()) };
    let removed = if meta.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.map_err(|error| format!("{path} can't be removed: {error}"))
}

/// Begins a new file for its owner alone, where nothing is yet but what an attempt before has left.
pub(super) fn begin(path: &str) -> Result<File, String> {
    remove(path)?;
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path);
    made.map_err(|error| format!("{path} can't be made: {error}"))
}

/// Gives what is whole its name, on the disk. Never over anything.
fn name(from: &str, to: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{from} can't become {to}: {error}");
    File::open(from).and_then(|file| file.sync_all()).map_err(failed)?;
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(|error| failed(error.into()))?;
    settle(to)
}

/// Has the names in the directory of a path on the disk.
fn settle(path: &str) -> Result<(), String> {
    let directory = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| format!("{} can't be written to the disk: {error}", directory.display()))
}

/// Whether there is room.
pub(super) fn room(path: &str, needed: u64) -> Result<(), String> {
    let directory = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
    let there = free(directory)?;
    if there < needed {
        return Err(format!("{} has {} free, and {} are needed", directory.display(), bytes(there), bytes(needed)));
    }
    Ok(())
}

/// Owner and mode as another one has them.
fn as_owned(file: &File, like: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("owner and mode of {like} can't be given to its copy: {error}");
    let meta = std::fs::symlink_metadata(like).map_err(failed)?;
    let own = file.metadata().map_err(failed)?;
    if (own.uid(), own.gid()) != (meta.uid(), meta.gid()) {
        std::os::unix::fs::fchown(file, Some(meta.uid()), Some(meta.gid())).map_err(failed)?;
    }
    file.set_permissions(meta.permissions()).map_err(failed)
}

/// Does what takes long on a thread of its own; it is told when the operator stops it, or its time is over.
pub(super) async fn aside<T: Send + 'static>(
    at: &mut At<'_>,
    work: impl FnOnce(&Control) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let control = Control::default();
    let told = control.clone();
    let mut work = tokio::task::spawn_blocking(move || work(&told));
    let why = tokio::select! {
        done = &mut work => return done.unwrap_or_else(|error| Err(error.to_string())),
        Ok(_) = at.stop.wait_for(|stop| *stop) => "stopped by the operator",
        () = tokio::time::sleep_until(at.deadline) => "it took too long and was ended",
    };
    control.stop();
    match work.await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) | Err(_) => Err(why.to_owned()),
    }
}

/// Reads a new backup to its end.
pub(super) fn whole(path: &str, control: &Control) -> Result<Verdict, String> {
    let verdict = check::check(Path::new(path), &program::Tools::find(), control);
    match &verdict.outcome {
        Outcome::Whole => Ok(verdict),
        Outcome::Broken(_, why) | Outcome::Growing(why) | Outcome::Unproven(why) => {
            Err(format!("{path} is no good: {why}"))
        }
        Outcome::Stopped => Err("stopped".to_owned()),
    }
}
