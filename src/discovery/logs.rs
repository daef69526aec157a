//! Where the logs of an application are: in its data directory, where its processes write, what they were told on their
//! command lines, the units they run in, and beside them the logs of database, Redis and proxy.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::Surroundings;
use super::process::Process;
use super::trust::bytes;
use crate::config::{Found, LogConfig, LogPlace, SiteConfig, Trace};
use crate::domain::text;

/// More open files of one process are not looked at.
const DESCRIPTORS: usize = 2_000;
/// More processes are not looked at.
const PROCESSES: usize = 20_000;
/// Most logs of a site.
const MOST: usize = 24;
/// Options whose value is a log.
const OPTIONS: &[&str] = &["--error-logfile", "--log-file", "--logfile"];
/// Programs beside the application whose logs tell of it.
const BESIDE: &[&str] = &["postgres", "redis-server", "valkey-server", "nginx", "haproxy", "mariadbd", "mysqld"];
/// Where those write on Debian and its like, when nothing more is known of them.
const USUAL: &[(&str, &str)] = &[
    ("nginx", "/var/log/nginx/error.log"),
    ("haproxy", "/var/log/haproxy.log"),
    ("redis-server", "/var/log/redis/redis-server.log"),
    ("mariadbd", "/var/log/mysql/error.log"),
];

/// The ports of the servers that a site uses: of several servers on a host the others' logs are not its own.
#[derive(Debug, Default)]
pub(super) struct Ports {
    database: Option<u16>,
    redis: Vec<u16>,
}

impl Ports {
    /// Those of this site.
    pub(super) fn of(site: &SiteConfig) -> Self {
        let redis = site.redis.as_ref().ok().map(|redis| &redis.url);
        let broker = site.broker.as_ref().ok().map(|broker| &broker.url);
        let port = |url: &SecretString| url::Url::parse(url.expose_secret()).ok().and_then(|url| url.port());
        Self {
            database: site.database.as_ref().ok().and_then(|database| database.port),
            redis: redis.into_iter().chain(broker).filter_map(port).collect(),
        }
    }

    /// Whether the server in this directory of `/proc` is certain to listen elsewhere: PostgreSQL's working directory
    /// has its port in the fourth line of `postmaster.pid`, Redis shows its own as the end of its title.
    fn deny(&self, process: &Path, program: &str) -> bool {
        let text = |path: PathBuf| Some(String::from_utf8_lossy(&bytes(&path, 4_096).ok()?).into_owned());
        match program {
            "postgres" => {
                let lines = text(process.join("cwd/postmaster.pid"));
                let port = lines.and_then(|lines| lines.lines().nth(3)?.trim().parse::<u16>().ok());
                self.database.zip(port).is_some_and(|(own, port)| own != port)
            }
            "redis-server" | "valkey-server" => {
                let title = text(process.join("cmdline")).map(|title| title.replace('\0', " "));
                let port =
                    title.and_then(|title| title.split_whitespace().nth(1)?.rsplit(':').next()?.parse::<u16>().ok());
                !self.redis.is_empty() && port.is_some_and(|port| !self.redis.contains(&port))
            }
            // One that somebody started with a configuration of his own, as tests do, is no proxy of this site.
            "nginx" => {
                let title = text(process.join("cmdline")).map(|title| title.replace('\0', " ")).unwrap_or_default();
                let own = title.split_once(" -c ").and_then(|(_, rest)| rest.split_whitespace().next());
                own.is_some_and(|path| path.starts_with("/tmp/") || path.starts_with("/var/tmp/"))
            }
            _ => false,
        }
    }
}

/// The logs of an application with this data directory and these processes.
pub(super) fn logs(
    around: &Surroundings,
    data_dir: &Path,
    processes: &[&Process],
    ports: &Ports,
    trail: &mut Vec<Trace>,
) -> Vec<LogConfig> {
    let mut places: Vec<LogPlace> = Vec::new();
    let mut files: Vec<PathBuf> = listed(around, &data_dir.join("logs"));
    for process in processes {
        files.extend(told(process));
        files.extend(written(around, process.pid()));
        places.extend(unit(around, process.pid()));
    }
    files.extend(beside(around, ports));
    // The same file by several names is one; what keeps requests is read elsewhere.
    let mut seen = BTreeSet::new();
    files.retain(|file| !is_access(file) && seen.insert(identity(around, file)));
    places.extend(files.into_iter().map(LogPlace::File));
    let mut known = BTreeSet::new();
    places.retain(|place| known.insert(place.clone()));
    places.truncate(MOST);
    let n = u64::try_from(places.len()).unwrap_or(0);
    let outcome = match n {
        0 => Found::No("no log was found; name them with [[sites.NAME.logs]]".to_owned()),
        n => Found::Yes(text::count(n, "source")),
    };
    trail.push(Trace { what: "logs".to_owned(), outcome });
    places.into_iter().map(named).collect()
}

fn named(place: LogPlace) -> LogConfig {
    match place {
        LogPlace::File(path) => LogConfig::file(path),
        LogPlace::Unit { unit, user } => LogConfig::unit(&unit, user),
        place @ (LogPlace::Container { .. } | LogPlace::Compose { .. }) => {
            LogConfig { name: text::plain(&place.to_string(), 60), place }
        }
    }
}

/// `*.log` of a directory.
fn listed(around: &Surroundings, dir: &Path) -> Vec<PathBuf> {
    let names =
        std::fs::read_dir(around.at(dir)).map(|dir| dir.filter_map(Result::ok).take(DESCRIPTORS).collect::<Vec<_>>());
    let mut out: Vec<PathBuf> = names
        .unwrap_or_default()
        .iter()
        .map(|entry| dir.join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|e| e == "log") && around.at(path).is_file())
        .collect();
    out.sort();
    out
}

