//! The ground a server on this host stands on: its data directory, the room there, and how far its recovery is. It is
//! learnt while the server answers, and told when it no longer does.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::backends::errand::{Answer, Errand};
use crate::backends::session::Trouble;
use crate::domain::database::{Room, says};
use crate::domain::text::{self, plain};

/// How long the file system is waited for: a dead mount must not stop the look.
const LIMIT: Duration = Duration::from_millis(400);
/// With less than two segments of its log free (16 MB each), a server can neither go on nor come up.
const SEGMENTS: u64 = 32 * 1024 * 1024;
/// Where Debian keeps the configurations of its clusters.
const CLUSTERS: &str = "/etc/postgresql";

/// What is known of the ground.
#[derive(Debug)]
pub(super) struct Ground {
    /// Whether the server is on this host at all.
    local: bool,
    port: u16,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    directory: Option<PathBuf>,
    room: Errand<Option<Room>>,
    recovery: Errand<Option<String>>,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Ground {
    /// Of the server at this host and port.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let local = host.is_empty() || host.starts_with('/') || matches!(host, "localhost" | "127.0.0.1" | "::1");
        Self { local, port, known: Mutex::new(Known::default()) }
    }

    /// Learns where the data are: told by the server, or by the command line of the process that serves `pid`.
    pub(super) async fn learn(&self, told: Option<String>, pid: u32) {
        if self.local {
            let directory = told.map(PathBuf::from).or_else(|| directory_of(Path::new("/proc"), pid));
            if directory.is_some() {
                self.known.lock().await.directory = directory;
            }
        }
    }

    /// The room where the data are.
    pub(super) async fn room(&self) -> Option<Room> {
        let mut known = self.known.lock().await;
        let directory = known.directory.clone()?;
        known.room.begin(move || room(&directory)).ok()?;
        match known.room.answer(Instant::now() + LIMIT).await {
            Answer::Came(room) => room,
            Answer::Waiting(_) | Answer::Lost => None,
        }
    }

    /// The trouble with what this host says about it.
    pub(super) async fn explained(&self, mut trouble: Trouble) -> Trouble {
        if !self.local {
            return trouble;
        }
        if self.known.lock().await.directory.is_none() {
            self.known.lock().await.directory = configured(Path::new(CLUSTERS), self.port);
        }
        if let Some(room) = self.room().await.filter(|room| room.free < SEGMENTS) {
            trouble.sentence.push_str(&format_full(&room));
        }
        if trouble.sentence.contains(says::RECOVERING) {
            let mut known = self.known.lock().await;
            let begun = known.recovery.begin(|| recovery(Path::new("/proc")));
            if begun.is_ok()
                && let Answer::Came(Some(segment)) = known.recovery.answer(Instant::now() + LIMIT).await
            {
                trouble.sentence.push_str(&[" It replays its log and is at ", &segment, "."].concat());
            }
        }
        trouble
    }
}

fn format_full(room: &Room) -> String {
    format!(
        " There is {} where its data are: {} of {} free in {}.",
        says::NO_SPACE,
        text::bytes(room.free),
        text::bytes(room.total),
        plain(&room.directory, 120)
    )
}

fn room(directory: &Path) -> Option<Room> {
    let stat = rustix::fs::statvfs(directory).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Some(Room { directory: directory.display().to_string(), free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
}

/// The data directory of the server whose process for this session is `pid`, from the command line of its parent. The
/// process must call itself PostgreSQL's: a server in a container counts its processes otherwise.
fn directory_of(proc: &Path, pid: u32) -> Option<PathBuf> {
    let words = |pid: &str| fs::read(proc.join(pid).join("cmdline")).ok();
    let own = words(&pid.to_string())?;
    if !own.starts_with(b"postgres: ") {
        return None;
    }
    let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.to_owned();
    let line = words(&parent)?;
    let mut words = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    words.find(|word| word == "-D")?;
    words.next().map(|directory| PathBuf::from(directory.into_owned())).filter(|directory| directory.is_absolute())
}

/// The data directory of Debian's cluster on this port: `/etc/postgresql/15/main/postgresql.conf`.
fn configured(clusters: &Path, port: u16) -> Option<PathBuf> {
    let below = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().take(20).map(|entry| entry.path());
    let mut files = below(clusters.to_owned()).flat_map(below).map(|cluster| cluster.join("postgresql.conf"));
    files.find_map(|file| {
        let content = fs::read_to_string(file).ok().filter(|content| content.len() < 1024 * 1024)?;
        let value = |name: &str| {
            let line = content.lines().rev().find(|line| {
                line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
            })?;
            let value = line.split_once('=')?.1.split('#').next()?.trim();
            Some(value.trim_matches('\'').to_owned())
        };
        (value("port")?.parse() == Ok(port)).then(|| value("data_directory").map(PathBuf::from))?
    })
}

/// The segment that a server in recovery replays, from the title of its process, where there is one such server.
fn recovery(proc: &Path) -> Option<String> {
    let mut found = fs::read_dir(proc).ok()?.flatten().filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok().filter(|line| line.starts_with(b"postgres: "))?;
        let title = String::from_utf8_lossy(&line).replace('\0', " ");
        let segment = title.split("startup recovering ").nth(1)?.split_whitespace().next()?;
        Some(plain(segment, 40))
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{configured, directory_of, recovery};

    #[test]
    fn the_data_directory_is_that_of_the_parent_on_this_host() {
        let proc = tempfile::tempdir().unwrap();
        let process = |pid: &str, line: &str, parent: u32| {
            let dir = proc.path().join(pid);
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("cmdline"), line.replace(' ', "\0")).unwrap();
            fs::write(dir.join("stat"), format!("{pid} (post) gres) S {parent} 1 1")).unwrap();
        };
        process("10", "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c x=y", 1);
        fs::create_dir(proc.path().join("11")).unwrap();
        fs::write(proc.path().join("11/cmdline"), "postgres: 15/main: app app [local] idle\0").unwrap();
        fs::write(proc.path().join("11/stat"), "11 (postgres) S 10 1 1").unwrap();
        process("12", "nginx: worker", 10);
        assert_eq!(directory_of(proc.path(), 11), Some(PathBuf::from("/var/lib/postgresql/15/main")));
        assert_eq!(directory_of(proc.path(), 12), None, "another process of this number");
        assert_eq!(directory_of(proc.path(), 99), None);
        assert_eq!(recovery(proc.path()), None);
        fs::create_dir(proc.path().join("13")).unwrap();
        fs::write(proc.path().join("13/cmdline"), "postgres: 15/main: startup recovering 0000000100000003000000A1\0")
            .unwrap();
        assert_eq!(recovery(proc.path()).as_deref(), Some("0000000100000003000000A1"));
    }

    #[test]
    fn a_cluster_is_known_by_its_port() {
        let etc = tempfile::tempdir().unwrap();
        for (version, port) in [("14", 5432), ("15", 5433)] {
            let dir = etc.path().join(version).join("main");
            fs::create_dir_all(&dir).unwrap();
            let text = format!(
                "# port = 1\nport = {port}   # (change requires restart)\ndata_directory = '/var/lib/{version}'  # x\n"
            );
            fs::write(dir.join("postgresql.conf"), text).unwrap();
        }
        assert_eq!(configured(etc.path(), 5433), Some(PathBuf::from("/var/lib/15")));
        assert_eq!(configured(etc.path(), 1), None);
    }
}
