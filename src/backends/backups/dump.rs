//! Reads an SQL dump to its end and looks for the mark its tool puts there (FIELD: a dump without it is cut off,
//! whatever the exit status of the job was).

use std::io::Read;

use crate::domain::backup::header::{self, Header};
use crate::domain::backup::kind::Kind;

/// Bytes kept from the end.
const TAIL: usize = 8192;
/// Bytes kept from the beginning.
const HEAD: usize = 16 * 1024;

/// How lines begin that bring rows.
const ROWS: [&[u8]; 3] = [b"\nCOPY ", b"\nINSERT ", b"\nREPLACE "];
/// Longer than any of those.
const SEAM: usize = 16;

/// What was found at the end of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its mark.
    Whole,
    /// None.
    Truncated(String),
    /// The tool's own words that it failed.
    Failed(String),
    /// Such a dump has no mark to look for.
    Unmarked(String),
}

/// The head of a dump, its length, and how it ends.
pub(super) fn read(reader: &mut dyn Read, kind: Kind) -> (Header, u64, End) {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let (mut rows, mut seam) = (false, b"\n".to_vec());
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0_u64;
    while let Ok(n @ 1..) = super::tar::fill(reader, &mut buffer) {
        let bytes = buffer.get(..n).unwrap_or_default();
        total += u64::try_from(n).unwrap_or(0);
        let room = HEAD.saturating_sub(head.len());
        head.extend_from_slice(bytes.get(..room.min(n)).unwrap_or_default());
        tail.extend_from_slice(bytes);
        if !rows {
            seam.extend_from_slice(bytes.get(..SEAM.min(n)).unwrap_or_default());
            rows = brings_rows(&seam) || brings_rows(bytes);
            seam = bytes.get(n.saturating_sub(SEAM)..).unwrap_or_default().to_vec();
        }
        if tail.len() > TAIL {
            tail.drain(..tail.len() - TAIL);
        }
        if n < buffer.len() {
            break;
        }
    }
    // Who writes SQL without the comments of its tool may write it in other words.
    let told = matches!(kind, Kind::PgSql | Kind::PgAll | Kind::Mysql | Kind::SqliteSql);
    let said = Header { rows: (rows || told).then_some(rows), ..header::sql(&head) };
    (said, total, end(kind, &head, &tail))
}

fn brings_rows(bytes: &[u8]) -> bool {
    ROWS.iter().any(|begin| memchr::memmem::find(bytes, begin).is_some())
}

fn end(kind: Kind, head: &[u8], tail: &[u8]) -> End {
    let (head, tail) = (lines(head), lines(tail));
    let last = tail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let cut = |mark: &str| {
        // What stands there instead is customers' data, and shown to nobody.
        End::Truncated(format!("it ends without \"{mark}\""))
    };
    match kind {
        Kind::PgSql => postgresql(&head, &tail, "-- PostgreSQL database dump complete").unwrap_or_else(cut),
        Kind::PgAll => postgresql(&head, &tail, "-- PostgreSQL database cluster dump complete").unwrap_or_else(cut),
        Kind::Mysql => {
            let mark = "-- Dump completed";
            let marked = tail.rfind(&["\n", mark].concat()).and_then(|at| tail.get(at + 1..));
            match marked.map(|rest| rest.split_once('\n')) {
                // The mark's own line is whole, and no data follow it.
                Some(Some((_, rest))) if only_comments(rest) => End::Whole,
                Some(_) | None => cut(mark),
            }
        }
        Kind::SqliteSql if last.trim() == "COMMIT;" && tail.ends_with('\n') => End::Whole,
        Kind::SqliteSql if last.starts_with("ROLLBACK;") => {
            End::Failed("sqlite3 gave up: it ends with a ROLLBACK because of errors".to_owned())
        }
        Kind::SqliteSql => cut("COMMIT;"),
        Kind::PgCustom
        | Kind::PgDirectory
        | Kind::PgTar
        | Kind::Sql
        | Kind::Sqlite
        | Kind::Tar
        | Kind::Folder
        | Kind::Restic
        | Kind::Borg
        | Kind::PgBackRest
        | Kind::Barman
        | Kind::Unknown => End::Unmarked(
            "it is SQL without the comments of pg_dump or mysqldump, so its end can't be told from a cut".to_owned(),
        ),
    }
}

/// The mark, the comment's end after it, and `\unrestrict` with its token where the head has `\restrict` (newer minor
/// releases); else the mark that is missing.
fn postgresql(head: &str, tail: &str, mark: &'static str) -> Result<End, &'static str> {
    let rest =
        tail.rfind(&["\n", mark, "\n--\n\n"].concat()).and_then(|at| tail.get(at + mark.len() + 6..)).ok_or(mark)?;
    let token = head.lines().find_map(|line| line.strip_prefix("\\restrict ")).map(str::trim);
    // pg_dumpall restricts each database's part by itself.
    let open = token.filter(|_| !mark.contains("cluster"));
    if let Some(token) = open
        && !rest.contains(&["\\unrestrict ", token, "\n\n"].concat())
    {
        return Err("\\unrestrict");
    }
    if only_comments(rest) { Ok(End::Whole) } else { Err(mark) }
}

fn only_comments(rest: &str) -> bool {
    rest.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with("--") || line.starts_with('\\'))
}

/// Text with lines ended the Unix way.
fn lines(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\n", "\n")
}
