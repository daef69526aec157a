//! The thresholds of the rules, each with where its default comes from.

use serde::{Deserialize, Serialize};

/// When a number is a warning, when critical. Shares are 0.0 to 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Used share of a file system: warning (node-mixin and awesome-prometheus-alerts agree on about 10 % free).
    pub disk_warning: f64,
    /// Used share of a file system: critical (node-mixin: 5 % and 3 % free).
    pub disk_critical: f64,
    /// Hours until a file system is full at the present pace: warning (node-mixin: 24 h).
    pub disk_full_within_hours: f64,
    /// Used share of inodes: warning.
    pub inodes_warning: f64,
    /// Used share of inodes: critical.
    pub inodes_critical: f64,
    /// Share of memory that is available: warning below (awesome-prometheus-alerts: 10 %).
    pub memory_available_warning: f64,
    /// Share of memory that is available: critical below.
    pub memory_available_critical: f64,
    /// Minutes until no memory is left at the present pace: warning (as node-mixin does for disks).
    pub memory_gone_within_minutes: f64,
    /// Share of the last minute in which all work waited for memory: warning (Linux `full avg60`; Facebook's oomd acts at
    /// about this).
    pub pressure_memory_warning: f64,
    /// Share of the last minute in which all work waited for memory: critical.
    pub pressure_memory_critical: f64,
    /// Share of the last minute and of the last five in which some work waited for a CPU: a note; a warning where the load is
    /// three tasks per core besides.
    pub pressure_cpu_warning: f64,
    /// Share of the last minute and of the last five in which all work waited for a disk: warning.
    pub pressure_io_warning: f64,
    /// Connections that wait to be accepted at one port: warning from so many on (FIELD INC-06: more than workers).
    pub accept_queue: u32,
    /// For so many seconds without a break.
    pub accept_queue_s: u64,
    /// Milliseconds a name may take to resolve: warning (FIELD INC-33: 1 s).
    pub dns_slow_ms: u64,
    /// Share of TCP segments that are sent again: warning (FIELD INC-35; more than 5 % is felt).
    pub retransmit_warning: f64,
    /// Milliseconds two clocks may differ: warning (`check_postgres`: 2 s).
    pub clock_warning_ms: u64,
    /// Milliseconds two clocks may differ: critical (`check_postgres`: 5 s).
    pub clock_critical_ms: u64,
    /// Used share of the usable database connections: warning (awesome-prometheus-alerts: 80 %).
    pub connections_warning: f64,
    /// Used share of the usable database connections: critical (`check_postgres`: 95 %).
    pub connections_critical: f64,
    /// Seconds a transaction may block others: critical (pgEdge: 30 s idle in transaction).
    pub blocked_s: f64,
    /// Seconds a session may wait for a lock: warning (own: shorter waits are how locks work).
    pub lock_wait_s: f64,
    /// Sessions that wait for advisory locks of the application: warning (pgEdge: 5 blocked).
    pub advisory_waiters_warning: u64,
    /// Seconds a session may be idle in a transaction: a note; a warning at ten times that (pgEdge: 30 s).
    pub idle_transaction_s: f64,
    /// Seconds a transaction may work: a note; a warning at thirty times that (awesome-prometheus-alerts: 2 min).
    pub long_transaction_s: f64,
    /// Used share of a key's values: warning (`check_postgres` sequence: 85 %).
    pub key_space_warning: f64,
    /// Used share of a key's values: critical (`check_postgres` sequence: 95 %).
    pub key_space_critical: f64,
    /// Days until a key's values are used up at the present pace: warning (own: time to plan a rewrite).
    pub key_space_left_days: f64,
    /// Age of the oldest transaction id: warning (netdata: 500 million).
    pub txid_age_warning: u64,
    /// Age of the oldest transaction id: critical (netdata: 1,000 million).
    pub txid_age_critical: u64,
    /// Share of the free room that an inactive replication slot holds; at five times that it is critical (FIELD INC-19:
    /// 20 % of what is free).
    pub slot_retained_warning: f64,
    /// Hours until an inactive replication slot has filled the disk: critical (FIELD INC-19: 24 h).
    pub slot_full_hours: f64,
    /// Seconds a replica may be behind: warning (awesome-prometheus-alerts: 30 s).
    pub replica_lag_s: f64,
    /// Seconds a queued mail may wait in the database: warning (FIELD INC-11: 10 min).
    pub mail_wait_warning_s: u64,
    /// Seconds a queued mail may wait in the database: critical (pretix tries again after an hour).
    pub mail_wait_critical_s: u64,
    /// Share of requests answered 5xx: warning.
    pub request_errors_warning: f64,
    /// Share of requests answered 5xx: critical.
    pub request_errors_critical: f64,
    /// Share of tasks ended in an unforeseen error: warning (pretix post-mortem of 2026-06-27: 25 % went unnoticed).
    pub task_errors_warning: f64,
    /// Seconds the oldest task of the money queue (`checkout`) may wait: warning (pretix' own limit: 15 s).
    pub checkout_wait_warning_s: u64,
    /// Seconds the oldest task of the money queue may wait: critical (pretix' own limit: 60 s).
    pub checkout_wait_critical_s: u64,
    /// Seconds the oldest task of any other queue may wait: warning (pretix' own limit: 5 min).
    pub queue_wait_warning_s: u64,
    /// Seconds the oldest task of any other queue may wait: critical (pretix' own limit: 30 min).
    pub queue_wait_critical_s: u64,
    /// Seconds that not more than one request in twenty may take: warning (a visitor is gone by then; gunicorn itself gives
    /// up at 30).
    pub requests_slow_s: f64,
    /// Share of requests that a proxy answered 502 or 504 within five minutes: warning (FIELD INC-07).
    pub gateway_errors_warning: f64,
    /// Share of requests that a proxy answered 502 or 504 within five minutes: critical.
    pub gateway_errors_critical: f64,
    /// Share of requests below /static/ answered 404 within five minutes: warning (FIELD INC-14).
    pub static_missing_warning: f64,
    /// Days a certificate is still valid: warning (awesome-prometheus-alerts: 20 d).
    pub certificate_warning_days: u64,
    /// Days a certificate is still valid: critical (awesome-prometheus-alerts: 3 d).
    pub certificate_critical_days: u64,
    /// Milliseconds a healthcheck may take: warning.
    pub health_slow_ms: f64,
    /// Used share of a service's own memory limit: warning (awesome-prometheus-alerts: 80 % of a container's, page cache
    /// included, which this leaves out).
    pub service_memory_warning: f64,
    /// Used share of Redis' memory limit: warning (awesome-prometheus-alerts: 90 %).
    pub redis_memory_warning: f64,
    /// Share of its series' median below which a backup is suspiciously small: warning (FIELD INC-36: a drop of 50 %).
    pub backup_small_share: f64,
    /// Seconds for which a message in the logs says something about now (FIELD INC-06: counted over 5 min).
    pub log_window_s: u64,
    /// Workers given up by gunicorn within that time: warning (FIELD INC-06: more than one).
    pub worker_timeouts_count: u64,
    /// Requests the proxy got no answer to within that time: warning.
    pub upstream_errors_count: u64,
    /// Waits for the application's own locks that were in vain within that time: warning.
    pub locks_timed_out_count: u64,
    /// Columns or tables asked for that are not there within that time (FIELD INC-12: any; one may be a person's typo).
    pub schema_errors_count: u64,
    /// Errors for missing built files within that time.
    pub static_errors_count: u64,
    /// Names that did not resolve within that time (FIELD INC-33: twice).
    pub unresolved_names_count: u64,
    /// Sessions that could not be read within that time; single ones are old cookies.
    pub corrupt_sessions_count: u64,
    /// Equal errors of a kind that was not there before, within that time: warning.
    pub new_errors_count: u64,
    /// Equal errors of any kind within that time: a note.
    pub repeated_errors_count: u64,
    /// Megabytes that one log grows by in a minute: warning.
    pub log_flood_mb: f64,
    /// Runs of one periodic job at the same time: warning (pretix' incident of 2019-11-24; FIELD INC-09: 2).
    pub periodic_runs_warning: u32,
    /// Runs of one periodic job at the same time: critical (FIELD INC-09: 3).
    pub periodic_runs_critical: u32,
    /// Seconds without a periodic run, where no schedule is known: warning (the lifetime of pretix' own mark: 12 h).
    pub periodic_silent_s: u64,
    /// Seconds an upgrade may take from the new package on disk to the restart before that is a warning (measured with
    /// pretix: about 30 s; 10 min leave room for long migrations).
    pub upgrade_settle_s: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            disk_warning: 0.90,
            disk_critical: 0.97,
            disk_full_within_hours: 24.0,
            inodes_warning: 0.90,
            inodes_critical: 0.97,
            memory_available_warning: 0.10,
            memory_available_critical: 0.04,
            memory_gone_within_minutes: 60.0,
            pressure_memory_warning: 0.10,
            pressure_memory_critical: 0.40,
            pressure_cpu_warning: 0.85,
            pressure_io_warning: 0.60,
            accept_queue: 10,
            accept_queue_s: 5,
            dns_slow_ms: 1000,
            retransmit_warning: 0.05,
            clock_warning_ms: 2000,
            clock_critical_ms: 5000,
            connections_warning: 0.80,
            connections_critical: 0.95,
            blocked_s: 30.0,
            lock_wait_s: 2.0,
            advisory_waiters_warning: 5,
            idle_transaction_s: 30.0,
            long_transaction_s: 120.0,
            key_space_warning: 0.85,
            key_space_critical: 0.95,
            key_space_left_days: 180.0,
            txid_age_warning: 500_000_000,
            txid_age_critical: 1_000_000_000,
            slot_retained_warning: 0.20,
            slot_full_hours: 24.0,
            replica_lag_s: 30.0,
            mail_wait_warning_s: 600,
            mail_wait_critical_s: 3600,
            request_errors_warning: 0.05,
            request_errors_critical: 0.25,
            task_errors_warning: 0.05,
            checkout_wait_warning_s: 15,
            checkout_wait_critical_s: 60,
            queue_wait_warning_s: 300,
            queue_wait_critical_s: 1800,
            requests_slow_s: 5.0,
            gateway_errors_warning: 0.01,
            gateway_errors_critical: 0.25,
            static_missing_warning: 0.05,
            certificate_warning_days: 20,
            certificate_critical_days: 3,
            health_slow_ms: 1000.0,
            service_memory_warning: 0.90,
            redis_memory_warning: 0.90,
            backup_small_share: 0.50,
            log_window_s: 300,
            worker_timeouts_count: 2,
            upstream_errors_count: 5,
            locks_timed_out_count: 3,
            schema_errors_count: 2,
            static_errors_count: 2,
            unresolved_names_count: 2,
            corrupt_sessions_count: 5,
            new_errors_count: 20,
            repeated_errors_count: 20,
            log_flood_mb: 50.0,
            periodic_runs_warning: 2,
            periodic_runs_critical: 3,
            periodic_silent_s: 43_200,
            upgrade_settle_s: 600,
        }
    }
}