/// The logs named on a command line.
fn told(process: &Process) -> Vec<PathBuf> {
    let mut words = process.words().iter();
    let mut out = Vec::new();
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some((option, value)) if OPTIONS.contains(&option) => Some(value.to_owned()),
            _ if OPTIONS.contains(&word.as_str()) => words.next().cloned(),
            _ => None,
        };
        // Celery puts the node's name in; a dash is the standard output.
        if let Some(value) = value.filter(|v| v != "-" && !v.contains('%') && !v.is_empty()) {
            out.extend(
                process
                    .cwd()
                    .map(|cwd| cwd.join(&value))
                    .or_else(|| Some(PathBuf::from(&value)))
                    .filter(|p| p.is_absolute()),
            );
        }
    }
    out
}

/// Regular files named like a log that a process has open for writing, and those its output goes to.
fn written(around: &Surroundings, pid: u32) -> Vec<PathBuf> {
    let dir = around.at(Path::new("/proc")).join(pid.to_string());
    let Ok(descriptors) = std::fs::read_dir(dir.join("fd")) else { return Vec::new() };
    let mut out = BTreeSet::new();
    for entry in descriptors.filter_map(Result::ok).take(DESCRIPTORS) {
        let Ok(path) = std::fs::read_link(entry.path()) else { continue };
        let name = entry.file_name();
        let output = name == "1" || name == "2";
        let like = path.extension().is_some_and(|e| e == "log" || (output && (e == "err" || e == "out" || e == "txt")));
        if !path.is_absolute() || !like || !around.at(&path).is_file() {
            continue;
        }
        let info = bytes(&dir.join("fdinfo").join(&name), 4_096).unwrap_or_default();
        let info = String::from_utf8_lossy(&info);
        let flags =
            info.lines().find_map(|l| l.strip_prefix("flags:")).and_then(|f| u32::from_str_radix(f.trim(), 8).ok());
        // The two lowest bits: 0 is reading alone.
        if flags.is_some_and(|flags| flags & 0o3 != 0) {
            out.insert(path);
        }
    }
    out.into_iter().collect()
}

/// The unit that a process runs in, by its control group.
fn unit(around: &Surroundings, pid: u32) -> Option<LogPlace> {
    let path = around.at(Path::new("/proc")).join(pid.to_string()).join("cgroup");
    let text = String::from_utf8_lossy(&bytes(&path, 16 * 1024).ok()?).into_owned();
    // The unified hierarchy, or systemd's own of the old ones.
    let group =
        text.lines().find_map(|l| l.strip_prefix("0::").or_else(|| l.split_once(":name=systemd:").map(|(_, g)| g)))?;
    let service = group.split('/').rev().find(|part| part.ends_with(".service"))?;
    // A session's own manager holds everything a login has started: that is no unit of the application's.
    if service.starts_with("user@") {
        return None;
    }
    let user = group.split('/').any(|part| part.starts_with("user@"));
    Some(LogPlace::Unit { unit: service.to_owned(), user })
}

/// The logs of database, Redis and proxies: where their processes write, or where they usually do.
fn beside(around: &Surroundings, ports: &Ports) -> Vec<PathBuf> {
    let proc = around.at(Path::new("/proc"));
    let pids = std::fs::read_dir(&proc).map(|dir| {
        dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok()).take(PROCESSES).collect::<Vec<_>>()
    });
    let mut running: Vec<(u32, &str)> = Vec::new();
    for pid in pids.unwrap_or_default() {
        let name = bytes(&proc.join(pid.to_string()).join("comm"), 64).unwrap_or_default();
        let name = String::from_utf8_lossy(&name);
        running.extend(BESIDE.iter().find(|known| **known == name.trim()).map(|known| (pid, *known)));
    }
    let mut out = Vec::new();
    let mut told = BTreeSet::new();
    for (pid, program) in &running {
        // One process of each tells; PostgreSQL has one for each session.
        let inherited = *program == "postgres" && told.contains(program) && parent_is(&proc, *pid, &running);
        if inherited || ports.deny(&proc.join(pid.to_string()), program) {
            continue;
        }
        let files = written(around, *pid);
        if !files.is_empty() {
            told.insert(*program);
        }
        out.extend(files);
    }
    for (program, path) in USUAL {
        let path = PathBuf::from(path);
        if running.iter().any(|(_, name)| name == program) && !told.contains(program) && around.at(&path).exists() {
            out.push(path);
        }
    }
    if running.iter().any(|(_, name)| *name == "postgres") && !told.contains("postgres") {
        out.extend(listed(around, Path::new("/var/log/postgresql")));
    }
    out
}

fn parent_is(proc: &Path, pid: u32, running: &[(u32, &str)]) -> bool {
    let stat = bytes(&proc.join(pid.to_string()).join("stat"), 4_096).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    let parent =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)).and_then(|p| p.parse::<u32>().ok());
    parent.is_some_and(|parent| running.iter().any(|(pid, name)| *pid == parent && *name == "postgres"))
}

fn is_access(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_ascii_lowercase().contains("access"))
}

fn identity(around: &Surroundings, path: &Path) -> (u64, u64, Option<PathBuf>) {
    match std::fs::metadata(around.at(path)) {
        Ok(about) => (about.dev(), about.ino(), None),
        Err(_) => (0, 0, Some(path.to_owned())),
    }
}
