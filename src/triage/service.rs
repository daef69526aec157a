//! What the services say (FIELD INC-01, INC-02, INC-03, INC-08, INC-28).
//!
//! The subject of a claim is the service's role and name (`web pretix-web`): what follows from it depends on the role.
//! That a service is down is weighed against what else is seen: one that others find alive is not the one they use.

mod rules;

pub use rules::RULES;

use super::{Claim, HostFacts, SiteFacts, Thresholds};
use crate::domain::health::HealthState;
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::service::{FailedUnit, Manager, RECENT_MS, Role, Service, State, Stuck, StuckHow};
use crate::domain::text;
use crate::domain::time::Timestamp;

/// More starts than these within five minutes are a crash loop (awesome-prometheus-alerts: more than 2 in 5 min).
pub const LOOP: usize = 2;
/// A process that waits in the kernel for so long is stuck; shorter waits are what disks do.
const DISK_SLEEP_MS: u64 = 30_000;
/// One that nobody has collected for so long is left over; shorter is between its end and its parent's look.
const ZOMBIE_MS: u64 = 60_000;
/// One that is stopped for less is on its way back: a restart by hand or by a package takes seconds.
const STOPPED_MS: u64 = 15_000;
/// A service that starts for so long does something else: waits for a lock, migrates (systemd's own limit: 90 s).
const STARTING_MS: u64 = 60_000;

/// What is claimed.
pub fn claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let Reading::Fresh { value, at, .. } = facts.services else { return unseen(facts.services) };
    let mut out = Vec::new();
    for service in &value.services {
        out.extend(state(service, *at, facts));
        out.extend(memory(service, *at, limits));
        out.extend(stuck(service, *at));
        out.extend(at_boot(service, *at));
    }
    out
}

/// What was watched and can't be any more. (What never could be seen is said on Services, and by `doctor`.)
fn unseen<T>(reading: &Reading<T>) -> Vec<Claim> {
    let (Reading::Stale { failed_since, why, .. } | Reading::Failed { failed_since, why }) = reading else {
        return Vec::new();
    };
    let title = "The services can't be seen";
    let claim = Claim::new("services-unseen", Level::Unknown, title, why.clone(), SourceKind::Services, *failed_since);
    vec![claim.since(*failed_since, true)]
}

fn claim(service: &Service, rule: &'static str, level: Level, title: String, at: Timestamp) -> Claim {
    let claim = Claim::new(rule, level, title, evidence(service), SourceKind::Services, at);
    claim.of([service.role.word(), " ", &service.name].concat()).with(details(service))
}

