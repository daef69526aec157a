//! What is seen of Redis: is it alive and writable, how long are the queues, who takes tasks from them.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// A worker that has not asked for a task for longer than this is quiet: busy, or hung (FIELD R-WORK: idle > 5 s; a
/// live one asks every second).
pub const QUIET_S: u64 = 5;
/// A worker that has not sent its heartbeat for longer than this hangs (Celery sends one every 2 s, and its own
/// monitors count a worker as lost after two or three).
pub const HEART_S: u64 = 8;
/// How long a worker may hold a task before Celery gives it to another one, in seconds, where nothing else is
/// configured (kombu's `visibility_timeout`, FIELD T-15).
pub const VISIBILITY_S: u64 = 3600;
/// The lifetime of the key that pretix sets at each periodic run, in seconds (`runperiodic`: 12 h).
pub const PERIODIC_KEY_S: u64 = 43_200;

/// One look at Redis (cache and broker may be two databases or two servers).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RedisReading {
    /// Milliseconds for `PING` on the connection that is kept.
    pub latency_ms: f64,
    /// The server that holds the cache; the broker's where there is no cache.
    pub server: RedisServer,
    /// The broker's server, where it is another one.
    pub broker_server: Option<RedisServer>,
    /// Why writes are refused, where `INFO` shows that they are (full and noeviction, failed snapshot, read-only replica).
    pub refuses_writes: Option<String>,
    /// The broker's queues, where a broker is configured.
    pub broker: Option<Broker>,
    /// Seconds since pretix' periodic tasks last ran, from the lifetime left of its key in the cache. `None`: another
    /// application, or it can't be asked.
    pub periodic_age_s: Option<u64>,
    /// Whether the key is gone, so that [`Self::periodic_age_s`] is only a lower bound: it has expired (then that is
    /// [`PERIODIC_KEY_S`]), or was never there since the server started, or the cache was emptied.
    pub periodic_at_least: bool,
    /// Processes whose container sees another socket at the server's path than the one the server listens at: a
    /// sentence with the process ids.
    pub stale_socket: Option<String>,
    /// What can't be seen with this user, and the grant that would open it, as sentences.
    pub unseen: Vec<String>,
}

impl RedisReading {
    /// The server that holds the queues, if a broker is configured.
    pub fn broker_home(&self) -> Option<&RedisServer> {
        self.broker.as_ref().map(|_| self.broker_server.as_ref().unwrap_or(&self.server))
    }

    /// Every server with what it is for: one or two.
    pub fn servers(&self) -> impl Iterator<Item = (&'static str, &RedisServer)> {
        let both = self.broker_server.is_none() && self.broker.is_some();
        let first = if both { "cache and queues" } else { "cache" };
        std::iter::once((first, &self.server)).chain(self.broker_server.as_ref().map(|server| ("queues", server)))
    }
}

/// What a server says of itself (`INFO`); what it does not say or may not be asked is `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RedisServer {
    /// Where it is, as it may be shown.
    pub place: String,
    /// `redis_version`, or Valkey's.
    pub version: String,
    /// `master` or `slave`, as `INFO replication` says.
    pub role: String,
    /// Of a replica: whom it follows.
    pub master: Option<Master>,
    /// Of a master: how many replicas are connected.
    pub replicas: Option<u32>,
    /// Seconds since it started.
    pub uptime_s: Option<u64>,
    /// Bytes used.
    pub used_memory: Option<u64>,
    /// The limit in bytes; 0: none.
    pub max_memory: Option<u64>,
    /// What happens at the limit (`noeviction`, `allkeys-lru`, …).
    pub policy: Option<String>,
    /// Keys thrown away for room.
    pub evicted: Option<Counter>,
    /// Connections refused at `maxclients`.
    pub rejected: Option<Counter>,
    /// Writes refused because memory is used up (`errorstat_OOM`, Redis 6.2 and later).
    pub oom_errors: Option<Counter>,
    /// Writes refused because the last snapshot failed (`errorstat_MISCONF`, Redis 6.2 and later).
    pub misconf_errors: Option<Counter>,
    /// Snapshots and the append-only file.
    pub persistence: Persistence,
    /// Whether it is loading its data from disk.
    pub loading: bool,
    /// Clients connected.
    pub clients: Option<u64>,
    /// Clients it admits.
    pub max_clients: Option<u64>,
    /// Clients that wait in a blocking command; workers that wait for tasks are among them.
    pub blocked_clients: Option<u64>,
    /// Commands per second now.
    pub ops_per_s: Option<u64>,
    /// Share of reads that found their key, since the server started.
    pub hit_share: Option<f64>,
    /// Keys by database, the first 16.
    pub keys: Vec<Keys>,
    /// Entries in the slow log (`SLOWLOG LEN`).
    pub slow_entries: Option<u64>,
    /// How far its clock is ahead of ours, in milliseconds; behind: negative (`TIME`).
    pub clock_ahead_ms: Option<i64>,
}

