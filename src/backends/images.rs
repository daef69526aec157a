//! Which images the containers of a Compose project run, as Docker tells it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::errand::{Answer, Errand};
use crate::config::Listener;
use crate::discovery::socket::{Question, SocketError, ask};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// How long Docker is waited for, connecting included.
const LIMIT: Duration = Duration::from_secs(5);
/// More containers are not looked into.
const CONTAINERS: usize = 100;

/// A container of a Compose project: what it runs, how it is, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its name.
    pub name: String,
    /// The project.
    pub project: String,
    /// The service.
    pub service: String,
    /// The image it runs, by its id.
    pub image: String,
    /// The name under which that was asked for.
    pub reference: String,
    /// Its state in Docker's word: `running`.
    pub status: String,
    /// What its own healthcheck says; empty: it has none.
    pub health: String,
    /// When it was started last.
    pub started: Option<Timestamp>,
    /// How often Docker has started it again.
    pub restarts: u64,
    /// The program it begins with.
    pub program: String,
    /// Whether it is no service's, but a program that somebody has run by hand.
    oneoff: bool,
    /// The sum Compose has made of its settings.
    pub hash: String,
    /// The version of the Compose that made it.
    pub version: String,
    /// The project's directory.
    pub dir: PathBuf,
    /// The project's files.
    pub files: Vec<PathBuf>,
    /// The files with its variables, where they were named.
    pub env_files: Vec<PathBuf>,
}

impl Placed {
    /// Whether it runs.
    pub fn runs(&self) -> bool {
        matches!(self.status.as_str(), "running" | "restarting" | "paused")
    }

    /// From an inspection; `None`: it is of no project.
    fn read(body: &[u8]) -> Option<Self> {
        let all: Value = serde_json::from_slice(body).ok()?;
        let text = |path: &str| all.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let label = |name: &str| {
            let name = ["com.docker.compose.", name].concat();
            Some(all.pointer("/Config/Labels")?.get(&name)?.as_str()?.to_owned())
        };
        let dir = PathBuf::from(label("project.working_dir").unwrap_or_default());
        let files = |label: Option<String>| -> Vec<PathBuf> {
            let label = label.unwrap_or_default();
            label.split(',').filter(|file| !file.is_empty()).map(|file| dir.join(file)).collect()
        };
        let started = text("/State/StartedAt").parse::<jiff::Timestamp>().ok().filter(|at| at.as_second() > 0);
        Some(Self {
            name: plain(text("/Name").trim_start_matches('/'), 120),
            project: label("project")?,
            service: label("service")?,
            image: text("/Image"),
            reference: text("/Config/Image"),
            status: text("/State/Status"),
            health: Some(text("/State/Health/Status")).filter(|health| health != "none").unwrap_or_default(),
            started: started.map(|at| Timestamp::from_millis(at.as_millisecond())),
            restarts: all.pointer("/RestartCount").and_then(Value::as_u64).unwrap_or(0),
            program: text("/Path"),
            oneoff: label("oneoff").is_some_and(|oneoff| oneoff.eq_ignore_ascii_case("true")),
            hash: label("config-hash").unwrap_or_default(),
            version: label("version").unwrap_or_default(),
            files: files(label("project.config_files")),
            env_files: files(label("project.environment_file")),
            dir,
        })
    }
}

/// The containers of a project's services; with an empty name those of all projects.
///
/// # Errors
/// A sentence, where Docker does not say.
pub async fn containers(socket: &Path, project: &str) -> Result<Vec<Placed>, String> {
    let mut all = all(socket, project).await?;
    all.retain(|one| !one.oneoff);
    Ok(all)
}

/// The programs that somebody, or a run, has started by hand in containers of a project's services and that have not ended.
///
/// # Errors
/// A sentence, where Docker does not say.
pub async fn by_hand(socket: &Path, project: &str) -> Result<Vec<Placed>, String> {
    let mut all = all(socket, project).await?;
    all.retain(|one| one.oneoff && one.runs());
    Ok(all)
}

