//! The statements of a dump of `mysqldump` or `mariadb-dump`, looked at one by one before any is put to a server: only what
//! fills tables of the schema it is put to may be in it, for whoever restores it may do more on the server than that.

pub mod tables;

use std::collections::BTreeSet;
use std::path::Path;

use super::meter::Control;
use super::program::Tools;
use super::unpack::each;
use crate::domain::text::plain;

/// Bytes of a statement that are looked at.
const KEPT: usize = 512;
/// Most collations that are kept: a database has one, or a few.
const COLLATIONS: usize = 50;
/// No name is longer.
const LONGEST_NAME: usize = 64;

/// What a look at every statement has brought: why a dump can't be restored into another schema, in a sentence's end (`None`:
/// nothing of it goes elsewhere), its bytes, and the collations that its tables name.
pub type Looked = (Option<String>, u64, BTreeSet<String>);

/// Looks at every statement of a dump.
///
/// # Errors
/// A sentence: it can't be read or unpacked to its end.
pub fn foreign(path: &Path, tools: &Tools, control: &Control) -> Result<Looked, String> {
    let (mut lexer, mut bytes) = (Lexer::default(), 0);
    each(path, tools, control, &mut |piece| {
        bytes += u64::try_from(piece.len()).unwrap_or(0);
        for byte in piece {
            lexer.take(*byte);
        }
        Ok(())
    })?;
    lexer.end();
    Ok((lexer.why, bytes, lexer.collations))
}

/// Where in a statement a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Plain,
    /// In a text or a name that ends with this.
    Quoted(u8),
    /// After a backslash in that.
    Escaped(u8),
    /// In a comment up to the end of the line.
    Line,
    /// In a comment of no meaning.
    Block,
}

/// Takes statements apart as the client and the server do. Where the two, or two versions of them, may read differently, the
/// dump is refused: no tool writes such a one.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
struct Lexer {
    at: At,
    /// The beginning of this statement, comments left out, those with a meaning as what they mean.
    text: Vec<u8>,
    last: u8,
    /// Bytes of `/*!40101 ` that are passed over.
    version: bool,
    /// In a comment with a meaning.
    executed: bool,
    /// `/*` was seen, and what follows says which kind of comment it is.
    opened: bool,
    /// `--` was seen: a comment, if a space follows.
    dashes: bool,
    /// How much of [`DELIMITER`] was just seen.
    delimiter: usize,
    why: Option<String>,
    /// The beginning of the statement that has just ended.
    ended: Option<String>,
    /// The word that is being read, where something is made.
    word: Vec<u8>,
    /// The word before was COLLATE.
    collate: bool,
    collations: BTreeSet<String>,
}

/// The client's own command, taken wherever it stands.
const DELIMITER: &[u8] = b"delimiter";

impl Lexer {
    fn take(&mut self, byte: u8) {
        let last = std::mem::replace(&mut self.last, byte);
        if self.executed && self.at != At::Plain && (last, byte) == (b'*', b'/') {
            // A server that passes over the comment would see its end here.
            self.odd("a comment that ends in a text");
        }
        match self.at {
            At::Quoted(quote) => {
                if byte == b'\\' && quote != b'`' {
                    self.at = At::Escaped(quote);
                } else if byte == quote {
                    // A doubled one opens it again with the next byte.
                    self.at = At::Plain;
                }
                self.keep(byte);
            }
            At::Escaped(quote) => {
                self.at = At::Quoted(quote);
                self.keep(byte);
            }
            At::Line => {
                if byte == b'\n' {
                    self.at = At::Plain;
                }
            }
            At::Block => {
                if (last, byte) == (b'*', b'/') {
                    (self.at, self.last) = (At::Plain, 0);
                }
            }
            At::Plain => self.plain(last, byte),
        }
    }

