//! Where a site's backups lie, how old they may be, and what makes them.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::load::Source;
use crate::discovery::Surroundings;
use crate::domain::backup::kind::Subject;
use crate::domain::text::plain;

/// A place where backups lie, as it is written in the file: a directory, or a tool's repository.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupFile {
    /// The directory (or one file) the backups lie in.
    pub path: Option<String>,
    /// Which names in it are backups: `pretix-*.dump` (default: what looks like one).
    pub pattern: Option<String>,
    /// What is saved there (default: what the backups themselves show).
    pub subject: Option<Subject>,
    /// How old the newest may be: `"26h"` (the default).
    #[schemars(with = "Option<String>")]
    pub max_age: Option<Spanned<String>>,
    /// Whether what lies there is on another host, or copied to one (default: not known).
    pub off_host: Option<bool>,
    /// How many proven backups stay when the runbook rotate-backups removes old ones; needs `pattern` (default: nothing is ever removed).
    #[schemars(with = "Option<u32>")]
    pub keep: Option<Spanned<u32>>,
    /// How many days all of them stay: with `keep`, what goes is beyond both; alone, one proven backup stays.
    #[schemars(with = "Option<u32>")]
    pub keep_days: Option<Spanned<u32>>,
    /// The tool whose repository it is.
    #[schemars(with = "Option<Tool>")]
    pub tool: Option<Spanned<Tool>>,
    /// The repository, in the tool's own notation.
    pub repo: Option<String>,
    /// The file that holds the repository's password (restic, borg).
    pub password_file: Option<String>,
    /// The stanza (pgBackRest) or server (Barman).
    pub name: Option<String>,
}

/// A tool with repositories of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// restic.
    Restic,
    /// borg.
    Borg,
    /// pgBackRest.
    PgBackRest,
    /// Barman.
    Barman,
}

impl Tool {
    /// Its program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Restic => "restic",
            Self::Borg => "borg",
            Self::PgBackRest => "pgbackrest",
            Self::Barman => "barman",
        }
    }

    /// What it saves, unless it is told otherwise.
    pub const fn subject(self) -> Subject {
        match self {
            Self::Restic | Self::Borg => Subject::Files,
            Self::PgBackRest | Self::Barman => Subject::Database,
        }
    }
}

/// All that is known about where a site's backups are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BackupsConfig {
    /// The places.
    pub places: Vec<BackupPlace>,
    /// What makes backups on this host.
    pub jobs: Vec<BackupJob>,
    /// How old the newest database backup may be, where that is told.
    pub database_max_age: Option<Duration>,
    /// How old the newest backup of the files may be, where that is told.
    pub files_max_age: Option<Duration>,
    /// Whether the application's configuration has a secret of its own, so that `.secret` is not needed.
    pub secret_in_config: Option<bool>,
    /// Directories that may lie in a checkout of the site's code.
    pub code: Vec<PathBuf>,
    /// What could not be looked at, with what would open it.
    pub unseen: Vec<String>,
}

/// A place where backups lie.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupPlace {
    /// The directory or file; of a tool: its repository, if that is a directory.
    pub path: PathBuf,
    /// Which names in it are backups.
    pub pattern: Option<String>,
    /// What is saved there.
    pub subject: Option<Subject>,
    /// Whether it is on another host.
    pub off_host: Option<bool>,
    /// How it was found.
    pub found_by: String,
    /// How sure it is that what lies there is this site's.
    pub trust: Trust,
    /// The tool to ask.
    pub repository: Option<Repository>,
    /// Days after which a job removes what lies there.
    pub kept_days: Option<u32>,
    /// What of it the operator lets midwatch remove.
    pub rotation: Option<Rotation>,
}

/// What stays of a place's backups when old ones are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Only names that fit are ever removed.
    pub pattern: String,
    /// So many proven backups stay, at least one.
    pub keep: u32,
    /// What is younger than so many days stays; 0: age does not matter.
    pub days: u32,
}

/// How sure it is that what lies in a place belongs to the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// One of the usual places: only what names the site, its database or its application is its own.
    Usual,
    /// A job writes there: what does not name another database is its own.
    Job,
    /// The configuration says so.
    Told,
}

/// A tool's repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// The tool.
    pub tool: Tool,
    /// The repository in the tool's own notation; empty: the tool's configuration knows.
    pub repo: String,
    /// The file that holds its password.
    pub password_file: Option<PathBuf>,
    /// The stanza or server.
    pub name: Option<String>,
}

