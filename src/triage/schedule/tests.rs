//! Each rule about the schedule, on a model.

use super::{claims, site_claims};
use crate::domain::app_state::AppReading;
use crate::domain::history::History;
use crate::domain::level::Level;
use crate::domain::reading::Reading;
use crate::domain::redis::{PERIODIC_KEY_S, RedisReading, RedisServer};
use crate::domain::schedule::{Job, PeriodicPlan, Run, RunKind, ScheduleReading};
use crate::domain::time::Timestamp;
use crate::domain::updates::{Policy, UpdatesReading};
use crate::triage::{Claim, HostFacts, SiteFacts, Thresholds, rule};

const NOW: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn fresh<T>(value: T) -> Reading<T> {
    Reading::Fresh { value, at: NOW, took_ms: 3 }
}

fn of_host(schedule: ScheduleReading, updates: UpdatesReading) -> Vec<Claim> {
    let facts = HostFacts {
        name: "web1",
        reading: &Reading::Never,
        changes: &Reading::Never,
        schedule: &fresh(schedule),
        units: &Reading::Never,
        updates: &fresh(updates),
        people: &Reading::Never,
        heard: None,
        silent_after_ms: 40_000,
        now: NOW,
    };
    let claims = claims(&facts, &Thresholds::default());
    assert!(claims.iter().all(|claim| rule::rule(claim.rule).is_some()));
    claims
}

fn run(pid: u32, ago: i64) -> Run {
    Run {
        pid,
        user: "pretix".to_owned(),
        command: "python -m pretix runperiodic".to_owned(),
        group: "pretix / python -m pretix runperiodic".to_owned(),
        kind: RunKind::Periodic,
        started: NOW.plus_secs(-ago),
        interval_s: Some(1800),
    }
}

fn levels(claims: &[Claim]) -> Vec<(&'static str, Level)> {
    claims.iter().map(|c| (c.rule, c.level)).collect()
}

#[test]
fn two_runs_at_once_are_a_warning_and_three_are_critical() {
    let of = |running: Vec<Run>| {
        of_host(ScheduleReading { running, ..ScheduleReading::default() }, UpdatesReading::default())
    };
    assert_eq!(levels(&of(vec![run(7, 60)])), []);
    let two = of(vec![run(7, 3120), run(8, 1320)]);
    assert_eq!(levels(&two), [("periodic-overlap", Level::Warning)]);
    assert_eq!(
        two[0].title,
        "2 runs of pretix' periodic tasks at once, the oldest for 52m00s: each holds a session of the database"
    );
    assert_eq!(two[0].since.map(|s| s.at), Some(NOW.plus_secs(-1320)), "since the second began");
    assert_eq!(two[0].details.len(), 2);
    assert_eq!(levels(&of(vec![run(7, 60), run(8, 50), run(9, 40)])), [("periodic-overlap", Level::Critical)]);
    let late = of(vec![run(7, 1900)]);
    assert_eq!(levels(&late), [("periodic-overlap", Level::Warning)]);
    assert!(late[0].title.contains("longer than until the next is due"));
}

#[test]
fn a_timer_that_failed_weighs_what_it_does() {
    let job =
        |command: &str| Job { command: command.to_owned(), failed: Some("exit status 1".to_owned()), ..Job::default() };
    let jobs = vec![job("pg-backup.service"), job("man-db.service"), Job::default()];
    let found = of_host(ScheduleReading { jobs, ..ScheduleReading::default() }, UpdatesReading::default());
    assert_eq!(levels(&found), [("timer-failed", Level::Warning), ("timer-failed", Level::Note)]);
    assert_eq!(found[0].subject, "pg-backup.service");
}

#[test]
fn crontabs_without_cron_matter_where_somebody_counts_on_them() {
    let of = |command: &str, cron_runs| {
        let jobs = vec![Job { command: command.to_owned(), ..Job::default() }];
        levels(&of_host(ScheduleReading { jobs, cron_runs, ..ScheduleReading::default() }, UpdatesReading::default()))
    };
    assert_eq!(of("pg_dump -Fc pretix", Some(false)), [("cron-stopped", Level::Warning)]);
    assert_eq!(of("pg_dump -Fc pretix", Some(true)), []);
    assert_eq!(of("pg_dump -Fc pretix", None), []);
    assert_eq!(of("/etc/cron.daily/man-db", Some(false)), []);
}

