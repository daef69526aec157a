//! A backup of the site: its database and its files, each written beside its name and read to its end first.

mod mysql;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Draft, MOMENTS, NoPlan, Step, identity, impossible, ours, room, written};
use crate::backends::backups::program::Tools;
use crate::backends::database::session;
use crate::backends::look::files::{HELD, SIDECARS, stamp};
use crate::backends::store::who;
use crate::config::DatabaseConfig;
use crate::domain::database::Engine;
use crate::domain::id::SiteId;
use crate::domain::time::Timestamp;
use crate::runbook::plan::Subject;
use crate::runbook::plan::files::{FilesAct, FilesProbe, partial};

/// What an application makes again by itself, or keeps for its own sake.
const LEFT_OUT: [&str; 2] = ["logs", "cache"];
/// How often it is tried: files that change while they are read make an archive fail.
const ATTEMPTS: u32 = 3;
/// Most entries that are measured.
const MOST: u64 = 1_000_000;

impl Draft<'_> {
    pub(in super::super) async fn take_backup(&mut self, directory: &str, step: &Step) -> Result<(), NoPlan> {
        let directory =
            std::fs::canonicalize(directory).map_err(|error| impossible(format!("{directory}: {error}")))?;
        trusted_place(&directory)?;
        let site = self.site()?;
        let id = in_names(&site.id);
        let at = free_moment(&directory, &id, self.ground.made)?;
        let to = |kind: &str| written(&directory.join(format!("{id}{kind}")));
        let mut steps = Vec::new();
        let mut needed = 0;
        if let Ok(database) = &site.database {
            // What has a container's address is named by it: another may have it by then.
            if database.container.is_some() {
                self.count_on(Subject::Database(database.name.clone())).await?;
            }
            let (act, size) = match database.engine {
                Engine::Sqlite => self.save_sqlite(to(&format!("-{at}.sqlite3"))?)?,
                Engine::Postgresql => save_postgres(database, to(&format!("-{at}.dump"))?).await?,
                Engine::Mysql => self.save_mysql(database, to(&format!("-{at}.sql"))?).await?,
            };
            needed += size;
            steps.push(("save the database", act));
        }
        if let Some(data) = &site.data_dir {
            let (act, size) = self.save_files(data, &directory, &to(&format!("-files-{at}"))?).await?;
            needed += size;
            steps.push(("save the files", act));
        }
        if steps.is_empty() {
            return Err(impossible(format!("neither a database nor files of {} are known", self.site()?.id)));
        }
        room(&directory.join("backup").display().to_string(), needed)?;
        for (name, act) in steps {
            let (FilesAct::SaveSqlite { to, .. } | FilesAct::Save { to, .. }) = &act else { continue };
            let there = FilesProbe::There(to.clone());
            self.file_step(name, (act, there), None, &Step { max_attempts: ATTEMPTS, ..step.clone() });
        }
        Ok(())
    }

    fn save_sqlite(&self, to: String) -> Result<(FilesAct, u64), NoPlan> {
        let database = self.sqlite()?.ok_or_else(|| impossible("the site has no SQLite database"))?;
        // SQLite makes files beside a database it reads: another user's would lock the application out.
        ours(&database)?;
        let size = |path: &str| std::fs::metadata(path).map_or(0, |meta| meta.len());
        let size = size(&database) + size(&format!("{database}-wal"));
        Ok((FilesAct::SaveSqlite { database, to }, size))
    }

    async fn save_files(&self, data: &Path, directory: &Path, to: &str) -> Result<(FilesAct, u64), NoPlan> {
        let data = std::fs::canonicalize(data).map_err(|error| impossible(format!("{}: {error}", data.display())))?;
        identity(&written(&data)?)?;
        let mut without: Vec<PathBuf> = LEFT_OUT.iter().map(|name| data.join(name)).collect();
        without.push(directory.to_owned());
        if let Some(database) = self.sqlite()? {
            without.extend(SIDECARS.iter().map(|sidecar| PathBuf::from(format!("{database}{sidecar}"))));
            without.push(database.into());
        }
        for entry in
            std::fs::read_dir(&data).map_err(|error| impossible(format!("{}: {error}", data.display())))?.flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(HELD) || name.contains(".mw-2") {
                without.push(entry.path());
            }
        }
        let (walked, skipped) = (data.clone(), without.clone());
        let size = tokio::task::spawn_blocking(move || measure(&walked, &skipped)).await;
        let size = size.map_err(|error| impossible(error.to_string()))?.map_err(NoPlan::Impossible)?;
        let (packing, ending) =
            if Tools::find().get("zstd").is_some() { ("--zstd", "tar.zst") } else { ("--gzip", "tar.gz") };
        let to = format!("{to}.{ending}");
        let mut argv =
            vec!["tar".to_owned(), "--create".to_owned(), packing.to_owned(), format!("--file={}", partial(&to))];
        argv.extend([format!("--directory={}", written(&data)?), "--anchored".to_owned(), "--no-wildcards".to_owned()]);
        for path in
            without.iter().filter_map(|path| path.strip_prefix(&data).ok()).filter(|path| *path != Path::new(""))
        {
            argv.push(format!("--exclude=./{}", written(path)?));
        }
        argv.extend(["--".to_owned(), ".".to_owned()]);
        Ok((FilesAct::Save { argv, to, password: false }, size))
    }
}

