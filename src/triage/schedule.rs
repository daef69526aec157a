//! What the schedule, changes, updates and people of a host say (FIELD INC-09, INC-10), and what a site's periodic tasks
//! do.

mod rules;

use super::{Claim, HostFacts, SiteFacts, Thresholds};
use crate::domain::id::SourceKind;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::redis::PERIODIC_KEY_S;
use crate::domain::schedule::{Job, Run, ScheduleReading, Together};
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::domain::updates::UpdatesReading;

pub use rules::RULES;

/// A run of the periodic tasks takes this long before it leaves its mark, in seconds, on top of twice the interval.
const RUN_TAKES_S: u64 = 300;
/// Words in a job that somebody counts on.
const COUNTED_ON: &[&str] =
    &["backup", "dump", "restic", "borg", "pgbackrest", "barman", "certbot", "runperiodic", "periodic"];

/// What is claimed of a host.
pub fn claims(facts: &HostFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    let mut out = Vec::new();
    if let Reading::Fresh { value, at, .. } = facts.schedule {
        out.extend(value.together().iter().filter_map(|t| overlap(t, limits, *at)));
        out.extend(failed(value, *at));
        out.extend(no_cron(value, *at));
    }
    if let Reading::Fresh { value, at, .. } = facts.updates {
        out.extend(updates(value, *at));
    }
    out
}

/// Several runs of one job at once, or one that runs beyond the next.
fn overlap(together: &Together<'_>, limits: &Thresholds, at: Timestamp) -> Option<Claim> {
    let n = u32::try_from(together.runs.len()).unwrap_or(u32::MAX);
    let first = together.runs.first()?;
    let overdue = together.overdue(at).is_some();
    let level = if n >= limits.periodic_runs_critical.max(2) {
        Level::Critical
    } else if n >= limits.periodic_runs_warning.max(2) || overdue {
        Level::Warning
    } else {
        return None;
    };
    let age = text::span(at.millis_since(first.started));
    let app = app_of(&first.command);
    let title = if n > 1 {
        format!("{n} runs of {app} at once, the oldest for {age}: each holds a session of the database")
    } else {
        format!("A run of {app} takes {age}, longer than until the next is due")
    };
    let every = first.interval_s.map_or_else(
        || "how often it is started was not found".to_owned(),
        |interval| format!("it is started every {}", text::span(interval.saturating_mul(1000))),
    );
    // What began last made the overlap; one alone is late since its interval ended.
    let since = together.runs.get(1).map_or(first.started, |second| second.started);
    let details = together.runs.iter().map(|run| told(run, at));
    let claim = Claim::new("periodic-overlap", level, title, every, SourceKind::Schedule, at);
    Some(claim.of(text::plain(together.group, 80)).since(since, true).with(details))
}

fn told(run: &Run, at: Timestamp) -> String {
    format!("pid {} of {} for {}: {}", run.pid, run.user, text::span(at.millis_since(run.started)), run.command)
}

fn app_of(command: &str) -> &'static str {
    if command.contains("pretalx") {
        "pretalx' periodic tasks"
    } else if command.contains("pretix") {
        "pretix' periodic tasks"
    } else {
        "the periodic tasks"
    }
}

fn counted_on(job: &Job) -> bool {
    let has = |text: &str| COUNTED_ON.iter().any(|word| text.contains(word));
    has(&job.name) || has(&job.command)
}

/// Timers whose last run failed.
fn failed(reading: &ScheduleReading, at: Timestamp) -> Vec<Claim> {
    let claim = |job: &Job| {
        let how = job.failed.as_ref()?;
        let level = if counted_on(job) { Level::Warning } else { Level::Note };
        let title = format!("{} failed when it last ran ({how})", job.command);
        let next = job.next.map(|next| format!("; it runs again in {}", text::span(next.millis_since(at))));
        let evidence = format!("started by {} {}{}", job.starter.word(), job.name, next.unwrap_or_default());
        let claim =
            Claim::new("timer-failed", level, title, evidence, SourceKind::Schedule, at).of(job.command.clone());
        Some(match job.last {
            Some(last) => claim.since(last, true),
            None => claim,
        })
    };
    reading.jobs.iter().filter_map(claim).collect()
}

