//! A drill at work: in a directory of its own, which is gone when it ends, however it ends.
//!
//! Invariant: nothing is signalled but processes of the drill's user that work below that directory, and nothing is removed
//! but that directory, if it is that user's, and what was unpacked beside it.

mod maria;
mod server;

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::acts::{self, Sign};
use super::files::{At, aside, begin, remove, room, whole};
use super::signal;
use super::work::Tools;
use crate::backends::backups::check::{Outcome, Verdict, check};
use crate::backends::backups::listing::listing;
use crate::backends::backups::proofs::{Drill, Proofs};
use crate::backends::backups::verify::Inventory;
use crate::backends::backups::{likeness, program, unpack};
use crate::backends::process_id;
use crate::backends::store::who;
use crate::domain::backup::kind::Kind;
use crate::domain::text::{bytes, count, plain, span};
use crate::runbook::approval::Permit;
use crate::runbook::plan::Command;
use crate::runbook::plan::drill::{DrillAct, DrillEngine, Place};
use crate::runbook::run::ProcessId;

/// How long what works in the place may take to end.
const GRACE: Duration = Duration::from_secs(10);
/// How many of the largest tables are named.
const NAMED: usize = 5;

/// Does it. `Ok`: how it went.
pub(super) async fn act(tools: &Tools<'_>, act: &DrillAct, mut at: At<'_>) -> Result<String, String> {
    match act {
        DrillAct::Clear(place) => clear(&tools.permit, place).await,
        DrillAct::Prove { backup, digest, place, room: needed, state, engine } => {
            clear(&tools.permit, place).await?;
            read(tools, (backup, Some(digest)), Path::new(state), &mut at).await?;
            room(&place.path, *needed)?;
            make(place)?;
            let found = match engine.as_ref() {
                DrillEngine::Sqlite => sqlite(backup, place, &mut at).await,
                DrillEngine::Files { files, gently } => {
                    self::files(tools, (backup, place), (*files, gently), &mut at).await
                }
                DrillEngine::Maria { .. } => Box::pin(maria::restore(tools, (backup, place, engine), &mut at)).await,
                DrillEngine::Postgres { .. } => {
                    Box::pin(server::restore(tools, (backup, place, engine), &mut at)).await
                }
            };
            // Before anything is remembered: what is remembered ends the step.
            let cleared = clear(&tools.permit, place).await;
            let Found { took, said } = match (found, cleared) {
                (Ok(found), Ok(_)) => found,
                (Ok(_), Err(why)) => return Err(why),
                (Err(why), Ok(_)) => return Err(format!("{backup} can't be restored: {why}")),
                (Err(why), Err(left)) => return Err(format!("{backup} can't be restored: {why}; and {left}")),
            };
            for sentence in &said {
                at.signs.send(Sign::Note(sentence.clone())).await.ok();
            }
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let found = said.join("; ");
            let drill = Drill {
                digest: digest.clone(),
                path: backup.clone(),
                at: (tools.now)(),
                took_ms,
                by: who::user(),
                passed: true,
                found: found.clone(),
            };
            let kept = Proofs::open(Some(Path::new(state))).keep_drill(drill);
            kept.map_err(|error| format!("it was restored, and that can't be remembered in {state}: {error}"))?;
            Ok(format!("restored in {}, and removed: {found}", span(took_ms)))
        }
    }
}

/// What a drill has found.
struct Found {
    /// How long restoring alone took.
    took: Duration,
    /// Sentences.
    said: Vec<String>,
}

/// Reads the backup to its end, so that what is proven is what was read.
pub(super) async fn read(
    tools: &Tools<'_>,
    (backup, digest): (&str, Option<&str>),
    state: &Path,
    at: &mut At<'_>,
) -> Result<(), String> {
    let site = tools.site.ok_or_else(|| "there is no site".to_owned())?;
    let (path, now) = (PathBuf::from(backup), (tools.now)());
    let mut inventory = Inventory::of_site(site, Some(state), true);
    let verdict: Verdict = aside(at, move |control| {
        let known = inventory.prove(now, &path, control);
        Ok(known.unwrap_or_else(|| check(&path, &program::Tools::find(), control)))
    })
    .await?;
    match verdict.outcome {
        Outcome::Whole if digest.is_none() || verdict.digest.as_deref() == digest => Ok(()),
        Outcome::Whole => Err(format!("{backup} is not what it was when the plan was made")),
        Outcome::Broken(_, why) | Outcome::Growing(why) | Outcome::Unproven(why) => {
            Err(format!("{backup} is no good: {why}"))
        }
        Outcome::Stopped => Err("stopped".to_owned()),
    }
}

