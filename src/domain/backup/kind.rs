//! Kinds of backups, and how they are told from each other: by what stands in them first, by their names second.

use serde::{Deserialize, Serialize};

/// What a backup is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// The database.
    Database,
    /// The data directory: uploads, secret, generated files.
    Files,
    /// Both in one.
    Both,
}

impl Subject {
    /// The two that have policies of their own.
    pub const EACH: [Self; 2] = [Self::Database, Self::Files];

    /// Whether a backup of this subject is one of `wanted` too.
    pub const fn covers(self, wanted: Self) -> bool {
        matches!(
            (self, wanted),
            (Self::Both, _) | (Self::Database, Self::Database | Self::Both) | (Self::Files, Self::Files)
        )
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Files => "files",
            Self::Both => "both",
        }
    }
}

/// What a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `pg_dump -Fc`.
    PgCustom,
    /// `pg_dump -Fd`.
    PgDirectory,
    /// `pg_dump -Ft`.
    PgTar,
    /// `pg_dump` as SQL.
    PgSql,
    /// `pg_dumpall`.
    PgAll,
    /// `mysqldump` or `mariadb-dump`.
    Mysql,
    /// `.dump` of the sqlite3 shell.
    SqliteSql,
    /// SQL of unknown origin.
    Sql,
    /// An SQLite database file.
    Sqlite,
    /// A tar archive of files.
    Tar,
    /// A folder copied file by file.
    Folder,
    /// A restic snapshot.
    Restic,
    /// A borg archive.
    Borg,
    /// A pgBackRest backup.
    PgBackRest,
    /// A Barman backup.
    Barman,
    /// Something else.
    Unknown,
}

impl Kind {
    /// The name for people and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PgCustom => "pg_dump -Fc",
            Self::PgDirectory => "pg_dump -Fd",
            Self::PgTar => "pg_dump -Ft",
            Self::PgSql => "pg_dump SQL",
            Self::PgAll => "pg_dumpall",
            Self::Mysql => "mysqldump",
            Self::SqliteSql => "sqlite .dump",
            Self::Sql => "SQL",
            Self::Sqlite => "SQLite",
            Self::Tar => "tar",
            Self::Folder => "folder",
            Self::Restic => "restic",
            Self::Borg => "borg",
            Self::PgBackRest => "pgBackRest",
            Self::Barman => "Barman",
            Self::Unknown => "unknown",
        }
    }

    /// What such a backup is of.
    pub const fn subject(self) -> Subject {
        match self {
            Self::PgCustom
            | Self::PgDirectory
            | Self::PgTar
            | Self::PgSql
            | Self::PgAll
            | Self::Mysql
            | Self::SqliteSql
            | Self::Sql
            | Self::Sqlite
            | Self::PgBackRest
            | Self::Barman
            | Self::Unknown => Subject::Database,
            Self::Tar | Self::Folder | Self::Restic | Self::Borg => Subject::Files,
        }
    }
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
    /// lz4.
    Lz4,
    /// `age` or `OpenPGP`: nobody without the key looks inside.
    Encrypted,
}

/// Endings of packed files.
const PACKED: [&str; 5] = [".gz", ".zst", ".xz", ".bz2", ".lz4"];
/// Endings of encrypted files.
const ENCRYPTED: [&str; 4] = [".gpg", ".age", ".asc", ".enc"];

/// How many bytes from the beginning tell a kind.
pub const HEAD: usize = 4096;

/// How the file that begins with `head` is packed, if it is.
pub fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Packing::Xz),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Packing::Bzip2),
        [0x04, 0x22, 0x4d, 0x18, ..] => Some(Packing::Lz4),
        // A public-key or symmetric session key packet comes first in OpenPGP.
        [0x84 | 0x85 | 0x8c | 0xc1 | 0xc3, ..] => Some(Packing::Encrypted),
        _ if head.starts_with(b"age-encryption.org/") || head.starts_with(b"-----BEGIN PGP") => {
            Some(Packing::Encrypted)
        }
        _ if head.starts_with(b"Salted__") => Some(Packing::Encrypted),
        _ => None,
    }
}

