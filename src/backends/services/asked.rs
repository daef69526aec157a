//! What is asked for on a thread of its own: the processes, Docker, supervisord.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Trouble;
use super::containers::{Container, Listed};
use super::processes::Processes;
use super::supervisor::{self, Program};
use crate::config::{Listener, ServiceConfig, ServicePlace, SupervisorPlace};
use crate::discovery::socket::{Question, SocketError, ask};

/// How long each daemon is waited for.
const LIMIT: Duration = Duration::from_secs(3);
/// Containers of one service that are looked into.
const REPLICAS: usize = 16;

/// What there is to do.
#[derive(Debug)]
pub(super) struct Errands {
    proc: PathBuf,
    /// By socket and project, the services.
    projects: BTreeMap<(PathBuf, String), BTreeSet<String>>,
    supervisors: Vec<SupervisorPlace>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) processes: Processes,
    /// By socket, project and service.
    pub(super) containers: BTreeMap<(PathBuf, String, String), Result<Vec<Container>, Trouble>>,
    pub(super) programs: BTreeMap<Listener, Result<Vec<Program>, Trouble>>,
}

impl Errands {
    /// Those of these services.
    pub(super) fn of(services: &[ServiceConfig], proc: &Path) -> Self {
        let mut out = Self { proc: proc.to_owned(), projects: BTreeMap::new(), supervisors: Vec::new() };
        for config in services {
            match &config.place {
                ServicePlace::Compose { socket, project, service } => {
                    out.projects.entry((socket.clone(), project.clone())).or_default().insert(service.clone());
                }
                ServicePlace::Supervisor { at, .. } => {
                    if !out.supervisors.iter().any(|known| known.listens == at.listens) {
                        out.supervisors.push(at.clone());
                    }
                }
                ServicePlace::Unit { .. } | ServicePlace::Process { .. } => {}
            }
        }
        out
    }

    /// Does all of it.
    pub(super) fn run(self) -> Asked {
        let mut containers = BTreeMap::new();
        for ((socket, project), services) in self.projects {
            match project_containers(&socket, &project, &services) {
                Ok(found) => {
                    for (service, of_it) in found {
                        containers.insert((socket.clone(), project.clone(), service), Ok(of_it));
                    }
                }
                Err(trouble) => {
                    for service in services {
                        containers.insert((socket.clone(), project.clone(), service), Err(trouble.clone()));
                    }
                }
            }
        }
        let programs = self.supervisors.into_iter().map(|at| {
            let answer = programs(&at);
            (at.listens, answer)
        });
        let programs = programs.collect();
        Asked { processes: Processes::read(&self.proc), containers, programs }
    }
}

impl Asked {
    /// The command line of a process, credentials masked.
    pub(super) fn shown(&self, pid: u32) -> String {
        crate::backends::command_line::shown(&self.processes.command(pid))
    }
}

type ByService = BTreeMap<String, Vec<Container>>;

fn project_containers(socket: &Path, project: &str, services: &BTreeSet<String>) -> Result<ByService, Trouble> {
    let at = Listener::Unix(socket.to_owned());
    let told = |error: SocketError| docker_trouble(socket, &error);
    let strange = || told(SocketError::Strange("no list of containers"));
    let deadline = Instant::now() + LIMIT;
    let left = || deadline.saturating_duration_since(Instant::now());
    let name = Some(project).filter(|project| !project.is_empty());
    let listed = ask(&at, &Question::Containers(name), left()).map_err(told)?;
    let listed: Vec<Listed> = serde_json::from_slice(&listed).map_err(|_not_one| strange())?;
    let mut out = ByService::new();
    for service in services {
        let mut of_it = Vec::new();
        for container in listed.iter().filter(|c| c.is_of(project, service)).take(REPLICAS) {
            match ask(&at, &Question::Container(&container.id), left()) {
                Ok(body) => of_it.extend(serde_json::from_slice::<Container>(&body).ok()),
                // It went away between the two questions.
                Err(SocketError::Status(404)) => {}
                Err(error) => return Err(told(error)),
            }
        }
        out.insert(service.clone(), of_it);
    }
    Ok(out)
}

fn docker_trouble(socket: &Path, error: &SocketError) -> Trouble {
    let path = socket.display();
    if error.is_denied() {
        return Trouble {
            why: format!(
                "Containers can't be seen: {path} may not be used by this user; run as root, or join its group \
                 (usermod -aG docker USER: who is in it is as good as root)."
            ),
            lasting: true,
        };
    }
    let why = if error.is_absent() {
        format!("Docker does not run: nobody answers at {path} ({error}).")
    } else {
        format!("Docker at {path} does not answer as it should: {error}.")
    };
    Trouble { why, lasting: false }
}

fn programs(at: &SupervisorPlace) -> Result<Vec<Program>, Trouble> {
    let place = &at.listens;
    let body = ask(place, &Question::Programs(at.login.as_ref()), LIMIT).map_err(|error| {
        let why = if error.is_denied() {
            format!(
                "supervisord at {place} may not be asked by this user: run as root, or set chmod, chown, username and \
                 password in its [unix_http_server]."
            )
        } else if error.is_absent() {
            format!("supervisord does not run: nobody answers at {place} ({error}).")
        } else {
            format!("supervisord at {place} does not answer as it should: {error}.")
        };
        Trouble { why, lasting: error.is_denied() }
    })?;
    let strange = |why: String| Trouble { why: format!("supervisord at {place}: {why}."), lasting: false };
    supervisor::parse(&String::from_utf8_lossy(&body)).map_err(strange)
}
