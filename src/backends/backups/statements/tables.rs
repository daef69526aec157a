//! Of a dump of `mysqldump` or `mariadb-dump`, its tables and rows alone: views, triggers, routines and events are left out.
//!
//! Nothing rests on this being right about what it leaves out: what comes out is looked at as strictly as a dump of which
//! nothing was left out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use super::{At, Lexer};
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::backups::unpack::each;
use crate::domain::text::count;

/// How a block of statements with semicolons of their own begins, on a line of its own.
const OPEN: &[u8] = b"DELIMITER ;;\n";
/// How it ends.
const CLOSE: &[u8] = b"DELIMITER ;";
/// Bytes of a block that are looked at.
const HEAD: usize = 4096;
/// No definition is longer.
const LONGEST: usize = 16 << 20;
/// Bytes that are handed on at once.
const PIECE: usize = 1 << 16;
/// What is left out: its word in SQL, and for people.
const KINDS: [(&str, &str); 6] = [
    ("VIEW", "view"),
    ("TRIGGER", "trigger"),
    ("PROCEDURE", "routine"),
    ("FUNCTION", "routine"),
    ("PACKAGE", "routine"),
    ("EVENT", "event"),
];

/// What came of it.
#[derive(Debug, Default)]
pub struct Tables {
    /// What was left out: `1 view, 2 routines`.
    pub left_out: Option<String>,
    /// Why what is left can't be restored into another schema, in a sentence's end; `None`: nothing of it goes elsewhere.
    pub why: Option<String>,
    /// Bytes that are left.
    pub bytes: u64,
    /// The collations that its tables name.
    pub collations: BTreeSet<String>,
}

/// Hands on the tables and rows of a dump, unpacked.
///
/// # Errors
/// A sentence: it can't be read or unpacked to its end, or not be written.
pub fn tables(path: &Path, tools: &Tools, control: &Control, to: &mut dyn Write) -> Result<Tables, String> {
    let mut filter = Filter { peeks: true, ..Filter::default() };
    each(path, tools, control, &mut |piece| {
        for byte in piece {
            filter.take(*byte);
            if filter.ready.len() >= PIECE {
                filter.flush(to)?;
            }
        }
        filter.flush(to)
    })?;
    let line = std::mem::take(&mut filter.line);
    if filter.block.is_none() {
        for byte in line {
            filter.fed(byte);
        }
    } else {
        filter.check.odd("a DELIMITER whose end is missing");
    }
    let rest = std::mem::take(&mut filter.raw);
    filter.hand_on(&rest);
    filter.check.end();
    filter.flush(to).map_err(|error| format!("what is in it can't be written: {error}"))?;
    let (left_out, check) = (filter.told(), filter.check);
    Ok(Tables { left_out, why: check.why, bytes: filter.bytes, collations: check.collations })
}

/// The same, as all of a dump is handed on; how many bytes.
///
/// # Errors
/// As [`tables`]; and where what is left goes elsewhere.
pub fn only_tables(path: &Path, tools: &Tools, control: &Control, to: &mut dyn Write) -> Result<u64, String> {
    let done = tables(path, tools, control, to)?;
    match done.why {
        None => Ok(done.bytes),
        Some(why) => Err(format!("it can't be restored by midwatch: {why}")),
    }
}

#[derive(Default)]
struct Filter {
    /// Of what comes in.
    lexer: Lexer,
    /// Of what goes out.
    check: Lexer,
    /// This statement as it stands, with what was before it.
    raw: Vec<u8>,
    /// It holds rows, and is handed on as it comes.
    streams: bool,
    /// At the beginning of a line, between statements.
    peeks: bool,
    /// The beginning of that line.
    line: Vec<u8>,
    /// In a block: its beginning.
    block: Option<Vec<u8>>,
    ready: Vec<u8>,
    bytes: u64,
    views: BTreeSet<String>,
    others: BTreeMap<&'static str, u64>,
}

