//! Crontabs: what stands in them, when it runs next, and when it last did.

use std::path::Path;

use croner::Cron;
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::backends::roll::{self, refusal};
use crate::backends::{command_line, stamps};
use crate::domain::schedule::{Job, Starter};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Files of a directory of crontabs.
const FILES: usize = 200;
/// Runs of one job that are looked at for the longest pause between two.
const RUNS: usize = 60;
/// How far ahead that is looked, in milliseconds: three days.
const AHEAD_MS: u64 = 3 * 86_400_000;

/// Every job of every crontab that can be read.
pub(in crate::backends) fn jobs(root: &Path, now: Timestamp, unseen: &mut Vec<String>) -> Vec<Job> {
    let mut out = Vec::new();
    let mut system = |path: &Path, unseen: &mut Vec<String>| match roll::text(path) {
        Ok(text) => out.extend(crontab(&text, &roll::shown(root, path), None, now)),
        Err(error) => unseen.extend(refusal(&roll::shown(root, path), &error, "run midwatch as root")),
    };
    system(&root.join("etc/crontab"), unseen);
    for path in roll::list(&root.join("etc/cron.d"), FILES).unwrap_or_default() {
        // cron itself passes over names like these (`run-parts`, dpkg's leftovers, editors' copies).
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.contains(['.', '~', '#']) {
            system(&path, unseen);
        }
    }
    for spool in ["var/spool/cron/crontabs", "var/spool/cron"] {
        let dir = root.join(spool);
        match roll::list(&dir, FILES) {
            Ok(files) => {
                for path in files.iter().filter(|p| p.is_file()) {
                    let user = path.file_name().map(|n| plain(&n.to_string_lossy(), 40)).unwrap_or_default();
                    match roll::text(path) {
                        Ok(text) => out.extend(crontab(&text, &["crontab of ", &user].concat(), Some(&user), now)),
                        Err(error) => {
                            unseen.extend(refusal(
                                &["The crontab of ", &user].concat(),
                                &error,
                                "run midwatch as root",
                            ));
                        }
                    }
                }
            }
            Err(error) => unseen.extend(refusal("Users' crontabs", &error, "run midwatch as root")),
        }
    }
    let parts = daily(root, &out);
    out.extend(parts);
    last(root, &mut out, now);
    out
}

/// The scripts of `/etc/cron.daily` and its like, at the time their line in a crontab says.
fn daily(root: &Path, known: &[Job]) -> Vec<Job> {
    let mut out = Vec::new();
    for name in ["hourly", "daily", "weekly", "monthly"] {
        let dir = ["/etc/cron.", name].concat();
        let line = known.iter().find(|job| job.command.contains("run-parts") && job.command.contains(&dir));
        for path in roll::list(&root.join(dir.trim_start_matches('/')), FILES).unwrap_or_default() {
            let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if file.contains('.') || !path.is_file() {
                continue;
            }
            let shown = roll::shown(root, &path);
            out.push(Job {
                name: dir.clone(),
                command: shown,
                user: Some("root".to_owned()),
                when: line.map_or_else(|| name.to_owned(), |line| line.when.clone()),
                next: line.and_then(|line| line.next),
                interval_s: line.and_then(|line| line.interval_s),
                ..Job::default()
            });
        }
    }
    out
}

/// The jobs of one crontab; `user` is whose it is, where the lines name none.
fn crontab(text: &str, name: &str, user: Option<&str>, now: Timestamp) -> Vec<Job> {
    let mut zone = None;
    let mut out = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((key, value)) = setting(line) {
            if key == "CRON_TZ" {
                zone = TimeZone::get(value.trim_matches(['"', '\''])).ok();
            }
            continue;
        }
        let Some((when, rest)) = split(line) else { continue };
        let (user, command) = match user {
            Some(user) => (user, rest),
            None => match rest.split_once(char::is_whitespace) {
                Some((user, command)) => (user, command.trim_start()),
                None => continue,
            },
        };
        let (next, interval_s) = times(&when, zone.clone(), now);
        // What stands after the first % is the command's input.
        let command = command.split('%').next().unwrap_or(command).trim();
        out.push(Job {
            name: name.to_owned(),
            starter: Starter::Cron,
            when,
            command: command_line::shown(&command.split_ascii_whitespace().collect::<Vec<_>>()),
            user: Some(plain(user, 40)),
            next,
            interval_s,
            ..Job::default()
        });
    }
    out
}

/// `NAME=value`, before any word of a schedule.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!key.is_empty() && key.chars().all(name) && !key.starts_with(|c: char| c.is_ascii_digit()))
        .then(|| (key, value.trim()))
}

/// A schedule, and the rest of its line.
fn split(line: &str) -> Option<(String, &str)> {
    let mut rest = line;
    let fields = if line.starts_with('@') { 1 } else { 5 };
    let mut when = Vec::new();
    for _ in 0..fields {
        let (field, after) = rest.split_once(char::is_whitespace)?;
        when.push(field);
        rest = after.trim_start();
    }
    (!rest.is_empty()).then(|| (plain(&when.join(" "), 80), rest))
}

/// When it runs next, and the longest pause between two runs within the next days, in seconds.
fn times(when: &str, zone: Option<TimeZone>, now: Timestamp) -> (Option<Timestamp>, Option<u64>) {
    let Some(cron) = Some(when).filter(|w| *w != "@reboot").and_then(|when| when.parse::<Cron>().ok()) else {
        return (None, None);
    };
    let Ok(here) = jiff::Timestamp::from_millisecond(now.as_millis()) else { return (None, None) };
    let mut at: Zoned = here.to_zoned(zone.unwrap_or_else(TimeZone::system));
    let (mut next, mut longest, mut before): (Option<Timestamp>, Option<u64>, Option<Timestamp>) = (None, None, None);
    for _ in 0..RUNS {
        let Ok(found) = cron.find_next_occurrence(&at, false) else { break };
        let run = Timestamp::from_millis(found.timestamp().as_millisecond());
        next = next.or(Some(run));
        longest = longest.max(before.map(|before| run.secs_since(before)));
        if longest.is_some() && run.millis_since(now) > AHEAD_MS {
            break;
        }
        before = Some(run);
        at = found;
    }
    (next, longest)
}