#[test]
fn updates_are_notes() {
    let updates = UpdatesReading {
        pending: Some(9),
        security: Some(1),
        reboot: Some("libssl3".to_owned()),
        policy: Policy::Nothing,
        ..UpdatesReading::default()
    };
    let found = of_host(ScheduleReading::default(), updates);
    assert_eq!(levels(&found), [("reboot-needed", Level::Note), ("updates-pending", Level::Note)]);
    assert_eq!(found[1].title, "1 security update is pending");
    let several = UpdatesReading { security: Some(3), ..UpdatesReading::default() };
    assert_eq!(of_host(ScheduleReading::default(), several)[0].title, "3 security updates are pending");
    assert_eq!(
        levels(&of_host(ScheduleReading::default(), UpdatesReading { pending: Some(9), ..UpdatesReading::default() })),
        []
    );
}

/// What is said of a site whose mark in Redis is so old.
fn silent(age: u64, plan: Option<PeriodicPlan>, installed_ago: Option<i64>, uptime_s: u64) -> Option<Claim> {
    let server = RedisServer { uptime_s: Some(uptime_s), ..RedisServer::default() };
    let redis = fresh(RedisReading { periodic_age_s: Some(age), server, ..RedisReading::default() });
    let installed = installed_ago.map(|ago| NOW.plus_secs(-ago));
    let on_disk = fresh(AppReading { installed, periodic: plan, ..AppReading::default() });
    let history = History::new();
    let facts = SiteFacts {
        redis: &redis,
        on_disk: &on_disk,
        app_name: "pretix 2026.8.0",
        ..SiteFacts::unseen("pretix 2026.8.0", &history, NOW)
    };
    site_claims(&facts, &Thresholds::default()).pop()
}

const LONG: u64 = 10_000_000;
const OLD: Option<i64> = Some(10_000_000);

#[expect(clippy::unnecessary_wraps, reason = "as the reading has it")]
fn every(interval_s: u64) -> Option<PeriodicPlan> {
    Some(PeriodicPlan {
        by: Some("cron /etc/cron.d/pretix".to_owned()),
        interval_s: Some(interval_s),
        partly_unseen: false,
    })
}

#[test]
fn periodic_tasks_are_missed_after_two_intervals() {
    assert_eq!(silent(3000, every(1800), OLD, LONG), None);
    let missed = silent(4000, every(1800), OLD, LONG).unwrap();
    assert_eq!((missed.level, missed.suspected), (Level::Warning, false));
    assert_eq!(missed.evidence, "cron /etc/cron.d/pretix should start them every 30m00s");
    assert_eq!(missed.since.map(|s| s.at), Some(NOW.plus_secs(-4000)));
    assert_eq!(silent(4000, every(30 * 86_400), OLD, LONG), None);
}

#[test]
fn without_a_schedule_the_application_s_own_limit_holds_and_it_is_suspected() {
    let none = Some(PeriodicPlan::default());
    assert_eq!(silent(30_000, none.clone(), OLD, LONG), None);
    let never = silent(PERIODIC_KEY_S, none.clone(), OLD, LONG).unwrap();
    assert_eq!((never.level, never.suspected), (Level::Warning, true));
    assert_eq!(never.evidence, "no crontab and no timer on this host starts them");
    assert_eq!(silent(PERIODIC_KEY_S, none.clone(), None, LONG).unwrap().level, Level::Note, "it may be new");
    assert_eq!(silent(PERIODIC_KEY_S, none.clone(), Some(3600), LONG), None, "it is new");
    assert_eq!(silent(PERIODIC_KEY_S, every(1800), OLD, 600), None, "the mark went with a restart of Redis");
    let unseen = Some(PeriodicPlan { partly_unseen: true, ..PeriodicPlan::default() });
    assert!(silent(PERIODIC_KEY_S, unseen, OLD, LONG).unwrap().evidence.contains("not every crontab can be read"));
}
