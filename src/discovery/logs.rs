//! Where the logs of an application are: in its data directory, where its processes write, what they were told on their
//! command lines, the units they run in, and beside them the logs of database, Redis and proxy.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Surroundings;
use super::beside::{Stands, beside};
use super::process::Process;
use super::trust::bytes;
use crate::config::{Found, LogConfig, LogPlace, Trace};
use crate::domain::text;

/// More open files of one process are not looked at.
const DESCRIPTORS: usize = 2_000;
/// More processes are not looked at.
pub(super) const PROCESSES: usize = 20_000;
/// Most logs of a site.
const MOST: usize = 24;
/// Options whose value is a log.
const OPTIONS: &[&str] = &["--error-logfile", "--log-file", "--logfile"];

/// The logs of an application with this data directory and these processes.
pub(super) fn logs(
    around: &Surroundings,
    data_dir: &Path,
    processes: &[&Process],
    stands: &Stands,
    trail: &mut Vec<Trace>,
) -> Vec<LogConfig> {
    let mut places: Vec<LogPlace> = Vec::new();
    let mut files: Vec<PathBuf> = listed(around, &data_dir.join("logs"));
    for process in processes {
        files.extend(told(process));
        files.extend(written(around, process.pid()));
        places.extend(unit(around, process.pid()));
    }
    files.extend(beside(around, stands));
    // The same file by several names is one; what keeps requests is read elsewhere.
    let mut seen = BTreeSet::new();
    files.retain(|file| !is_access(file) && seen.insert(identity(around, file)));
    places.extend(files.into_iter().map(LogPlace::File));
    let mut known = BTreeSet::new();
    places.retain(|place| known.insert(place.clone()));
    places.truncate(MOST);
    let n = u64::try_from(places.len()).unwrap_or(0);
    let outcome = match n {
        0 => Found::No("no log was found; name them with [[sites.NAME.logs]]".to_owned()),
        n => Found::Yes(text::count(n, "source")),
    };
    trail.push(Trace { what: "logs".to_owned(), outcome });
    places.into_iter().map(named).collect()
}

fn named(place: LogPlace) -> LogConfig {
    match place {
        LogPlace::File(path) => LogConfig::file(path),
        LogPlace::Unit { unit, user } => LogConfig::unit(&unit, user),
        place @ (LogPlace::Container { .. } | LogPlace::Compose { .. }) => {
            LogConfig { name: text::plain(&place.to_string(), 60), place }
        }
    }
}

/// `*.log` of a directory.
pub(super) fn listed(around: &Surroundings, dir: &Path) -> Vec<PathBuf> {
    let names =
        std::fs::read_dir(around.at(dir)).map(|dir| dir.filter_map(Result::ok).take(DESCRIPTORS).collect::<Vec<_>>());
    let mut out: Vec<PathBuf> = names
        .unwrap_or_default()
        .iter()
        .map(|entry| dir.join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|e| e == "log") && around.at(path).is_file())
        .collect();
    out.sort();
    out
}

/// The logs named on a command line.
fn told(process: &Process) -> Vec<PathBuf> {
    let mut words = process.words().iter();
    let mut out = Vec::new();
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some((option, value)) if OPTIONS.contains(&option) => Some(value.to_owned()),
            _ if OPTIONS.contains(&word.as_str()) => words.next().cloned(),
            _ => None,
        };
        // Celery puts the node's name in; a dash is the standard output.
        if let Some(value) = value.filter(|v| v != "-" && !v.contains('%') && !v.is_empty()) {
            out.extend(
                process
                    .cwd()
                    .map(|cwd| cwd.join(&value))
                    .or_else(|| Some(PathBuf::from(&value)))
                    .filter(|p| p.is_absolute()),
            );
        }
    }
    out
}

/// Regular files named like a log that a process has open for writing, and those its output goes to.
pub(super) fn written(around: &Surroundings, pid: u32) -> Vec<PathBuf> {
    let dir = around.at(Path::new("/proc")).join(pid.to_string());
    let Ok(descriptors) = std::fs::read_dir(dir.join("fd")) else { return Vec::new() };
    let mut out = BTreeSet::new();
    for entry in descriptors.filter_map(Result::ok).take(DESCRIPTORS) {
        let Ok(path) = std::fs::read_link(entry.path()) else { continue };
        let name = entry.file_name();
        let output = name == "1" || name == "2";
        let like = path.extension().is_some_and(|e| e == "log" || (output && (e == "err" || e == "out" || e == "txt")));
        if !path.is_absolute() || !like || !around.at(&path).is_file() {
            continue;
        }
        let info = bytes(&dir.join("fdinfo").join(&name), 4_096).unwrap_or_default();
        let info = String::from_utf8_lossy(&info);
        let flags =
            info.lines().find_map(|l| l.strip_prefix("flags:")).and_then(|f| u32::from_str_radix(f.trim(), 8).ok());
        // The two lowest bits: 0 is reading alone.
        if flags.is_some_and(|flags| flags & 0o3 != 0) {
            out.insert(path);
        }
    }
    out.into_iter().collect()
}

/// The unit that a process runs in, by its control group.
fn unit(around: &Surroundings, pid: u32) -> Option<LogPlace> {
    let path = around.at(Path::new("/proc")).join(pid.to_string()).join("cgroup");
    let text = String::from_utf8_lossy(&bytes(&path, 16 * 1024).ok()?).into_owned();
    // The unified hierarchy, or systemd's own of the old ones.
    let group =
        text.lines().find_map(|l| l.strip_prefix("0::").or_else(|| l.split_once(":name=systemd:").map(|(_, g)| g)))?;
    let service = group.split('/').rev().find(|part| part.ends_with(".service"))?;
    // A session's own manager holds everything a login has started: that is no unit of the application's.
    if service.starts_with("user@") {
        return None;
    }
    let user = group.split('/').any(|part| part.starts_with("user@"));
    Some(LogPlace::Unit { unit: service.to_owned(), user })
}

fn is_access(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_ascii_lowercase().contains("access"))
}

fn identity(around: &Surroundings, path: &Path) -> (u64, u64, Option<PathBuf>) {
    match std::fs::metadata(around.at(path)) {
        Ok(about) => (about.dev(), about.ino(), None),
        Err(_) => (0, 0, Some(path.to_owned())),
    }
}
