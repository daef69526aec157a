//! Which access logs a site has: named, by nginx' configuration, by the process that listens on the application's port, by
//! what a proxy holds open.
//!
//! The outermost one that can be read is taken: a proxy's log has every request, the application's only those that got
//! through to it, and both together would count them twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::{nginx, processes};
use super::journal;
use crate::config::{AppKind, SiteConfig};
use crate::domain::access::{Format, Template};

/// Logs of one site.
const LOGS: usize = 8;
/// gunicorn's `access_log_format` where none is given is the combined one: recognised.
const FORMAT_OPTION: &str = "--access-logformat";

/// One log that a site seems to have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Its path; of a journal, the unit's name after `journal:`.
    pub(super) path: PathBuf,
    /// The unit in whose journal it is.
    pub(super) unit: Option<String>,
    pub(super) format: Format,
    /// Who says so.
    pub(super) by: String,
    /// Other sites' host names whose requests may be in it too.
    pub(super) shared_with: Vec<String>,
}

/// What a site is known by.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) named: Vec<PathBuf>,
    /// The host of its public URL.
    pub(super) host: String,
    /// Its port.
    pub(super) port: Option<u16>,
    /// `host:port` of the application itself, where that is told or its public URL is this host's.
    pub(super) backend: Option<(String, u16)>,
    /// A word of its server's command line: `pretix.wsgi`.
    pub(super) module: Option<&'static str>,
}

impl Wanted {
    pub(super) fn of(site: &SiteConfig) -> Self {
        let local = |url: &url::Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let own = site.direct.as_ref().or_else(|| Some(&site.url).filter(|url| local(url)));
        Self {
            named: site.access_logs.clone(),
            host: site.url.host_str().unwrap_or_default().to_ascii_lowercase(),
            port: site.url.port_or_known_default(),
            backend: own.and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?))),
            module: match site.app {
                AppKind::Pretix => Some("pretix.wsgi"),
                AppKind::Pretalx => Some("pretalx.wsgi"),
                AppKind::Web => None,
            },
        }
    }
}

/// The logs of a site, and what was looked at without success, in sentences.
pub(super) fn find(wanted: &Wanted) -> (Vec<Found>, Vec<String>) {
    if !wanted.named.is_empty() {
        let named = |path: &PathBuf| Found {
            path: path.clone(),
            unit: None,
            format: Format::Recognised,
            by: "midwatch.toml".to_owned(),
            shared_with: Vec::new(),
        };
        return (wanted.named.iter().take(LOGS).map(named).collect(), Vec::new());
    }
    let mut trail = Vec::new();
    for look in [by_nginx, by_open_files, by_server] {
        let found = look(wanted, &mut trail);
        if !found.is_empty() {
            return (found, trail);
        }
    }
    (Vec::new(), trail)
}

fn by_nginx(wanted: &Wanted, trail: &mut Vec<String>) -> Vec<Found> {
    let (mut servers, mut read) = (Vec::new(), Vec::new());
    for path in nginx::configurations() {
        match nginx::servers(&path) {
            Ok(found) => {
                servers.extend(found);
                read.push(path.display().to_string());
            }
            Err(why) => trail.push(format!("nginx: {why}")),
        }
    }
    let backend = wanted.backend.as_ref().map(|(host, port)| format!("{host}:{port}"));
    let ours = nginx::of_site(&servers, &wanted.host, wanted.port, backend.as_deref());
    let others: Vec<_> = servers.iter().filter(|server| !server.serves(&wanted.host, backend.as_deref())).collect();
    if ours.is_empty() && !read.is_empty() {
        trail.push(format!("nginx: no server of {} is for {}", read.join(", "), wanted.host));
    }
    let mut out: Vec<Found> = Vec::new();
    for log in ours.iter().flat_map(|server| &server.logs) {
        if out.len() == LOGS || out.iter().any(|known| known.path == log.path) {
            continue;
        }
        let sharing = others.iter().filter(|other| other.logs.iter().any(|l| l.path == log.path));
        let names: BTreeSet<String> = sharing.flat_map(|other| other.names.iter().take(4).cloned()).collect();
        let format = log.format.clone().map_or(Format::Recognised, Format::Told);
        out.push(Found {
            path: log.path.clone(),
            unit: None,
            format,
            by: "nginx".to_owned(),
            shared_with: names.into_iter().filter(|name| name != "_").take(8).collect(),
        });
    }
    out
}