    fn plain(&mut self, last: u8, byte: u8) {
        if std::mem::take(&mut self.opened) {
            // `/*!40101 ` and `/*M!100616 ` mean what is in them.
            match byte {
                b'!' => (self.executed, self.version) = (true, true),
                b'M' => self.opened = true,
                _ if self.executed => self.odd("a comment in a comment"),
                _ => self.at = At::Block,
            }
            return;
        }
        if self.version {
            if byte.is_ascii_digit() {
                return;
            }
            self.version = false;
        }
        if std::mem::take(&mut self.dashes) && byte.is_ascii_whitespace() {
            self.text.truncate(self.text.len().saturating_sub(2));
            self.at = if byte == b'\n' { At::Plain } else { At::Line };
            return;
        }
        if last == b'\\' && byte != b'-' {
            self.odd("a command of the client");
        }
        self.delimiter = match DELIMITER.get(self.delimiter) {
            Some(next) if byte.eq_ignore_ascii_case(next) => self.delimiter + 1,
            Some(_) | None => usize::from(byte.eq_ignore_ascii_case(&b'd')),
        };
        if self.delimiter == DELIMITER.len() {
            self.odd(
                "DELIMITER, so more than tables: views, triggers, routines and events are not exchanged by midwatch",
            );
        }
        self.named(byte);
        match (last, byte) {
            (b'/', b'*') => {
                self.text.pop();
                self.opened = true;
            }
            (b'*', b'/') if self.executed => {
                self.text.pop();
                (self.executed, self.last) = (false, 0);
                // The client's own, about itself: `/*M!999999\- enable the sandbox mode */`.
                if self.text.starts_with(b"\\-") {
                    self.text.clear();
                }
            }
            (_, b'#') => self.at = At::Line,
            (_, b'\'' | b'"' | b'`') => {
                self.at = At::Quoted(byte);
                self.keep(byte);
            }
            (_, b';') => self.end(),
            (_, b'\n' | b'\r' | b'\t' | b' ') => {
                if self.text.last().is_some_and(|last| *last != b' ') {
                    self.keep(b' ');
                }
            }
            (_, _) => {
                self.dashes = (last, byte) == (b'-', b'-');
                self.keep(byte);
            }
        }
    }

    /// Keeps the collations that what is made shall have.
    fn named(&mut self, byte: u8) {
        if !self.text.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case(b"CREATE")) {
            return;
        }
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            if self.word.len() <= LONGEST_NAME {
                self.word.push(byte);
            }
            return;
        }
        if self.word.is_empty() {
            return;
        }
        let word = String::from_utf8_lossy(&std::mem::take(&mut self.word)).to_ascii_lowercase();
        let before = std::mem::replace(&mut self.collate, word == "collate");
        if before && word.len() <= LONGEST_NAME && self.collations.len() < COLLATIONS {
            self.collations.insert(word);
        }
    }

    fn odd(&mut self, what: &str) {
        self.why.get_or_insert_with(|| format!("it holds {what}"));
    }

    fn keep(&mut self, byte: u8) {
        if self.text.len() < KEPT {
            self.text.push(byte);
        }
    }

    /// A statement is over.
    fn end(&mut self) {
        self.named(b';');
        self.collate = false;
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        if self.why.is_none() && !text.trim().is_empty() {
            self.why = unfit(text.trim());
        }
        self.ended = Some(text);
    }
}

/// Words of SET that reach further than the session, or change how the rest is read.
const FAR: [&str; 10] = [
    "GLOBAL",
    "PERSIST",
    "SQL_LOG_BIN",
    "GTID",
    "PASSWORD",
    "ROLE",
    "NO_BACKSLASH",
    "ANSI",
    "READ_ONLY",
    "SQL_LOG_OFF",
];

