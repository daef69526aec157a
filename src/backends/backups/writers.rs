//! Which files are being written by a tool that makes backups, as `/proc` tells it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::domain::database::Engine;
use crate::domain::time::Timestamp;

/// Programs that write backups.
const TOOLS: [&str; 22] = [
    "pg_dump",
    "pg_dumpall",
    "mysqldump",
    "mariadb-dump",
    "sqlite3",
    "tar",
    "gzip",
    "pigz",
    "zstd",
    "xz",
    "bzip2",
    "pbzip2",
    "lz4",
    "gpg",
    "age",
    "openssl",
    "rsync",
    "cp",
    "scp",
    "dd",
    "cat",
    "sftp-server",
];
/// Those of them that do nothing else.
const DUMPERS: [&str; 4] = ["pg_dump", "pg_dumpall", "mysqldump", "mariadb-dump"];
/// Descriptors of one process that are looked at.
const MOST_OPEN: usize = 256;
/// Ticks a second in `/proc/PID/stat`, everywhere Linux runs.
const TICKS: i64 = 100;

/// What writes at this moment.
#[derive(Debug, Default)]
pub(super) struct Writers {
    /// Device and inode of files that a tool holds open.
    open: BTreeSet<(u64, u64)>,
    /// Dumping programs whose files can't be seen: name, and since when they run.
    blind: Vec<(String, Timestamp)>,
    /// Data directories of database servers, by the server's program.
    data: Vec<(String, PathBuf)>,
}

/// Database servers.
const SERVERS: [&str; 4] = ["postgres", "postmaster", "mysqld", "mariadbd"];

impl Writers {
    /// Looks through `/proc` once.
    pub(super) fn look() -> Self {
        let mut out = Self::default();
        let boot = boot_time();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name();
            if !pid.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
                continue;
            }
            let dir = entry.path();
            let Ok(name) = fs::read_to_string(dir.join("comm")) else { continue };
            let name = name.trim_end();
            if SERVERS.contains(&name) {
                out.data.extend(data_directory(&dir).map(|path| (name.to_owned(), path)));
            }
            if !TOOLS.contains(&name) {
                continue;
            }
            match fs::read_dir(dir.join("fd")) {
                Ok(fds) => {
                    for fd in fds.take(MOST_OPEN).flatten() {
                        if writes(&dir, &fd.file_name().to_string_lossy())
                            && let Ok(meta) = fs::metadata(fd.path())
                            && meta.is_file()
                        {
                            out.open.insert((meta.dev(), meta.ino()));
                        }
                    }
                }
                Err(_) if DUMPERS.contains(&name) => {
                    if let (Some(boot), Some(ticks)) = (boot, started(&dir)) {
                        let since = Timestamp::from_millis(boot * 1000 + ticks * 1000 / TICKS);
                        out.blind.push((name.to_owned(), since));
                    }
                }
                Err(_) => {}
            }
        }
        out
    }

    /// The data directories of the servers of an engine that run here.
    pub(super) fn data_directories(&self, engine: Engine) -> Vec<PathBuf> {
        let postgresql = engine == Engine::Postgresql;
        let of = |(name, _): &&(String, PathBuf)| name.starts_with("post") == postgresql;
        self.data.iter().filter(of).map(|(_, path)| path.clone()).collect()
    }

    /// How it is known that a file is being written, if it is. `recent`: it was changed within the last minutes.
    pub(super) fn of(&self, device: u64, inode: u64, changed: Timestamp, recent: bool) -> Option<String> {
        if self.open.contains(&(device, inode)) {
            return Some("a program holds it open for writing".to_owned());
        }
        let by = self.blind.iter().find(|(_, since)| recent && *since <= changed)?;
        Some(format!("{} is running, and the file was changed since that began", by.0))
    }
}

/// `-D DIR` or `--datadir=DIR` of a server's command line; its children have none.
fn data_directory(process: &Path) -> Option<PathBuf> {
    let line = fs::read(process.join("cmdline")).ok()?;
    let words: Vec<String> = line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    let after = words.iter().position(|w| w == "-D").and_then(|at| words.get(at + 1)).cloned();
    let joined = || words.iter().find_map(|w| w.strip_prefix("--datadir=")).map(str::to_owned);
    after.or_else(joined).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Whether a descriptor is open for writing: the access mode is in the lowest two bits of the octal flags.
fn writes(process: &Path, fd: &str) -> bool {
    let info = fs::read_to_string(process.join("fdinfo").join(fd)).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|f| u64::from_str_radix(f.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

/// When a process began, in ticks since boot: field 22, counted after the name in parentheses.
fn started(process: &Path) -> Option<i64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn boot_time() -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}
