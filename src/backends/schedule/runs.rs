//! Periodic jobs and backups that run now.

use std::path::Path;

use crate::backends::roll::{self, Proc, Users, base, only_starts};
use crate::domain::schedule::{Job, Run, RunKind, is_periodic_tasks};
use crate::domain::service::Role;
use crate::domain::text::plain;

/// Programs that make backups.
const BACKUPS: &[&str] = &[
    "pg_dump",
    "pg_dumpall",
    "pg_basebackup",
    "mysqldump",
    "mariadb-dump",
    "mariabackup",
    "xtrabackup",
    "restic",
    "borg",
    "pgbackrest",
    "barman",
    "duplicity",
    "rdiff-backup",
    "borgmatic",
    "wal-g",
];
/// More of an environment is not read.
const ENVIRONMENT: u64 = 64 * 1024;

/// Every such process that is not only the starter of another one, each run once.
pub(super) fn runs(root: &Path, users: &Users, jobs: &[Job]) -> Vec<Run> {
    let proc = root.join("proc");
    let found = roll::processes(&proc, |words| kind(words).is_some());
    let working: Vec<&Proc> = found.iter().filter(|p| !only_starts(&p.words)).collect();
    // A run that forks, or that starts a helper of the same kind, is one run.
    let below = |p: &Proc| working.iter().any(|other| other.pid == p.parent && kind(&other.words) == kind(&p.words));
    let mut out: Vec<Run> = working
        .iter()
        .filter(|p| !below(p))
        .filter_map(|p| {
            let kind = kind(&p.words)?;
            let command = p.shown();
            let user = users.name(p.uid);
            Some(Run {
                pid: p.pid,
                group: group(&proc, p, &user, &command),
                interval_s: (kind == RunKind::Periodic).then(|| interval(&command, jobs)).flatten(),
                user,
                command,
                kind,
                started: p.started,
            })
        })
        .collect();
    out.sort_by_key(|run| (run.started, run.pid));
    out
}

fn kind(words: &[String]) -> Option<RunKind> {
    if Role::of_command(words) == Some(Role::Periodic) {
        return Some(RunKind::Periodic);
    }
    let program = words.first().map_or("", |word| base(word));
    let interpreted = program.starts_with("python") || program.starts_with("perl");
    let name = if interpreted { words.get(1).map_or("", |word| base(word)) } else { program };
    // `borg` and `restic` look at their repositories too: that is no backup, and does no harm to be told.
    BACKUPS.contains(&name).then_some(RunKind::Backup)
}

/// What tells one site's job from that of another: user, working directory and configuration beside the command. What
/// can't be looked at is left out.
fn group(proc: &Path, process: &Proc, user: &str, command: &str) -> String {
    use std::io::Read as _;
    let dir = proc.join(process.pid.to_string());
    let cwd = std::fs::read_link(dir.join("cwd")).map(|path| path.display().to_string()).unwrap_or_default();
    let mut env = Vec::new();
    if let Ok(file) = std::fs::File::open(dir.join("environ")) {
        // One that can't be read to its end is as if it could not be read at all.
        if file.take(ENVIRONMENT).read_to_end(&mut env).is_err() {
            env.clear();
        }
    }
    let config = env.split(|b| *b == 0).filter_map(|entry| std::str::from_utf8(entry).ok()).find_map(|entry| {
        entry.strip_prefix("PRETIX_CONFIG_FILE=").or_else(|| entry.strip_prefix("PRETALX_CONFIG_FILE="))
    });
    plain(&[user, &cwd, config.unwrap_or_default(), command].join(" "), 400)
}

/// Seconds between two runs of the periodic tasks of the application this command line speaks of: of several schedules
/// the shortest.
pub(super) fn interval(command: &str, jobs: &[Job]) -> Option<u64> {
    let app = ["pretix", "pretalx"].into_iter().find(|app| command.contains(app));
    let mine = jobs.iter().filter(|job| job.is_periodic_tasks());
    let mine = mine.filter(|job| app.is_none_or(|app| [&job.command, &job.name].iter().any(|text| text.contains(app))));
    mine.filter_map(|job| job.interval_s).min()
}

/// Whether a job starts the periodic tasks of this application.
pub(super) fn is_of(job: &Job, app: &str) -> bool {
    let told = |text: &str| is_periodic_tasks(text) && text.contains(app);
    told(&job.command) || told(&job.name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{interval, is_of, runs};
    use crate::backends::roll::Users;
    use crate::domain::schedule::{Job, RunKind};

    fn job(name: &str, command: &str, interval_s: u64) -> Job {
        let (name, command) = (name.to_owned(), command.to_owned());
        Job { name, command, interval_s: Some(interval_s), ..Job::default() }
    }

    #[test]
    fn starters_and_children_are_no_runs_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        let process = |pid: u32, parent: u32, line: &str| {
            let dir = proc.join(pid.to_string());
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("cmdline"), line.replace('|', "\0")).unwrap();
            let stat = format!("{pid} (x) S {parent} 1 1 0 -1 0 1 0 0 0 5 2 0 0 20 0 1 0 {} 1000 12 1", pid * 10);
            fs::write(dir.join("stat"), stat).unwrap();
        };
        fs::create_dir_all(&proc).unwrap();
        fs::write(proc.join("stat"), "btime 1000\n").unwrap();
        process(7, 1, "/bin/sh|-c|cd /v && python -m pretix runperiodic|");
        process(8, 7, "python|-m|pretix|runperiodic|");
        process(9, 8, "python|-m|pretix|runperiodic|");
        process(10, 1, "flock|-n|/l|python|-m|pretix|runperiodic|");
        process(11, 1, "python|-m|pretix|runperiodic|");
        process(12, 1, "/usr/bin/python3|/usr/bin/borg|create|::x|");
        process(13, 1, "/usr/lib/postgresql/15/bin/pg_dump|-Fc|postgresql://u:hunter2@h/d|");
        process(14, 1, "/v/bin/python|-m|celery|worker|");
        let jobs = [job("/etc/cron.d/pretix", "python -m pretix runperiodic", 1800)];
        let found = runs(root.path(), &Users::default(), &jobs);
        let told: Vec<(u32, RunKind)> = found.iter().map(|r| (r.pid, r.kind)).collect();
        let (periodic, backup) = (RunKind::Periodic, RunKind::Backup);
        assert_eq!(told, [(8, periodic), (11, periodic), (12, backup), (13, backup)]);
        assert_eq!(found[0].group, found[1].group);
        assert_eq!(found[0].interval_s, Some(1800));
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn the_interval_is_that_of_the_application_s_own_schedule() {
        let jobs = [
            job("/etc/cron.d/pretix", "python -m pretix runperiodic", 1800),
            job("pretalx-periodic.timer", "pretalx-periodic.service", 300),
            job("pretix-backup.timer", "pretix-backup.service", 86_400),
        ];
        assert_eq!(interval("python -m pretix runperiodic", &jobs), Some(1800));
        assert_eq!(interval("python -m pretalx runperiodic", &jobs), Some(300));
        assert_eq!(interval("python manage.py runperiodic", &jobs), Some(300));
        assert_eq!(jobs.iter().filter(|j| is_of(j, "pretix")).count(), 1);
    }
}
