//! What runs by the clock: timers and cron jobs, and the jobs that run now.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Most jobs that are told.
pub const MOST_JOBS: usize = 120;
/// Most running jobs that are told.
pub const MOST_RUNS: usize = 60;
/// A periodic job of which no schedule is known may take this long, in seconds (pretix: "any interval from one minute to
/// one hour").
pub const LONGEST_INTERVAL_S: u64 = 3600;

/// One look at the schedule of a host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScheduleReading {
    /// The jobs, soonest first; at most [`MOST_JOBS`].
    pub jobs: Vec<Job>,
    /// Periodic jobs and backups that run now, the oldest first; at most [`MOST_RUNS`].
    #[serde(default)]
    pub running: Vec<Run>,
    /// Whether a cron daemon runs; jobs in crontabs wait for one.
    #[serde(default)]
    pub cron_runs: Option<bool>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

/// What starts a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Starter {
    /// A timer of systemd.
    Timer,
    /// A timer of a user's systemd.
    UserTimer,
    /// cron.
    #[default]
    Cron,
}

impl Starter {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::UserTimer => "user timer",
            Self::Cron => "cron",
        }
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Its timer's name, or the crontab it stands in.
    pub name: String,
    /// What starts it.
    pub starter: Starter,
    /// When it is to run, as written: `15,45 * * * *`; empty for a timer.
    pub when: String,
    /// What it runs, redacted; of a timer the unit.
    pub command: String,
    /// The user it runs as, where that is written.
    pub user: Option<String>,
    /// When it last ran, where that is known.
    pub last: Option<Timestamp>,
    /// When it runs next.
    pub next: Option<Timestamp>,
    /// Seconds between two runs, the longest within the next days.
    pub interval_s: Option<u64>,
    /// How it failed when it last ran, where it did: `exit status 1`.
    pub failed: Option<String>,
    /// Whether its unit runs now.
    pub running: bool,
}

impl Job {
    /// Whether it runs the periodic tasks of a Django application.
    pub fn is_periodic_tasks(&self) -> bool {
        is_periodic_tasks(&self.command) || is_periodic_tasks(&self.name)
    }
}

/// Whether a command line, or a unit's name, is that of periodic tasks: pretix and pretalx call them `runperiodic`,
/// pretix' container `cron`, and their units are usually called `…-periodic`.
pub fn is_periodic_tasks(text: &str) -> bool {
    let word = |c: char| !c.is_ascii_alphanumeric();
    let mut words = text.split(word).filter(|word| !word.is_empty());
    let last = |text: &str| text.split_whitespace().next_back().is_some_and(|w| w == "cron");
    words.any(|word| matches!(word, "runperiodic" | "periodic")) || (text.contains("pretix") && last(text))
}

/// A job that runs now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its process.
    pub pid: u32,
    /// The user it runs as.
    pub user: String,
    /// What it runs, redacted.
    pub command: String,
    /// What tells it from jobs of the same name of another site: no secret, the same for all its runs.
    pub group: String,
    /// What it is for.
    pub kind: RunKind,
    /// When it began.
    pub started: Timestamp,
    /// Seconds between two of its runs, where its schedule was found.
    pub interval_s: Option<u64>,
}

/// What a running job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// Periodic tasks of an application.
    Periodic,
    /// A backup.
    Backup,
}

/// Runs of one periodic job at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together<'a> {
    /// Their group.
    pub group: &'a str,
    /// All of them, the oldest first; at least one.
    pub runs: Vec<&'a Run>,
}

impl<'a> Together<'a> {
    /// The oldest, if it runs longer than until the next is due.
    pub fn overdue(&self, now: Timestamp) -> Option<&'a Run> {
        let run = self.runs.first()?;
        let interval = run.interval_s.unwrap_or(LONGEST_INTERVAL_S).max(SHORTEST_S);
        (now.secs_since(run.started) > interval).then_some(*run)
    }
}

/// A run that takes this long, in seconds, is no matter, however often it runs: every run of pretix takes some seconds
/// to start.
const SHORTEST_S: u64 = 120;

impl ScheduleReading {
    /// Soonest first, and not more than may be told.
    pub fn tidy(&mut self) {
        self.jobs.sort_by(|a, b| {
            let key = |job: &Job| (job.next.is_none(), job.next);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name)).then_with(|| a.command.cmp(&b.command))
        });
        self.jobs.truncate(MOST_JOBS);
        self.running.sort_by_key(|run| (run.started, run.pid));
        self.running.truncate(MOST_RUNS);
    }

    /// The runs of periodic tasks by job.
    pub fn together(&self) -> Vec<Together<'_>> {
        let mut out: Vec<Together<'_>> = Vec::new();
        for run in self.running.iter().filter(|run| run.kind == RunKind::Periodic) {
            match out.iter_mut().find(|t| t.group == run.group) {
                Some(of) => of.runs.push(run),
                None => out.push(Together { group: &run.group, runs: vec![run] }),
            }
        }
        out
    }
}

/// How often an application's periodic tasks are to run, and what starts them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PeriodicPlan {
    /// What starts them: `cron /etc/cron.d/pretix`; `None`: nothing was found that does.
    pub by: Option<String>,
    /// Seconds between two runs.
    pub interval_s: Option<u64>,
    /// Whether crontabs or timers could not all be seen.
    pub partly_unseen: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

    fn run(group: &str, ago: i64, interval_s: Option<u64>) -> Run {
        Run {
            pid: 7,
            user: "pretix".to_owned(),
            command: "python -m pretix runperiodic".to_owned(),
            group: group.to_owned(),
            kind: RunKind::Periodic,
            started: T0.plus_secs(-ago),
            interval_s,
        }
    }

    #[test]
    fn runs_of_two_sites_at_once_are_no_overlap() {
        let running = vec![run("a", 900, Some(1800)), run("b", 20, Some(1800)), run("a", 10, Some(1800))];
        let reading = ScheduleReading { running, ..ScheduleReading::default() };
        let found: Vec<(&str, usize)> = reading.together().iter().map(|t| (t.group, t.runs.len())).collect();
        assert_eq!(found, [("a", 2), ("b", 1)]);
    }

    #[test]
    fn a_run_is_overdue_when_the_next_one_is_due() {
        let overdue = |ago, interval| {
            let reading = ScheduleReading { running: vec![run("a", ago, interval)], ..ScheduleReading::default() };
            reading.together().first().is_some_and(|t| t.overdue(T0).is_some())
        };
        assert!(overdue(1801, Some(1800)) && !overdue(1700, Some(1800)));
        assert!(!overdue(100, Some(60)), "a slow start is no matter");
        assert!(overdue(3700, None) && !overdue(3500, None));
    }

    #[test]
    fn periodic_tasks_are_told_by_their_words() {
        for text in [
            "cd /var/pretix && venv/bin/python -m pretix runperiodic",
            "/usr/bin/docker exec pretix.service pretix cron",
            "pretalx-periodic.service",
        ] {
            assert!(is_periodic_tasks(text), "{text}");
        }
        for text in ["/usr/lib/apt/apt.systemd.daily", "cron", "run-parts /etc/cron.daily", "pretix-web.service"] {
            assert!(!is_periodic_tasks(text), "{text}");
        }
    }
}
