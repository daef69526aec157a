//! What a dump says of itself in its first bytes.

use serde::{Deserialize, Serialize};

use super::super::text::plain;

/// What a dump says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// The database it was taken from.
    pub database: Option<String>,
    /// The server's version: `15.18 (Debian 15.18-0+deb12u1)`.
    pub server: Option<String>,
    /// The tool's version.
    pub tool: Option<String>,
    /// The version of an archive's format: (1, 14).
    pub format: Option<(u8, u8)>,
    /// When it was begun, in the local time of whoever made it.
    pub created: Option<Civil>,
    /// Entries in its table of contents.
    pub entries: Option<u64>,
    /// Whether it holds rows of any table, once it was read; `None`: not known.
    #[serde(default)]
    pub rows: Option<bool>,
}

/// A date and time without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Civil {
    /// Year.
    pub year: i16,
    /// Month, 1 to 12.
    pub month: i8,
    /// Day, 1 to 31.
    pub day: i8,
    /// Hour, 0 to 23.
    pub hour: i8,
    /// Minute.
    pub minute: i8,
    /// Second.
    pub second: i8,
}

impl Civil {
    /// A date and time within their bounds.
    pub fn new(date: (i64, i64, i64), time: (i64, i64, i64)) -> Option<Self> {
        let within = |n: i64, low: i8, high: i8| i8::try_from(n).ok().filter(|n| (low..=high).contains(n));
        Some(Self {
            year: i16::try_from(date.0).ok().filter(|y| (1990..=2200).contains(y))?,
            month: within(date.1, 1, 12)?,
            day: within(date.2, 1, 31)?,
            hour: within(time.0, 0, 23)?,
            minute: within(time.1, 0, 59)?,
            second: within(time.2, 0, 60)?.min(59),
        })
    }
}

/// The newest version of the archive format that a `pg_restore` of this major version reads: 12 to 15 write 1.14, 16
/// writes 1.15, 17 and 18 write 1.16 (`pg_backup_archiver.h`).
pub const fn least_client((major, minor): (u8, u8)) -> u32 {
    match (major, minor) {
        (0, _) | (1, 0..=12) => 10,
        (1, 13) => 11,
        (1, 14) => 12,
        (1, 15) => 16,
        (1, 16) => 17,
        _ => 19,
    }
}

/// The header of a `pg_dump` archive (`ReadHead` of `pg_backup_archiver.c`).
pub fn archive(head: &[u8]) -> Option<Header> {
    let mut cursor = Cursor { rest: head.strip_prefix(b"PGDMP")?, int: 4 };
    let (major, minor) = (cursor.byte()?, cursor.byte()?);
    let version = (major, minor);
    if version > (1, 0) {
        cursor.byte()?;
    }
    cursor.int = usize::from(cursor.byte()?);
    if !(1..=8).contains(&cursor.int) {
        return None;
    }
    if version >= (1, 7) {
        cursor.byte()?;
    }
    cursor.byte()?;
    if version >= (1, 15) {
        cursor.byte()?;
    } else if version >= (1, 2) {
        if version < (1, 4) { cursor.byte().map(i64::from) } else { cursor.integer() }?;
    }
    let mut out = Header { format: Some(version), ..Header::default() };
    if version >= (1, 4) {
        let (second, minute, hour) = (cursor.integer()?, cursor.integer()?, cursor.integer()?);
        let (day, month, year) = (cursor.integer()?, cursor.integer()?, cursor.integer()?);
        cursor.integer()?;
        out.created = Civil::new((year + 1900, month + 1, day), (hour, minute, second));
        cursor.text(&mut out.database)?;
    }
    if version >= (1, 10) {
        cursor.text(&mut out.server)?;
        cursor.text(&mut out.tool)?;
    }
    out.entries = cursor.integer().and_then(|n| u64::try_from(n).ok());
    Some(out)
}

/// Whether the rows of an archive of the custom format lie in it with a checksum: zlib's. Up to format 1.14 the level of the
/// compression stands there, 0 for none; since then its method, 1 for gzip.
pub fn checks_rows(head: &[u8]) -> bool {
    let (minor, int) = (head.get(6).copied().unwrap_or(0), usize::from(head.get(8).copied().unwrap_or(0)));
    if minor >= 15 {
        return head.get(11) == Some(&1);
    }
    head.get(11..12 + int).is_some_and(|level| level.iter().any(|byte| *byte != 0))
}