impl RedisServer {
    /// The used share of its memory limit; `None` where there is no limit.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn memory_share(&self) -> Option<f64> {
        let limit = self.max_memory.filter(|limit| *limit > 0)?;
        Some(self.used_memory? as f64 / limit as f64)
    }

    /// Whether keys without a lifetime are thrown away at the limit: queues are such keys.
    pub fn evicts_all(&self) -> bool {
        self.policy.as_deref().is_some_and(|policy| policy.starts_with("allkeys"))
    }

    /// Whether it is a replica.
    pub fn is_replica(&self) -> bool {
        matches!(self.role.as_str(), "slave" | "replica")
    }
}

/// Whom a replica follows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Master {
    /// Host and port.
    pub place: String,
    /// Whether the link is up (`master_link_status`).
    pub linked: bool,
    /// Seconds for which the link has been down.
    pub down_s: Option<u64>,
    /// Whether the replica refuses writes of its clients.
    pub read_only: bool,
}

/// A counter of a server that only grows while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counter {
    /// Since the server started.
    pub total: u64,
    /// Within the last ten minutes, as far as they were watched.
    pub recent: u64,
}

/// Snapshots and the append-only file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Persistence {
    /// Whether the last snapshot failed (`rdb_last_bgsave_status`).
    pub snapshot_failed: Option<bool>,
    /// Seconds since the last snapshot that succeeded; a server that has just started counts from its start.
    pub snapshot_age_s: Option<u64>,
    /// Changes since then: what a crash would lose without an append-only file.
    pub changes: Option<u64>,
    /// Whether there is an append-only file.
    pub append_only: Option<bool>,
    /// Whether the last write to it, or its last rewrite, failed.
    pub append_failed: Option<bool>,
}

impl Persistence {
    /// What failed last, in words.
    pub const fn failure(&self) -> Option<&'static str> {
        match (self.snapshot_failed, self.append_only, self.append_failed) {
            (Some(true), _, _) => Some("the last snapshot could not be written"),
            (_, Some(true), Some(true)) => Some("the append-only file could not be written"),
            _ => None,
        }
    }
}

/// Keys of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its number.
    pub database: u32,
    /// How many there are.
    pub count: u64,
    /// How many of them have a lifetime.
    pub expiring: u64,
}