/// Makes the place: its user's, and nobody else's.
fn make(place: &Place) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} can't be made: {error}", place.path);
    std::fs::DirBuilder::new().mode(0o700).create(&place.path).map_err(failed)?;
    if place.uid != rustix::process::geteuid().as_raw() {
        std::os::unix::fs::lchown(&place.path, Some(place.uid), None).map_err(failed)?;
    }
    Ok(())
}

/// Where a packed backup is unpacked: beside the place, where its user can't put another file under the name.
fn unpacked(place: &Place) -> String {
    format!("{}.unpacked", place.path)
}

/// Ends what works in the place, and removes it and what was unpacked for it.
async fn clear(_permit: &Permit, place: &Place) -> Result<String, String> {
    let me = rustix::process::geteuid().as_raw();
    let unpacked = unpacked(place);
    if std::fs::symlink_metadata(&unpacked).is_ok_and(|meta| meta.uid() == me) {
        remove(&unpacked)?;
    }
    let path = Path::new(&place.path);
    let Ok(meta) = std::fs::symlink_metadata(path) else { return Ok(format!("{} is gone", place.path)) };
    if !meta.is_dir() || ![me, place.uid].contains(&meta.uid()) {
        return Err(format!("{} is somebody else's and is left alone", place.path));
    }
    let ended = signal::end_all(|| inside(place), GRACE).await;
    if let Some(left) = inside(place).first() {
        return Err(format!("{} still works in {}", process_id::told(left.pid), place.path));
    }
    remove(&place.path)?;
    let ended = if ended.is_empty() { String::new() } else { format!(" ({})", ended.join("; ")) };
    Ok(format!("{} is removed{ended}", place.path))
}

/// The processes of the drill's user that work in the place. A server and all its processes work in its data directory.
fn inside(place: &Place) -> Vec<ProcessId> {
    let of = |pid: &u32| {
        let proc = format!("/proc/{pid}");
        std::fs::metadata(&proc).is_ok_and(|meta| meta.uid() == place.uid)
            && std::fs::read_link(format!("{proc}/cwd")).is_ok_and(|cwd| cwd.starts_with(&place.path))
    };
    let me = std::process::id();
    process_id::all().filter(|pid| *pid != me).filter(of).filter_map(|pid| process_id::of(pid).ok()).collect()
}

/// An SQLite database.
async fn sqlite(backup: &str, place: &Place, at: &mut At<'_>) -> Result<Found, String> {
    let copy = format!("{}/copy.sqlite3", place.path);
    let (from, to) = (backup.to_owned(), copy.clone());
    let begun = Instant::now();
    aside(at, move |control| {
        let mut file = begin(&to)?;
        unpack::unpack(Path::new(&from), &program::Tools::find(), control, &mut file)?;
        file.sync_all().map_err(|error| format!("{to} can't be written: {error}"))?;
        drop(file);
        match whole(&to, control)?.kind {
            Some(Kind::Sqlite) => Ok(()),
            Some(_) | None => Err(format!("{from} is no SQLite database")),
        }
    })
    .await?;
    let took = begun.elapsed();
    let content = likeness::content(Path::new(&copy), true).await?;
    let rows: i64 = content.tables.values().sum();
    if rows == 0 {
        return Err("no row of any table is in it".to_owned());
    }
    let mut said = vec![count(content.tables.len() as u64, "table")];
    let mut largest: Vec<_> = content.tables.iter().map(|(name, rows)| (*rows, name)).collect();
    largest.sort_by(|a, b| b.cmp(a));
    said.extend(largest.iter().take(NAMED).map(|(rows, name)| format!("{}: {rows} rows", plain(name, 60))));
    Ok(Found { took, said })
}

/// An archive of files.
async fn files(
    tools: &Tools<'_>,
    (backup, place): (&str, &Place),
    (files, gently): (u64, &[String]),
    at: &mut At<'_>,
) -> Result<Found, String> {
    let words = ["tar", "--extract", "--no-same-owner", "--keep-old-files"].map(str::to_owned);
    let (file, to) = (format!("--file={backup}"), format!("--directory={}", place.path));
    let argv = gently.iter().cloned().chain(words).chain([file, to]).collect();
    let command = Command { argv, ..Command::default() };
    let begun = Instant::now();
    let (stop, signs) = (at.stop.clone(), at.signs.clone());
    acts::command(tools, (at.run, &command), at.step, (at.deadline, stop), signs).await?;
    let took = begun.elapsed();
    let path = place.path.clone();
    let found = aside(at, move |control| listing(Path::new(&path), &program::Tools::find(), control)).await?.below("");
    if found.0 != files {
        return Err(format!("{files} files were to be unpacked, and {} are there", found.0));
    }
    Ok(Found { took, said: vec![count(files, "file"), bytes(found.1)] })
}
