//! Where logs are, and what the operator wants to be told of in them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::load::Source;
use super::{ServiceConfig, ServicePlace};
use crate::domain::level::Level;
use crate::domain::log::Trigger;
use crate::domain::log::trigger::Condition;
use crate::domain::text::plain;

/// A log of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Its short name on the screen.
    pub name: String,
    /// Where it is.
    pub place: LogPlace,
}

/// Where a log is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogPlace {
    /// A file.
    File(PathBuf),
    /// The journal of a unit.
    Unit {
        /// The unit, with its ending: `pretix-web.service`.
        unit: String,
        /// Whether it is one of this user's own.
        user: bool,
    },
    /// A container, by name or id.
    Container {
        /// Docker's or Podman's socket; `None`: the usual one.
        socket: Option<PathBuf>,
        /// Its name or id.
        name: String,
    },
    /// The container of a Compose service.
    Compose {
        /// Docker's or Podman's socket.
        socket: PathBuf,
        /// The project; empty: whichever has such a service.
        project: String,
        /// The service.
        service: String,
    },
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Unit { unit, user: false } => f.write_str(unit),
            Self::Unit { unit, user: true } => write!(f, "{unit} (of this user)"),
            Self::Container { name, .. } => write!(f, "container {name}"),
            Self::Compose { service, .. } => write!(f, "Compose service {service}"),
        }
    }
}

impl LogConfig {
    /// A file under its own name.
    pub fn file(path: PathBuf) -> Self {
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        Self { name: plain(&name, 60), place: LogPlace::File(path) }
    }

    /// What a service writes, where it says that of its own: units and containers.
    pub fn service(service: &ServiceConfig, own_uid: u32) -> Option<Self> {
        let place = match &service.place {
            ServicePlace::Unit { unit, user: None } => LogPlace::Unit { unit: unit.clone(), user: false },
            // The journal of another user's units is closed even where that of the system is open.
            ServicePlace::Unit { unit, user: Some(manager) } if manager.uid == own_uid => {
                LogPlace::Unit { unit: unit.clone(), user: true }
            }
            ServicePlace::Compose { socket, project, service } => {
                let (socket, project, service) = (socket.clone(), project.clone(), service.clone());
                LogPlace::Compose { socket, project, service }
            }
            ServicePlace::Unit { .. } | ServicePlace::Supervisor { .. } | ServicePlace::Process { .. } => return None,
        };
        Some(Self { name: plain(&service.name, 60), place })
    }

    /// A unit under its own name.
    pub fn unit(unit: &str, user: bool) -> Self {
        let full = if unit.contains('.') { unit.to_owned() } else { [unit, ".service"].concat() };
        let name = full.strip_suffix(".service").unwrap_or(&full).to_owned();
        Self { name: plain(&name, 60), place: LogPlace::Unit { unit: full, user } }
    }
}

/// A log of a site: one of `path`, `unit`, `user_unit`, `container`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogFile {
    /// A file.
    pub path: Option<String>,
    /// The journal of a systemd unit.
    pub unit: Option<String>,
    /// The journal of a systemd unit of this user's own.
    pub user_unit: Option<String>,
    /// A container, by name or id, asked through Docker's socket.
    pub container: Option<String>,
    /// Docker's or Podman's socket, where it isn't the usual one.
    pub socket: Option<String>,
    /// Its short name on the screen.
    pub name: Option<String>,
}

/// Something to be told of: lines that match too often, no longer, or one after the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerFile {
    /// Its name.
    pub name: String,
    /// A regular expression that lines must match.
    #[serde(rename = "match")]
    #[schemars(with = "String")]
    pub pattern: Spanned<String>,
    /// The site it is about (default: every site).
    pub site: Option<String>,
    /// It holds when nothing matched for so long: `"30m"`.
    #[schemars(with = "Option<String>")]
    pub absent_for: Option<Spanned<String>>,
    /// It holds when so many matched within so long: `"10 in 5m"`.
    #[schemars(with = "Option<String>")]
    pub rate: Option<Spanned<String>>,
    /// It holds when a match is followed by one of these.
    pub sequence: Option<SequenceFile>,
    /// How bad that is: `note`, `warning` (the default) or `critical`.
    #[schemars(with = "Option<String>")]
    pub level: Option<Spanned<String>>,
}

