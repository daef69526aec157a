//! What nginx' configuration says: which sites it serves, their access logs, their certificates, whom it asks.
//!
//! Read from disk, bounded, never through `nginx -T` (which tests and so opens every log for writing).

mod directive;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::directive::Directive;
use crate::domain::access::Template;

/// Running nginx that are looked at.
const MASTERS: usize = 16;
/// Servers kept of one configuration.
const SERVERS: usize = 500;

/// One `server { … }`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Server {
    /// The names it answers to.
    pub(super) names: Vec<String>,
    /// The ports it listens on.
    pub(super) ports: Vec<u16>,
    /// `host:port` or `unix:/path` of whom it asks, upstreams resolved.
    pub(super) backends: Vec<String>,
    /// Its access logs.
    pub(super) logs: Vec<Log>,
    /// Files of its certificates.
    pub(super) certificates: Vec<PathBuf>,
    /// Directories it serves files from under a path of their own (`location /static/ { alias …; }`).
    pub(super) directories: Vec<PathBuf>,
}

/// One access log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Log {
    /// Its path.
    pub(super) path: PathBuf,
    /// Its format, where it has one of its own.
    pub(super) format: Option<Template>,
}

impl Server {
    /// Whether it answers to `host`, or asks `backend` (`host:port`).
    pub(super) fn serves(&self, host: &str, backend: Option<&str>) -> bool {
        self.answers_to(host) || backend.is_some_and(|backend| self.backends.iter().any(|b| b == backend))
    }

    /// Whether one of its names is `host`, or a pattern that takes it in.
    pub(super) fn answers_to(&self, host: &str) -> bool {
        self.names.iter().any(|name| {
            if let Some(suffix) = name.strip_prefix("*.") {
                host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
            } else if let Some(suffix) = name.strip_prefix('.') {
                host == suffix || host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
            } else {
                name.eq_ignore_ascii_case(host)
            }
        })
    }
}

/// Those of `servers` that are for a site: by its name or by whom they ask; where some of them listen on its port, only
/// those (the others redirect to it).
pub(super) fn of_site<'a>(
    servers: &'a [Server],
    host: &str,
    port: Option<u16>,
    backend: Option<&str>,
) -> Vec<&'a Server> {
    let ours: Vec<&Server> = servers.iter().filter(|server| server.serves(host, backend)).collect();
    let exact: Vec<&Server> =
        ours.iter().copied().filter(|server| port.is_some_and(|p| server.ports.contains(&p))).collect();
    if !exact.is_empty() {
        return exact;
    }
    // An address is a name that any server here may have: without the port it says nothing.
    let by_address = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok();
    let asks = |server: &&Server| backend.is_some_and(|backend| server.backends.iter().any(|b| b == backend));
    ours.into_iter().filter(|server| !by_address || asks(server)).collect()
}

/// Where the running nginx has its configuration, each of several; its usual place where none runs.
pub(super) fn configurations() -> Vec<PathBuf> {
    let masters = super::processes::command_lines()
        .into_iter()
        .filter(|(_, words)| words.first().is_some_and(|title| title.starts_with("nginx: master process")));
    let named = masters.filter_map(|(_, words)| {
        let title = words.join(" ");
        let mut words = title.split_ascii_whitespace();
        words.find(|word| *word == "-c")?;
        words.next().map(PathBuf::from).filter(|path| path.is_absolute())
    });
    let usual = PathBuf::from("/etc/nginx/nginx.conf");
    let mut all: Vec<PathBuf> = named.take(MASTERS).collect();
    if !all.contains(&usual) && usual.exists() {
        all.push(usual);
    }
    all
}

/// The directory a location with a plain path serves files from.
fn directory(location: &Directive) -> Option<String> {
    let at = location.args.last().filter(|at| at.starts_with('/') && at.len() > 1)?;
    let prefix = location.args.len() == 1 || location.args.first().is_some_and(|a| a == "^~" || a == "=");
    let alias = location.named("alias").find_map(first);
    let root = || Some([location.named("root").find_map(first)?.trim_end_matches('/'), at].concat());
    alias.or_else(root).filter(|path| prefix && !path.contains('$'))
}

