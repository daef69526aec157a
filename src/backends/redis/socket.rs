//! Whether the application's containers still see the directory of Redis' socket (FIELD INC-28, pretix #2476).
//!
//! A container that was given the directory keeps it when the server's unit removes it and makes a new one: the server
//! answers on the host, and the container sees a directory that no longer exists. Its link count is then 0.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;

use crate::backends::place::Place;

/// How often mounts are looked at.
const EVERY: Duration = Duration::from_mins(1);
/// Most processes that are looked at, and most of their mount namespaces.
const PROCESSES: usize = 8192;
const NAMESPACES: usize = 64;
/// Most process ids that are told.
const TOLD: usize = 5;

/// What was seen of the mounts of other processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sight {
    /// Processes that hold a socket, or its directory, that was removed.
    stale: Vec<u32>,
    /// Processes whose mounts may not be looked at.
    denied: usize,
}

/// The mounts of the processes on this host, as far as they concern one socket.
#[derive(Debug)]
pub(super) struct Mounts {
    socket: Option<PathBuf>,
    under_way: Option<JoinHandle<Sight>>,
    last: Option<Instant>,
    sight: Sight,
}

impl Mounts {
    /// Those that concern a server at `place`; none where it has no socket.
    pub(super) fn of(place: &Place) -> Self {
        let socket = match place {
            Place::Socket(path) => Some(path.clone()),
            Place::Tcp(..) => None,
        };
        Self { socket, under_way: None, last: None, sight: Sight::default() }
    }

    /// Takes in what the last look brought, and begins another where it is time. Never waits.
    pub(super) fn look(&mut self) {
        let Some(socket) = &self.socket else { return };
        if self.under_way.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(done) = self.under_way.take()
        {
            self.sight = done.now_or_never().and_then(Result::ok).unwrap_or_default();
        }
        if self.under_way.is_none() && self.last.is_none_or(|at| at.elapsed() >= EVERY) {
            self.last = Some(Instant::now());
            let socket = socket.clone();
            self.under_way = Some(tokio::task::spawn_blocking(move || sight(&socket)));
        }
    }

    /// Who sees a socket that is gone, as a sentence.
    pub(super) fn stale(&self) -> Option<String> {
        let socket = self.socket.as_ref().filter(|_| !self.sight.stale.is_empty())?;
        let pids: Vec<String> = self.sight.stale.iter().map(u32::to_string).collect();
        let (word, verb) = if pids.len() == 1 { ("process", "sees") } else { ("processes", "see") };
        Some(format!(
            "{word} {} {verb} a removed directory at {}: restart that container, not Redis",
            pids.join(", "),
            Place::Socket(socket.clone())
        ))
    }

    /// That it can't be seen, where it can't.
    pub(super) fn unseen(&self) -> Option<String> {
        let denied = self.socket.is_some() && self.sight.denied > 0 && self.sight.stale.is_empty();
        denied.then(|| "whether containers still see Redis' socket: only root sees their mounts".to_owned())
    }
}

/// Looks at the socket as each other mount namespace sees it.
fn sight(socket: &Path) -> Sight {
    let mut sight = Sight::default();
    let Ok(own) = fs::read_link("/proc/self/ns/mnt") else { return sight };
    let Ok(processes) = fs::read_dir("/proc") else { return sight };
    let mut met: BTreeMap<PathBuf, bool> = BTreeMap::new();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids.take(PROCESSES) {
        let process = Path::new("/proc").join(pid.to_string());
        let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else {
            // Also one that has just ended; a later look tells.
            sight.denied += usize::from(process.exists());
            continue;
        };
        if namespace == own || (met.len() >= NAMESPACES && !met.contains_key(&namespace)) {
            continue;
        }
        let stale = *met.entry(namespace).or_insert_with(|| is_stale(&process.join("root"), socket));
        if stale && sight.stale.len() < TOLD {
            sight.stale.push(pid);
        }
    }
    sight
}

/// Whether below `root` the socket, or the directory it belongs in, is one that was removed.
fn is_stale(root: &Path, socket: &Path) -> bool {
    let removed = |path: &Path| {
        let below = path.strip_prefix("/").map(|path| root.join(path));
        below.is_ok_and(|path| fs::metadata(path).is_ok_and(|seen| seen.nlink() == 0))
    };
    removed(socket) || socket.parent().is_some_and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sees_a_removed_directory_is_told_and_a_server_without_a_socket_has_none() {
        let mut mounts = Mounts::of(&Place::Socket("/run/redis/redis.sock".into()));
        assert_eq!((mounts.stale(), mounts.unseen()), (None, None));
        mounts.sight = Sight { stale: vec![], denied: 3 };
        assert!(mounts.unseen().unwrap().contains("only root"));
        mounts.sight = Sight { stale: vec![41, 42], denied: 3 };
        assert!(
            mounts.stale().unwrap().starts_with("processes 41, 42 see a removed directory at /run/redis/redis.sock")
        );
        assert_eq!(mounts.unseen(), None);
        let mut tcp = Mounts::of(&Place::Tcp("h".into(), 1));
        tcp.sight = Sight { stale: vec![41], denied: 3 };
        assert_eq!((tcp.stale(), tcp.unseen()), (None, None));
    }

    #[test]
    fn a_directory_that_exists_is_not_stale() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_stale(Path::new("/"), &dir.path().join("redis.sock")));
        assert!(!is_stale(Path::new("/"), Path::new("relative")));
    }
}