/// What follows a match.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SequenceFile {
    /// A regular expression.
    #[schemars(with = "String")]
    pub then: Spanned<String>,
    /// Within so long: `"1m"`.
    #[schemars(with = "String")]
    pub within: Spanned<String>,
}

/// The logs that a site's table names; mistakes go to the source.
pub(super) fn logs(written: Vec<Spanned<LogFile>>, source: &mut Source) -> Vec<LogConfig> {
    let mut out = Vec::new();
    for log in written {
        let span = log.span();
        let log = log.into_inner();
        let name = log.name;
        let found = match (log.path, log.unit, log.user_unit, log.container) {
            (Some(path), None, None, None) => LogConfig::file(PathBuf::from(path)),
            (None, Some(unit), None, None) => LogConfig::unit(&unit, false),
            (None, None, Some(unit), None) => LogConfig::unit(&unit, true),
            (None, None, None, Some(name)) => {
                let socket = log.socket.map(PathBuf::from);
                LogConfig { name: plain(&name, 60), place: LogPlace::Container { socket, name } }
            }
            _ => {
                let help = "write one of path = \"…\", unit = \"…\", user_unit = \"…\", container = \"…\"".to_owned();
                source.mistake(span, "names no log, or more than one", Some(help));
                continue;
            }
        };
        out.push(LogConfig { name: name.map_or(found.name, |name| plain(&name, 60)), place: found.place });
    }
    out
}

/// A trigger, checked, and the site it is about; mistakes go to the source.
pub(super) fn trigger(written: Spanned<TriggerFile>, source: &mut Source) -> Option<(Option<String>, Trigger)> {
    let span = written.span();
    let file = written.into_inner();
    let pattern = regex(&file.pattern, source)?;
    let condition = match (file.absent_for, file.rate, file.sequence) {
        (Some(span), None, None) => Condition::AbsentFor(millis(&span, span.get_ref(), source)?),
        (None, Some(rate), None) => {
            let (count, within) = rate.get_ref().split_once(" in ").unwrap_or(("", ""));
            let Ok(count @ 1..=64) = count.trim().parse::<u64>() else {
                let help = Some("write it like \"10 in 5m\", up to 64".to_owned());
                source.mistake(rate.span(), "is no rate", help);
                return None;
            };
            Condition::Rate { count, within_ms: millis(&rate, within, source)? }
        }
        (None, None, Some(sequence)) => {
            let then = regex(&sequence.then, source)?;
            Condition::Sequence { then, within_ms: millis(&sequence.within, sequence.within.get_ref(), source)? }
        }
        _ => {
            let help =
                "write one of absent_for = \"30m\", rate = \"10 in 5m\", sequence = { then = \"…\", within = \"1m\" }";
            source.mistake(span, "says not when it holds, or in more than one way", Some(help.to_owned()));
            return None;
        }
    };
    let level = match file.level.as_ref().map(|level| level.get_ref().as_str()) {
        None | Some("warning") => Level::Warning,
        Some("note") => Level::Note,
        Some("critical") => Level::Critical,
        Some(_) => {
            let span = file.level.as_ref().map_or(0..0, Spanned::span);
            source.mistake(span, "is no level", Some("note, warning or critical".to_owned()));
            return None;
        }
    };
    Some((file.site, Trigger { name: plain(&file.name, 60), pattern, condition, level }))
}

fn regex(written: &Spanned<String>, source: &mut Source) -> Option<Regex> {
    let built = RegexBuilder::new(written.get_ref()).size_limit(1 << 20).dfa_size_limit(1 << 20).build();
    built
        .map_err(|error| {
            let why = error.to_string();
            let last = why.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            source.mistake(
                written.span(),
                format!("is no regular expression: {}", last.trim_start_matches("error: ")),
                None,
            );
        })
        .ok()
}

fn millis(written: &Spanned<String>, text: &str, source: &mut Source) -> Option<u64> {
    let span = text.trim().parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    if let Some(millis) =
        span.and_then(|span| u64::try_from(span.as_millis()).ok()).filter(|ms| (1_000..=86_400_000).contains(ms))
    {
        Some(millis)
    } else {
        let help = Some("write it like \"30s\", \"5m\", up to a day".to_owned());
        source.mistake(written.span(), "is no span of time", help);
        None
    }
}
