//! How the last run of each backup job went: systemd's word on timers, and the last words of a cron line's own log.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::moment;
use crate::config::backups::BackupJob;
use crate::domain::backup::Job;
use crate::domain::backup::header::civil;
use crate::domain::redact::redact;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// How long systemd may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of a log that are read, from its end.
const TAIL: u64 = 4096;
/// Words with which dumping programs give up.
const FAILED: [&str; 8] = [
    "pg_dump: error",
    "pg_dumpall: error",
    "aborting because of server version mismatch",
    "mysqldump: Got error",
    "mariadb-dump: Got error",
    "mysqldump: Error",
    "No space left on device",
    "Fatal: ",
];

/// The jobs as they are now. `saved`: when a backup last appeared in one of these directories.
pub(super) fn jobs(found: &[BackupJob], saved: &dyn Fn(&Path) -> Option<Timestamp>) -> Vec<Job> {
    found.iter().map(|job| one(job, saved)).collect()
}

fn one(job: &BackupJob, saved: &dyn Fn(&Path) -> Option<Timestamp>) -> Job {
    let mut out = Job {
        name: job.name.clone(),
        subject: job.subject,
        schedule: job.schedule.clone(),
        command: job.command.clone(),
        user: job.user.clone(),
        ..Job::default()
    };
    let newest = job.targets.iter().filter_map(|dir| saved(dir)).max();
    if let (Some(timer), Some(service)) = (&job.timer, &job.service) {
        let shown = show(&[timer, service], job.of_user);
        out.last = shown.iter().find_map(|s| stamp(s.get("LastTriggerUSec")?));
        out.next = shown.iter().find_map(|s| stamp(s.get("NextElapseUSecRealtime")?));
        if let Some(service) = shown.iter().find(|s| s.get("Id").is_some_and(|id| id.ends_with(".service"))) {
            let said = |key: &str| service.get(key).unwrap_or_default();
            out.running = matches!(said("ActiveState"), "activating" | "active");
            out.last = stamp(said("ExecMainExitTimestamp")).or(out.last);
            if !matches!(said("Result"), "success" | "") {
                let status = said("ExecMainStatus");
                out.failure = Some(format!("systemd says {} (exit status {status})", plain(said("Result"), 40)));
            }
        }
    } else {
        out.last = newest;
    }
    if out.failure.is_none()
        && let Some((at, line)) = job.log.as_deref().and_then(last_words)
        && newest.is_none_or(|saved| saved < at)
    {
        out.failure = Some(format!("its log ends with: {line}"));
        out.last = out.last.max(Some(at));
    }
    out
}

/// The last error in a log, and when that was written; nothing, where the log ends otherwise.
fn last_words(log: &Path) -> Option<(Timestamp, String)> {
    let mut file = crate::backends::plain::open(log).ok()?;
    let meta = file.metadata().ok()?;
    file.seek(SeekFrom::Start(meta.len().saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let last: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(6).collect();
    let line = last.iter().find(|line| FAILED.iter().any(|word| line.contains(word)))?;
    Some((moment::changed(&meta), plain(&redact(line), 160)))
}

/// Values of a unit.
struct Unit(Vec<(String, String)>);

impl Unit {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

fn show(units: &[&String], of_user: bool) -> Vec<Unit> {
    let mut command = Command::new("systemctl");
    command
        .args(of_user.then_some("--user"))
        .args(["show", "--no-pager", "-p"])
        .arg("Id,ActiveState,Result,ExecMainStatus,ExecMainExitTimestamp,LastTriggerUSec,NextElapseUSecRealtime");
    command.arg("--").args(units).env("LC_ALL", "C").env("TZ", "UTC");
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = spawned else { return Vec::new() };
    let begun = Instant::now();
    // Its answer is far shorter than a pipe's buffer.
    while matches!(child.try_wait(), Ok(None)) {
        if begun.elapsed() > PATIENCE {
            child.kill().ok();
            child.wait().ok();
            return Vec::new();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut text = String::new();
    if let Some(out) = child.stdout.take() {
        out.take(1 << 16).read_to_string(&mut text).ok();
    }
    let unit = |block: &str| {
        let pairs = block.lines().filter_map(|line| line.split_once('='));
        Unit(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    };
    text.split("\n\n").map(unit).collect()
}

/// `Sat 2026-11-21 02:00:00 UTC`.
fn stamp(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once(' ')?;
    moment::at(civil(rest)?, &TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_log_that_ends_with_an_error_is_a_failure_until_a_backup_comes() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("backup.log");
        fs::write(&log, "ok\npg_dump: error: server version: 17.2; pg_dump version: 15.18\npg_dump: error: aborting because of server version mismatch\n").unwrap();
        let job = BackupJob { log: Some(log.clone()), targets: vec![dir.path().to_owned()], ..BackupJob::default() };
        let failure = |saved: Option<Timestamp>| jobs(std::slice::from_ref(&job), &|_| saved).remove(0).failure;
        assert!(failure(None).unwrap().contains("server version mismatch"));
        assert!(failure(Some(Timestamp::from_millis(0))).is_some());
        assert_eq!(failure(Some(Timestamp::from_millis(i64::MAX / 2))), None);
        fs::write(&log, "done\n").unwrap();
        assert_eq!(failure(None), None);
    }

    #[test]
    fn stamps_of_systemd() {
        assert_eq!(stamp("Sat 2026-11-21 02:00:00 UTC").map(Timestamp::as_secs), Some(1_795_226_400));
        assert_eq!(stamp("n/a"), None);
        assert_eq!(stamp(""), None);
    }
}