impl Filter {
    fn take(&mut self, byte: u8) {
        if let Some(block) = &mut self.block {
            if block.len() < HEAD {
                block.push(byte);
            }
            if byte != b'\n' {
                if self.line.len() <= CLOSE.len() {
                    self.line.push(byte);
                }
            } else if std::mem::take(&mut self.line) == CLOSE {
                self.block_ends();
            }
            return;
        }
        if !self.peeks {
            return self.fed(byte);
        }
        self.line.push(byte);
        if self.line == OPEN {
            // What was before it are comments about it.
            self.line.clear();
            self.raw.clear();
            self.block = Some(Vec::new());
        } else if !OPEN.starts_with(&self.line) {
            self.peeks = false;
            for byte in std::mem::take(&mut self.line) {
                self.fed(byte);
            }
        }
    }

    fn fed(&mut self, byte: u8) {
        self.lexer.take(byte);
        self.raw.push(byte);
        if let Some(text) = self.lexer.ended.take() {
            self.statement_ends(&text);
        } else if self.streams {
            let raw = std::mem::take(&mut self.raw);
            self.hand_on(&raw);
        } else {
            let text = self.lexer.text.trim_ascii_start();
            self.streams = text.starts_with(b"INSERT ") || text.starts_with(b"REPLACE ") || self.raw.len() > LONGEST;
        }
        let between = self.lexer.at == At::Plain && !self.lexer.executed && self.lexer.text.trim_ascii().is_empty();
        self.peeks = byte == b'\n' && between;
    }

    fn statement_ends(&mut self, text: &str) {
        let raw = std::mem::take(&mut self.raw);
        if !std::mem::take(&mut self.streams)
            && let Some((kind, name)) = definition(text)
        {
            if kind == "view" {
                self.views.extend(name);
            }
            return;
        }
        self.hand_on(&raw);
    }

