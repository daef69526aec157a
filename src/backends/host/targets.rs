//! What of this host the sites are about: their data, and the names they are configured with.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use url::Url;

use crate::config::Config;
use crate::domain::database::Engine;
use crate::domain::text::plain;

/// Names that are resolved.
const NAMES: usize = 12;
/// Parts of a data directory whose files come and go.
const PASSING: [&str; 6] = ["logs", "log", "cache", "tmp", "profiles", "static.dist"];

/// What the host probe is told besides.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Data directories and `SQLite` files.
    pub data: Vec<PathBuf>,
    /// Names to resolve, with what they are for.
    pub names: Vec<(String, String)>,
}

impl Targets {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        let mut out = Self::default();
        for site in &config.sites {
            out.data.extend(site.data_dir.clone());
            let mut name =
                |host: Option<&str>, what: &str| out.name(host.unwrap_or_default(), &format!("{what} of {}", site.id));
            name(site.url.host_str(), "public URL");
            for (found, what) in [
                (site.redis.as_ref().ok().map(|r| &r.url), "Redis"),
                (site.broker.as_ref().ok().map(|b| &b.url), "broker"),
            ] {
                let url = found
                    .and_then(|url| Url::parse(url.expose_secret()).ok())
                    .filter(|url| !url.scheme().contains("socket"));
                name(url.as_ref().and_then(Url::host_str), what);
            }
            name(site.mail_host.as_deref(), "mail host");
            if let Ok(database) = &site.database {
                match database.engine {
                    Engine::Sqlite => out.data.push(PathBuf::from(&database.name)),
                    Engine::Postgresql | Engine::Mysql => {
                        out.name(&database.host, &format!("database of {}", site.id));
                    }
                }
            }
        }
        out
    }

    /// A name that must be asked for; an address, a socket and this host itself need not.
    fn name(&mut self, host: &str, used_for: &str) {
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let known =
            host.is_empty() || host == "localhost" || host.starts_with(['/', '@']) || host.parse::<IpAddr>().is_ok();
        if known || host.len() > 253 {
            return;
        }
        if let Some((_, uses)) = self.names.iter_mut().find(|(name, _)| *name == host) {
            *uses = plain(&format!("{uses}, {used_for}"), 160);
        } else if self.names.len() < NAMES {
            self.names.push((host, plain(used_for, 160)));
        }
    }

    /// The data directory or file that `path` belongs to, unless it is of a kind that comes and goes.
    pub(super) fn data_of(&self, path: &Path) -> Option<&Path> {
        let name = path.file_name()?.to_string_lossy();
        let passing = name.contains(".log")
            || name.contains(".tmp")
            || name.starts_with("tmp")
            || name.starts_with("wgunicorn")
            || name.ends_with('~')
            || ["-journal", "-wal", "-shm", ".pid", ".lock", ".part", ".partial"].iter().any(|end| name.ends_with(end));
        let within = |dir: &&PathBuf| {
            let Ok(rest) = path.strip_prefix(dir) else { return false };
            !rest.iter().any(|part| PASSING.iter().any(|passing| part == *passing))
        };
        self.data.iter().filter(|dir| dir.is_absolute()).find(within).filter(|_| !passing).map(PathBuf::as_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_counts_as_data() {
        let targets = Targets { data: vec!["/var/pretix/data".into(), "/srv/db.sqlite3".into()], names: Vec::new() };
        let is = |path: &str| targets.data_of(Path::new(path)).is_some();
        assert!(is("/var/pretix/data/media/pub/logo.png") && is("/var/pretix/data/.secret") && is("/srv/db.sqlite3"));
        for passing in
            ["logs/pretix.log", "media/x.tmp", "cache/a", "media/tmpabc", "db.sqlite3-wal", "logs/pretix.log.1"]
        {
            assert!(!is(&format!("/var/pretix/data/{passing}")), "{passing}");
        }
        assert!(!is("/var/pretix/database") && !is("/tmp/x"));
    }

    #[test]
    fn only_names_are_resolved_and_each_once() {
        let mut targets = Targets::default();
        for host in ["db1", "DB1", "127.0.0.1", "[::1]", "localhost", "", "/run/postgresql"] {
            targets.name(host, &format!("x {host}"));
        }
        assert_eq!(targets.names, [("db1".to_owned(), "x db1, x DB1".to_owned())]);
    }
}