struct Cursor<'a> {
    rest: &'a [u8],
    int: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// A sign and the bytes, the lowest first.
    fn integer(&mut self) -> Option<i64> {
        let negative = self.byte()? != 0;
        let (bytes, rest) = self.rest.split_at_checked(self.int)?;
        self.rest = rest;
        let value = bytes.iter().rev().try_fold(0_i64, |sum, b| sum.checked_mul(256)?.checked_add(i64::from(*b)))?;
        Some(if negative { -value } else { value })
    }

    /// A length and the bytes, into `out`; a negative length leaves it as it is.
    fn text(&mut self, out: &mut Option<String>) -> Option<()> {
        let Ok(length) = usize::try_from(self.integer()?) else { return Some(()) };
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        *out = Some(plain(&String::from_utf8_lossy(bytes), 120));
        Some(())
    }
}

/// The comments at the head of an SQL dump of `pg_dump`, `pg_dumpall` or `mysqldump`.
pub fn sql(head: &[u8]) -> Header {
    let text = String::from_utf8_lossy(head);
    let mut out = Header::default();
    let said = |text: &str| Some(plain(text, 120)).filter(|t| !t.is_empty());
    for line in text.lines().take(60) {
        if let Some(rest) = line.strip_prefix("-- Dumped from database version ") {
            out.server = said(rest);
        } else if let Some(rest) = line.strip_prefix("-- Dumped by pg_dump version ") {
            out.tool = said(rest);
        } else if let Some(rest) = line.strip_prefix("-- Started on ") {
            out.created = civil(rest);
        } else if let Some(rest) = line.strip_prefix("-- Server version") {
            out.server = said(rest);
        } else if let Some(rest) = line.strip_prefix("-- MySQL dump ").or_else(|| line.strip_prefix("-- MariaDB dump "))
        {
            out.tool = said(rest);
        } else if line.starts_with("-- Host: ")
            && let Some((_, database)) = line.split_once("Database: ")
        {
            out.database = said(database);
        } else if let Some(rest) = line.strip_prefix("\\connect ") {
            out.database = said(rest.trim_matches('"'));
        }
    }
    out
}

/// `2026-11-21 02:47:37 …`, also with one digit in the hour.
pub fn civil(text: &str) -> Option<Civil> {
    let mut words = text.split_whitespace();
    let (date, time) = (words.next()?, words.next()?);
    let numbers = |text: &str, by: char| {
        let mut parts = text.split(by).map(str::parse::<i64>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?))
    };
    Civil::new(numbers(date, '-')?, numbers(time, ':')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"PGDMP\x01\x0e\x00\x04\x08\x01\x01\x01\x00\x00\x00\x00\x25\x00\x00\x00\x00\x2f\x00\x00\x00\x00\x02\x00\x00\x00\x00\x15\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x7e\x00\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00pretix\x00\x05\x00\x00\x0015.18\x00\x05\x00\x00\x0015.18\x00\x19\x06\x00\x00";

    #[test]
    fn an_archive_tells_database_versions_and_time() {
        let header = archive(HEAD).unwrap();
        assert_eq!(header.database.as_deref(), Some("pretix"));
        assert_eq!((header.server.as_deref(), header.tool.as_deref()), (Some("15.18"), Some("15.18")));
        assert_eq!((header.format, header.entries), (Some((1, 14)), Some(1561)));
        assert_eq!(header.created, Civil::new((2026, 11, 21), (2, 47, 37)));
    }

    #[test]
    fn no_beginning_of_an_archive_is_too_short_to_ask() {
        for length in 0..HEAD.len() - 5 {
            let header = archive(HEAD.get(..length).unwrap());
            assert!(header.is_none_or(|h| h.entries.is_none()), "{length}");
        }
        assert_eq!(archive(b"PGDMP\x01\x0e\x00\xff\x08\x01\x01\x01\x01\x01\x01"), None);
    }

    #[test]
    fn comments_of_sql_dumps() {
        let pg = sql(b"--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\n-- Dumped from database version 15.18 (Debian)\n-- Dumped by pg_dump version 16.1\n\n-- Started on 2026-11-21 02:47:37 UTC\n");
        assert_eq!((pg.server.as_deref(), pg.tool.as_deref()), (Some("15.18 (Debian)"), Some("16.1")));
        assert_eq!(pg.created, Civil::new((2026, 11, 21), (2, 47, 37)));
        let my = sql(b"-- MariaDB dump 10.19  Distrib 10.11\n--\n-- Host: localhost    Database: pretix\n-- Server version\t10.11.14\n");
        assert_eq!((my.database.as_deref(), my.server.as_deref()), (Some("pretix"), Some("10.11.14")));
    }
}
