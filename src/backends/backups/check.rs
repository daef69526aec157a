//! Reads one backup from its beginning to its end and says what it is worth (FIELD T-04, T-05: a listing, an exit status
//! and a name prove nothing).

use std::ffi::OsStr;
use std::io::{self, BufReader, Cursor, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::Duration;

use flate2::read::MultiGzDecoder;

use super::directory;
use super::dump;
use super::meter::{Control, Halt, Metered};
use super::program::{self, Tools};
use super::sqlite;
use super::tar;
use crate::domain::backup::Contents;
use crate::domain::backup::header::{self, Header};
use crate::domain::backup::kind::{self, HEAD, Kind, Packing};
use crate::domain::backup::proof::Flaw;
use crate::domain::backup::seal::Seal;

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdict {
    /// What came of it.
    pub outcome: Outcome,
    /// What it is.
    pub kind: Option<Kind>,
    /// What it says of itself.
    pub header: Option<Header>,
    /// What an archive holds.
    pub contents: Option<Contents>,
    /// SHA-256 of the whole file, where it was read to its end.
    pub digest: Option<String>,
    /// What of it has checksums.
    pub seal: Option<Seal>,
    /// Its bytes without its packing, where it has one and was read to its end.
    pub unpacked: Option<u64>,
}

impl Verdict {
    /// Notes whether a whole archive holds rows, where it lies on disk and is not packed once more.
    pub(super) fn count(&mut self, path: Option<&Path>, tools: &Tools) {
        let (Some(path), Outcome::Whole) = (path, &self.outcome) else { return };
        let program = client(tools, self.header.as_ref()).ok().and_then(Path::to_str);
        let (Some(program), Some(place)) = (program, path.to_str()) else { return };
        if let Ok(list) = crate::backends::program::output(program, &["-l", "--", place], LISTED, LISTING) {
            let rows = list.lines().any(|line| !line.starts_with(';') && line.contains(" TABLE DATA "));
            self.header.get_or_insert_default().rows = Some(rows);
        }
    }
}

/// The longest table of contents that is read, in bytes, and for how long.
const LISTED: u64 = 16 << 20;
const LISTING: Duration = Duration::from_secs(30);

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Outcome {
    /// All of it is there.
    Whole,
    /// Not all of it is there, or it is damaged.
    Broken(Flaw, String),
    /// It changed while it was read.
    Growing(String),
    /// It could not be found out; what is missing.
    Unproven(String),
    /// The check was stopped.
    #[default]
    Stopped,
}

/// Checks a file or a directory dump.
pub fn check(path: &Path, tools: &Tools, control: &Control) -> Verdict {
    if path.is_dir() {
        return directory::check(path, tools, control);
    }
    let mut file = match Metered::open(path, control) {
        Ok(file) => file,
        Err(error) => return unproven(super::access::unreadable(path, &error)),
    };
    let before = match file.state() {
        Ok(state) => state,
        Err(error) => return unproven(error.to_string()),
    };
    control.begin(before.0);
    if before.0 == 0 {
        let why = "it is empty: 0 bytes".to_owned();
        return Verdict { outcome: Outcome::Broken(Flaw::Empty, why), ..Verdict::default() };
    }
    let mut verdict = unpacked(&mut file, path, tools, control);
    file.drain();
    match file.halted() {
        Some(Halt::Stopped) => return Verdict::default(),
        Some(Halt::Failed(why)) => verdict.outcome = Outcome::Unproven(format!("it can't be read to its end: {why}")),
        None => {}
    }
    if control.stopped() {
        return Verdict::default();
    }
    // SQLite reads what lies there as it is: of a packed one only the length was seen.
    let bare = || directory::head(path).is_some_and(|head| kind::packing(&head).is_none());
    if verdict.kind == Some(Kind::Sqlite) && verdict.outcome == Outcome::Whole && bare() {
        verdict.outcome = sqlite::check(path, control);
    }
    // A name that now means another file, or a file that changed, was not this backup.
    let after = Metered::open(path, &Control::default()).and_then(|file| file.state());
    if after.ok() != Some(before) || (file.count() != before.0 && verdict.digest.is_none()) {
        verdict.outcome = Outcome::Growing("it changed while it was being read".to_owned());
        verdict.digest = None;
        return verdict;
    }
    verdict.digest = Some(file.digest());
    verdict
}

fn unproven(why: String) -> Verdict {
    Verdict { outcome: Outcome::Unproven(why), ..Verdict::default() }
}

fn broken(flaw: Flaw, why: impl Into<String>) -> Verdict {
    Verdict { outcome: Outcome::Broken(flaw, why.into()), ..Verdict::default() }
}

/// A reader whose first bytes were looked at.
type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// The first bytes of a reader, and all of it.
fn peeked<R: Read>(mut reader: R) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut head = vec![0; HEAD];
    let n = tar::fill(&mut reader, &mut head)?;
    head.truncate(n);
    Ok((head.clone(), Cursor::new(head).chain(reader)))
}

