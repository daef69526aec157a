//! What is seen of Redis: is it alive and writable, how long are the queues, who takes tasks from them.

use serde::{Deserialize, Serialize};

/// One look at Redis (cache and broker may be two databases or two servers).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RedisReading {
    /// Milliseconds for `PING` on the connection that is kept.
    pub latency_ms: f64,
    /// `redis_version` of `INFO server`.
    pub version: String,
    /// `master` or `slave`, as `INFO replication` says.
    pub role: String,
    /// Bytes used.
    pub used_memory: Option<u64>,
    /// The limit in bytes; 0: none.
    pub max_memory: Option<u64>,
    /// What happens at the limit (`noeviction`, `allkeys-lru`, …).
    pub policy: Option<String>,
    /// Why writes are refused, where `INFO` shows that they are (full and noeviction, failed snapshot, read-only replica).
    pub refuses_writes: Option<String>,
    /// The broker's queues, where a broker is configured.
    pub broker: Option<Broker>,
}

/// The Celery broker's side.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Broker {
    /// Queues with what waits in them; priority suffixes added up (FIELD T-06).
    pub queues: Vec<WaitingQueue>,
    /// Messages that workers hold without having acknowledged them, where that may be asked.
    pub unacked: Option<u64>,
    /// Clients of the broker's database that wait for tasks (`cmd=brpop`), one per worker; `None`: that may not be asked.
    pub consumers: Option<u32>,
    /// The longest time any of them has not asked again, in seconds; a live one asks every second.
    pub consumer_idle_s: Option<u64>,
}

impl Broker {
    /// Tasks that wait in all queues together.
    pub fn waiting(&self) -> u64 {
        self.queues.iter().fold(0, |sum, q| sum.saturating_add(q.waiting))
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
