//! `systemctl show` read: blocks of `Property=Value`, one per unit.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::service::{FailedUnit, Service, State};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// One unit's properties.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in super::super) struct Unit(BTreeMap<String, String>);

/// Every block. What isn't `Name=Value` is passed over; a value that goes over several lines keeps its first.
pub(super) fn parse(text: &str) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut unit = Unit::default();
    for line in text.lines() {
        if line.is_empty() {
            if !unit.0.is_empty() {
                units.push(std::mem::take(&mut unit));
            }
        } else if let Some((name, value)) = line.split_once('=')
            && name.chars().all(|c| c.is_ascii_alphanumeric())
        {
            // ExecStart comes once per command: the first is the one that counts.
            unit.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    if !unit.0.is_empty() {
        units.push(unit);
    }
    units
}

impl Unit {
    /// A property that is set.
    pub(in super::super) fn get(&self, name: &str) -> Option<&str> {
        let unset = |value: &&str| !matches!(*value, "" | "[not set]" | "n/a" | "infinity" | "18446744073709551615");
        self.0.get(name).map(String::as_str).filter(unset)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// `Sat 2026-11-21 03:29:36 UTC`: systemctl was told to speak UTC.
    fn time(&self, name: &str) -> Option<Timestamp> {
        let (_, text) = self.get(name)?.split_once(' ')?;
        let local = DateTime::strptime("%Y-%m-%d %H:%M:%S", text.strip_suffix(" UTC")?).ok()?;
        let zoned = local.to_zoned(TimeZone::UTC).ok()?;
        Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
    }

    /// Whether this is the unit of that name, or one of its other names.
    pub(super) fn is(&self, name: &str) -> bool {
        self.get("Id") == Some(name) || self.get("Names").is_some_and(|names| names.split(' ').any(|n| n == name))
    }

    /// Whether it failed.
    pub(super) fn has_failed(&self) -> bool {
        self.get("ActiveState") == Some("failed")
    }

    /// The main process, as numbered where systemd runs.
    pub(in super::super) fn pid(&self) -> Option<u32> {
        self.number("MainPID").and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
    }

    /// Its control group: `/system.slice/pretix-web.service`.
    pub(in super::super) fn control_group(&self) -> Option<&str> {
        self.get("ControlGroup")
    }

    fn state(&self) -> State {
        match self.get("LoadState") {
            Some("not-found") => return State::Missing,
            Some("masked") => return State::Stopped,
            Some(_) | None => {}
        }
        let oneshot = self.get("Type") == Some("oneshot");
        match (self.get("ActiveState").unwrap_or_default(), self.get("SubState").unwrap_or_default()) {
            ("active", "waiting" | "elapsed" | "exited") => State::Waiting,
            ("active" | "reloading" | "refreshing", _) => State::Running,
            ("activating", sub) if sub.starts_with("auto-restart") => State::Restarting,
            ("activating", "start") if oneshot => State::Running,
            ("activating", _) => State::Starting,
            ("deactivating", _) => State::Stopping,
            ("failed", _) if self.gave_up() => State::GaveUp,
            ("failed", _) => State::Failed,
            ("inactive", _) if oneshot || self.get("TriggeredBy").is_some() => State::Waiting,
            ("inactive", _) => State::Stopped,
            _ => State::Unknown,
        }
    }

    /// systemd 252 says `failed`, `exit-code` of a unit it has stopped to restart: only the count tells (FIELD T-13).
    fn gave_up(&self) -> bool {
        let (restarts, burst) = (self.number("NRestarts").unwrap_or(0), self.number("StartLimitBurst").unwrap_or(0));
        self.get("Result") == Some("start-limit-hit") || (burst > 0 && restarts >= burst)
    }

    /// The first command, as words.
    fn command(&self) -> Vec<String> {
        let started = self.get("ExecStart").unwrap_or_default();
        let words = started.split_once("argv[]=").and_then(|(_, rest)| rest.split_once(" ; ignore_errors="));
        words.map(|(words, _)| words.split(' ').map(ToOwned::to_owned).collect()).unwrap_or_default()
    }
}

/// How a unit ended, if that was not as it should; for one that is about to be restarted too.
fn exit(unit: &Unit) -> Option<String> {
    let result = unit.get("Result").filter(|result| *result != "success")?;
    let status = unit.number("ExecMainStatus").unwrap_or(0);
    Some(match result {
        "exit-code" => exit_status(status),
        "signal" => format!("killed by {}", signal(status)),
        "core-dump" => format!("crashed by {} (core dumped)", signal(status)),
        "oom-kill" => "killed for want of memory".to_owned(),
        "watchdog" => "its watchdog was not fed in time".to_owned(),
        "timeout" => "it did not start or stop in time".to_owned(),
        "start-limit-hit" => "it was started too often".to_owned(),
        "protocol" => "it did not report itself ready as its unit says".to_owned(),
        "resources" => "systemd could not set it up (resources)".to_owned(),
        other => plain(other, 60),
    })
}

/// With the meaning systemd gives to its own numbers (systemd.exec(5)).
fn exit_status(status: u64) -> String {
    let meaning = match status {
        200 => " (its working directory can't be entered)",
        203 => " (its program can't be executed)",
        209 => " (its output can't be set up)",
        216 | 217 => " (its user or group can't be had)",
        226 => " (its namespace can't be set up)",
        243 => " (its credentials can't be had)",
        _ => "",
    };
    format!("exit status {status}{meaning}")
}

/// A signal's name, of those a service dies of.
pub(in super::super) fn signal(number: u64) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}

/// Lays what a unit says over a service.
pub(in super::super) fn service(unit: &Unit, service: &mut Service) {
    let active = unit.get("ActiveState").unwrap_or("unknown");
    service.state = unit.state();
    service.said = match unit.get("LoadState") {
        Some(load @ ("not-found" | "masked" | "error" | "bad-setting")) => load.to_owned(),
        Some(_) | None => format!("{} ({})", plain(active, 20), plain(unit.get("SubState").unwrap_or_default(), 30)),
    };
    service.since = match service.state {
        State::Running | State::Waiting => {
            unit.time("ActiveEnterTimestamp").or_else(|| unit.time("StateChangeTimestamp"))
        }
        State::Starting
        | State::Stopping
        | State::Unhealthy
        | State::Restarting
        | State::Frozen
        | State::Stopped
        | State::Failed
        | State::GaveUp
        | State::Missing
        | State::Unknown => unit.time("StateChangeTimestamp"),
    };
    service.pid = unit.pid();
    service.started = unit.time("ExecMainStartTimestamp").filter(|_| service.pid.is_some());
    service.restarts = unit.number("NRestarts").and_then(|n| u32::try_from(n).ok());
    service.exit = exit(unit);
    if unit.get("Result") == Some("oom-kill") {
        service.oom = unit.time("ExecMainExitTimestamp").or(service.since);
    }
    service.memory = unit.number("MemoryCurrent");
    service.memory_max = unit.number("MemoryMax");
    service.at_boot = match unit.get("UnitFileState") {
        Some("enabled" | "enabled-runtime" | "alias" | "linked") => Some(true),
        // Of one that a timer or a socket starts, that one is enabled.
        Some("disabled") if unit.get("TriggeredBy").is_none() => Some(false),
        Some(_) | None => None,
    };
    service.command = crate::backends::command_line::shown(&unit.command());
    service.facts = facts(unit);
}

fn facts(unit: &Unit) -> Vec<(String, String)> {
    let burst = unit.number("StartLimitBurst").zip(unit.get("StartLimitIntervalUSec"));
    let told = [
        ("description", unit.get("Description").map(ToOwned::to_owned)),
        ("says", unit.get("StatusText").map(ToOwned::to_owned)),
        ("unit file", unit.get("FragmentPath").map(ToOwned::to_owned)),
        ("at boot", unit.get("UnitFileState").map(ToOwned::to_owned)),
        ("user", unit.get("User").map(ToOwned::to_owned)),
        ("restart", unit.get("Restart").map(ToOwned::to_owned)),
        ("start limit", burst.map(|(n, span)| format!("{n} in {span}"))),
        ("result", unit.get("Result").map(ToOwned::to_owned)),
        ("cpu time", unit.number("CPUUsageNSec").map(|ns| crate::domain::text::span(ns / 1_000_000))),
        ("tasks", unit.get("TasksCurrent").map(ToOwned::to_owned)),
        ("control group", unit.get("ControlGroup").map(ToOwned::to_owned)),
        ("last triggered", unit.get("LastTriggerUSec").map(ToOwned::to_owned)),
        ("next", unit.get("NextElapseUSecRealtime").map(ToOwned::to_owned)),
        (
            "changed on disk",
            (unit.get("NeedDaemonReload") == Some("yes"))
                .then(|| "yes: systemctl daemon-reload has not been run since".to_owned()),
        ),
    ];
    told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), plain(&value?, 200)))).collect()
}

/// A unit of the host that failed.
pub(in super::super) fn failed_unit(unit: &Unit, user: bool) -> FailedUnit {
    FailedUnit {
        unit: plain(unit.get("Id").unwrap_or("?"), 120),
        description: plain(unit.get("Description").unwrap_or_default(), 120),
        exit: exit(unit).unwrap_or_else(|| "failed".to_owned()),
        since: unit.time("StateChangeTimestamp").or_else(|| unit.time("InactiveEnterTimestamp")),
        user,
    }
}

#[cfg(test)]
mod tests;