/// Takes the packing off, if there is one, and looks at what is inside.
fn unpacked(file: &mut Metered, path: &Path, tools: &Tools, control: &Control) -> Verdict {
    let Ok((head, reader)) = peeked(file) else { return unproven("it can't be read".to_owned()) };
    let seal = Some(Seal::of(&head));
    let verdict = match kind::packing(&head) {
        None => content(reader, Some(path), tools, control),
        Some(Packing::Gzip) => gunzip(reader, tools, control),
        Some(Packing::Zstd) => through("zstd", reader, tools, control),
        Some(Packing::Xz) => through("xz", reader, tools, control),
        Some(Packing::Bzip2) => through("bzip2", reader, tools, control),
        Some(Packing::Lz4) => through("lz4", reader, tools, control),
        Some(Packing::Encrypted) => {
            unproven("it is encrypted: only who has the key can see whether it is whole".to_owned())
        }
    };
    Verdict { seal, ..verdict }
}

/// A reader that remembers its error, for those who use it may take an error for an end.
struct Remembering<R> {
    reader: R,
    bytes: u64,
    error: Option<io::Error>,
}

impl<R: Read> Read for Remembering<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(n) => {
                self.bytes += u64::try_from(n).unwrap_or(0);
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.error = Some(error);
                Err(kind.into())
            }
        }
    }
}

fn gunzip(reader: impl Read, tools: &Tools, control: &Control) -> Verdict {
    let mut inside =
        Remembering { reader: MultiGzDecoder::new(BufReader::with_capacity(1 << 16, reader)), bytes: 0, error: None };
    let mut verdict = content(&mut inside, None, tools, control);
    if inside.error.is_none() {
        // What the content's reader has not taken must be sound too.
        io::copy(&mut inside, &mut io::sink()).ok();
    }
    let Some(error) = inside.error else {
        return if inside.bytes == 0 {
            broken(Flaw::Empty, "it is a gzip file that holds nothing: 0 bytes inside")
        } else {
            Verdict { unpacked: Some(inside.bytes), ..verdict }
        };
    };
    let at = crate::domain::text::bytes(inside.bytes);
    verdict.outcome = if error.kind() == io::ErrorKind::UnexpectedEof {
        Outcome::Broken(Flaw::Truncated, format!("the gzip stream is cut off after {at} of content"))
    } else {
        Outcome::Broken(Flaw::Damaged, format!("the gzip stream is damaged after {at} of content: {error}"))
    };
    verdict
}

fn through(name: &str, mut reader: impl Read + Send, tools: &Tools, control: &Control) -> Verdict {
    let Some(program) = tools.get(name) else {
        return unproven(format!("{name} is not installed here, so what it packs can't be read"));
    };
    let mut bytes = 0;
    let done = program::unpack(program, &mut reader, control, |output| {
        let mut inside = Remembering { reader: output, bytes: 0, error: None };
        let verdict = content(&mut inside, None, tools, control);
        io::copy(&mut inside, &mut io::sink()).ok();
        bytes = inside.bytes;
        verdict
    });
    match done {
        Err(error) => unproven(format!("{name} can't be run: {error}")),
        Ok((_, ended)) if ended.status.is_none() => unproven(format!("{name} made no progress and was ended")),
        Ok((mut verdict, ended)) if !ended.well() => {
            let said = ended.said.to_ascii_lowercase();
            let cut = ["unexpected end", "truncated", "premature", "incomplete", "ends unexpectedly"];
            let flaw = if cut.iter().any(|word| said.contains(word)) { Flaw::Truncated } else { Flaw::Damaged };
            verdict.outcome = Outcome::Broken(flaw, format!("{name} can't unpack it: {}", ended.said));
            verdict
        }
        Ok(_) if bytes == 0 => broken(Flaw::Empty, format!("it is a {name} file that holds nothing: 0 bytes inside")),
        Ok((verdict, _)) => Verdict { unpacked: Some(bytes), ..verdict },
    }
}