/// Every server of the configuration at `path`.
///
/// # Errors
/// A sentence, where the file can't be read.
pub(super) fn servers(path: &Path) -> Result<Vec<Server>, String> {
    let directives = directive::read(path)?;
    let prefix = path.parent().unwrap_or_else(|| Path::new("/"));
    let mut out = Vec::new();
    for http in directives.iter().filter(|d| d.name == "http") {
        let upstreams: BTreeMap<&str, Vec<String>> = http
            .named("upstream")
            .filter_map(|u| Some((u.args.first()?.as_str(), u.named("server").filter_map(first).collect())))
            .collect();
        let formats: BTreeMap<&str, Option<Template>> = http.named("log_format").filter_map(format).collect();
        let place = |text: &str| if text.starts_with('/') { PathBuf::from(text) } else { prefix.join(text) };
        let logs = |within: &Directive| {
            let named = within.named("access_log").filter_map(|log| {
                let path = log.args.first().filter(|p| !p.starts_with("syslog:") && !p.contains('$') && *p != "off")?;
                let format = log.args.get(1).and_then(|name| formats.get(name.as_str()).cloned().flatten());
                Some(Log { path: place(path), format })
            });
            (within.named("access_log").next().is_some(), named.collect::<Vec<_>>())
        };
        let (told, outer) = logs(http);
        // nginx' own default, as Debian builds it.
        let usual = Log { path: PathBuf::from("/var/log/nginx/access.log"), format: None };
        let outer = if told { outer } else { vec![usual] };
        for server in http.named("server").take(SERVERS - out.len().min(SERVERS)) {
            let (told, own) = logs(server);
            let mut logs_here = if told { own } else { outer.clone() };
            let (mut backends, mut directories) = (Vec::new(), Vec::new());
            let mut inside: Vec<&Directive> = server.block.iter().collect();
            while let Some(directive) = inside.pop() {
                match directive.name.as_str() {
                    "proxy_pass" | "uwsgi_pass" | "grpc_pass" => backends.extend(first(directive).map(|to| asked(&to))),
                    "location" | "if" | "limit_except" => {
                        directories.extend(directory(directive).map(|path| place(&path)));
                        inside.extend(&directive.block);
                        logs_here.extend(logs(directive).1);
                    }
                    _ => {}
                }
            }
            let resolved = |name: String| upstreams.get(name.as_str()).cloned().unwrap_or_else(|| vec![name]);
            logs_here.dedup_by(|a, b| a.path == b.path);
            out.push(Server {
                ports: server.named("listen").filter_map(|listen| port(listen.args.first()?)).collect(),
                names: server.named("server_name").flat_map(|n| n.args.clone()).collect(),
                backends: backends.into_iter().flat_map(resolved).collect(),
                logs: logs_here,
                certificates: server
                    .named("ssl_certificate")
                    .filter_map(first)
                    .filter(|p| !p.contains('$'))
                    .map(|p| place(&p))
                    .collect(),
                directories,
            });
        }
    }
    Ok(out)
}

fn first(directive: &Directive) -> Option<String> {
    directive.args.first().cloned()
}

/// The port of `listen 443`, `listen [::]:443`, `listen 127.0.0.1:8080`, `listen 127.0.0.1`.
fn port(listen: &str) -> Option<u16> {
    if listen.starts_with("unix:") {
        return None;
    }
    let last = listen.rsplit(':').next().unwrap_or(listen);
    Some(last.parse().unwrap_or(80))
}

/// `log_format name [escape=…] 'piece' 'piece'`.
fn format(directive: &Directive) -> Option<(&str, Option<Template>)> {
    let (name, pieces) = directive.args.split_first()?;
    let text: String = pieces.iter().filter(|p| !p.starts_with("escape=")).map(String::as_str).collect();
    Some((name, Template::nginx(&text)))
}

/// The place in `http://127.0.0.1:8345/path`, `http://unix:/run/x.sock:/`, `upstream`.
fn asked(to: &str) -> String {
    let place = to.split_once("://").map_or(to, |(_, place)| place);
    if let Some(socket) = place.strip_prefix("unix:") {
        return format!("unix:{}", socket.split(':').next().unwrap_or_default());
    }
    let place = place.split('/').next().unwrap_or_default();
    if place.contains(':') || !place.contains('.') { place.to_owned() } else { format!("{place}:80") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_found_through_includes_names_and_upstreams() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sites-enabled")).unwrap();
        std::fs::write(
            dir.path().join("nginx.conf"),
            "# comment { \nevents { worker_connections 768; }\nhttp {\n  log_format timed '$remote_addr [$time_local] '\n    '\"$request\" $status $request_time';\n  access_log /var/log/nginx/all.log;\n  upstream app { server 127.0.0.1:8345 fail_timeout=0; }\n  include sites-enabled/*;\n}\n",
        )
        .unwrap();
        std::fs::write(
            dir.path().join("sites-enabled/shop"),
            "server { listen 443 ssl; server_name tickets.example.org *.shop.example;\n ssl_certificate certs/fullchain.pem; access_log logs/shop.log timed buffer=32k;\n location / { proxy_pass http://app; }\n location /static/ { access_log off; alias /x/; } }\n",
        )
        .unwrap();
        std::fs::write(
            dir.path().join("sites-enabled/other"),
            "server { server_name other.example; location / { proxy_pass http://127.0.0.1:9000/; } }",
        )
        .unwrap();
        let servers = servers(&dir.path().join("nginx.conf")).unwrap();
        let [other, shop] = servers.as_slice() else { panic!("{servers:?}") };
        assert!(shop.serves("tickets.example.org", None) && shop.serves("a.shop.example", None));
        assert!(!shop.serves("shop.example", None) && !other.serves("tickets.example.org", Some("127.0.0.1:8345")));
        assert!(shop.serves("", Some("127.0.0.1:8345")));
        assert_eq!(shop.certificates, [dir.path().join("certs/fullchain.pem")]);
        let [log] = shop.logs.as_slice() else { panic!("{:?}", shop.logs) };
        assert!(log.path.ends_with("logs/shop.log") && log.format.is_some());
        assert_eq!(other.logs, [Log { path: "/var/log/nginx/all.log".into(), format: None }]);
    }

    #[test]
    fn a_missing_configuration_is_told() {
        assert!(
            servers(Path::new("/nonexistent/nginx.conf")).is_err_and(|why| why.contains("/nonexistent/nginx.conf"))
        );
    }
}
