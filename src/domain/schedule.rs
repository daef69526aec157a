//! What runs by the clock: timers and cron jobs, and the jobs that run now.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One look at the schedule of a host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScheduleReading {
    /// The jobs, soonest first.
    pub jobs: Vec<Job>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its timer's name, or the crontab it stands in.
    pub name: String,
    /// What it runs, redacted.
    pub command: String,
    /// When it last ran, where that is known.
    pub last: Option<Timestamp>,
    /// When it runs next.
    pub next: Option<Timestamp>,
}
