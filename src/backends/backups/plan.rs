//! What a site has to save and where its backups may lie: the part of the configuration that is taken along to other
//! threads.

use std::path::{Path, PathBuf};

use crate::config::backups::{BackupsConfig, Trust};
use crate::config::{AppKind, SiteConfig};
use crate::domain::backup::header::Header;
use crate::domain::backup::kind::{Kind, Subject};
use crate::domain::backup::{MAX_AGE_S, Needs};
use crate::domain::database::Engine;

/// What a site has to save and where that may lie.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub(super) struct Plan {
    /// Words that name the site: its name, its database, its application.
    pub(super) words: Vec<String>,
    /// The database: engine, name, and whether its server is on this host.
    pub(super) database: Option<(Engine, String, bool)>,
    /// The data directory.
    pub(super) data_dir: Option<PathBuf>,
    /// Places, jobs, policies.
    pub(super) config: BackupsConfig,
    /// A practice site.
    pub(super) practice: bool,
    /// Whether nothing may be written, not even by a tool in its own cache.
    pub(super) read_only: bool,
    /// A bare folder that somebody asked about: everything in it is looked at.
    pub(super) bare: bool,
    /// Whether somebody waits for an answer, however long a tool takes.
    pub(super) patient: bool,
}

impl Plan {
    /// That of a site.
    pub(super) fn of(site: &SiteConfig, read_only: bool) -> Self {
        let database = site.database.as_ref().ok().map(|d| {
            let local = d.host.is_empty()
                || d.host.starts_with('/')
                || matches!(d.host.as_str(), "localhost" | "127.0.0.1" | "::1");
            (d.engine, d.name.clone(), local)
        });
        let app = match site.app {
            AppKind::Pretix => Some("pretix"),
            AppKind::Pretalx => Some("pretalx"),
            AppKind::Web => None,
        };
        let name = database.as_ref().filter(|(engine, ..)| *engine != Engine::Sqlite).map(|(_, name, _)| name.as_str());
        let words = [Some(site.id.0.as_str()), app, name].into_iter().flatten();
        Self {
            words: words.map(str::to_ascii_lowercase).filter(|word| word.len() > 2).collect(),
            database,
            data_dir: site.data_dir.clone(),
            config: site.backups.clone(),
            practice: site.practice,
            read_only,
            bare: false,
            patient: false,
        }
    }

    /// What has to be saved, how often, and what of it is there.
    pub(super) fn needs(&self) -> Needs {
        let age = |told: Option<std::time::Duration>| told.map_or(MAX_AGE_S, |age| age.as_secs());
        let data = self.data_dir.as_deref();
        // Only a directory that can be entered says that something is not in it.
        let holds = |name: &str| {
            let dir = data.filter(|dir| std::fs::read_dir(dir).is_ok())?;
            Some(dir.join(name).symlink_metadata().is_ok())
        };
        let secret = match self.config.secret_in_config {
            Some(true) => Some(false),
            Some(false) | None => holds(".secret"),
        };
        Needs {
            database: self.database.as_ref().map(|(engine, name, _)| format!("{} {name}", engine.name())),
            files: data.map(|dir| dir.display().to_string()),
            database_max_age_s: age(self.config.database_max_age),
            files_max_age_s: age(self.config.files_max_age),
            secret_file: secret,
            media: data.and_then(|dir| holds_files(&dir.join("media"))),
            practice: self.practice,
        }
    }

    /// Whether a backup is this site's: by what it says of itself, by its name, and by how sure the place is.
    pub(super) fn owns(&self, path: &str, kind: Kind, header: Option<&Header>, trust: Trust) -> bool {
        if self.bare || trust == Trust::Told {
            return true;
        }
        let engine = self.database.as_ref().map(|(engine, ..)| *engine);
        if kind.subject() == Subject::Database {
            let fits = match kind {
                Kind::PgCustom | Kind::PgDirectory | Kind::PgTar | Kind::PgSql | Kind::PgAll => {
                    engine == Some(Engine::Postgresql)
                }
                Kind::Mysql => engine == Some(Engine::Mysql),
                Kind::Sqlite | Kind::SqliteSql => engine == Some(Engine::Sqlite),
                Kind::Sql | Kind::PgBackRest | Kind::Barman | Kind::Unknown => engine.is_some(),
                Kind::Tar | Kind::Folder | Kind::Restic | Kind::Borg => true,
            };
            if !fits {
                return false;
            }
        }
        if let (Some(told), Some((_, name, _))) = (header.and_then(|h| h.database.as_ref()), &self.database) {
            return told == name;
        }
        let lower = path.to_ascii_lowercase();
        trust == Trust::Job || kind == Kind::PgAll || self.words.iter().any(|word| lower.contains(word))
    }
}
/// Directories of one tree that are looked into for a first file.
const DIRECTORIES: usize = 1_000;

/// Whether there is a file below a directory, or so many directories that there surely is one; `None`: it can't be seen.
fn holds_files(dir: &Path) -> Option<bool> {
    let mut left = vec![dir.to_owned()];
    let mut hidden = false;
    for _ in 0..DIRECTORIES {
        let Some(dir) = left.pop() else { return (!hidden).then_some(false) };
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(_) => {
                hidden = true;
                continue;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(entry.path()),
                Ok(_) => return Some(true),
                Err(_) => hidden = true,
            }
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::holds_files;

    #[test]
    fn empty_directories_hold_nothing_that_a_backup_could_miss() {
        let dir = tempfile::tempdir().unwrap();
        let media = dir.path().join("media");
        assert_eq!(holds_files(&media), Some(false), "what is not there holds nothing");
        fs::create_dir_all(media.join("pub/widget")).unwrap();
        assert_eq!(holds_files(&media), Some(false));
        fs::write(media.join("pub/widget/logo.png"), "x").unwrap();
        assert_eq!(holds_files(&media), Some(true));
    }
}
