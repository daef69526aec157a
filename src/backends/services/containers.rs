//! What Docker (or Podman behind the same interface) says of the containers of a Compose project.

use jiff::Timestamp as Instant;
use serde::Deserialize;

use super::systemd::signal;
use crate::domain::service::{Service, State, Stuck, StuckHow};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// A container of `GET /containers/json`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "Labels", default)]
    labels: Option<std::collections::BTreeMap<String, String>>,
}

impl Listed {
    fn label(&self, name: &str) -> &str {
        let labels = self.labels.as_ref();
        labels.and_then(|l| l.get(&["com.docker.compose.", name].concat())).map_or("", String::as_str)
    }

    /// Whether it is one of that service, and not a `compose run` that somebody did by hand.
    pub(super) fn is_of(&self, project: &str, service: &str) -> bool {
        self.label("service") == service
            && (project.is_empty() || self.label("project") == project)
            && !self.label("oneoff").eq_ignore_ascii_case("true")
    }
}

/// A container of `GET /containers/ID/json`, as far as it is of use. What is left out may hold secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    #[serde(default)]
    name: String,
    #[serde(default)]
    restart_count: u32,
    state: ContainerState,
    #[serde(default)]
    path: String,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    config: ContainerConfig,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerState {
    status: String,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    exit_code: i64,
    error: String,
    started_at: String,
    finished_at: String,
    pid: u32,
    // Podman once called it so.
    #[serde(alias = "Healthcheck")]
    health: Option<Health>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Health {
    status: String,
    failing_streak: u32,
    log: Option<Vec<HealthLog>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HealthLog {
    exit_code: i64,
    output: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    memory: i64,
    restart_policy: RestartPolicy,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy {
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerConfig {
    image: String,
}

/// A time as Docker gives it; year 1 means never.
fn time(text: &str) -> Option<Timestamp> {
    let at: Instant = text.parse().ok()?;
    (at.as_second() > 0).then(|| Timestamp::from_millis(at.as_millisecond()))
}

impl Container {
    fn starts_again(&self) -> bool {
        !matches!(self.host_config.restart_policy.name.as_str(), "" | "no")
    }

    fn state(&self) -> State {
        let health = self.state.health.as_ref().map_or("", |h| h.status.as_str());
        match (self.state.status.as_str(), self.state.exit_code) {
            ("running", _) if health == "unhealthy" => State::Unhealthy,
            ("running", _) if health == "starting" => State::Starting,
            ("running", _) => State::Running,
            ("restarting", _) => State::Restarting,
            ("paused", _) => State::Frozen,
            ("created", _) if self.state.error.is_empty() => State::Stopped,
            ("removing" | "stopping", _) => State::Stopping,
            // 143 and 137 are what `stop` leaves of one that does not end by itself.
            ("exited" | "stopped", 0 | 143) => State::Stopped,
            ("exited" | "stopped", 137) if !self.state.oom_killed => State::Stopped,
            ("exited" | "stopped" | "dead" | "created", _) => State::Failed,
            _ => State::Unknown,
        }
    }

    fn exit(&self) -> Option<String> {
        let state = &self.state;
        if !state.error.is_empty() {
            return Some(plain(&state.error, 200));
        }
        if state.oom_killed {
            return Some("killed for want of memory (137)".to_owned());
        }
        match state.exit_code {
            0 => None,
            code @ 129..=192 => {
                let number = code.unsigned_abs() - 128;
                Some(format!("exit status {code} (killed by {})", signal(number)))
            }
            126 => Some("exit status 126 (its program can't be executed)".to_owned()),
            127 => Some("exit status 127 (its program isn't there)".to_owned()),
            code => Some(format!("exit status {code}")),
        }
    }
}

/// Lays what Docker says of the containers of a service over it; of several the worst counts.
pub(super) fn service(containers: &[Container], service: &mut Service, now: Timestamp) {
    let Some(worst) = containers.iter().max_by_key(|c| c.state()) else {
        service.state = State::Missing;
        "no container".clone_into(&mut service.said);
        return;
    };
    let state = &worst.state;
    service.state = worst.state();
    let name = worst.name.trim_start_matches('/');
    service.place = plain(name, 120);
    let health = state.health.as_ref().filter(|h| !h.status.is_empty() && h.status != "none");
    service.said = health.map_or_else(|| state.status.clone(), |h| format!("{}, {}", state.status, h.status));
    if containers.len() > 1 {
        let up = containers.iter().filter(|c| c.state().is_up()).count();
        let all = format!("; {up} of {} containers are up", containers.len());
        service.said.push_str(&all);
    }
    service.said = plain(&service.said, 80);
    let (started, finished) = (time(&state.started_at), time(&state.finished_at));
    service.since =
        if service.state.is_up() || service.state == State::Starting { started } else { finished.or(started) };
    service.pid = Some(state.pid).filter(|pid| *pid > 0);
    service.started = started.filter(|_| service.pid.is_some());
    service.restarts = Some(containers.iter().map(|c| c.restart_count).fold(0, u32::saturating_add));
    // Of one that runs again, Docker forgets how it ended.
    service.exit = if service.state.is_up() { None } else { worst.exit() };
    if state.oom_killed {
        service.oom = finished.or(Some(now));
    }
    if service.state == State::Frozen {
        let all = u32::try_from(containers.len()).unwrap_or(u32::MAX);
        service.stuck = Some(Stuck { how: StuckHow::Paused, processes: all, of: all, main: true, since: now });
    }
    service.memory_max = u64::try_from(worst.host_config.memory).ok().filter(|most| *most > 0);
    service.at_boot = Some(worst.starts_again());
    let words: Vec<&str> =
        std::iter::once(worst.path.as_str()).chain(worst.args.iter().flatten().map(String::as_str)).collect();
    service.command = crate::backends::command_line::shown(&words);
    service.facts = facts(worst, containers.len());
}

fn facts(container: &Container, of: usize) -> Vec<(String, String)> {
    let policy = &container.host_config.restart_policy.name;
    let health = container.state.health.as_ref();
    let probe = health.and_then(|h| h.log.as_ref()?.last()).map(|log| {
        let said = crate::backends::command_line::shown(&[log.output.as_str()]);
        format!("exit status {}{}{said}", log.exit_code, if said.is_empty() { "" } else { ": " })
    });
    let told = [
        ("image", Some(container.config.image.clone())),
        ("container", Some(container.name.trim_start_matches('/').to_owned())),
        ("containers", (of > 1).then(|| of.to_string())),
        ("restart", Some(if policy.is_empty() { "no".to_owned() } else { policy.clone() })),
        ("last probe", probe),
        ("probes failed", health.map(|h| h.failing_streak).filter(|n| *n > 0).map(|n| format!("{n} in a row"))),
    ];
    let told = told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), plain(&value?, 200))));
    told.filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Container, Listed, service};
    use crate::domain::service::{Manager, Role, Service, State, StuckHow};
    use crate::domain::time::Timestamp;

    const LIST: &str = include_str!("../../../tests/fixtures/compose/containers-json.json");
    const BACKEND: &str = include_str!("../../../tests/fixtures/compose/inspect-backend.json");

    /// The recorded container, with another state.
    fn with(change: impl FnOnce(&mut serde_json::Value)) -> Service {
        let mut all: serde_json::Value = serde_json::from_str(BACKEND).unwrap();
        let one = &mut all[0];
        change(one);
        let container: Container = serde_json::from_value(one.clone()).unwrap();
        let mut out = Service::new("backend", Role::Web, Manager::Compose, "shop/backend");
        service(&[container], &mut out, Timestamp::from_millis(0));
        out
    }

    #[test]
    fn a_recorded_project_is_read() {
        let listed: Vec<Listed> = serde_json::from_str(LIST).unwrap();
        let of = |service: &str| listed.iter().filter(|c| c.is_of("pretalx", service)).count();
        assert_eq!((listed.len(), of("backend"), of("redis"), of("renderer")), (5, 1, 1, 0));
        assert!(listed.iter().all(|c| !c.is_of("other", "backend")));

        let web = with(|_| {});
        assert_eq!((web.state, web.said.as_str(), web.pid), (State::Running, "running, healthy", Some(17949)));
        assert_eq!((web.restarts, web.exit, web.oom, web.at_boot), (Some(0), None, None, Some(true)));
        assert_eq!(web.since.unwrap().as_millis(), 1_795_232_079_982);
        assert!(web.command.contains("gunicorn pretalx.wsgi"), "{}", web.command);
        assert!(web.facts.contains(&("image".to_owned(), "testbed/app:2025.1.0".to_owned())));
    }

    #[test]
    fn states_and_ends_are_told_apart() {
        let state = |status: &'static str, code: i64, oom: bool| {
            with(move |c| {
                c["State"]["Status"] = status.into();
                c["State"]["ExitCode"] = code.into();
                c["State"]["OOMKilled"] = oom.into();
                c["State"]["FinishedAt"] = "2026-11-21T04:00:00Z".into();
            })
        };
        assert_eq!(state("restarting", 1, false).state, State::Restarting);
        assert_eq!(state("exited", 0, false).state, State::Stopped);
        assert_eq!(state("exited", 143, false).state, State::Stopped);
        let failed = state("exited", 3, false);
        assert_eq!((failed.state, failed.exit.as_deref()), (State::Failed, Some("exit status 3")));
        let killed = state("restarting", 137, true);
        assert_eq!(killed.exit.as_deref(), Some("killed for want of memory (137)"));
        assert_eq!(killed.oom.unwrap().as_secs(), 1_795_233_600);
        let signalled = state("exited", 139, false);
        assert_eq!(signalled.exit.as_deref(), Some("exit status 139 (killed by SIGSEGV)"));
        assert_eq!(state("paused", 0, false).stuck.unwrap().how, StuckHow::Paused);
        let sick = with(|c| c["State"]["Health"]["Status"] = "unhealthy".into());
        assert_eq!((sick.state, sick.said.as_str()), (State::Unhealthy, "running, unhealthy"));
        let mut none = Service::new("backend", Role::Web, Manager::Compose, "x");
        service(&[], &mut none, Timestamp::from_millis(0));
        assert_eq!(none.state, State::Missing);
    }

    #[test]
    fn the_worst_of_several_counts() {
        let containers: Vec<Container> = serde_json::from_str(BACKEND).unwrap();
        let mut second = containers[0].clone();
        second.state.status = "exited".to_owned();
        second.state.exit_code = 3;
        let mut out = Service::new("backend", Role::Web, Manager::Compose, "x");
        service(&[containers[0].clone(), second], &mut out, Timestamp::from_millis(0));
        assert_eq!(out.state, State::Failed);
        assert!(out.said.contains("1 of 2 containers are up"), "{}", out.said);
    }
}