async fn all(socket: &Path, project: &str) -> Result<Vec<Placed>, String> {
    let (at, project) = (socket.to_owned(), project.to_owned());
    asked(socket, move || placed(&at, &project)).await
}

/// The id of the image that Docker has under this name; `None`: it has none.
///
/// # Errors
/// A sentence, where Docker does not say.
pub async fn image(socket: &Path, reference: &str) -> Result<Option<String>, String> {
    let (at, reference) = (Listener::Unix(socket.to_owned()), reference.to_owned());
    asked(socket, move || match ask(&at, &Question::Image(&reference), LIMIT) {
        Ok(body) => {
            let found: Value = serde_json::from_slice(&body).map_err(|_other| SocketError::Strange("no image"))?;
            let id = found.get("Id").and_then(Value::as_str).map(ToOwned::to_owned);
            id.map(Some).ok_or(SocketError::Strange("an image without an id"))
        }
        Err(SocketError::Status(404)) => Ok(None),
        Err(error) => Err(error),
    })
    .await
}

async fn asked<T: Send + 'static>(
    socket: &Path,
    work: impl FnOnce() -> Result<T, SocketError> + Send + 'static,
) -> Result<T, String> {
    let mut errand = Errand::default();
    errand.begin(work).map_err(|error| error.to_string())?;
    match errand.answer(Instant::now() + LIMIT).await {
        Answer::Came(Ok(value)) => Ok(value),
        Answer::Came(Err(error)) => Err(format!("Docker at {} can't be asked: {error}", socket.display())),
        Answer::Waiting(_) | Answer::Lost => Err(format!("Docker at {} has not answered", socket.display())),
    }
}

fn placed(socket: &Path, project: &str) -> Result<Vec<Placed>, SocketError> {
    let at = Listener::Unix(socket.to_owned());
    let deadline = Instant::now() + LIMIT;
    let left = || deadline.saturating_duration_since(Instant::now());
    let named = Some(project).filter(|project| !project.is_empty());
    let listed = ask(&at, &Question::Containers(named), left())?;
    let listed: Vec<Value> =
        serde_json::from_slice(&listed).map_err(|_other| SocketError::Strange("no list of containers"))?;
    let mut out = Vec::new();
    for id in listed.iter().filter_map(|container| container.get("Id")?.as_str()).take(CONTAINERS) {
        match ask(&at, &Question::Container(id), left()) {
            Ok(body) => out.extend(Placed::read(&body)),
            // It went away between the two questions.
            Err(SocketError::Status(404)) => {}
            Err(error) => return Err(error),
        }
    }
    out.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Placed;

    #[test]
    fn a_container_is_read_and_one_made_by_hand_is_known() {
        let one = |oneoff: &str| {
            let all = json!({
                "Name": "/shop-web-1", "Image": "sha256:ab", "Path": "pretix", "RestartCount": 2,
                "State": {"Status": "running", "StartedAt": "2026-11-21T04:00:00Z"},
                "Config": {
                    "Image": "pretix/standalone:2026.7.0", "Env": ["A=b", "AUTOMIGRATE=skip"],
                    "Labels": {
                        "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
                        "com.docker.compose.oneoff": oneoff, "com.docker.compose.config-hash": "c",
                        "com.docker.compose.project.working_dir": "/srv/shop",
                        "com.docker.compose.project.config_files": "compose.yaml,/etc/shop.yaml",
                    },
                },
            });
            Placed::read(&serde_json::to_vec(&all).unwrap())
        };
        assert!(one("True").unwrap().oneoff);
        let web = one("False").unwrap();
        assert!(!web.oneoff);
        assert_eq!((web.name.as_str(), web.service.as_str(), web.health.as_str()), ("shop-web-1", "web", ""));
        assert_eq!((web.restarts, web.program.as_str()), (2, "pretix"));
        assert_eq!(web.files, ["/srv/shop/compose.yaml", "/etc/shop.yaml"].map(std::path::PathBuf::from));
        assert!(web.runs() && web.env_files.is_empty());
    }
}
