//! Reads systemd's timers, and what the services they start run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::Surroundings;
use super::command::understand;
use super::{Job, Jobs};
use crate::config::backups::BackupJob;
use crate::domain::redact::redact;
use crate::domain::text::plain;

/// Where units lie, the first found wins.
const SYSTEM: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// The distribution's own, which save no application.
const NOT_OURS: [&str; 6] = [
    "dpkg-db-backup.timer",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "logrotate.timer",
    "man-db.timer",
    "fstrim.timer",
];
/// Timers of one directory that are looked at.
const MOST: usize = 400;

/// Reads all timers that can be read.
pub(super) fn read(around: &Surroundings, out: &mut Jobs) {
    let mut seen = BTreeSet::new();
    let own: Option<PathBuf> = around.home.as_ref().map(|home| home.join(".config/systemd/user"));
    let dirs = SYSTEM.iter().map(|dir| (PathBuf::from(dir), false));
    let user = own.into_iter().chain([PathBuf::from("/etc/systemd/user")]).map(|dir| (dir, true));
    for (dir, of_user) in dirs.chain(user) {
        for entry in fs::read_dir(around.at(&dir)).into_iter().flatten().flatten().take(MOST) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let timer = name.strip_suffix(".timer").is_some() && !NOT_OURS.contains(&name.as_str());
            if timer && seen.insert((name.clone(), of_user)) {
                one(around, &dir, &name, of_user, out);
            }
        }
    }
}

fn one(around: &Surroundings, dir: &Path, timer: &str, of_user: bool, out: &mut Jobs) {
    let text = fs::read_to_string(around.at(&dir.join(timer))).unwrap_or_default();
    let stem = timer.trim_end_matches(".timer");
    let service = value(&text, "Unit=").next().map_or_else(|| format!("{stem}.service"), str::to_owned);
    // `backup@pretix.timer` starts the template `backup@.service`.
    let template = service.split_once('@').map(|(name, _)| format!("{name}@.service"));
    let instance = service.split_once('@').and_then(|(_, rest)| rest.strip_suffix(".service")).unwrap_or_default();
    let places = std::iter::once(dir.to_owned()).chain(SYSTEM.iter().map(PathBuf::from));
    let names: Vec<String> = std::iter::once(service.clone()).chain(template).collect();
    let unit = places
        .flat_map(|place| names.iter().map(move |name| place.join(name)).collect::<Vec<_>>())
        .find_map(|path| fs::read_to_string(around.at(&path)).ok());
    let Some(unit) = unit else { return };
    let prefix =
        |line: &str| line.trim_start_matches(['-', '@', '+', '!', ':']).replace("%i", instance).replace("%I", instance);
    let starts: Vec<String> = value(&unit, "ExecStart=").map(prefix).collect();
    let environment: String =
        value(&unit, "Environment=").map(|line| [line.trim_matches('"'), "\n"].concat()).collect();
    let command = starts.join("; ");
    let Some(understood) = understand(around, &[environment.as_str(), command.as_str()].concat()) else { return };
    let schedule = ["OnCalendar=", "OnUnitActiveSec=", "OnBootSec="].iter().find_map(|key| value(&text, key).next());
    out.found.push(Job {
        told: BackupJob {
            name: format!("timer {}", plain(timer, 100)),
            schedule: plain(schedule.unwrap_or_default(), 60),
            command: plain(&redact(&command), 300),
            user: value(&unit, "User=").next().map(|user| plain(user, 40)),
            timer: Some(timer.to_owned()),
            service: Some(service),
            of_user,
            log: understood.log,
            targets: understood.targets,
            subject: understood.subject,
            databases: understood.databases,
        },
        repositories: understood.repositories,
        kept_days: understood.kept_days,
    });
}

/// The values of a key, continued lines joined.
fn value<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter_map(move |line| line.trim().strip_prefix(key)).map(str::trim).filter(|value| !value.is_empty())
}