/// Why a statement must not be in a restore; `None`: it may.
fn unfit(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let mut words = upper.split([' ', '(']).filter(|word| !word.is_empty());
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let shown = || plain(&format!("{first} {second}"), 60);
    let other = || Some(format!("it holds a statement that is no part of filling tables: {}", shown()));
    let elsewhere = || {
        Some(format!(
            "it goes to a database of its own choice ({}), as --databases and --all-databases make it: it can't be restored \
             beside",
            shown()
        ))
    };
    // In the order in which dumps have them; what is none of them is refused.
    let rest = match (first, second) {
        ("INSERT" | "REPLACE", _) => {
            after(text, &upper, &["INSERT", "REPLACE", "LOW_PRIORITY", "DELAYED", "IGNORE", "INTO"])
        }
        ("DROP", "TABLE" | "SEQUENCE") => after(text, &upper, &["DROP", "TABLE", "SEQUENCE", "IF", "EXISTS"]),
        ("CREATE", "TABLE" | "SEQUENCE") => {
            after(text, &upper, &["CREATE", "TABLE", "SEQUENCE", "IF", "NOT", "EXISTS"])
        }
        ("LOCK", "TABLES") => after(text, &upper, &["LOCK", "TABLES"]),
        ("ALTER", "TABLE") if upper.ends_with(" DISABLE KEYS") || upper.ends_with(" ENABLE KEYS") => {
            after(text, &upper, &["ALTER", "TABLE"])
        }
        ("DO" | "SELECT", "SETVAL") => text.split_once('(').map(|(_, rest)| rest.trim_start()),
        ("UNLOCK", "TABLES") | ("COMMIT" | "BEGIN", "") | ("START", "TRANSACTION") => return None,
        ("SET", _) if !FAR.iter().any(|word| upper.contains(word)) => return None,
        ("USE", _) | ("CREATE" | "DROP" | "ALTER", "DATABASE" | "SCHEMA") => return elsewhere(),
        ("DELIMITER" | "CREATE" | "DROP" | "ALTER", _) => {
            return Some(format!(
                "it holds more than tables ({}): views, triggers, routines and events are not exchanged by midwatch. \
                 Make a dump of the tables alone, or restore it by hand",
                shown()
            ));
        }
        (_, _) => return other(),
    };
    let Some(rest) = rest else { return other() };
    // One table, of the schema it is put to.
    match table(rest) {
        Some(after) if after.trim_start().starts_with('.') => elsewhere(),
        Some(after) if first == "DROP" && after.contains(',') => other(),
        Some(after) if first == "LOCK" && after.trim() != "WRITE" && after.trim() != "READ" => other(),
        Some(_) => None,
        None => other(),
    }
}

/// What follows these words.
fn after<'t>(text: &'t str, upper: &str, words: &[&str]) -> Option<&'t str> {
    let mut at = 0;
    while let Some(word) = words.iter().find(|word| {
        upper.get(at..).is_some_and(|rest| rest.strip_prefix(**word).is_some_and(|rest| rest.starts_with([' ', '`'])))
    }) {
        at += word.len();
        at += upper.get(at..)?.len() - upper.get(at..)?.trim_start().len();
    }
    text.get(at..)
}

