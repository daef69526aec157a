//! The address at which this host reaches a container whose ports are not published.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Question, ask};
use crate::config::{Contained, Listener};

/// How long Docker is waited for.
const LIMIT: Duration = Duration::from_millis(1_500);

/// Whether the networks of the daemon behind this socket are this host's. Those of one that runs without root (or in a
/// machine of its own) are not: the same address may be another daemon's container here.
pub fn shares_networks(socket: &Path) -> bool {
    std::fs::metadata(socket).is_ok_and(|meta| meta.uid() == 0)
}

/// The address in an inspection of a container that runs: that in its project's own network first.
pub fn address(inspected: &Value) -> Option<String> {
    inspected.pointer("/State/Running").and_then(Value::as_bool).filter(|running| *running)?;
    let networks = inspected.pointer("/NetworkSettings/Networks")?.as_object()?;
    let mut known: Vec<(bool, &String, &str)> = networks
        .iter()
        .filter_map(|(name, network)| Some((!name.ends_with("_default"), name, network.get("IPAddress")?.as_str()?)))
        .filter(|(_, _, address)| address.parse::<std::net::Ipv4Addr>().is_ok())
        .collect();
    known.sort_unstable();
    known.first().map(|(_, _, address)| (*address).to_owned())
}

/// The address of a service's container now. Blocks: call it on a thread of its own.
///
/// # Errors
/// A sentence, where it has none, or Docker does not say.
pub fn address_of(of: &Contained) -> Result<String, String> {
    let at = Listener::Unix(of.socket.clone());
    let deadline = Instant::now() + LIMIT;
    let left = || deadline.saturating_duration_since(Instant::now());
    let told = |error: super::SocketError| {
        format!("Docker at {} does not say where the container {of} is: {error}.", of.socket.display())
    };
    if !shares_networks(&of.socket) {
        return Err(format!(
            "Docker at {} does not run as root: {of} can't be reached from here.",
            of.socket.display()
        ));
    }
    let listed = ask(&at, &Question::Containers(Some(&of.project)), left()).map_err(told)?;
    let listed: Vec<Value> = serde_json::from_slice(&listed).unwrap_or_default();
    let label = |c: &Value, name: &str| c.get("Labels")?.get(name)?.as_str().map(ToOwned::to_owned);
    let ours = listed.iter().filter(|c| {
        label(c, "com.docker.compose.service").as_ref() == Some(&of.service)
            && label(c, "com.docker.compose.project").as_ref() == Some(&of.project)
            && !label(c, "com.docker.compose.oneoff").is_some_and(|oneoff| oneoff.eq_ignore_ascii_case("true"))
    });
    for id in ours.filter_map(|c| c.get("Id")?.as_str()) {
        // One that went away meanwhile is none.
        let Ok(body) = ask(&at, &Question::Container(id), left()) else { continue };
        if let Some(address) = serde_json::from_slice(&body).ok().as_ref().and_then(address) {
            return Ok(address);
        }
    }
    Err(format!("No container of {of} runs that this host could reach. See whether it runs."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::address;

    #[test]
    fn a_running_container_has_the_address_of_its_projects_network() {
        let networks = json!({
            "apps": {"IPAddress": "172.20.0.9"},
            "shop_default": {"IPAddress": "172.18.0.2"},
            "host": {"IPAddress": ""},
        });
        let one = |running: bool, networks: &serde_json::Value| {
            address(&json!({"State": {"Running": running}, "NetworkSettings": {"Networks": networks}}))
        };
        assert_eq!(one(true, &networks).as_deref(), Some("172.18.0.2"));
        assert_eq!(one(false, &networks), None, "what was its address is another's by now");
        assert_eq!(one(true, &json!({"host": {"IPAddress": ""}})), None);
        assert_eq!(one(true, &json!({"n": {"IPAddress": "elsewhere.example"}})), None);
    }
}
