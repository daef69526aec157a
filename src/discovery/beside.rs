//! The logs of what stands beside an application: its database server, its Redis, its proxy, and no other site's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use globset::Glob;
use secrecy::{ExposeSecret as _, SecretString};

use super::Surroundings;
use super::logs::{PROCESSES, listed, written};
use super::trust::bytes;
use crate::config::SiteConfig;
use crate::domain::database::Engine;

/// Programs beside the application whose logs tell of it.
const BESIDE: &[&str] = &["postgres", "redis-server", "valkey-server", "nginx", "haproxy", "mariadbd", "mysqld"];
/// Where those write on Debian and its like, when nothing more is known of them.
const USUAL: &[(&str, &str)] = &[
    ("nginx", "/var/log/nginx/error.log"),
    ("haproxy", "/var/log/haproxy.log"),
    ("redis-server", "/var/log/redis/redis-server.log"),
    ("mariadbd", "/var/log/mysql/error.log"),
];

/// More of a proxy's configuration is not read, in bytes and in files.
const MAX: u64 = 256 * 1024;
const FILES: usize = 100;

/// What a site stands on: of several servers on a host the others' logs are not its own.
#[derive(Debug, Default)]
pub(super) struct Stands {
    engine: Option<Engine>,
    database: Option<u16>,
    redis: Vec<u16>,
    /// How a proxy's configuration would name it: its host's name, and the ports it is reached at.
    host: Option<String>,
    ports: Vec<u16>,
}

impl Stands {
    /// What this site stands on.
    pub(super) fn on(site: &SiteConfig) -> Self {
        let redis = site.redis.as_ref().ok().map(|redis| &redis.url);
        let broker = site.broker.as_ref().ok().map(|broker| &broker.url);
        let port = |url: &SecretString| url::Url::parse(url.expose_secret()).ok().and_then(|url| url.port());
        let host = site.url.host_str().filter(|host| *host != "localhost" && host.parse::<IpAddr>().is_err());
        let database = site.database.as_ref().ok();
        Self {
            engine: database.map(|database| database.engine),
            database: database.and_then(|database| database.port),
            redis: redis.into_iter().chain(broker).filter_map(port).collect(),
            host: host.map(ToOwned::to_owned),
            ports: site.url.port().into_iter().chain(site.direct.as_ref().and_then(url::Url::port)).collect(),
        }
    }

    /// Whether the server in this directory of `/proc` is certain to be another's: PostgreSQL's working directory
    /// has its port in the fourth line of `postmaster.pid`, Redis shows its own as the end of its title.
    fn deny(&self, around: &Surroundings, process: &Path, program: &str) -> bool {
        let text = |path: PathBuf| Some(String::from_utf8_lossy(&bytes(&path, 4_096).ok()?).into_owned());
        let title_of = |dir: &Path| text(dir.join("cmdline")).map(|title| title.replace('\0', " ")).unwrap_or_default();
        let title = || title_of(process);
        match program {
            "postgres" => {
                let lines = text(process.join("cwd/postmaster.pid"));
                let port = lines.and_then(|lines| lines.lines().nth(3)?.trim().parse::<u16>().ok());
                self.has_other_engine(Engine::Postgresql)
                    || self.database.zip(port).is_some_and(|(own, port)| own != port)
            }
            "mariadbd" | "mysqld" => self.has_other_engine(Engine::Mysql),
            "redis-server" | "valkey-server" => {
                let port = title().split_whitespace().nth(1).and_then(|word| word.rsplit(':').next()?.parse().ok());
                !self.redis.is_empty() && port.is_some_and(|port: u16| !self.redis.contains(&port))
            }
            // The host's own nginx is every site's; one with a configuration elsewhere is the sites' that are named there.
            "nginx" => {
                // A worker's title does not tell; its master's does.
                let master = title().starts_with("nginx: master").then(|| process.to_owned());
                let master = master.or_else(|| Some(process.with_file_name(parent(process)?.to_string())));
                let title = master.map(|dir| title_of(&dir)).unwrap_or_default();
                let told = title.split_once(" -c ").and_then(|(_, rest)| rest.split_whitespace().next());
                told.filter(|path| !path.starts_with("/etc/"))
                    .is_some_and(|path| !self.is_named(around, Path::new(path)))
            }
            _ => false,
        }
    }

    fn has_other_engine(&self, engine: Engine) -> bool {
        self.engine.is_some_and(|own| own != engine)
    }

    /// Whether this configuration of nginx, or one it includes, names the site.
    fn is_named(&self, around: &Surroundings, path: &Path) -> bool {
        let read = |path: &Path| {
            let bytes = bytes(&around.at(path), MAX).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let main = read(path);
        let dir = path.parent().unwrap_or(Path::new("/"));
        let includes = main.lines().filter_map(|line| line.trim().strip_prefix("include ")?.split(';').next());
        let files = includes.flat_map(|pattern| matching(around, &dir.join(pattern.trim())));
        self.is_in(&main) || files.take(FILES).any(|file| self.is_in(&read(&file)))
    }

    fn is_in(&self, text: &str) -> bool {
        let is_number = |word: &str| word.parse().is_ok_and(|port: u16| self.ports.contains(&port));
        self.host.as_ref().is_some_and(|host| text.contains(host.as_str()))
            || text.split(|c: char| !c.is_ascii_digit()).any(is_number)
    }
}

/// The files of a directory whose names match the last part of a pattern.
fn matching(around: &Surroundings, pattern: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (pattern.parent(), pattern.file_name()) else { return Vec::new() };
    let Ok(glob) = Glob::new(&name.to_string_lossy()) else { return Vec::new() };
    let glob = glob.compile_matcher();
    let entries = std::fs::read_dir(around.at(dir)).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|e| glob.is_match(e.file_name())).take(FILES).map(|e| dir.join(e.file_name())).collect()
}

/// The logs of database, Redis and proxies: where their processes write, or where they usually do.
pub(super) fn beside(around: &Surroundings, stands: &Stands) -> Vec<PathBuf> {
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
    running.retain(|(pid, program)| !stands.deny(around, &proc.join(pid.to_string()), program));
    let mut out = Vec::new();
    let mut told = BTreeSet::new();
    for (pid, program) in &running {
        // One process of each tells; PostgreSQL has one for each session.
        let inherited = *program == "postgres" && told.contains(program) && parent_is(&proc, *pid, &running);
        if inherited {
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
    let parent = parent(&proc.join(pid.to_string()));
    parent.is_some_and(|parent| running.iter().any(|(pid, name)| *pid == parent && *name == "postgres"))
}

fn parent(process: &Path) -> Option<u32> {
    let stat = bytes(&process.join("stat"), 4_096).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)).and_then(|p| p.parse().ok())
}
