//! A drill: where a backup is restored for nobody's use, and what it takes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::super::files::{checked, impossible};
use super::super::services::planned;
use super::super::values::backups::trusted;
use super::super::{Act, Draft, Ground, NoPlan, PlannedStep, Probe, StateDir, Step, Subject};
use crate::backends::backups::listing::listing;
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::backups::unpack::unpack;
use crate::backends::look::files::free;
use crate::domain::backup::kind::{self, Kind};
use crate::domain::database::Engine;
use crate::domain::text::bytes;
use crate::runbook::plan::drill::{DrillAct, DrillEngine, DrillProbe, Place};

/// Where what must not lie in the state directory lies: kept over a boot, and open to every user.
const ELSEWHERE: &str = "/var/tmp";
/// The lowest priority of a processor.
const NICE: [&str; 3] = ["nice", "-n", "19"];
/// A socket's whole path has at most 107 bytes.
const LONGEST: usize = 107 - "/.s.PGSQL.5432".len();

/// What of a drill differs by the kind of database.
pub(super) struct Means {
    /// SHA-256 of the backup.
    pub(super) digest: Option<String>,
    /// The larger of the backup and the database in use.
    pub(super) bytes: u64,
    /// Who does it, besides this user.
    pub(super) user: Option<(String, u32)>,
    /// With what.
    pub(super) engine: DrillEngine,
}

impl Draft<'_> {
    /// Restores a backup where nobody uses it, and looks at it there.
    pub(in crate::planning) async fn prove_backup(&mut self, backup: &str, step: &Step) -> Result<(), NoPlan> {
        let StateDir::Directory(state) = &self.ground.config.state else {
            return Err(impossible("there is no state directory: what is proven could not be remembered"));
        };
        let means = match drill_files(backup).await? {
            Some(means) => means,
            None => self.drill_database(backup).await?,
        };
        let digest = means.digest.ok_or_else(|| impossible(format!("{backup} was not read to its end")))?;
        self.begin_from(backup, Subject::Source(backup.to_owned())).await?;
        let place = self.place(state, means.user.as_ref()).await?;
        let room = means.bytes.saturating_mul(5) / 2;
        let there = free(place.1.as_path()).map_err(NoPlan::Impossible)?;
        if there < room {
            let (there, room, at) = (bytes(there), bytes(room), place.1.display());
            return Err(impossible(format!(
                "there is no room for a drill: {at} has {there} free, and {room} are needed"
            )));
        }
        let state = super::super::files::written(state)?;
        let since = self.ground.made;
        let probe = Probe::Drill(DrillProbe { state: state.clone(), digest: digest.clone(), since });
        let place = place.0;
        self.costs.push(format!(
            "Up to {} of the disk are used meanwhile in {}, and a processor and the disk as far as nobody else wants them.",
            bytes(room),
            place.path
        ));
        let (backup, engine) = (backup.to_owned(), Box::new(means.engine));
        let clear = Act::Drill(Box::new(DrillAct::Clear(place.clone())));
        let act = Act::Drill(Box::new(DrillAct::Prove { backup, digest, place, room, state, engine }));
        let drill = planned("restore, check, remove".to_owned(), act, Some(probe), true, step);
        self.steps.push(PlannedStep { revert: Some(clear), ..drill });
        Ok(())
    }

    async fn drill_database(&mut self, backup: &str) -> Result<Means, NoPlan> {
        let database = self.site()?.database.as_ref().map_err(|why| impossible(why.clone()))?;
        match database.engine {
            Engine::Postgresql => self.drill_postgres(backup, database).await,
            Engine::Sqlite => drill_sqlite(self.ground, backup, &database.name).await,
            Engine::Mysql => self.drill_mysql(backup, database).await,
        }
    }

    /// A directory that is not there yet, and the one it will be in: in the run's own, where its user gets through to it.
    async fn place(&self, state: &Path, user: Option<&(String, u32)>) -> Result<(Place, PathBuf), NoPlan> {
        let me = rustix::process::geteuid().as_raw();
        let own = crate::backends::journal::path(state, me);
        let own = own.parent().unwrap_or(state).to_owned();
        let name = format!("midwatch-drill-{}", self.ground.made.as_millis());
        let short = own.join(&name).as_os_str().len() <= LONGEST;
        let through = match user {
            Some((user, _)) => own.is_dir() && enters(user, &own).await,
            None => own.is_dir(),
        };
        let parent = if short && through { own } else { PathBuf::from(ELSEWHERE) };
        let path = super::super::files::written(&parent.join(name))?;
        Ok((Place { path, uid: user.map_or(me, |(_, uid)| *uid) }, parent))
    }
}

/// Whether a user gets through to a directory.
async fn enters(user: &str, directory: &Path) -> bool {
    let mut command = tokio::process::Command::new("runuser");
    command.args(["-u", user, "--", "test", "-x"]).arg(directory).current_dir("/");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}

async fn drill_sqlite(ground: Ground<'_>, backup: &str, live: &str) -> Result<Means, NoPlan> {
    let verdict = checked(backup).await?;
    trusted(ground, backup, &verdict)?;
    if verdict.kind != Some(Kind::Sqlite) {
        let is = verdict.kind.map_or("nothing that is known", Kind::word);
        return Err(impossible(format!("{backup} is {is}, and the database in use is SQLite")));
    }
    let path = backup.to_owned();
    let measure = move || unpack(Path::new(&path), &Tools::find(), &Control::default(), &mut std::io::sink());
    let size = tokio::task::spawn_blocking(measure).await.map_err(|error| impossible(error.to_string()))?;
    let size = size.map_err(NoPlan::Impossible)?.max(std::fs::metadata(live).map_or(0, |meta| meta.len()));
    Ok(Means { digest: verdict.digest, bytes: size, user: None, engine: DrillEngine::Sqlite })
}

/// What unpacks an archive of files; `None`: it is none.
async fn drill_files(backup: &str) -> Result<Option<Means>, NoPlan> {
    let named = Path::new(backup).file_name().and_then(|name| kind::of_name(name.to_str()?));
    // Read only where its name says so: a database's dump is read by who restores that.
    if named != Some(Kind::Tar) || !Path::new(backup).is_file() {
        return Ok(None);
    }
    let verdict = checked(backup).await?;
    if verdict.kind != Some(Kind::Tar) {
        return Ok(None);
    }
    let path = backup.to_owned();
    let list = move || listing(Path::new(&path), &Tools::find(), &Control::default());
    let listing = tokio::task::spawn_blocking(list).await.map_err(|error| impossible(error.to_string()))?;
    let (files, bytes) = listing.map_err(|why| impossible(format!("{backup} is not unpacked: {why}")))?.below("");
    if files == 0 {
        return Err(impossible(format!("{backup} holds no files")));
    }
    let engine = DrillEngine::Files { files, gently: gently(&Tools::find()) };
    Ok(Some(Means { digest: verdict.digest, bytes, user: None, engine }))
}

/// What is put before a drill's programs: the lowest priority of processor and disk.
pub(super) fn gently(tools: &Tools) -> Vec<String> {
    let nice = NICE.map(str::to_owned).into_iter();
    let ionice = tools.get("ionice").and_then(Path::to_str).map(|ionice| vec![ionice.to_owned(), "-c3".to_owned()]);
    nice.chain(ionice.unwrap_or_default()).collect()
}