/// When each last ran, as cron's own lines in the log say: `CRON[7]: (pretix) CMD (command)`.
fn last(root: &Path, jobs: &mut [Job], now: Timestamp) {
    let logs = ["var/log/syslog", "var/log/cron.log", "var/log/cron"].map(|path| root.join(path));
    let Some(text) = logs.iter().find_map(|path| crate::backends::changes::tail(path).ok()) else { return };
    for line in text.lines().rev().filter(|line| line.contains(" CMD (")) {
        let Some((at, tag, said)) = stamps::syslog(line, now) else { continue };
        if !tag.eq_ignore_ascii_case("cron") && tag != "crond" {
            continue;
        }
        let Some((user, command)) = said.trim().strip_prefix('(').and_then(|s| s.split_once(") CMD (")) else {
            continue;
        };
        let command = command.strip_suffix(')').unwrap_or(command);
        let command = command_line::shown(&command.split_ascii_whitespace().collect::<Vec<_>>());
        for job in jobs.iter_mut().filter(|job| job.last.is_none() && job.user.as_deref() == Some(user)) {
            if job.command == command {
                job.last = Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::{crontab, jobs, times};
    use crate::backends::stamps;
    use crate::domain::schedule::Job;
    use crate::domain::time::Timestamp;

    fn now() -> Timestamp {
        stamps::local("2026-11-21 09:20:01").unwrap()
    }

    #[test]
    fn the_next_run_and_the_longest_pause_are_told() {
        let of = |when: &str| times(when, None, now());
        assert_eq!(of("15,45 * * * *"), (stamps::local("2026-11-21 09:45:00"), Some(1800)));
        assert_eq!(of("@hourly"), (stamps::local("2026-11-21 10:00:00"), Some(3600)));
        assert_eq!(of("0 2 * * *").0, stamps::local("2026-11-22 02:00:00"));
        assert_eq!(of("*/10 8-17 * * *").1, Some(14 * 3600 + 600));
        assert_eq!(of("@reboot"), (None, None));
        assert_eq!(of("0 0 31 2 *"), (None, None));
        assert_eq!(of("nonsense * * * *"), (None, None));
    }

    #[test]
    fn a_crontab_has_settings_comments_users_and_secrets() {
        let text = "SHELL=/bin/sh\nPATH=/bin:/usr/bin\n# 1 2 3 4 5 no\n\n\
            15,45 * * * * pretix cd /var/pretix && venv/bin/python -m pretix runperiodic\n\
            17 3 * * 1-5  root  mysqldump -phunter2 shop > /b/shop.$(date +\\%F).sql\n\
            @daily root /usr/local/bin/backup --to s3\nbroken\n";
        let found = crontab(text, "/etc/cron.d/pretix", None, now());
        let told: Vec<(&str, Option<&str>, bool)> =
            found.iter().map(|j| (j.when.as_str(), j.user.as_deref(), j.is_periodic_tasks())).collect();
        assert_eq!(
            told,
            [
                ("15,45 * * * *", Some("pretix"), true),
                ("17 3 * * 1-5", Some("root"), false),
                ("@daily", Some("root"), false)
            ]
        );
        assert!(!format!("{found:?}").contains("hunter2"));
        let own = crontab("0 4 * * * /home/an/job\n", "crontab of an", Some("an"), now());
        assert_eq!((own[0].user.as_deref(), own[0].command.as_str()), (Some("an"), "/home/an/job"));
    }

    #[test]
    fn a_machine_s_crontabs_are_found_with_their_last_runs() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "etc/crontab",
            "25 6 * * * root test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }\n",
        );
        write("etc/cron.d/pretix", "*/5 * * * * pretix /v/bin/python -m pretix runperiodic\n");
        write("etc/cron.d/pretix.dpkg-old", "* * * * * root no\n");
        write("etc/cron.daily/logrotate", "#!/bin/sh\n");
        write("var/spool/cron/crontabs/an", "0 4 * * * /home/an/job\n");
        write(
            "var/log/syslog",
            "Nov 21 09:10:01 web1 CRON[7]: (pretix) CMD (/v/bin/python -m pretix runperiodic)\n\
             Nov 21 09:15:01 web1 CRON[8]: (pretix) CMD (/v/bin/python -m pretix runperiodic)\n\
             Nov 21 09:16:01 web1 CRON[9]: (root) CMD (/v/bin/python -m pretix runperiodic)\n",
        );
        let mut unseen = Vec::new();
        let found = jobs(root.path(), now(), &mut unseen);
        let by = |command: &str| found.iter().find(|j: &&Job| j.command.ends_with(command)).unwrap();
        assert_eq!(by("runperiodic").last, stamps::local("2026-11-21 09:15:01"));
        assert_eq!(by("/etc/cron.daily/logrotate").next, stamps::local("2026-11-22 06:25:00"));
        assert_eq!(by("/home/an/job").name, "crontab of an");
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(unseen.is_empty());
    }

    proptest! {
        #[test]
        fn any_crontab_is_survived(text in "[0-9*/,@a-z=% \n#-]{0,120}") {
            crontab(&text, "x", None, Timestamp::from_millis(1_795_230_000_000));
        }
    }
}