/// What is inside the packing, if there was one; `path` where there was none.
fn content(reader: impl Read, path: Option<&Path>, tools: &Tools, control: &Control) -> Verdict {
    let Ok((head, mut reader)) = peeked(reader) else {
        return broken(Flaw::Truncated, "it ends within its first bytes");
    };
    let kind = kind::of_head(&head);
    let mut out = Verdict { kind: Some(kind), ..Verdict::default() };
    match kind {
        Kind::PgCustom => {
            out.header = header::archive(&head);
            out.outcome = restore(&mut reader, out.header.as_ref(), path, tools, control);
            out.count(path, tools);
        }
        Kind::PgTar => {
            let (contents, end) = tar::walk(&mut reader);
            out.contents = Some(contents);
            out.outcome = tar_end(end);
            if out.outcome == Outcome::Whole {
                out.outcome = match path {
                    Some(path) => restore_path(path, None, tools, control),
                    None => Outcome::Whole,
                };
                out.count(path, tools);
            }
        }
        Kind::PgDirectory => {
            out.outcome =
                Outcome::Unproven("it is the table of contents of a directory dump, without its directory".to_owned());
        }
        Kind::Tar => {
            let (contents, end) = tar::walk(&mut reader);
            out.outcome = tar_end(end);
            if out.outcome == Outcome::Whole && contents.files == 0 {
                out.outcome = Outcome::Broken(Flaw::Empty, "it is an archive without a single file".to_owned());
            }
            out.contents = Some(contents);
        }
        Kind::PgSql | Kind::PgAll | Kind::Mysql | Kind::SqliteSql | Kind::Sql => {
            let (said, _, end) = dump::read(&mut reader, kind);
            out.header = Some(said);
            out.outcome = match end {
                dump::End::Whole => Outcome::Whole,
                dump::End::Truncated(why) => Outcome::Broken(Flaw::Truncated, why),
                dump::End::Failed(why) => Outcome::Broken(Flaw::Failed, why),
                dump::End::Unmarked(why) => Outcome::Unproven(why),
            };
        }
        Kind::Sqlite => out.outcome = sqlite_length(&mut reader, &head, path.is_none()),
        Kind::Folder | Kind::Restic | Kind::Borg | Kind::PgBackRest | Kind::Barman | Kind::Unknown => {
            out.outcome = unknown(&head, &mut reader);
        }
    }
    out
}

/// The signals of a program that fails by itself: ILL, ABRT, BUS, FPE, SEGV.
const CRASHES: [i32; 5] = [4, 6, 7, 8, 11];
/// tar writes this much at least, also for nothing.
const EMPTY_ARCHIVE: u64 = 10_240;

fn tar_end(end: tar::End) -> Outcome {
    match end {
        tar::End::Whole => Outcome::Whole,
        tar::End::Truncated(why) => Outcome::Broken(Flaw::Truncated, why),
        tar::End::Damaged(why) => Outcome::Broken(Flaw::Damaged, why),
    }
}

/// The words of a tool that wrote its error where the dump should be, or nothing but zeros.
fn unknown(head: &[u8], reader: &mut dyn Read) -> Outcome {
    let text = String::from_utf8_lossy(head);
    let failed = |line: &&str| {
        ["pg_dump: ", "pg_dumpall: ", "mysqldump: ", "mariadb-dump: ", "Error: ", "ERROR"]
            .iter()
            .any(|w| line.starts_with(w))
    };
    if let Some(line) = text.lines().take(10).find(failed) {
        let why = crate::domain::redact::redact(line);
        let why = format!("instead of a dump it holds an error: {}", crate::domain::text::plain(&why, 120));
        return Outcome::Broken(Flaw::Failed, why);
    }
    let (mut buffer, mut length) = (vec![0; 1 << 16], 0_u64);
    while let Ok(n @ 1..) = tar::fill(reader, &mut buffer) {
        length += u64::try_from(n).unwrap_or(0);
        if buffer.get(..n).unwrap_or_default().iter().any(|b| *b != 0) {
            return Outcome::Unproven("its content is of no kind that is known".to_owned());
        }
    }
    if length <= EMPTY_ARCHIVE {
        let why = "it holds nothing but zeros: an archive without a single file, or a file that was never written";
        return Outcome::Broken(Flaw::Empty, why.to_owned());
    }
    Outcome::Broken(Flaw::Damaged, "it is filled with zeros".to_owned())
}

