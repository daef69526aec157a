//! Timers of systemd: when each runs next, when it last ran, and how that ended.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::backends::services::systemctl;
use crate::config::UserManager;
use crate::domain::schedule::{Job, Starter};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Timers asked about.
const TIMERS: usize = 100;

/// One line of `systemctl list-timers --output=json` (systemd 249 and later). Times are microseconds since 1970; 0 or
/// the greatest number: never.
#[derive(Debug, Deserialize)]
struct Line {
    next: Option<u64>,
    last: Option<u64>,
    unit: Option<String>,
    activates: Option<String>,
}

/// The timers of the system and of this user.
///
/// # Errors
/// A sentence, where the system's can't be had.
pub(in crate::backends) async fn jobs() -> Result<Vec<Job>, String> {
    let uid = rustix::process::geteuid().as_raw();
    let own = UserManager { uid, runtime: Path::new("/run/user").join(uid.to_string()) };
    let user = async {
        // Most users have no manager: that is no news.
        if own.runtime.join("systemd").exists() { of(Some(&own)).await.ok() } else { None }
    };
    let (system, user) = tokio::join!(of(None), user);
    let mut out = system?;
    out.extend(user.unwrap_or_default());
    Ok(out)
}

async fn of(user: Option<&UserManager>) -> Result<Vec<Job>, String> {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<String>>();
    let text = systemctl(user, &words(&["list-timers", "--all", "--no-pager", "--output=json"])).await?;
    let lines: Vec<Line> = serde_json::from_str(&text)
        .map_err(|_not_json| "This systemd doesn't list its timers as JSON (it is older than 249).".to_owned())?;
    let mut jobs = listed(lines, user.is_some());
    let mut ask = words(&["show", "--no-pager", "--property=Id,Result,ActiveState,ExecMainStatus", "--"]);
    ask.extend(jobs.iter().map(|job| job.command.clone()).filter(|unit| !unit.is_empty()));
    if let Ok(text) = systemctl(user, &ask).await {
        ended(&text, &mut jobs);
    }
    Ok(jobs)
}

fn listed(lines: Vec<Line>, of_user: bool) -> Vec<Job> {
    let time = |micros: Option<u64>| {
        let millis = i64::try_from(micros.filter(|m| *m > 0)? / 1000).ok()?;
        // Beyond the year 2200 it is no time.
        (millis < 7_258_118_400_000).then(|| Timestamp::from_millis(millis))
    };
    let one = |line: Line| {
        let name = plain(&line.unit?, 120);
        let command = plain(&line.activates.unwrap_or_default(), 120);
        // An argument of a program shall not look like an option.
        let command = if command.starts_with('-') { String::new() } else { command };
        let (last, next) = (time(line.last), time(line.next));
        Some(Job {
            name,
            starter: if of_user { Starter::UserTimer } else { Starter::Timer },
            command,
            last,
            next,
            interval_s: next.zip(last).map(|(next, last)| next.secs_since(last)).filter(|s| *s > 0),
            ..Job::default()
        })
    };
    lines.into_iter().filter_map(one).take(TIMERS).collect()
}

/// Lays over the timers how what they start ended.
fn ended(text: &str, jobs: &mut [Job]) {
    for block in text.split("\n\n") {
        let facts: BTreeMap<&str, &str> = block.lines().filter_map(|line| line.split_once('=')).collect();
        let Some(unit) = facts.get("Id") else { continue };
        let status = facts.get("ExecMainStatus").copied().unwrap_or_default();
        let failed = match facts.get("Result").copied() {
            None | Some("success" | "") => None,
            Some("exit-code") => Some(format!("exit status {status}")),
            Some("signal" | "core-dump") => Some(format!("killed by signal {status}")),
            Some("timeout") => Some("it took too long".to_owned()),
            Some("oom-kill") => Some("the kernel killed it for want of memory".to_owned()),
            Some(other) => Some(plain(other, 60)),
        };
        let runs = matches!(facts.get("ActiveState").copied(), Some("activating" | "active" | "reloading"));
        for job in jobs.iter_mut().filter(|job| job.command == *unit) {
            job.failed.clone_from(&failed);
            job.running = runs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, ended, listed};
    use crate::domain::schedule::Starter;

    /// As systemd 252 says it.
    const LISTED: &str = r#"[
        {"next":1795254300000000,"left":1,"last":1795254000602952,"passed":1,"unit":"pretalx-periodic.timer","activates":"pretalx-periodic.service"},
        {"next":0,"left":0,"last":null,"passed":0,"unit":"never.timer","activates":"never.service"},
        {"next":18446744073709551615,"last":0,"unit":"apt-daily.timer","activates":null}]"#;

    #[test]
    fn timers_are_told_with_how_they_ended() {
        let lines: Vec<Line> = serde_json::from_str(LISTED).unwrap();
        let mut jobs = listed(lines, false);
        let text = "Id=pretalx-periodic.service\nResult=exit-code\nActiveState=failed\nExecMainStatus=1\n\n\
                    Id=never.service\nResult=success\nActiveState=activating\nExecMainStatus=0\n";
        ended(text, &mut jobs);
        let told: Vec<(&str, Option<u64>, Option<&str>, bool)> =
            jobs.iter().map(|j| (j.name.as_str(), j.interval_s, j.failed.as_deref(), j.running)).collect();
        assert_eq!(
            told,
            [
                ("pretalx-periodic.timer", Some(299), Some("exit status 1"), false),
                ("never.timer", None, None, true),
                ("apt-daily.timer", None, None, false),
            ]
        );
        assert_eq!((jobs[1].next, jobs[1].last, jobs[2].next), (None, None, None));
        assert!(jobs[0].is_periodic_tasks());
        assert_eq!(jobs[0].starter, Starter::Timer);
    }
}