/// The Celery broker's side.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Broker {
    /// Queues with what waits in them; priority suffixes added up (FIELD T-06).
    pub queues: Vec<WaitingQueue>,
    /// Messages that workers hold without having acknowledged them, where that may be asked.
    pub unacked: Option<u64>,
    /// For how long the oldest of them has been held, in seconds, by the clock of the worker that took it.
    pub unacked_oldest_s: Option<u64>,
    /// Clients of the broker's database that take tasks (`cmd=brpop`), one per worker; `None`: that may not be asked.
    pub consumers: Option<u32>,
    /// How long the one that has been connected longest has been, in seconds.
    pub consumer_age_s: Option<u64>,
    /// The longest time any of them has not asked again, in seconds; 0 while all wait for tasks.
    pub consumer_idle_s: Option<u64>,
    /// How many of them have not asked for longer than [`QUIET_S`]: each is busy, or hung.
    pub quiet: u32,
    /// Clients that have sent heartbeats and sent one within [`HEART_S`]: the workers that live, however busy.
    pub beating: u32,
    /// Clients that have sent heartbeats and stopped.
    pub silent: u32,
    /// For how long the last of those to fall silent has been, in seconds.
    pub silence_s: Option<u64>,
    /// Subscriptions to patterns: two per worker.
    pub subscriptions: Option<u32>,
    /// Tasks that midwatch has put aside with a database, the newest first.
    pub parked: Vec<Parked>,
}

/// Tasks that midwatch has put aside with the database they are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// What that database is held as; of one restored in place, its last dump.
    pub with: String,
    /// How many.
    pub tasks: u64,
    /// Since when.
    pub since: Timestamp,
}

/// What the workers of a broker are doing, as far as their connections show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labour {
    /// That may not be asked.
    Unknown,
    /// There is none.
    Gone,
    /// All of them wait for tasks, or have just taken one.
    Asking,
    /// So many have enough to do and ask for no more; they live.
    Busy(u32),
    /// So many neither ask for tasks nor send heartbeats, for so many seconds.
    Hung(u32, u64),
    /// So many were told to stop and end their last tasks, for so many seconds: they have taken back their subscriptions
    /// and their heartbeat, and ask for no more.
    Leaving(u32, u64),
    /// So many don't ask, hold tasks, and have never sent heartbeats: busy or hung, for so many seconds.
    Unsure(u32, u64),
}

impl Broker {
    /// Tasks that wait in all queues together.
    pub fn waiting(&self) -> u64 {
        self.queues.iter().fold(0, |sum, q| sum.saturating_add(q.waiting))
    }

    /// For how long the oldest task in hand has been held, where no worker of now can have taken it: it was taken
    /// before the first of them connected. A margin of `skew_s` is for clocks that differ.
    pub fn orphaned_s(&self, skew_s: u64) -> Option<u64> {
        let held = self.unacked_oldest_s.filter(|_| self.unacked.is_some_and(|n| n > 0))?;
        let oldest = match self.consumers? {
            0 => 0,
            _ => self.consumer_age_s?,
        };
        (held > oldest.saturating_add(skew_s)).then_some(held)
    }

    /// What the workers are doing. A worker that has all it can hold does not ask for more (FIELD R-WORK), so silence
    /// alone is not a fault: its heartbeat tells a busy one from a hung one.
    pub fn labour(&self) -> Labour {
        let Some(consumers) = self.consumers else { return Labour::Unknown };
        let holds = self.unacked.is_none_or(|held| held > 0);
        if consumers == 0 {
            // Two patterns and a heartbeat are a whole worker; a monitor of Celery's events has one of each.
            let connected = self.beating > 0 && self.subscriptions.is_some_and(|n| n >= 2);
            return if connected && holds { Labour::Busy(self.beating) } else { Labour::Gone };
        }
        let idle = self.consumer_idle_s.unwrap_or(0);
        // A worker that was busy before it froze has not asked for longer than it has been frozen.
        let silence = self.silence_s.map_or(idle, |silence| silence.min(idle));
        if self.quiet == 0 {
            Labour::Asking
        } else if self.beating >= consumers {
            Labour::Busy(self.quiet)
        } else if self.silent > 0 && self.subscriptions == Some(0) {
            Labour::Leaving(self.quiet, silence)
        } else if self.silent > 0 || !holds {
            Labour::Hung(self.quiet.min(consumers - self.beating), silence)
        } else {
            Labour::Unsure(self.quiet.min(consumers - self.beating), idle)
        }
    }
}

