//! The processes that look like a part of a site, and where each belongs: a unit, a container, or nobody.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Surroundings;
use super::trust::{bytes, contained};
use crate::domain::service::Role;

/// More processes than these are not looked at.
const PROCESSES: usize = 20_000;
/// More of a command line is not read.
const LINE: u64 = 16 * 1024;

/// Who keeps a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keeper {
    /// A unit of the system's manager.
    Unit(String),
    /// A unit of the manager of the user with this id.
    UserUnit(String, u32),
    /// A container.
    Container,
    /// Nobody that starts it again.
    Nobody,
}

/// A process with a role, or one that keeps others.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) uid: u32,
    pub(super) words: Vec<String>,
    pub(super) role: Option<Role>,
    /// The port it listens on, where its command line or its own files say.
    pub(super) port: Option<u16>,
    pub(super) keeper: Keeper,
}

/// Every process whose command line tells a role, and every supervisord; by id.
pub(super) fn running(around: &Surroundings) -> Vec<Running> {
    let proc = around.at(Path::new("/proc"));
    let mut pids: Vec<u32> = std::fs::read_dir(&proc)
        .map(|dir| dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).take(PROCESSES).collect())
        .unwrap_or_default();
    pids.sort_unstable();
    pids.into_iter().filter_map(|pid| look(around, &proc, pid)).collect()
}

fn look(around: &Surroundings, proc: &Path, pid: u32) -> Option<Running> {
    let dir = proc.join(pid.to_string());
    let words: Vec<String> = bytes(&dir.join("cmdline"), LINE)
        .ok()?
        .split(|b| *b == 0)
        .filter(|w| !w.is_empty())
        .map(|w| String::from_utf8_lossy(w).into_owned())
        .collect();
    let role = Role::of_command(&words);
    if role.is_none() && !is_supervisord(&words) {
        return None;
    }
    let stat = bytes(&dir.join("stat"), 4096).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(1)?.parse().ok());
    let cgroup = bytes(&dir.join("cgroup"), 16 * 1024).unwrap_or_default();
    Some(Running {
        pid,
        parent: parent.unwrap_or(0),
        uid: std::fs::metadata(&dir).map_or(u32::MAX, |meta| meta.uid()),
        role,
        port: port(around, role, &words),
        // A unit of a system within this one is none of ours.
        keeper: if contained(around, &dir) { Keeper::Container } else { keeper(&String::from_utf8_lossy(&cgroup)) },
        words,
    })
}

/// The port of a server: as its command line says (`postgres -p 5432`, `redis-server 127.0.0.1:6379`, `--port=3306`), of
/// PostgreSQL as the fourth line of its `postmaster.pid` does.
fn port(around: &Surroundings, role: Option<Role>, words: &[String]) -> Option<u16> {
    let named = named_port(words);
    if named.is_some() || role != Some(Role::Database) {
        return named;
    }
    let dir = words.windows(2).find_map(|pair| matches!(pair, [d, _] if d == "-D").then(|| pair.get(1)).flatten())?;
    let file = bytes(&around.at(&Path::new(dir).join("postmaster.pid")), 4096).ok()?;
    String::from_utf8_lossy(&file).lines().nth(3)?.trim().parse().ok()
}

fn named_port(words: &[String]) -> Option<u16> {
    let words: Vec<&str> = words.iter().flat_map(|word| word.split_ascii_whitespace()).collect();
    let pairs = words.windows(2).find_map(|pair| match pair {
        ["-p" | "--port", port] => port.parse().ok(),
        _ => None,
    });
    let single = |word: &&str| {
        let value = word.strip_prefix("--port=").or_else(|| word.strip_prefix("port="));
        let value = value.or_else(|| word.rsplit_once(':').map(|(_, port)| port));
        value.and_then(|port| port.parse().ok())
    };
    pairs.or_else(|| words.iter().find_map(single))
}

/// Whether a command line is supervisord's: `/usr/bin/python3 /usr/bin/supervisord -n -c …`.
pub(super) fn is_supervisord(words: &[String]) -> bool {
    words.iter().take(2).any(|w| Path::new(w).file_name().is_some_and(|name| name == "supervisord"))
}

/// From `/proc/PID/cgroup`. The tree that systemd keeps is the one of version 2, or the one it calls its own.
fn keeper(text: &str) -> Keeper {
    let path = |wanted: &str| {
        text.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            (controllers == wanted && path != "/").then_some(path)
        })
    };
    let Some(path) = path("").or_else(|| path("name=systemd")) else {
        // Docker without systemd: any controller's tree tells.
        return if text.contains("/docker/") || text.contains("/libpod-") { Keeper::Container } else { Keeper::Nobody };
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let contained =
        |part: &&str| ["docker-", "libpod-", "cri-containerd-", "crio-"].iter().any(|kind| part.starts_with(kind));
    if parts.iter().any(contained) || path.contains("/docker/") || path.contains("/kubepods") {
        return Keeper::Container;
    }
    let Some(unit) = parts.iter().rev().find(|part| part.ends_with(".service")) else { return Keeper::Nobody };
    let manager = parts.iter().find_map(|part| part.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok());
    if let Some(uid) = manager {
        let own = unit.starts_with("user@") || *unit == "init.scope";
        return if own { Keeper::Nobody } else { Keeper::UserUnit((*unit).to_owned(), uid) };
    }
    // What these start is not theirs.
    let starters = ["cron.service", "crond.service", "ssh.service", "sshd.service", "supervisor.service"];
    let starters = [&starters[..], &["supervisord.service", "docker.service", "containerd.service"]].concat();
    if starters.contains(unit) { Keeper::Nobody } else { Keeper::Unit((*unit).to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::{Keeper, keeper, named_port};

    #[test]
    fn a_control_group_tells_who_keeps_a_process() {
        let unit = |name: &str| Keeper::Unit(name.to_owned());
        for (text, expected) in [
            ("0::/system.slice/pretix-web.service\n", unit("pretix-web.service")),
            ("0::/system.slice/system-postgresql.slice/postgresql@15-main.service", unit("postgresql@15-main.service")),
            ("12:memory:/x\n1:name=systemd:/system.slice/pretix-web.service\n0::/\n", unit("pretix-web.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/pretix-web.service",
                Keeper::UserUnit("pretix-web.service".to_owned(), 1000),
            ),
            ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", Keeper::Nobody),
            ("0::/user.slice/user-0.slice/session-3.scope", Keeper::Nobody),
            ("0::/system.slice/docker-0123abc.scope", Keeper::Container),
            ("4:memory:/docker/0123abc\n0::/\n", Keeper::Container),
            ("0::/system.slice/supervisor.service", Keeper::Nobody),
            ("0::/\n", Keeper::Nobody),
            ("", Keeper::Nobody),
        ] {
            assert_eq!(keeper(text), expected, "{text}");
        }
    }

    #[test]
    fn ports_are_read_from_command_lines() {
        for (line, port) in [
            ("/usr/bin/redis-server 127.0.0.1:56379", Some(56379)),
            ("redis-server *:6379", Some(6379)),
            ("postgres|-D|/x|-p|55432", Some(55432)),
            ("mariadbd|--port=3307", Some(3307)),
            ("postgres|-D|/x|-c|port=5433", Some(5433)),
            ("nginx: master process /usr/sbin/nginx -g daemon on;", None),
        ] {
            assert_eq!(named_port(&line.split('|').map(ToOwned::to_owned).collect::<Vec<_>>()), port, "{line}");
        }
    }
}
