//! Which processes there are, and what they hold open, as the sources need it to find files: bounded, never blocking for
//! long (`/proc` only), and without following links into file systems that may hang.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Processes looked at.
const PROCESSES: usize = 20_000;
/// Descriptors looked at of one process.
const DESCRIPTORS: usize = 4_096;
/// Bytes of a command line.
const WORDS: u64 = 16 * 1024;

/// The ids of all processes, ascending.
pub(super) fn pids() -> Vec<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .map(|dir| dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).take(PROCESSES).collect())
        .unwrap_or_default();
    pids.sort_unstable();
    pids
}

/// The words of a process's command line; none for a kernel thread.
pub(super) fn words(pid: u32) -> Vec<String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(format!("/proc/{pid}/cmdline")).and_then(|f| f.take(WORDS).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    bytes.split(|b| *b == 0).filter(|w| !w.is_empty()).map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

/// Every process that has a command line, with its words.
pub(super) fn command_lines() -> Vec<(u32, Vec<String>)> {
    pids().into_iter().map(|pid| (pid, words(pid))).filter(|(_, words)| !words.is_empty()).collect()
}

/// What the descriptors of a process point to, with their numbers.
///
/// # Errors
/// Where they may not be looked at.
pub(super) fn descriptors(pid: u32) -> std::io::Result<Vec<(u32, PathBuf)>> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))?.filter_map(|entry| {
        let entry = entry.ok()?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((number, fs::read_link(entry.path()).ok()?))
    });
    Ok(links.take(DESCRIPTORS).collect())
}

/// The inodes of sockets that listen on `port`.
pub(super) fn listening(port: u16) -> BTreeSet<u64> {
    let wanted = format!(":{port:04X}");
    let mut out = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let mut text = Vec::new();
        // Listening sockets come first; a million others are not read.
        let read = fs::File::open(table).and_then(|f| f.take(256 * 1024).read_to_end(&mut text));
        if read.is_err() {
            continue;
        }
        for line in String::from_utf8_lossy(&text).lines().skip(1) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            if let [_, local, _, "0A", _, _, _, _, _, inode, ..] = fields.as_slice()
                && local.ends_with(&wanted)
            {
                out.extend(inode.parse::<u64>());
            }
        }
    }
    out
}

/// The inode in `socket:[123]`.
pub(super) fn socket_inode(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}