/// Jobs in crontabs, and nothing that starts them.
fn no_cron(reading: &ScheduleReading, at: Timestamp) -> Option<Claim> {
    if reading.cron_runs != Some(false) {
        return None;
    }
    let waiting: Vec<&Job> = reading
        .jobs
        .iter()
        .filter(|job| job.starter == crate::domain::schedule::Starter::Cron && counted_on(job))
        .collect();
    let first = waiting.first()?;
    let n = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
    let title = format!("No cron daemon runs: {} that somebody counts on will not start", text::count(n, "job"));
    let evidence = format!("{}: {}", first.name, first.command);
    let details = waiting.iter().map(|job| format!("{} · {} · {}", job.name, job.when, job.command));
    Some(Claim::new("cron-stopped", Level::Warning, title, evidence, SourceKind::Schedule, at).with(details))
}

/// Notes, never alarms.
fn updates(reading: &UpdatesReading, at: Timestamp) -> Vec<Claim> {
    let mut out = Vec::new();
    if let Some(why) = &reading.reboot {
        let title = "The machine waits for a reboot";
        out.push(Claim::new("reboot-needed", Level::Note, title, why.clone(), SourceKind::Updates, at));
    }
    if let Some(n) = reading.security.filter(|n| *n > 0) {
        let title =
            format!("{} {} pending", text::count(n.into(), "security update"), if n == 1 { "is" } else { "are" });
        let listed =
            reading.listed.map(|listed| format!("; the lists are {} old", text::span(at.millis_since(listed))));
        let evidence = [reading.policy.words(), &listed.unwrap_or_default()].concat();
        let claim = Claim::new("updates-pending", Level::Note, title, evidence, SourceKind::Updates, at);
        out.push(claim.with(reading.packages.iter().cloned()));
    }
    out
}

/// What is claimed of a site: whether its periodic tasks run. pretix leaves a mark in Redis for 12 hours.
pub fn site_claims(facts: &SiteFacts<'_>, limits: &Thresholds) -> Vec<Claim> {
    silent(facts, limits).into_iter().collect()
}

fn silent(facts: &SiteFacts<'_>, limits: &Thresholds) -> Option<Claim> {
    let Reading::Fresh { value: redis, at, .. } = facts.redis else { return None };
    let age = redis.periodic_age_s?;
    let app = facts.on_disk.value();
    let plan = app.and_then(|app| app.periodic.as_ref());
    let by = plan.and_then(|plan| plan.by.as_deref());
    let interval = plan.and_then(|plan| plan.interval_s).filter(|_| by.is_some());
    let limit = interval.map_or(limits.periodic_silent_s, |interval| {
        interval.saturating_mul(2).saturating_add(RUN_TAKES_S).min(limits.periodic_silent_s)
    });
    // A mark that is gone may have gone with a restart of Redis, or never have been set on a new installation.
    let lost = age >= PERIODIC_KEY_S;
    let known = |since: Option<u64>| since.is_none_or(|since| since >= limit);
    let installed = app.and_then(|app| app.installed).map(|since| at.secs_since(since));
    if age < limit || (lost && !(known(redis.server.uptime_s) && known(installed))) {
        return None;
    }
    let long = text::span(age.saturating_mul(1000));
    let title = if lost {
        format!(
            "Periodic tasks have not run for {long} or more, or never: no reminders, nothing expires, failed mail is not sent again"
        )
    } else {
        format!("Periodic tasks have not run for {long}: no reminders, nothing expires, failed mail is not sent again")
    };
    let evidence = match (by, interval) {
        (Some(by), Some(interval)) => {
            format!("{by} should start them every {}", text::span(interval.saturating_mul(1000)))
        }
        (Some(by), None) => format!("{by} should start them"),
        (None, _) if plan.is_some_and(|plan| plan.partly_unseen) => {
            "nothing that starts them was found; not every crontab can be read by this user".to_owned()
        }
        (None, _) => "no crontab and no timer on this host starts them".to_owned(),
    };
    // Without a schedule here they may be started from another host, and without its application's age it may be new.
    let level = if by.is_none() && installed.is_none() { Level::Note } else { Level::Warning };
    let claim = Claim::new("periodic-silent", level, title, evidence, SourceKind::Redis, *at);
    let since = at.plus_secs(-i64::try_from(age).unwrap_or(0));
    let claim = claim.since(since, !lost);
    Some(if lost || by.is_none() { claim.suspected() } else { claim })
}

#[cfg(test)]
mod tests;