/// A cron line or timer that makes backups.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BackupJob {
    /// `cron /etc/cron.d/backup`, `timer pretix-backup.timer`.
    pub name: String,
    /// When it runs, in its own notation.
    pub schedule: String,
    /// Its command, without secrets.
    pub command: String,
    /// Who runs it.
    pub user: Option<String>,
    /// The timer's unit, for systemd's own word on it.
    pub timer: Option<String>,
    /// The service that the timer starts.
    pub service: Option<String>,
    /// Whether it belongs to the user's own systemd.
    pub of_user: bool,
    /// The file it writes its words to.
    pub log: Option<PathBuf>,
    /// Directories it writes to.
    pub targets: Vec<PathBuf>,
    /// What it saves, by the tools it names: a dump, or files.
    pub subject: Option<Subject>,
    /// Databases it names; empty: it can't be told.
    pub databases: Vec<String>,
}

impl BackupsConfig {
    /// Lays what the file says over what was found.
    pub(super) fn lay(&mut self, written: Vec<BackupFile>, source: &mut Source, around: &Surroundings) {
        for file in written {
            let max_age = file.max_age.as_ref().and_then(|age| {
                let parsed = super::load::duration(age.get_ref());
                if parsed.is_none() {
                    let help = Some("write it like \"26h\" or \"7d\"".to_owned());
                    source.mistake(age.span(), "is no span of time", help);
                }
                parsed
            });
            if file.path.is_none() && file.tool.is_none() {
                let help = Some("add path = \"/srv/backups\", or tool = \"restic\" and repo = \"…\"".to_owned());
                source.mistake(source.find("backups"), "a place of backups has neither path nor tool", help);
                continue;
            }
            let subject = file.subject.or_else(|| file.tool.as_ref().map(|tool| tool.get_ref().subject()));
            for (covered, target) in
                [(Subject::Database, &mut self.database_max_age), (Subject::Files, &mut self.files_max_age)]
            {
                if subject.is_none_or(|subject| subject.covers(covered))
                    && let Some(age) = max_age
                {
                    *target = Some(target.map_or(age, |old: Duration| old.min(age)));
                }
            }
            let rotation = rotation(&file, source);
            let repo = file.repo.or_else(|| file.path.clone()).unwrap_or_default();
            let repository = file.tool.as_ref().map(|tool| Repository {
                tool: *tool.get_ref(),
                repo: repo.clone(),
                password_file: file.password_file.as_ref().map(|path| around.cwd.join(path)),
                name: file.name.clone(),
            });
            let path = around.cwd.join(file.path.as_deref().unwrap_or(&repo));
            // What is told of a place goes before what was found of it.
            self.places.retain(|place| place.path != path || place.trust == Trust::Told);
            self.places.push(BackupPlace {
                path,
                pattern: file.pattern.map(|pattern| plain(&pattern, 200)),
                subject,
                off_host: file.off_host,
                found_by: "configuration".to_owned(),
                trust: Trust::Told,
                repository,
                kept_days: None,
                rotation,
            });
        }
    }
}

/// The policy of a place, if it has one that can be followed.
fn rotation(file: &BackupFile, source: &mut Source) -> Option<Rotation> {
    let asked: Vec<_> = [&file.keep, &file.keep_days].into_iter().flatten().collect();
    let first = asked.first()?;
    if let Some(none) = asked.iter().find(|number| *number.get_ref() == 0) {
        let help = Some("leave it out, and nothing is removed".to_owned());
        source.mistake(none.span(), "is at least 1", help);
        return None;
    }
    if file.tool.is_some() {
        let help =
            Some("restic forget, borg prune, repo-retention of pgBackRest, retention_policy of Barman".to_owned());
        source.mistake(first.span(), "is not for a tool's repository, which the tool itself rotates", help);
        return None;
    }
    let Some(pattern) = file.pattern.clone() else {
        let help = Some("add pattern = \"shop-*.dump\"".to_owned());
        source.mistake(first.span(), "needs a pattern: only names that fit it are ever removed", help);
        return None;
    };
    let number = |of: &Option<Spanned<u32>>| of.as_ref().map(|number| *number.get_ref());
    Some(Rotation { pattern, keep: number(&file.keep).unwrap_or(1), days: number(&file.keep_days).unwrap_or(0) })
}
