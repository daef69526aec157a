//! One container, as `GET /containers/ID/json` has it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::domain::service::Role;

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Published {
    /// Within the container.
    pub(in super::super) private: u16,
    /// On this host.
    pub(in super::super) public: u16,
    /// The address it is published on.
    pub(in super::super) ip: String,
}

/// A container of a Compose project. Its environment may hold secrets.
#[derive(Clone)]
pub(in super::super) struct Container {
    pub(in super::super) project: String,
    pub(in super::super) service: String,
    pub(in super::super) role: Role,
    pub(in super::super) oneoff: bool,
    pub(in super::super) image: String,
    pub(in super::super) words: Vec<String>,
    pub(in super::super) env: BTreeMap<String, String>,
    pub(in super::super) published: Vec<Published>,
    /// The address at which the host reaches it while it runs.
    pub(in super::super) address: Option<String>,
    /// Files and directories of the host that it has.
    pub(in super::super) mounts: Vec<PathBuf>,
    /// Those of them that have the same name in it.
    pub(in super::super) shared: Vec<PathBuf>,
    /// The words of its healthcheck.
    pub(in super::super) probe: Vec<String>,
    pub(in super::super) config_files: String,
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container")
            .field("project", &self.project)
            .field("service", &self.service)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// The ids of a list of containers.
pub(super) fn ids(body: &[u8]) -> Option<Vec<String>> {
    let listed: Vec<Value> = serde_json::from_slice(body).ok()?;
    Some(listed.iter().filter_map(|c| Some(c.get("Id")?.as_str()?.to_owned())).collect())
}

impl Container {
    /// From an inspection; `None` for one that is of no project.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let all: Value = serde_json::from_slice(body).ok()?;
        let label = |name: &str| {
            let name = ["com.docker.compose.", name].concat();
            all.pointer("/Config/Labels")?.get(&name)?.as_str().map(ToOwned::to_owned)
        };
        let text = |path: &str| all.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |path: &str| -> Vec<String> {
            let list = all.pointer(path).and_then(Value::as_array);
            list.map(|l| l.iter().filter_map(|v| v.as_str().map(ToOwned::to_owned)).collect()).unwrap_or_default()
        };
        let (project, service) = (label("project")?, label("service")?);
        let image = text("/Config/Image");
        let mut words = vec![text("/Path")];
        words.extend(list("/Args"));
        let role = role(&service, &words, &image);
        let env = list("/Config/Env");
        let env =
            env.iter().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mounts = || all.get("Mounts").and_then(Value::as_array).into_iter().flatten();
        let source = |m: &Value| m.get("Source")?.as_str().map(PathBuf::from);
        let same = |m: &&Value| m.get("Source").is_some() && m.get("Source") == m.get("Destination");
        let shared = mounts().filter(same).filter_map(source).collect();
        let mounts = mounts().filter_map(source).collect();
        Some(Self {
            project,
            service,
            role,
            oneoff: label("oneoff").is_some_and(|v| v.eq_ignore_ascii_case("true")),
            image,
            words,
            env,
            published: published(&all),
            address: crate::discovery::socket::container::address(&all),
            mounts,
            shared,
            probe: list("/Config/Healthcheck/Test"),
            config_files: label("project.config_files").unwrap_or_default(),
        })
    }
}

/// By its command, its name, its image.
fn role(service: &str, words: &[String], image: &str) -> Role {
    let by_image = image.rsplit('/').next().and_then(|name| name.split([':', '@']).next()).unwrap_or_default();
    // `docker-entrypoint.sh` says nothing; the image does.
    Role::of_command(words)
        .or_else(|| Role::of_name(service))
        .or_else(|| Role::of_command(&[by_image]))
        .or_else(|| Role::of_name(by_image))
        .unwrap_or(Role::Other)
}

/// As it is bound now, or as it is to be bound where it doesn't run.
fn published(all: &Value) -> Vec<Published> {
    let ports = all.pointer("/NetworkSettings/Ports").and_then(Value::as_object).filter(|ports| !ports.is_empty());
    let ports = ports.or_else(|| all.pointer("/HostConfig/PortBindings").and_then(Value::as_object));
    let bindings = ports.into_iter().flatten().flat_map(|(private, bound)| {
        let private = private.split('/').next().and_then(|p| p.parse().ok());
        bound.as_array().into_iter().flatten().map(move |b| (private, b))
    });
    bindings
        .filter_map(|(private, bound)| {
            Some(Published {
                private: private?,
                public: bound.get("HostPort")?.as_str()?.parse().ok()?,
                ip: bound.get("HostIp").and_then(Value::as_str).unwrap_or_default().to_owned(),
            })
        })
        .collect()
}
