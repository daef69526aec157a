//! A dump, read to its end before anything is planned with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::dump::{begun, whole};
use crate::backends::backups::applied::inserted;
use crate::backends::backups::check::Verdict;
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::backups::statements::foreign;
use crate::backends::backups::statements::tables::tables;
use crate::backends::backups::unpack::packed;
use crate::backends::database::mysql::facts::version;
use crate::domain::backup::header::Header;
use crate::domain::backup::kind::Kind;
use crate::domain::database::Migrated;
use crate::domain::text::plain;

/// A whole dump of a MySQL or MariaDB database.
pub(super) struct Found {
    /// Whether it is packed, or holds more than tables: then its tables are written to a file first.
    pub(super) packed: bool,
    /// What of it is not restored: `1 view, 2 routines`.
    pub(super) left_out: Option<String>,
    /// Its bytes, unpacked.
    pub(super) bytes: u64,
    /// The collations that its tables name.
    pub(super) collations: BTreeSet<String>,
    /// What reading it to its end has brought.
    pub(super) verdict: Verdict,
    /// When it was begun, in the local time of whoever made it.
    pub(super) made: Option<String>,
}

impl Found {
    /// Reads it; an error says why it can't be restored into this database.
    pub(super) async fn read(path: &str, database: &str, server: &str) -> Result<Self, String> {
        let (path, database, server) = (PathBuf::from(path), database.to_owned(), server.to_owned());
        let read = tokio::task::spawn_blocking(move || read(&path, &database, &server)).await;
        read.map_err(|error| format!("the backup was not read: {error}"))?
    }
}

/// The migrations that the database of a dump had seen; `None`: that can't be read from it.
pub(super) async fn applied(path: &str) -> Option<Vec<Migrated>> {
    let path = PathBuf::from(path);
    let read = move || inserted(&path, &Tools::find(), &Control::default());
    tokio::task::spawn_blocking(read).await.ok().flatten()
}

fn read(path: &Path, database: &str, server: &str) -> Result<Found, String> {
    let (tools, control) = (Tools::find(), Control::default());
    let shown = plain(&path.display().to_string(), 200);
    let verdict = whole(path, &shown, &tools, &control)?;
    let kind = verdict.kind.unwrap_or(Kind::Unknown);
    if kind != Kind::Mysql {
        return Err(format!("{shown} is no dump of a MySQL or MariaDB database, but {}", kind.word()));
    }
    let header = verdict.header.clone().unwrap_or_default();
    fits(&shown, &header, database, server)?;
    let (mut why, mut bytes, mut collations) = foreign(path, &tools, &control)?;
    let mut left_out = None;
    if why.is_some() {
        let tables = tables(path, &tools, &control, &mut std::io::sink())?;
        (why, bytes, left_out, collations) = (tables.why, tables.bytes, tables.left_out, tables.collations);
    }
    if let Some(why) = why {
        return Err(format!("{shown} can't be restored by midwatch: {why}"));
    }
    let made = begun(&header);
    let packed = packed(path)?.is_some() || left_out.is_some();
    Ok(Found { packed, left_out, bytes, collations, verdict, made })
}

/// Whether what it says of itself is of this database, for this server.
fn fits(shown: &str, header: &Header, database: &str, server: &str) -> Result<(), String> {
    if let Some(other) = header.database.as_ref().filter(|other| *other != database) {
        return Err(format!("{shown} is of the database {}, and this site's is {database}", plain(other, 60)));
    }
    if header.rows == Some(false) {
        return Err(format!("{shown} holds no row of any table"));
    }
    let Some(theirs) = &header.server else { return Ok(()) };
    let (dumped, here) = (version(theirs), version(server));
    if dumped.2 == here.2 && (dumped.0, dumped.1) > (here.0, here.1) {
        let (theirs, server) = (plain(theirs, 40), plain(server, 40));
        return Err(format!(
            "{shown} is of the server {theirs}, and this one is {server}: a newer dump may not fit an older server"
        ));
    }
    Ok(())
}