/// One queue of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingQueue {
    /// Its name, without priority suffix.
    pub name: String,
    /// Tasks waiting, all priorities.
    pub waiting: u64,
    /// At least how long the oldest has waited, in seconds: since the same message was first seen at the queue's end
    /// (FIELD T-08: the messages themselves carry no time).
    pub oldest_at_least_s: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(quiet: u32, beating: u32, silent: u32, unacked: u64) -> Broker {
        let idle = if quiet > 0 { 40 } else { 0 };
        Broker {
            consumers: Some(1),
            consumer_idle_s: Some(idle),
            unacked: Some(unacked),
            quiet,
            beating,
            silent,
            subscriptions: Some(2),
            ..Broker::default()
        }
    }

    #[test]
    fn a_busy_worker_is_neither_gone_nor_hung() {
        assert_eq!(worker(0, 1, 0, 0).labour(), Labour::Asking);
        assert_eq!(worker(1, 1, 0, 8).labour(), Labour::Busy(1), "it holds all it may and sends heartbeats");
        let without_brpop = Broker { consumers: Some(0), ..worker(0, 1, 0, 8) };
        assert_eq!(without_brpop.labour(), Labour::Busy(1));
        assert_eq!(worker(1, 0, 0, 8).labour(), Labour::Unsure(1, 40), "no heartbeats: that can't be told");
    }

    #[test]
    fn a_frozen_worker_is_hung_and_a_dead_one_gone() {
        assert_eq!(worker(1, 0, 1, 8).labour(), Labour::Hung(1, 40), "its heartbeat stopped");
        let busy_before = Broker { silence_s: Some(12), ..worker(1, 0, 1, 8) };
        assert_eq!(busy_before.labour(), Labour::Hung(1, 12), "it was busy until its heartbeat stopped");
        assert_eq!(worker(1, 0, 0, 0).labour(), Labour::Hung(1, 40), "it holds nothing and asks for nothing");
        let stopping = Broker { subscriptions: Some(0), ..worker(1, 0, 1, 8) };
        assert_eq!(stopping.labour(), Labour::Leaving(1, 40), "a worker that stops ends its tasks first");
        let dead = Broker { consumers: Some(0), subscriptions: Some(0), ..worker(0, 0, 0, 8) };
        assert_eq!(dead.labour(), Labour::Gone);
        let monitor = Broker { consumers: Some(0), subscriptions: Some(1), ..worker(0, 1, 0, 8) };
        assert_eq!(monitor.labour(), Labour::Gone, "a monitor takes no tasks");
        assert_eq!(Broker::default().labour(), Labour::Unknown);
    }

    #[test]
    fn a_task_taken_before_any_worker_of_now_came_belongs_to_none_of_them() {
        let held = |age, held| Broker { consumer_age_s: Some(age), unacked_oldest_s: Some(held), ..worker(0, 1, 0, 3) };
        assert_eq!(held(300, 1500).orphaned_s(20), Some(1500));
        assert_eq!(held(3000, 1500).orphaned_s(20), None, "the worker may hold it for its hour");
        assert_eq!(held(300, 310).orphaned_s(20), None, "clocks differ");
        assert_eq!(Broker { unacked: Some(0), ..held(300, 1500) }.orphaned_s(20), None);
        assert_eq!(Broker { consumers: Some(0), ..held(0, 60) }.orphaned_s(20), Some(60));
        assert_eq!(Broker { consumers: None, ..held(300, 1500) }.orphaned_s(20), None);
    }

    #[test]
    fn of_two_workers_one_may_hang() {
        let two = |quiet, beating, silent| Broker { consumers: Some(2), ..worker(quiet, beating, silent, 5) };
        assert_eq!(two(1, 1, 1).labour(), Labour::Hung(1, 40));
        assert_eq!(two(2, 2, 0).labour(), Labour::Busy(2));
        assert_eq!(two(2, 2, 1).labour(), Labour::Busy(2), "some other client once published something");
    }
}
