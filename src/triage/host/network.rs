//! Queues of connections, open ports, names, the clock's service, loss (FIELD INC-06, INC-33, INC-34, INC-35, S1-12).

use super::claim;
use crate::domain::host::{Depth, HostReading, Listener, Lookup};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::triage::{Claim, Rule, Thresholds};

/// Ports that are nobody's business outside, with what usually listens there (S1-12, and the services beside).
const PRIVATE: &[(u16, &str)] = &[
    (2375, "Docker without a password"),
    (3306, "MySQL"),
    (5432, "PostgreSQL"),
    (5672, "RabbitMQ"),
    (6379, "Redis"),
    (6432, "PgBouncer"),
    (8345, "pretix itself, past the proxy"),
    (8346, "pretalx itself, past the proxy"),
    (9200, "Elasticsearch"),
    (11211, "memcached"),
    (15672, "RabbitMQ's management"),
    (26379, "Redis Sentinel"),
    (27017, "MongoDB"),
];
/// Programs whose ports are nobody's business outside, wherever they listen.
const PROGRAMS: &[&str] =
    &["postgres", "mysqld", "mariadbd", "redis-server", "valkey-server", "memcached", "gunicorn", "uwsgi"];

/// The rules of this module.
pub const RULES: &[Rule] = &[
    Rule {
        id: "accept-queue",
        incidents: &["INC-06"],
        reads: &[SourceKind::Host],
        thresholds: &["accept_queue", "accept_queue_s"],
        meaning: "Connections wait at a port because its process accepts none: it is stopped, or all its workers are busy.",
        mend: "See what the workers wait for: a lock, the database, Redis. A process that is stopped is let go with SIGCONT.",
        danger: "A restart empties the queue for a minute and loses the evidence.",
        runbook: None,
    },
    Rule {
        id: "port-open",
        incidents: &[],
        reads: &[SourceKind::Host],
        thresholds: &[],
        meaning: "A service that nobody outside needs listens on all addresses; a firewall before it is not seen from here.",
        mend: "Bind it to 127.0.0.1, or see that the firewall closes the port.",
        danger: "Rebinding a database that another host uses.",
        runbook: None,
    },
    Rule {
        id: "dns-fails",
        incidents: &["INC-33"],
        reads: &[SourceKind::Host],
        thresholds: &[],
        meaning: "A name that a site is configured with did not resolve twice in a row.",
        mend: "See /etc/resolv.conf and ask each of its servers; the address itself may still answer.",
        danger: "Pinning an address in /etc/hosts and forgetting it.",
        runbook: None,
    },
    Rule {
        id: "dns-slow",
        incidents: &["INC-33"],
        reads: &[SourceKind::Host],
        thresholds: &["dns_slow_ms"],
        meaning: "A name takes long to resolve, twice in a row: every new connection of the application waits for it.",
        mend: "See which server of /etc/resolv.conf is gone; the resolver tries it first each time.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "clock-unsynchronised",
        incidents: &["INC-34"],
        reads: &[SourceKind::Host],
        thresholds: &[],
        meaning: "No time service keeps this clock in step. That is no fault yet; a measured difference is.",
        mend: "Install chrony, or start systemd-timesyncd.",
        danger: "",
        runbook: None,
    },
    Rule {
        id: "network-loss",
        incidents: &["INC-35"],
        reads: &[SourceKind::Host],
        thresholds: &["retransmit_warning"],
        meaning: "A share of what this host sends over TCP has to be sent again.",
        mend: "See which connection loses (ss -ti), then the interface's errors, then whoever runs the network.",
        danger: "",
        runbook: None,
    },
];

/// What is claimed.
pub(super) fn claims(host: &HostReading, at: Timestamp, limits: &Thresholds, out: &mut Vec<Claim>) {
    out.extend(host.listeners.iter().filter_map(|listener| queue(listener, at, limits)));
    ports(host, at, out);
    if let Some(part) = host.retransmitted.filter(|part| *part >= limits.retransmit_warning) {
        let title = format!("{} of the TCP segments sent are lost on the way", text::percent(part));
        let errors: f64 = host.networks.iter().map(|network| network.errors_per_s).sum();
        let evidence = format!("sent again within the last minute · {errors:.0} interface errors/s");
        out.push(claim("network-loss", "", Level::Warning, title, evidence, at));
    }
    let Some(depth) = &host.depth else { return };
    out.extend(depth.lookups.iter().filter_map(|lookup| name(lookup, at, limits)));
    out.extend(clock(depth, at));
}