/// Whether an SQLite file is as long as its header says.
fn sqlite_length(reader: &mut dyn Read, head: &[u8], packed: bool) -> Outcome {
    let short =
        |from: usize, to: usize| head.get(from..to).map(|b| b.iter().fold(0_u64, |sum, b| sum << 8 | u64::from(*b)));
    let page = match short(16, 18) {
        Some(1) => 65_536,
        Some(size) if size >= 512 && size.is_power_of_two() => size,
        Some(_) | None => return Outcome::Broken(Flaw::Damaged, "its header is no SQLite header".to_owned()),
    };
    let length = io::copy(reader, &mut io::sink()).unwrap_or(0);
    let pages = short(28, 32).unwrap_or(0);
    // The count is of use only where the last writer knew of it.
    let counted = short(24, 28) == short(92, 96) && pages > 0;
    if counted && length < pages * page || !length.is_multiple_of(page) {
        let (is, should) = (crate::domain::text::bytes(length), crate::domain::text::bytes(pages * page));
        return Outcome::Broken(Flaw::Truncated, format!("it has {is} of {should}"));
    }
    if packed && !counted {
        return Outcome::Unproven("it has to be unpacked before SQLite can check it".to_owned());
    }
    Outcome::Whole
}

/// The client that can read an archive, or what is missing.
pub(super) fn client<'t>(tools: &'t Tools, header: Option<&Header>) -> Result<&'t Path, Outcome> {
    let Some((newest, program)) = tools.pg_restore.first() else {
        let why = "pg_restore is not installed here: install postgresql-client to have it read to its end";
        return Err(Outcome::Unproven(why.to_owned()));
    };
    let least = header.and_then(|h| h.format).map_or(0, header::least_client);
    if *newest < least {
        return Err(Outcome::Unproven(format!("it needs pg_restore {least} or newer; the newest here is {newest}")));
    }
    Ok(program)
}

/// Has `pg_restore` read an archive from end to end, as it would to restore it, and throw the result away.
fn restore(
    reader: &mut dyn Read,
    header: Option<&Header>,
    path: Option<&Path>,
    tools: &Tools,
    control: &Control,
) -> Outcome {
    let program = match client(tools, header) {
        Ok(program) => program,
        Err(outcome) => return outcome,
    };
    let ended = match program::feed(program, &["-f", "/dev/null"], reader, control) {
        Ok(ended) => ended,
        Err(error) => return Outcome::Unproven(format!("pg_restore can't be run: {error}")),
    };
    // An archive whose data lie in another order can be read only where it lies.
    match path {
        Some(path) if !ended.well() && ended.said.contains("non-seekable") => {
            restore_path(path, header, tools, control)
        }
        Some(_) | None => judged(&ended),
    }
}

pub(super) fn restore_path(path: &Path, header: Option<&Header>, tools: &Tools, control: &Control) -> Outcome {
    let program = match client(tools, header) {
        Ok(program) => program,
        Err(outcome) => return outcome,
    };
    let args = [OsStr::new("-f"), OsStr::new("/dev/null"), OsStr::new("--"), path.as_os_str()];
    match program::run(program, &args, control) {
        Ok(ended) => judged(&ended),
        Err(error) => Outcome::Unproven(format!("pg_restore can't be run: {error}")),
    }
}

fn judged(ended: &program::Ended) -> Outcome {
    let said = ended.said.trim_start_matches("pg_restore: ").trim_start_matches("error: ");
    let cut = ["end of file", "unexpected end", "too short", "could not find block", "could not open input file"];
    match ended.status {
        None => Outcome::Unproven("pg_restore made no progress and was ended".to_owned()),
        Some(status) if status.success() => Outcome::Whole,
        Some(_) if said.contains("unsupported version") => {
            Outcome::Unproven(format!("pg_restore here is too old for it: {said}"))
        }
        Some(_) if said.contains("compression is not supported") || said.contains("not built with") => {
            Outcome::Unproven(format!("pg_restore here can't unpack it: {said}"))
        }
        // Whoever ends a program sends TERM or KILL; what it reads makes it crash.
        Some(status) if status.signal().is_some_and(|n| CRASHES.contains(&n)) => {
            let signal = status.signal().unwrap_or_default();
            Outcome::Broken(Flaw::Damaged, format!("pg_restore crashed on it (signal {signal})"))
        }
        Some(status) if status.code().is_none() => Outcome::Unproven("pg_restore was ended by a signal".to_owned()),
        Some(_) if cut.iter().any(|word| said.contains(word)) => {
            Outcome::Broken(Flaw::Truncated, format!("pg_restore can't read it to its end: {said}"))
        }
        Some(_) => Outcome::Broken(Flaw::Damaged, format!("pg_restore can't read it: {said}")),
    }
}
