//! What runs by the clock on the host: crontabs, timers of systemd, and the jobs that run now.

mod cron;
mod runs;
mod timers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::errand::{Answer, Errand};
use super::roll::{self, Users};
use crate::config::Config;
use crate::domain::reading::Seen;
use crate::domain::schedule::{Job, PeriodicPlan, Run, ScheduleReading};
use crate::domain::time::Timestamp;
use crate::ports::Observe;

/// How long the errand is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// cron's daemon under its names.
const DAEMONS: &[&str] = &["cron", "crond", "anacron", "fcron", "cronie"];

/// Looks at it.
pub struct ScheduleProbe {
    root: PathBuf,
    errand: Errand<Looked>,
}

/// What came of a look at files and processes.
struct Looked {
    jobs: Vec<Job>,
    running: Vec<Run>,
    unseen: Vec<String>,
    daemon: bool,
}

impl ScheduleProbe {
    /// A probe for this configuration.
    pub fn new(_config: &Config) -> Self {
        Self { root: PathBuf::from("/"), errand: Errand::default() }
    }
}

/// The jobs of every crontab that can be read.
pub(super) fn crontabs(root: &Path, now: Timestamp, unseen: &mut Vec<String>) -> Vec<Job> {
    cron::jobs(root, now, unseen)
}

/// What starts the periodic tasks of this application, and how often: by these crontabs, and systemd's timers. Where
/// something does, it does not matter what else can't be seen.
pub(super) async fn plan(app: &str, crontabs: &[Job], unseen: bool) -> PeriodicPlan {
    let timers = timers::jobs().await;
    let none = Vec::new();
    let all = crontabs.iter().chain(timers.as_ref().unwrap_or(&none));
    let mine: Vec<&Job> = all.filter(|job| runs::is_of(job, app)).collect();
    let first = mine.iter().min_by_key(|job| job.interval_s.unwrap_or(u64::MAX));
    PeriodicPlan {
        by: first.map(|job| [job.starter.word(), " ", &job.name].concat()),
        interval_s: first.and_then(|job| job.interval_s),
        // A machine without systemd has no timers.
        partly_unseen: unseen && first.is_none(),
    }
}

fn look(root: &Path) -> Looked {
    let mut unseen = Vec::new();
    let jobs = crontabs(root, roll::now(), &mut unseen);
    let proc = root.join("proc");
    let daemon = !roll::processes(&proc, |words| {
        words.first().is_some_and(|word| DAEMONS.contains(&roll::base(word)))
            || words.iter().take(2).any(|w| w == "crond")
    })
    .is_empty();
    let running = runs::runs(root, &Users::read(root), &jobs);
    Looked { jobs, running, unseen, daemon }
}

impl Observe for ScheduleProbe {
    type Value = ScheduleReading;

    async fn observe(&mut self) -> Seen<ScheduleReading> {
        let root = self.root.clone();
        if let Err(error) = self.errand.begin(move || look(&root)) {
            return Seen::Failed(format!("The schedule can't be looked at: no thread to be had ({error})."));
        }
        let timers = timers::jobs().await;
        let looked = match self.errand.answer(Instant::now() + PATIENCE).await {
            Answer::Came(looked) => looked,
            Answer::Waiting(since) => {
                return Seen::Failed(format!("Crontabs or /proc have not answered for {} s.", since.as_secs()));
            }
            Answer::Lost => return Seen::Failed("The look at the schedule ended without an answer.".to_owned()),
        };
        let Looked { jobs, mut running, unseen, daemon } = looked;
        let mut reading = ScheduleReading { jobs, unseen, cron_runs: Some(daemon), ..ScheduleReading::default() };
        match timers {
            Ok(timers) => {
                for run in running.iter_mut().filter(|run| run.interval_s.is_none()) {
                    run.interval_s = runs::interval(&run.command, &timers);
                }
                reading.jobs.extend(timers);
            }
            Err(why) => reading.unseen.push(why),
        }
        reading.running = running;
        reading.tidy();
        Seen::Value(reading)
    }
}
