//! Checks a dump that is a directory (`pg_dump -Fd`): every file in it is read to its end, then `pg_restore` reads it as
//! it would to restore it, which misses no file that the table of contents names.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::check::{Outcome, Verdict, restore_path};
use super::meter::{Control, Halt, Metered, hexadecimal};
use super::program::Tools;
use super::tar::fill;
use crate::domain::backup::header;
use crate::domain::backup::kind::{HEAD, Kind};
use crate::domain::backup::proof::Flaw;
use crate::domain::backup::seal::Seal;

/// More files than any database has tables.
const MOST: usize = 200_000;
/// What ends the data of a table in a file of its own (`pg_dump.c`, `dumpTableData_copy`).
const END_OF_DATA: &[u8] = b"\\.\n\n\n";

/// Checks the dump in `dir`.
pub(super) fn check(dir: &Path, tools: &Tools, control: &Control) -> Verdict {
    let mut verdict = Verdict { kind: Some(Kind::PgDirectory), ..Verdict::default() };
    let files = match files(dir) {
        Ok(files) => files,
        Err(error) => {
            verdict.outcome = Outcome::Unproven(super::access::unreadable(dir, &error));
            return verdict;
        }
    };
    let Some(head) = head(&dir.join("toc.dat")) else {
        verdict.outcome =
            Outcome::Broken(Flaw::Truncated, "it has no toc.dat, without which nothing is restored".to_owned());
        return verdict;
    };
    verdict.header = header::archive(&head);
    control.begin(files.iter().map(|(_, size)| size).sum());
    let mut digest = Sha256::new();
    let (mut copied, mut empty) = (false, None);
    let packed = |(path, _): &(PathBuf, u64)| {
        path.extension().is_some_and(|ending| ending == "gz") || path.file_name().is_some_and(|name| name == "toc.dat")
    };
    verdict.seal = Some(if files.iter().all(packed) { Seal::Rows } else { Seal::Nothing });
    for (path, size) in &files {
        match one(path, control) {
            Ok(read) => {
                let name = path.file_name().unwrap_or_default();
                digest.update(name.as_encoded_bytes());
                digest.update(read.digest.as_bytes());
                copied |= read.copied;
                if *size == 0 {
                    empty = Some(name.to_string_lossy().into_owned());
                }
            }
            Err(outcome) => {
                verdict.outcome = outcome;
                return verdict;
            }
        }
    }
    // With COPY even an empty table has its end; with --inserts it may have nothing.
    if let Some(name) = empty.filter(|_| copied) {
        verdict.outcome = Outcome::Broken(Flaw::Truncated, format!("its file {name} is empty"));
        return verdict;
    }
    verdict.outcome = restore_path(dir, verdict.header.as_ref(), tools, control);
    verdict.count(Some(dir), tools);
    if control.stopped() {
        return Verdict::default();
    }
    verdict.digest = Some(hexadecimal(&digest.finalize()));
    verdict
}

/// The files, by name.
fn files(dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir)?.take(MOST) {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_file() {
            out.push((entry.path(), meta.len()));
        }
    }
    out.sort();
    Ok(out)
}

/// The first bytes of a file.
pub(super) fn head(path: &Path) -> Option<Vec<u8>> {
    let mut file = crate::backends::plain::open(path).ok()?;
    let mut head = vec![0; HEAD];
    let n = fill(&mut file, &mut head).ok()?;
    head.truncate(n);
    Some(head)
}

/// A file that was read to its end.
struct Whole {
    digest: String,
    /// Whether it holds rows as COPY writes them.
    copied: bool,
}

/// Reads one file to its end.
fn one(path: &Path, control: &Control) -> Result<Whole, Outcome> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut file = Metered::open(path, control).map_err(|e| Outcome::Unproven(super::access::unreadable(path, &e)))?;
    let size = file.state().map_or(0, |(size, _)| size);
    let (mut problem, mut copied) = (None, false);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if ending == "gz" {
        let mut inside = MultiGzDecoder::new(BufReader::with_capacity(1 << 16, &mut file));
        match io::copy(&mut inside, &mut io::sink()) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                problem = Some((Flaw::Truncated, format!("its file {name} is cut off")));
            }
            Err(error) => problem = Some((Flaw::Damaged, format!("its file {name} is damaged: {error}"))),
            Ok(_) => {}
        }
    } else if ending == "dat" && name != "toc.dat" && !name.starts_with("blob") {
        let tail = tail(&mut file);
        copied = tail.ends_with(END_OF_DATA);
        // With --inserts there is no such end, and nothing to tell a cut by.
        if size > 0 && !copied && !tail.ends_with(b";\n\n\n") && !tail.ends_with(b";\n") {
            problem = Some((Flaw::Truncated, format!("its file {name} is cut off")));
        }
    }
    file.drain();
    match (file.halted(), problem) {
        (Some(Halt::Stopped), _) => Err(Outcome::Stopped),
        (Some(Halt::Failed(why)), _) => Err(Outcome::Unproven(format!("{name} can't be read to its end: {why}"))),
        (None, Some((flaw, why))) => Err(Outcome::Broken(flaw, why)),
        (None, None) => Ok(Whole { digest: file.digest(), copied }),
    }
}

/// Reads to the end and keeps the last bytes.
fn tail(file: &mut Metered) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = file.read(&mut buffer) {
        kept.extend_from_slice(buffer.get(..n).unwrap_or_default());
        let surplus = kept.len().saturating_sub(64);
        kept.drain(..surplus);
    }
    kept
}