/// Who runs it, in whose words it is how it is, how it ended, how often.
fn evidence(service: &Service) -> String {
    let restarts = service.restarts.filter(|n| *n > 0);
    let parts = [
        Some(format!("{} {}", service.manager.word(), service.place)),
        Some(service.said.clone()).filter(|said| !said.is_empty()),
        service.exit.clone(),
        restarts.map(|n| text::count(n.into(), "restart")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn details(service: &Service) -> Vec<String> {
    let command = Some(service.command.as_str()).filter(|command| !command.is_empty());
    let command = command.map(|command| ["command: ", command].concat());
    command.into_iter().chain(service.facts.iter().map(|(name, value)| format!("{name}: {value}"))).collect()
}

/// What a role is to its visitors.
const fn consequence(role: Role) -> &'static str {
    match role {
        Role::Web => "nothing answers requests",
        Role::Worker => "no tasks are done",
        Role::Beat | Role::Periodic => "periodic tasks don't run",
        Role::Database => "the database is down",
        Role::Redis => "Redis is down",
        Role::Proxy => "nothing stands before the application",
        Role::Other => "what it does is not done",
    }
}

/// Whether something else shows that what this service should do is done all the same.
fn contradicted(service: &Service, facts: &SiteFacts<'_>) -> bool {
    let answers = |check: &Reading<crate::domain::health::HealthCheck>| {
        check.fresh().is_some_and(|check| check.state == HealthState::Ok)
    };
    match service.role {
        Role::Web | Role::Proxy => answers(facts.health),
        Role::Worker => {
            let broker = facts.redis.fresh().and_then(|redis| redis.broker.as_ref());
            broker.and_then(|broker| broker.consumers).is_some_and(|n| n > 0)
        }
        Role::Database => facts.database.fresh().is_some(),
        Role::Redis => facts.redis.fresh().is_some(),
        Role::Beat | Role::Periodic | Role::Other => false,
    }
}

/// How bad it is that a service is down.
fn weight(service: &Service, facts: &SiteFacts<'_>) -> Level {
    match (service.role.is_vital(), contradicted(service, facts)) {
        (true, false) => Level::Critical,
        // Known by its usual name alone, and what is used answers: it is not the one that is used.
        (true, true) if service.shared => Level::Note,
        _ => Level::Warning,
    }
}

fn state(service: &Service, at: Timestamp, facts: &SiteFacts<'_>) -> Option<Claim> {
    let name = &service.name;
    let told = |rule, level, title| {
        let claim = claim(service, rule, level, title, at);
        Some(match service.since {
            Some(since) => claim.since(since, true),
            None => claim,
        })
    };
    let (crashes, so) = (service.crashes(facts.now), consequence(service.role));
    let end = service.exit.as_ref().map(|exit| format!(" ({exit})")).unwrap_or_default();
    match service.state {
        State::GaveUp => {
            let n = service.restarts.filter(|n| *n > 0).map(|n| format!(" after {}", text::count(n.into(), "restart")));
            let who = if service.manager == Manager::Supervisor { "supervisord" } else { "systemd" };
            let title = format!("{who} gave {name} up{}{end}: {so}", n.unwrap_or_default());
            told("service-crash-loop", weight(service, facts), title)
        }
        State::Failed => told("service-failed", weight(service, facts), format!("{name} has failed{end}: {so}")),
        _ if crashes > LOOP => Some(loops(service, crashes, at, facts)),
        State::Restarting if service.restarts.is_some_and(|n| usize::try_from(n).is_ok_and(|n| n > LOOP)) => {
            Some(loops(service, crashes, at, facts))
        }
        State::Restarting => {
            told("service-restarting", Level::Note, format!("{name} has ended{end} and is about to be started again"))
        }
        State::Stopped | State::Missing if service.role == Role::Other => None,
        State::Stopped => {
            let title = format!("{name} is stopped{end}: {so}");
            told("service-stopped", settled(service, facts), title)
        }
        State::Missing if service.manager == Manager::Process => {
            let title = format!("No process of {name} runs: {so}");
            told("service-stopped", settled(service, facts), title)
        }
        State::Missing => {
            let title = format!("{name} is not there: {} knows nothing of it", service.manager.word());
            let level = weight(service, facts).min(Level::Warning);
            Some(claim(service, "service-missing", level, title, at))
        }
        State::Unhealthy => {
            let title = format!("{name} runs, and its own healthcheck fails");
            Some(claim(service, "service-unhealthy", Level::Warning, title, at))
        }
        State::Starting => {
            let since = service.since.filter(|since| facts.now.millis_since(*since) > STARTING_MS)?;
            let title = format!("{name} has been starting for {}", text::span(facts.now.millis_since(since)));
            told("service-slow-start", Level::Warning, title)
        }
        State::Running | State::Waiting | State::Stopping | State::Frozen | State::Unknown => {
            restarted(service, at, facts)
        }
    }
}

/// How bad it is that a service is stopped: what was stopped a moment ago may be on its way back (a restart, an upgrade).
fn settled(service: &Service, facts: &SiteFacts<'_>) -> Level {
    // One that was never started and shall not be: a file somebody left there.
    if service.since.is_none() && service.at_boot == Some(false) {
        return Level::Note;
    }
    let long = service.since.is_none_or(|since| facts.now.millis_since(since) >= STOPPED_MS);
    if long { weight(service, facts) } else { Level::Note }
}

/// Starts again and again: suspected, for what follows the last start is not known yet.
fn loops(service: &Service, crashes: usize, at: Timestamp, facts: &SiteFacts<'_>) -> Claim {
    let up = service.state.is_up() || contradicted(service, facts);
    let level = if up { Level::Warning } else { weight(service, facts) };
    let end = service.exit.as_ref().map(|exit| format!(", it ends by itself: {exit}")).unwrap_or_default();
    let name = &service.name;
    let title = if crashes > LOOP {
        let n = u64::try_from(crashes).unwrap_or(u64::MAX);
        format!("{name} crashes again and again: {} in 5 minutes{end}", text::count(n, "start"))
    } else {
        let n = service.restarts.unwrap_or(0);
        format!("{name} crashes again and again: {} so far{end}", text::count(n.into(), "restart"))
    };
    let claim = claim(service, "service-crash-loop", level, title, at).suspected();
    match service.crashed.first() {
        Some(first) => claim.since(*first, true),
        None => claim,
    }
}

/// One that runs, and was started not long ago: worth knowing beside what else happens.
fn restarted(service: &Service, at: Timestamp, facts: &SiteFacts<'_>) -> Option<Claim> {
    let when = service.restarted.filter(|when| facts.now.millis_since(*when) <= RECENT_MS)?;
    let crashed = service.crashes(facts.now) > 0;
    let end = service.exit.as_ref().filter(|_| crashed).map(|exit| format!(" ({exit})")).unwrap_or_default();
    let how =
        if crashed && service.manager != Manager::Process { "ended and was started again" } else { "was started anew" };
    let claim = claim(service, "service-restarting", Level::Note, format!("{} {how}{end}", service.name), at);
    Some(claim.since(when, true))
}

fn memory(service: &Service, at: Timestamp, limits: &Thresholds) -> Option<Claim> {
    if let Some(when) = service.oom {
        let used = service.memory.map(|used| format!(" It has {} now.", text::bytes(used))).unwrap_or_default();
        let limit = service.memory_max.map(|most| format!(" Its limit is {}.", text::bytes(most))).unwrap_or_default();
        let title = format!("The kernel killed in {} for want of memory", service.name);
        let mut claim = claim(service, "service-oom", Level::Warning, title, at).since(when, true);
        claim.evidence = [claim.evidence.as_str(), ".", &used, &limit].concat();
        return Some(claim);
    }
    let (used, most) = (service.memory?, service.memory_max?);
    let share = crate::domain::traffic::share(precise(used), precise(most))?;
    (share >= limits.service_memory_warning).then(|| {
        let title = format!("{} has {} of {} of memory", service.name, text::bytes(used), text::bytes(most));
        claim(service, "service-memory", Level::Warning, title, at)
    })
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
const fn precise(bytes: u64) -> f64 {
    bytes as f64
}

fn stuck(service: &Service, at: Timestamp) -> Option<Claim> {
    let Stuck { how, processes, of, main, since } = service.stuck?;
    let name = &service.name;
    let held = at.millis_since(since);
    let many = if of > 1 { format!(" ({processes} of {of} processes)") } else { String::new() };
    let all = main || processes.saturating_add(1) >= of;
    let vital = if service.role.is_vital() && all { Level::Critical } else { Level::Warning };
    let (level, title) = match how {
        StuckHow::Stopped => {
            let title = format!("{name} is stopped by a signal{many}: it is there and does nothing");
            (vital, title)
        }
        StuckHow::Paused => (vital, format!("{name} is paused{many}: it is there and does nothing")),
        StuckHow::DiskSleep if held >= DISK_SLEEP_MS => {
            let span = text::span(held);
            (
                vital,
                format!("{name} is stuck in the kernel for {span}{many}: a disk or a network mount does not answer"),
            )
        }
        StuckHow::Zombie if held >= ZOMBIE_MS && main => {
            (Level::Warning, format!("{name} has ended and nobody has collected it{many}"))
        }
        StuckHow::DiskSleep | StuckHow::Zombie => return None,
    };
    Some(claim(service, "process-stopped-state", level, title, at).since(since, false))
}

fn at_boot(service: &Service, at: Timestamp) -> Option<Claim> {
    if service.at_boot != Some(false) || !service.state.is_up() || service.role == Role::Other {
        return None;
    }
    let title = format!("{} runs, but would not come up after a reboot", service.name);
    let mut claim = claim(service, "service-disabled", Level::Note, title, at);
    claim.evidence = match service.manager {
        Manager::Systemd | Manager::SystemdUser => format!("systemctl enable {} would change that", service.place),
        Manager::Compose => "its restart policy is \"no\": restart: unless-stopped would change that".to_owned(),
        Manager::Supervisor | Manager::Process => return None,
    };
    Some(claim)
}

/// Words in the name of a unit that somebody counts on though no site runs it.
const COUNTED_ON: &[&str] = &[
    "backup",
    "dump",
    "restic",
    "borg",
    "pgbackrest",
    "barman",
    "certbot",
    "acme",
    "lego",
    "postgres",
    "mysql",
    "mariadb",
    "redis",
    "valkey",
    "nginx",
    "haproxy",
    "caddy",
    "traefik",
    "apache",
    "docker",
    "containerd",
    "cron",
    "pretix",
    "pretalx",
    "celery",
    "gunicorn",
    "supervisor",
    "pgbouncer",
];

/// What is claimed of the host: units that failed and are no site's.
pub fn host_claims(facts: &HostFacts<'_>) -> Vec<Claim> {
    let Reading::Fresh { value, at, .. } = facts.units else { return Vec::new() };
    value.others.iter().map(|unit| failed(unit, *at)).collect()
}

fn failed(unit: &FailedUnit, at: Timestamp) -> Claim {
    let counted_on = COUNTED_ON.iter().any(|word| unit.unit.contains(word));
    let level = if counted_on { Level::Warning } else { Level::Note };
    let whose = if unit.user { "user unit " } else { "" };
    let title = format!("{} has failed", unit.unit);
    let evidence = format!("{whose}{} · {}", unit.description, unit.exit);
    let claim = Claim::new("unit-failed", level, title, evidence, SourceKind::Services, at).of(unit.unit.clone());
    match unit.since {
        Some(since) => claim.since(since, true),
        None => claim,
    }
}

#[cfg(test)]
mod tests;
