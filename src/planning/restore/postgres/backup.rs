//! A backup, read to its end before anything is planned with it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::super::dump::{begun, whole};
use crate::backends::backups::applied::applied;
use crate::backends::backups::check::Verdict;
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::backups::unpack::{connects, packed};
use crate::domain::backup::header::Header;
use crate::domain::backup::kind::Kind;
use crate::domain::backup::seal::Seal;
use crate::domain::database::Migrated;
use crate::domain::text::plain;
use crate::runbook::plan::postgres::Server;

/// A whole backup of a PostgreSQL database.
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub(super) struct Found {
    /// Whether it is SQL; else an archive.
    pub(super) sql: bool,
    /// Whether it is packed once more.
    pub(super) packed: bool,
    /// Whether it is a directory.
    pub(super) directory: bool,
    /// Whether several tables can be restored at once.
    pub(super) parallel: bool,
    /// When it was begun, in the local time of whoever made it.
    pub(super) made: Option<String>,
    /// What was found when it was read.
    pub(super) verdict: Verdict,
    /// Its bytes without the packing around it.
    pub(super) unpacked: u64,
    /// How many bytes its database has at least.
    pub(super) restored: u64,
}

impl Found {
    /// Reads it; an error says why it can't be restored into this database.
    pub(super) async fn read(path: &str, database: &str, major: u32) -> Result<Self, String> {
        let (path, database) = (PathBuf::from(path), database.to_owned());
        let read = tokio::task::spawn_blocking(move || read(&path, &database, major)).await;
        read.map_err(|error| format!("the backup was not read: {error}"))?
    }

    /// The migrations its database had seen; `None`: that can't be read from it.
    pub(super) async fn applied(&self, path: &str) -> Option<Vec<Migrated>> {
        let (path, sql) = (PathBuf::from(path), self.sql);
        let read = move || applied(&path, sql, &Tools::find(), &Control::default());
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }
}

fn read(path: &Path, database: &str, major: u32) -> Result<Found, String> {
    let (tools, control) = (Tools::find(), Control::default());
    let shown = plain(&path.display().to_string(), 200);
    let verdict = whole(path, &shown, &tools, &control)?;
    let kind = verdict.kind.unwrap_or(Kind::Unknown);
    let sql = match kind {
        Kind::PgCustom | Kind::PgDirectory | Kind::PgTar => false,
        Kind::PgSql => true,
        Kind::PgAll => {
            return Err(format!("{shown} is of all databases of a server (pg_dumpall): midwatch restores one alone"));
        }
        Kind::Mysql
        | Kind::SqliteSql
        | Kind::Sql
        | Kind::Sqlite
        | Kind::Tar
        | Kind::Folder
        | Kind::Restic
        | Kind::Borg
        | Kind::PgBackRest
        | Kind::Barman
        | Kind::Unknown => {
            return Err(format!("{shown} is no dump of a PostgreSQL database, but {}", kind.word()));
        }
    };
    let header = verdict.header.clone().unwrap_or_default();
    fits(&shown, &header, database, major)?;
    let packed = path.is_file() && packed(path)?.is_some();
    if sql && connects(path, &tools, &control)? {
        return Err(format!(
            "{shown} goes to a database of its own choice (\\connect, made by pg_dump --create): it can't be restored beside"
        ));
    }
    let made = begun(&header);
    let parallel = !packed && matches!(kind, Kind::PgCustom | Kind::PgDirectory);
    let unpacked = verdict.unpacked.unwrap_or_else(|| super::drill::size(path));
    // Rows that are packed in the archive itself take three times as much at least; indexes come on top.
    let within = verdict.seal == Some(Seal::Rows) || (packed && kind == Kind::PgCustom) || holds_packed(path);
    let times = if within { 3 } else { 1 };
    let restored = unpacked.saturating_mul(times);
    Ok(Found { sql, packed, directory: path.is_dir(), parallel, made, verdict, unpacked, restored })
}

/// Whether the files of a directory dump are packed.
fn holds_packed(path: &Path) -> bool {
    let packed =
        |name: &OsStr| ["gz", "lz4", "zst"].iter().any(|end| Path::new(name).extension() == Some(OsStr::new(end)));
    std::fs::read_dir(path).is_ok_and(|mut files| files.any(|file| file.is_ok_and(|file| packed(&file.file_name()))))
}

/// Whether what it says of itself is of this database, for this server.
fn fits(shown: &str, header: &Header, database: &str, major: u32) -> Result<(), String> {
    if let Some(other) = header.database.as_ref().filter(|other| *other != database) {
        return Err(format!("{shown} is of the database {}, and this site's is {database}", plain(other, 60)));
    }
    if header.rows == Some(false) {
        return Err(format!("{shown} holds no row of any table"));
    }
    let server = header.server.as_ref().and_then(|version| version.split(['.', ' ']).next()?.parse::<u32>().ok());
    match server {
        Some(newer) if newer > major => Err(format!(
            "{shown} is of PostgreSQL {newer}, and this server is {major}: a newer dump does not fit an older server"
        )),
        Some(_) | None => Ok(()),
    }
}

/// Whether the user of the client programs may read it.
pub(super) async fn readable(server: &Server, path: &str) -> bool {
    let Some(user) = &server.user else { return true };
    let is_root = rustix::process::geteuid().is_root();
    let (program, words) = if is_root { ("runuser", ["-u", user]) } else { ("sudo", ["-nu", user]) };
    let inside = if Path::new(path).is_dir() { format!("{path}/toc.dat") } else { path.to_owned() };
    let mut command = tokio::process::Command::new(program);
    command.args(words).args(["--", "test", "-r", &inside]).current_dir("/");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}