/// What follows a table's name.
fn table(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('`') {
        let mut rest = quoted;
        loop {
            let (_, behind) = rest.split_once('`')?;
            match behind.strip_prefix('`') {
                Some(doubled) => rest = doubled,
                None => return Some(behind),
            }
        }
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').unwrap_or(text.len());
    (end > 0).then(|| text.get(end..)).flatten()
}

#[cfg(test)]
mod tests {
    use super::foreign;
    use crate::backends::backups::meter::Control;
    use crate::backends::backups::program::Tools;

    fn why(text: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sql");
        std::fs::write(&path, text).unwrap();
        let (why, bytes, _) = foreign(&path, &Tools::default(), &Control::default()).unwrap();
        assert_eq!(bytes, text.len() as u64);
        why
    }

    #[test]
    fn the_collations_of_its_tables_are_kept_and_no_text_of_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sql");
        let table = "CREATE TABLE `collate` (\n  `a` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT 'collate x',\n  \
            `b` text /*!50100 collate latin1_bin */\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;\n\
            INSERT INTO `collate` VALUES (1 COLLATE no_such_ci);\nCREATE TABLE c (x int) COLLATE swe7_bin";
        std::fs::write(&path, format!("{DUMP}{table}")).unwrap();
        let (_, _, found) = foreign(&path, &Tools::default(), &Control::default()).unwrap();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["latin1_bin", "swe7_bin", "utf8mb4_0900_ai_ci", "utf8mb4_bin"]);
    }

    const DUMP: &str = "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n--\n\
        /*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n/*!40103 SET TIME_ZONE='+00:00' */;\n\
        /*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;\n\n\
        DROP TABLE IF EXISTS `a``b`;\n/*!40101 SET @saved_cs_client     = @@character_set_client */;\n\
        CREATE TABLE `a``b` (\n  `id` int(11) NOT NULL COMMENT 'it''s; \\';',\n  KEY `x` (`id`)\n) ENGINE=InnoDB;\n\
        LOCK TABLES `a``b` WRITE;\n/*!40000 ALTER TABLE `a``b` DISABLE KEYS */;\nset autocommit=0;\n\
        INSERT INTO `a``b` VALUES\n(1,'; DROP DATABASE x; -- '),\n(2,'\\\\'),(3,'USE y; /* \\' \"');\n\
        /*!40000 ALTER TABLE `a``b` ENABLE KEYS */;\nUNLOCK TABLES;\ncommit;\n\
        CREATE SEQUENCE `s` start with 1;\nDO SETVAL(`s`, 1, 0);\n\
        /*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n\n-- Dump completed on 2026-11-21  2:47:37\n";

    #[test]
    fn what_dumps_of_tables_hold_may_be_restored() {
        assert_eq!(why(DUMP), None);
    }

    #[test]
    fn what_goes_elsewhere_or_reaches_further_is_refused() {
        for (statement, told) in [
            ("USE `other`", "of its own choice (USE `OTHER`)"),
            ("/*!40000 DROP DATABASE IF EXISTS `app`*/", "of its own choice"),
            ("CREATE DATABASE /*!32312 IF NOT EXISTS*/ `app`", "of its own choice"),
            ("INSERT INTO `mysql`.`user` VALUES (1)", "of its own choice"),
            ("INSERT INTO mysql . user VALUES (1)", "of its own choice"),
            ("DROP TABLE IF EXISTS `a`, `other`.`b`", "no part of filling tables: DROP TABLE"),
            ("LOCK TABLES `a` WRITE, `other`.`b` WRITE", "no part of filling tables"),
            ("/*!50001 CREATE VIEW `v` AS SELECT 1 AS `n`*/", "more than tables (CREATE VIEW)"),
            ("/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER t", "more than tables"),
            ("DELIMITER ;;", "more than tables"),
            ("CREATE DEFINER=`x`@`%` PROCEDURE `p`() begin end", "more than tables"),
            ("SET GLOBAL read_only = 0", "SET GLOBAL"),
            ("SET @@SESSION.SQL_LOG_BIN= 0", "no part"),
            ("SET SQL_MODE='ANSI_QUOTES'", "no part"),
            ("CHANGE MASTER TO MASTER_LOG_FILE='x'", "CHANGE MASTER"),
            ("GRANT ALL ON *.* TO x", "GRANT ALL"),
            ("/* USE */ DELETE FROM `a`", "DELETE FROM"),
            ("ALTER TABLE `a` DROP COLUMN `b`", "more than tables"),
            ("system rm", "SYSTEM RM"),
            ("INSERT INTO `a` VALUES (1--1); DROP DATABASE x", "of its own choice"),
            ("/*!999999 ' */ DROP DATABASE x; /*' */", "a comment that ends in a text"),
            ("INSERT INTO `a` VALUES (1) \\d x", "a command of the client"),
            ("INSERT INTO `a` VALUES (1)\ndelimiter x", "DELIMITER"),
        ] {
            for dump in [
                format!("{DUMP}{statement};\n"),
                format!("SET @x=1; {statement};\n{DUMP}"),
                format!("{DUMP}{statement}"),
            ] {
                let said = why(&dump).unwrap_or_default();
                assert!(said.contains(told), "{statement}: {said}");
            }
        }
    }
}