/// What begins with `head`, once it is unpacked; at least [`HEAD`] bytes unless it is shorter.
pub fn of_head(head: &[u8]) -> Kind {
    if head.starts_with(b"PGDMP") {
        // Version (3 bytes from 1.1 on), integer size, offset size, format: 1 custom, 3 tar, 5 directory.
        return match head.get(10) {
            Some(3) => Kind::PgTar,
            Some(5) => Kind::PgDirectory,
            Some(_) | None => Kind::PgCustom,
        };
    }
    if head.starts_with(b"SQLite format 3\0") {
        return Kind::Sqlite;
    }
    if head.get(257..262) == Some(b"ustar") {
        let name = head.get(..100).unwrap_or_default();
        return if name.starts_with(b"toc.dat\0") { Kind::PgTar } else { Kind::Tar };
    }
    let text = String::from_utf8_lossy(head.get(..2048.min(head.len())).unwrap_or_default());
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.contains("-- PostgreSQL database cluster dump") {
        Kind::PgAll
    } else if text.contains("-- PostgreSQL database dump") {
        Kind::PgSql
    } else if text.contains("-- MySQL dump") || text.contains("-- MariaDB dump") || text.starts_with("/*M!999999") {
        Kind::Mysql
    } else if text.starts_with("PRAGMA foreign_keys=OFF;") {
        Kind::SqliteSql
    } else if looks_like_sql(text) {
        Kind::Sql
    } else {
        Kind::Unknown
    }
}

fn looks_like_sql(text: &str) -> bool {
    let words = ["CREATE ", "INSERT ", "SET ", "DROP ", "BEGIN", "COPY ", "USE ", "/*!40"];
    text.lines().take(40).any(|line| words.iter().any(|word| line.trim_start().to_ascii_uppercase().starts_with(word)))
}

/// What a name lets expect, and whether its content is packed; `None`: no name of a backup. The name is not trusted: it
/// only says which files are worth opening.
pub fn of_name(name: &str) -> Option<Kind> {
    let lower = name.to_ascii_lowercase();
    let mut stem = lower.as_str();
    for unfinished in UNFINISHED {
        stem = stem.strip_suffix(unfinished).unwrap_or(stem);
    }
    for suffix in ENCRYPTED {
        stem = stem.strip_suffix(suffix).unwrap_or(stem);
    }
    let mut packed = false;
    for suffix in PACKED {
        if let Some(rest) = stem.strip_suffix(suffix) {
            (stem, packed) = (rest, true);
            break;
        }
    }
    // Rotated by a number: `pretix.sql.3.gz`, `pretix.dump.1`.
    if let Some((rest, number)) = stem.rsplit_once('.')
        && (1..=3).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        stem = rest;
    }
    for suffix in PACKED {
        stem = stem.strip_suffix(suffix).unwrap_or(stem);
    }
    let ends = |suffixes: &[&str]| suffixes.iter().any(|s| stem.len() > s.len() && stem.ends_with(s));
    if ends(&[".sql", ".psql", ".pgsql", ".mysql"]) {
        Some(Kind::Sql)
    } else if ends(&[".dump", ".pgdump", ".pg_dump", ".pgd", ".backup", ".bak", ".custom", ".fc", ".dmp"]) {
        Some(Kind::PgCustom)
    } else if ends(&[".tar", ".tgz", ".tbz2", ".txz", ".tzst"]) {
        Some(Kind::Tar)
    } else if ends(&[".sqlite3", ".sqlite", ".db", ".db3"]) {
        Some(Kind::Sqlite)
    } else if packed && (stem.contains("sql") || stem.contains("dump") || stem.contains("backup")) {
        Some(Kind::Sql)
    } else {
        None
    }
}

/// Endings of files that are still being written.
pub const UNFINISHED: [&str; 7] = [".partial", ".part", ".tmp", ".temp", ".incomplete", ".inprogress", ".new"];

/// Whether a name says that the file is not finished: an ending, or the beginning rsync gives.
pub fn unfinished(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    UNFINISHED.iter().any(|ending| lower.ends_with(ending))
        || (lower.starts_with('.') && of_name(name).is_none() && rsync(&lower))
}

/// rsync's temporary files: `.name.XXXXXX`.
fn rsync(lower: &str) -> bool {
    let cut = lower.trim_start_matches('.').rsplit_once('.');
    cut.is_some_and(|(stem, tail)| tail.len() == 6 && of_name(stem).is_some())
}

#[cfg(test)]
mod tests;