/// A proxy whose configuration isn't understood here still has its logs open.
fn by_open_files(_wanted: &Wanted, _trail: &mut Vec<String>) -> Vec<Found> {
    let mut out: Vec<Found> = Vec::new();
    for (pid, words) in processes::command_lines() {
        let program = words.first().and_then(|w| Path::new(w).file_name()).map(|n| n.to_string_lossy().into_owned());
        let Some(name) = program.filter(|name| matches!(name.as_str(), "caddy" | "haproxy")) else { continue };
        for path in access_logs(pid) {
            if out.len() < LOGS && !out.iter().any(|known| known.path == path) {
                let shared_with = vec!["all its other sites".to_owned()];
                out.push(Found {
                    path,
                    unit: None,
                    format: Format::Recognised,
                    by: format!("{name} {pid}"),
                    shared_with,
                });
            }
        }
    }
    out
}

/// Regular files a process has open whose names say that they are access logs.
fn access_logs(pid: u32) -> Vec<PathBuf> {
    let open = processes::descriptors(pid).unwrap_or_default();
    let is_log = |path: &Path| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        path.is_absolute() && name.contains("access") && name.contains("log") && !name.ends_with("(deleted)")
    };
    let mut out: Vec<PathBuf> = open.into_iter().map(|(_, path)| path).filter(|path| is_log(path)).collect();
    out.sort();
    out.dedup();
    out
}

/// The application's own server: whoever listens on its port, or runs its module.
fn by_server(wanted: &Wanted, trail: &mut Vec<String>) -> Vec<Found> {
    let sockets = wanted.backend.as_ref().map(|(_, port)| processes::listening(*port)).unwrap_or_default();
    let (mut out, mut hidden): (Vec<Found>, Option<u32>) = (Vec::new(), None);
    for (pid, words) in processes::command_lines() {
        let runs = wanted.module.is_some_and(|module| words.iter().any(|w| w.contains(module)))
            && words.iter().take(3).any(|w| w.contains("gunicorn") || w.contains("uwsgi"));
        let bound = wanted.backend.as_ref().map(|(_, port)| format!(":{port}"));
        let told = bound.is_some_and(|port| runs && words.iter().any(|w| w.ends_with(&port)));
        let open = processes::descriptors(pid);
        let listens = match &open {
            Ok(open) => open.iter().any(|(_, l)| processes::socket_inode(l).is_some_and(|i| sockets.contains(&i))),
            Err(_) => false,
        };
        if !(listens || told || (runs && wanted.backend.is_none())) {
            continue;
        }
        if open.is_err() {
            hidden = hidden.or(Some(pid));
        }
        for (path, unit, format) in of_server(pid, &words) {
            if out.len() < LOGS && !out.iter().any(|known| known.path == path) {
                let name = words.iter().take(2).any(|word| word.contains("uwsgi"));
                let name = if name { "uwsgi" } else { "gunicorn" };
                let name = if runs { name } else { "process" };
                out.push(Found { path, unit, format, by: format!("{name} {pid}"), shared_with: Vec::new() });
            }
        }
    }
    if let (Some(pid), true) = (hidden, out.is_empty()) {
        trail.push(format!("what process {pid} holds open is seen only as its user, or as root"));
    }
    out
}

/// The access logs of one server process: those it was told of, else those it has open.
fn of_server(pid: u32, words: &[String]) -> Vec<(PathBuf, Option<String>, Format)> {
    let option = |name: &str| {
        let mut all = words.iter();
        all.find_map(|word| match word.strip_prefix(name) {
            Some("") => Some(None),
            Some(rest) => rest.strip_prefix('=').map(|value| Some(value.to_owned())),
            None => None,
        })
        .map(|value| value.or_else(|| all.next().cloned()).unwrap_or_default())
    };
    let format = option(FORMAT_OPTION).and_then(|text| Template::gunicorn(&text));
    let format = format.map_or(Format::Recognised, Format::Told);
    match option("--access-logfile").as_deref() {
        Some("-") => output(pid).into_iter().map(|(path, unit)| (path, unit, format.clone())).collect(),
        Some(path) if !path.is_empty() => {
            let dir = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_else(|_| PathBuf::from("/"));
            vec![(dir.join(path), None, format)]
        }
        Some(_) | None => access_logs(pid).into_iter().map(|path| (path, None, format.clone())).collect(),
    }
}

/// Where a process' output goes: a file, or the journal of its unit.
fn output(pid: u32) -> Option<(PathBuf, Option<String>)> {
    let output = std::fs::read_link(format!("/proc/{pid}/fd/1"));
    if let Ok(path) = &output
        && path.is_absolute()
        && path.is_file()
    {
        return Some((path.clone(), None));
    }
    // What it is, another user may not see; where its unit is known, it is the journal that systemd gives every unit.
    let socket = output.as_ref().is_ok_and(|path| processes::socket_inode(path).is_some());
    let unit = journal::unit(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)?;
    (output.is_err() || socket).then(|| (PathBuf::from(format!("journal:{unit}")), Some(unit)))
}