    fn block_ends(&mut self) {
        let block = self.block.take().unwrap_or_default().to_ascii_uppercase();
        let block = String::from_utf8_lossy(&block);
        let first = |(word, kind): &(&str, &'static str)| Some((block.find(&format!(" {word} "))?, *kind));
        let kind = KINDS.iter().filter_map(first).min().map_or("definition", |(_, kind)| kind);
        *self.others.entry(kind).or_default() += 1;
        self.peeks = true;
    }

    fn hand_on(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.check.take(*byte);
        }
        self.ready.extend_from_slice(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn flush(&mut self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&self.ready)?;
        self.ready.clear();
        Ok(())
    }

    fn told(&self) -> Option<String> {
        let views = (self.views.len() as u64, "view");
        let others = self.others.iter().map(|(kind, n)| (*n, *kind));
        let all: Vec<_> =
            std::iter::once(views).chain(others).filter(|(n, _)| *n > 0).map(|(n, kind)| count(n, kind)).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// Which kind of definition a statement outside of blocks makes or removes, and of which name.
fn definition(text: &str) -> Option<(&'static str, Option<String>)> {
    let upper = text.to_ascii_uppercase();
    let mut words = upper.split_ascii_whitespace();
    let (first, second) = (words.next()?, words.next()?);
    let kind = |word: &str| KINDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
    let name = || text.split('`').nth(1).map(str::to_owned);
    match (first, kind(second)) {
        ("CREATE" | "DROP", Some(found)) => Some((found, name())),
        ("CREATE", None) if ["ALGORITHM", "DEFINER", "SQL", "OR"].iter().any(|word| second.starts_with(word)) => {
            words.find_map(kind).map(|found| (found, None))
        }
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Tables, tables};
    use crate::backends::backups::meter::Control;
    use crate::backends::backups::program::Tools;

    fn filtered(dump: &str) -> (Tables, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sql");
        std::fs::write(&path, dump).unwrap();
        let mut out = Vec::new();
        let done = tables(&path, &Tools::default(), &Control::default(), &mut out).unwrap();
        assert_eq!(done.bytes, out.len() as u64);
        (done, String::from_utf8(out).unwrap())
    }

    const TABLE: &str = "-- MariaDB dump 10.19\n/*!40101 SET NAMES utf8mb4 */;\n\nDROP TABLE IF EXISTS `t`;\n\
        CREATE TABLE `t` (\n  `id` int COMMENT 'a; b'\n);\nLOCK TABLES `t` WRITE;\nINSERT INTO `t` VALUES\n\
        (1,'x;\nDELIMITER ;;\nDROP VIEW `v`;\n');\nUNLOCK TABLES;\n";
    const END: &str = "/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n\n-- Dump completed on 2026-11-22  0:47:00\n";
    /// As mariadb-dump writes them.
    const MORE: &str = "/*!50003 SET sql_mode              = 'STRICT_TRANS_TABLES' */ ;\nDELIMITER ;;\n\
        /*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 trigger tr before insert on t for each row \
        begin set new.id = 1; delete from u; end \n*/;;\nDELIMITER ;\n\
        /*!50003 SET sql_mode              = @saved_sql_mode */ ;\n\
        DROP TABLE IF EXISTS `v`;\n/*!50001 DROP VIEW IF EXISTS `v`*/;\nSET character_set_client = utf8mb4;\n\
        /*!50001 CREATE VIEW `v` AS SELECT\n NULL AS `id` */;\n\
        /*!50106 SET @save_time_zone= @@TIME_ZONE */ ;\n/*!50106 DROP EVENT IF EXISTS `e` */;\nDELIMITER ;;\n\
        /*!50003 SET time_zone             = 'SYSTEM' */ ;;\n/*!50106 CREATE*/ /*!50117 DEFINER=`root`@`localhost`*/ \
        /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO select 1 \n*/ ;;\nDELIMITER ;\n\
        /*!50003 DROP PROCEDURE IF EXISTS `p` */;\nDELIMITER ;;\nCREATE DEFINER=`root`@`localhost` PROCEDURE `p`()\n\
        select 1\n;;\nDELIMITER ;\n\n-- Final view structure\n\n/*!50001 DROP VIEW IF EXISTS `v`*/;\n\
        /*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */\n\
        /*!50001 VIEW `v` AS select `t`.`id` AS `id` from `t` */;\n";

    #[test]
    fn tables_and_rows_come_through_and_what_else_there_is_does_not() {
        let (plain, same) = filtered(&format!("{TABLE}{END}"));
        assert_eq!((plain.why, plain.left_out, same), (None, None, format!("{TABLE}{END}")));
        let (done, out) = filtered(&format!("{TABLE}{MORE}{END}"));
        assert_eq!((done.why, done.left_out.as_deref()), (None, Some("1 view, 1 event, 1 routine, 1 trigger")));
        assert!(out.starts_with(TABLE) && out.ends_with(END), "{out}");
        for gone in ["CREATE VIEW", "trigger", "EVENT", "PROCEDURE", "ALGORITHM", "DELIMITER ;\n"] {
            assert!(!out.contains(gone), "{gone}: {out}");
        }
        assert!(out.contains("DROP TABLE IF EXISTS `v`;") && out.contains("SET @save_time_zone"), "{out}");
    }

    #[test]
    fn what_goes_elsewhere_is_seen_whatever_stands_around_it() {
        for (statement, told) in [
            ("USE other;\n", "of its own choice"),
            ("DELIMITER ;;\nselect 1;;\nDELIMITER ;\nDROP DATABASE x;\n", "of its own choice"),
            ("ALTER DATABASE `app` CHARACTER SET utf8mb4;\n", "of its own choice"),
            (" DELIMITER ;;\nselect 1;;\n", "DELIMITER"),
            ("delimiter //\nselect 1//\n", "DELIMITER"),
            ("DELIMITER ;;\nselect 1;;\n", "whose end is missing"),
            ("GRANT ALL ON *.* TO x;\n", "GRANT ALL"),
            ("CREATE USER x;\n", "CREATE USER"),
        ] {
            for dump in [format!("{TABLE}{statement}"), format!("{MORE}{statement}")] {
                let (done, _) = filtered(&dump);
                let why = done.why.unwrap_or_default();
                assert!(why.contains(told), "{statement}: {why}");
            }
        }
    }
}
