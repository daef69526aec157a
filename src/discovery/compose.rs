//! Compose projects, as Docker (or Podman behind the same interface) tells of them, and a site out of one.
//!
//! Invariant: values of a container's environment may be secrets; they become parts of URLs of type `SecretString`, and
//! get into no trace.

mod container;
mod site;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(super) use container::Container;
pub(super) use site::{own_address, site, translate};

use super::Surroundings;
use super::socket::container::shares_networks;
use super::socket::{Question, SocketError, ask};
use crate::config::{Found, Listener, ServicePlace, SiteConfig, Trace};
use crate::domain::service::Role;

/// How long Docker is waited for before the first screen.
const LIMIT: Duration = Duration::from_millis(1_500);
/// More containers are not looked into.
const CONTAINERS: usize = 60;

/// A Compose project.
#[derive(Debug, Clone)]
pub(super) struct Project {
    /// Its name.
    pub(super) name: String,
    /// Where it was asked for.
    pub(super) socket: PathBuf,
    /// Whether this host reaches its containers at their own addresses.
    pub(super) reachable: bool,
    /// Its containers, one of each service.
    pub(super) containers: Vec<Container>,
}

/// Every project of every daemon that answers; those that can't be asked are told.
pub(super) fn projects(around: &Surroundings, trail: &mut Vec<Trace>) -> Vec<Project> {
    let mut out: Vec<Project> = Vec::new();
    let mut seen = Vec::new();
    for path in sockets(around) {
        let real = around.at(&path);
        let Ok(real) = real.canonicalize() else { continue };
        if seen.contains(&real) {
            continue;
        }
        seen.push(real.clone());
        match look(real) {
            Ok(containers) => {
                for container in containers {
                    match out.iter_mut().find(|p| p.name == container.project && p.socket == path) {
                        Some(project) => project.containers.push(container),
                        None => out.push(Project {
                            name: container.project.clone(),
                            socket: path.clone(),
                            reachable: shares_networks(&path),
                            containers: vec![container],
                        }),
                    }
                }
            }
            Err(error) => trail.push(told(&path, &error)),
        }
    }
    for project in &out {
        let services: Vec<&str> = project.containers.iter().map(|c| c.service.as_str()).collect();
        let outcome = Found::Yes(crate::domain::text::plain(
            &format!("{}: {} ({})", project.name, services.join(", "), project.socket.display()),
            300,
        ));
        trail.push(Trace { what: "compose project".to_owned(), outcome });
    }
    out
}

fn told(path: &Path, error: &SocketError) -> Trace {
    let path = path.display();
    let outcome = if error.is_denied() {
        Found::Broken(format!(
            "{path} may not be used by this user: run as root, or join its group (usermod -aG docker USER; who is in it is as good as root)"
        ))
    } else if error.is_absent() {
        Found::No(format!("nobody answers at {path} ({error})"))
    } else {
        Found::Broken(format!("{path}: {error}"))
    };
    Trace { what: "docker".to_owned(), outcome }
}

/// Where Docker and Podman listen: as the environment says, for the system, for this user.
fn sockets(around: &Surroundings) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let told = around.var("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://"));
    out.extend(told.map(PathBuf::from));
    out.push(PathBuf::from("/run/docker.sock"));
    out.push(PathBuf::from("/var/run/docker.sock"));
    if let Some(dir) = around.var("XDG_RUNTIME_DIR") {
        out.push(Path::new(dir).join("docker.sock"));
        out.push(Path::new(dir).join("podman/podman.sock"));
    }
    out.push(PathBuf::from("/run/podman/podman.sock"));
    out
}

/// Asked on a thread of its own: a daemon that has stopped accepting must not keep the program from starting.
fn look(socket: PathBuf) -> Result<Vec<Container>, SocketError> {
    let late = || SocketError::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"));
    let (tell, answer) = mpsc::channel();
    let thread = std::thread::Builder::new().name("midwatch-docker".to_owned());
    let deadline = Instant::now() + LIMIT;
    drop(
        thread
            .spawn(move || drop(tell.send(containers(&Listener::Unix(socket), deadline))))
            .map_err(SocketError::Io)?,
    );
    answer.recv_timeout(LIMIT + Duration::from_millis(100)).unwrap_or_else(|_late| Err(late()))
}

fn containers(at: &Listener, deadline: Instant) -> Result<Vec<Container>, SocketError> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let listed = ask(at, &Question::Containers(None), left())?;
    let ids = container::ids(&listed).ok_or(SocketError::Strange("no list of containers"))?;
    let mut out: Vec<Container> = Vec::new();
    for id in ids.iter().take(CONTAINERS) {
        // One that went away meanwhile is none.
        let Ok(body) = ask(at, &Question::Container(id), left()) else { continue };
        let Some(container) = Container::read(&body) else { continue };
        let same = |c: &Container| c.project == container.project && c.service == container.service;
        if !container.oneoff && !out.iter().any(same) {
            out.push(container);
        }
    }
    Ok(out)
}

impl Project {
    /// Whether one of its containers has one of these files of the host in it.
    pub(super) fn mounts(&self, around: &Surroundings, files: &[PathBuf]) -> bool {
        let real = |path: &Path| around.at(path).canonicalize().unwrap_or_else(|_| around.at(path));
        let mounted = |source: &PathBuf| files.iter().any(|file| real(file) == real(source));
        self.containers.iter().any(|c| c.mounts.iter().any(mounted))
    }

    /// Whether the web service has this path from the host, under the same name.
    fn shares(&self, path: &Path) -> bool {
        let web = self.of(Role::Web);
        web.is_some_and(|web| web.shared.iter().any(|shared| path.starts_with(shared)))
    }

    /// Whether one of its containers is published where the site, or its application's own port, is.
    pub(super) fn answers_at(&self, site: &SiteConfig) -> bool {
        let local = |url: &&url::Url| url.host_str().is_some_and(|h| matches!(h, "localhost" | "127.0.0.1" | "[::1]"));
        let mut ports = [Some(&site.url), site.direct.as_ref()]
            .into_iter()
            .flatten()
            .filter(local)
            .filter_map(url::Url::port_or_known_default);
        ports.any(|port| self.containers.iter().any(|c| c.published.iter().any(|p| p.public == port)))
    }

    /// Each of its services.
    pub(super) fn services(&self, mut add: impl FnMut(&str, Role, ServicePlace, String)) {
        for container in &self.containers {
            let place = ServicePlace::Compose {
                socket: self.socket.clone(),
                project: self.name.clone(),
                service: container.service.clone(),
            };
            let files = crate::domain::text::plain(&container.config_files, 120);
            add(&container.service, container.role, place, format!("compose project {}, {files}", self.name));
        }
    }

    /// The first container with a role.
    fn of(&self, role: Role) -> Option<&Container> {
        self.containers.iter().find(|c| c.role == role)
    }
}

#[cfg(test)]
mod tests;