fn queue(listener: &Listener, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    let place = format!("{}:{}", listener.address, listener.port);
    // One or two connections wait for a moment on any busy server; a stopped one takes none at all.
    let enough = listener.waiting >= limits.accept_queue || (listener.stopped && listener.waiting > 0);
    if !enough || u64::from(listener.waiting_s) < limits.accept_queue_s {
        return None;
    }
    let who = listener.process.as_deref().unwrap_or("its process");
    let (level, title) = if listener.stopped {
        (
            Level::Critical,
            format!(
                "{who} is stopped (SIGSTOP): {} wait at {place}",
                text::count(listener.waiting.into(), "connection")
            ),
        )
    } else {
        (
            Level::Warning,
            format!("{} wait at {place} to be accepted", text::count(listener.waiting.into(), "connection")),
        )
    };
    let evidence = match &listener.process {
        Some(process) => format!("never empty for {} s · {process} listens there", listener.waiting_s),
        None => format!("never empty for {} s · who listens there is seen only as root", listener.waiting_s),
    };
    let since = at.plus_secs(-i64::from(listener.waiting_s));
    Some(claim("accept-queue", &place, level, title, evidence, at).since(since, true))
}

fn ports(host: &HostReading, at: Timestamp, out: &mut Vec<Claim>) {
    let mut told = Vec::new();
    for listener in host.listeners.iter().filter(|listener| listener.is_open()) {
        let usual = PRIVATE.iter().find(|(port, _)| *port == listener.port).map(|(_, what)| (*what).to_owned());
        let program = listener.process.as_deref().and_then(|process| process.split(' ').nth(1));
        let program = program.filter(|name| PROGRAMS.contains(name)).map(ToOwned::to_owned);
        let Some(what) = program.or(usual) else { continue };
        // The same port on both kinds of addresses is one.
        if told.contains(&listener.port) {
            continue;
        }
        told.push(listener.port);
        let level = if listener.port == 2375 { Level::Warning } else { Level::Note };
        let title = format!("Port {} ({what}) listens on all addresses", listener.port);
        let who = listener.process.as_deref().unwrap_or("who listens is seen only as root");
        let evidence =
            format!("{}:{} · {who} · a firewall before it is not seen from here", listener.address, listener.port);
        out.push(claim("port-open", &listener.port.to_string(), level, title, evidence, at));
    }
}

fn name(lookup: &Lookup, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    match &lookup.result {
        Err(why) if lookup.failures >= 2 => {
            let title = format!("The name {} does not resolve", lookup.name);
            let evidence = format!("{} · {why} · {} times in a row", lookup.used_for, lookup.failures);
            let claimed = claim("dns-fails", &lookup.name, Level::Critical, title, evidence, at);
            Some(match lookup.failing_since {
                Some(since) => claimed.since(since, true),
                None => claimed,
            })
        }
        Ok(_) | Err(_) if lookup.slow >= 2 && lookup.took_ms >= limits.dns_slow_ms => {
            let title = format!("The name {} takes {} to resolve", lookup.name, text::span(lookup.took_ms));
            let evidence = format!("{} · {} times in a row", lookup.used_for, lookup.slow);
            Some(claim("dns-slow", &lookup.name, Level::Warning, title, evidence, at))
        }
        Ok(_) | Err(_) => None,
    }
}

fn clock(depth: &Depth, at: Timestamp) -> Option<Claim> {
    (depth.clock.synchronised == Some(false)).then(|| {
        let title = "Nothing keeps this host's clock in step".to_owned();
        claim("clock-unsynchronised", "", Level::Note, title, depth.clock.by.clone(), at)
    })
}