/// A site's id as it stands in the names of its backups.
pub(in super::super) fn in_names(site: &SiteId) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    site.0.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}

/// The moment in the names: the plan's, or as soon after it as no backup of this site has one of that name, finished or not.
fn free_moment(directory: &Path, id: &str, made: Timestamp) -> Result<String, NoPlan> {
    let failed = |error: std::io::Error| impossible(format!("{} can't be read: {error}", directory.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    let free = |at: &String| {
        let own = [format!("{id}-{at}"), format!("{id}-files-{at}")];
        !names.iter().any(|name| own.iter().any(|own| name.starts_with(own)))
    };
    let found = (0..MOMENTS).map(|after| stamp(made.plus_secs(after))).find(free);
    found.ok_or_else(|| impossible(format!("{} has a backup of every moment from now on", directory.display())))
}

/// `pg_dump`, and how many bytes the database has.
pub(in super::super) async fn save_postgres(database: &DatabaseConfig, to: String) -> Result<(FilesAct, u64), NoPlan> {
    let tools = Tools::find();
    let beside = tools.pg_restore.first().map(|(_, restore)| restore.with_file_name("pg_dump"));
    let program = beside.filter(|program| program.is_file());
    let program = program.ok_or_else(|| impossible("pg_dump is not installed here: install postgresql-client"))?;
    if database.name.contains(['=', ':']) {
        return Err(impossible(format!("{} can't be handed to pg_dump as a name", database.name)));
    }
    let size = session::size(database).await.map_err(NoPlan::Impossible)?;
    let mut argv = vec![written(&program)?, "--format=custom".to_owned(), "--no-password".to_owned()];
    let option = |name: &str, value: &str| (!value.is_empty()).then(|| format!("--{name}={value}"));
    argv.extend(option("host", &database.host));
    argv.extend(database.port.map(|port| format!("--port={port}")));
    argv.extend(option("username", &database.user));
    argv.extend([format!("--file={}", partial(&to)), format!("--dbname={}", database.name)]);
    Ok((FilesAct::Save { argv, to, password: true }, size))
}

/// Whether nobody else can put something in the way of what is written there.
pub(in super::super) fn trusted_place(directory: &Path) -> Result<(), NoPlan> {
    let meta = std::fs::metadata(directory).map_err(|error| impossible(format!("{}: {error}", directory.display())))?;
    let own = rustix::process::geteuid().as_raw();
    let told = directory.display();
    if !meta.is_dir() {
        return Err(impossible(format!("{told} is no directory")));
    }
    if ![0, own].contains(&meta.uid()) {
        let owner = who::name(meta.uid());
        return Err(impossible(format!(
            "{told} belongs to {owner}, who could put something in the way of what is written there: run midwatch as \
             {owner}, or name a directory of your own"
        )));
    }
    if meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0 {
        return Err(impossible(format!("{told} can be written by others: chmod go-w, or name another directory")));
    }
    Ok(())
}

/// The bytes of the files below a directory.
fn measure(root: &Path, without: &[PathBuf]) -> Result<u64, String> {
    let (mut waiting, mut size, mut seen) = (vec![root.to_owned()], 0, 0);
    while let Some(dir) = waiting.pop() {
        let unread = |error: std::io::Error| format!("{} can't be read, so it can't be saved: {error}", dir.display());
        for entry in std::fs::read_dir(&dir).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            if without.contains(&entry.path()) {
                continue;
            }
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                waiting.push(entry.path());
            } else {
                size += meta.len();
            }
            seen += 1;
            if seen > MOST {
                return Err(format!("{} has more than {MOST} files", root.display()));
            }
        }
    }
    Ok(size)
}
