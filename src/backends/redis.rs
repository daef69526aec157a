//! Redis as cache and as Celery broker: alive, writable, what waits in the queues, who takes tasks.
//!
//! Invariants: one connection per distinct server and database; only `PING`, `INFO`, `LLEN`, `LINDEX`, `HLEN` and
//! `CLIENT LIST` are sent, beside what opens a connection; a command that an ACL denies leaves its field unknown.

mod address;
mod info;
mod link;
mod queues;

use std::time::Duration;

use crate::config::{BrokerConfig, RedisConfig};
use crate::domain::reading::Seen;
use crate::domain::redis::RedisReading;
use crate::ports::Observe;

use super::session::KeptSession;
use address::Address;
use info::{Complaints, Info};
use link::{Link, Sighting};
use queues::{Queues, Tails};

/// How long one look may take.
const LIMIT: Duration = Duration::from_secs(2);
/// What stands for a version or role that `INFO` may not be asked for.
const UNKNOWN: &str = "unknown";

/// Looks at the cache and the broker, which may be one server or two.
pub struct RedisProbe {
    parts: Result<Parts, String>,
    tails: Tails,
}

struct Parts {
    main: Part,
    /// The broker, where it is another server or another database than the cache.
    broker: Option<Part>,
}

struct Part {
    session: KeptSession<Link>,
    complaints: Complaints,
}

impl Part {
    fn new(address: Address, queues: Option<Queues>) -> Self {
        Self { session: KeptSession::new(Link::new(address, queues), LIMIT), complaints: Complaints::default() }
    }
}

impl RedisProbe {
    /// A probe that connects at the first look. Either may be absent; both may be the same server.
    pub fn new(cache: Option<&RedisConfig>, broker: Option<&BrokerConfig>) -> Self {
        Self { parts: parts(cache, broker), tails: Tails::default() }
    }

    /// What was sighted, as one reading. Of two servers the cache gives the numbers, and either may refuse writes.
    fn reading(&mut self, main: Sighting, broker: Option<Sighting>) -> RedisReading {
        let mut reading = RedisReading {
            latency_ms: main.latency_ms,
            version: main.info.as_ref().map_or_else(|| UNKNOWN.to_owned(), Info::version),
            role: main.info.as_ref().map_or_else(|| UNKNOWN.to_owned(), Info::role),
            used_memory: main.info.as_ref().and_then(|info| info.number("used_memory")),
            max_memory: main.info.as_ref().and_then(|info| info.number("maxmemory")),
            policy: main.info.as_ref().and_then(|info| info.word("maxmemory_policy")),
            refuses_writes: None,
            broker: None,
        };
        if let Ok(parts) = &mut self.parts {
            reading.refuses_writes = parts.main.complaints.judge(main.complaint.as_deref(), main.info.as_ref());
            if let (Some(part), Some(sighting)) = (&mut parts.broker, &broker) {
                let why = part.complaints.judge(sighting.complaint.as_deref(), sighting.info.as_ref());
                reading.refuses_writes = reading.refuses_writes.or_else(|| why.map(|why| format!("broker: {why}")));
            }
        }
        let waiting = broker.map_or(main.broker, |broker| broker.broker);
        reading.broker = waiting.map(|waiting| self.tails.broker(waiting));
        reading
    }
}

fn parts(cache: Option<&RedisConfig>, broker: Option<&BrokerConfig>) -> Result<Parts, String> {
    let cache = cache.map(|cache| Address::parse(&cache.url, "the Redis cache")).transpose()?;
    let broker = match broker {
        Some(broker) => {
            let address = Address::parse(&broker.url, "the Celery broker")?;
            let queues = Queues::new(&broker.queues, broker.priorities, address.database());
            Some((address, queues))
        }
        None => None,
    };
    match (cache, broker) {
        (None, None) => Err("No Redis is configured.".to_owned()),
        (Some(cache), None) => Ok(Parts { main: Part::new(cache, None), broker: None }),
        (None, Some((address, queues))) => Ok(Parts { main: Part::new(address, Some(queues)), broker: None }),
        (Some(cache), Some((address, queues))) if cache == address => {
            Ok(Parts { main: Part::new(cache, Some(queues)), broker: None })
        }
        (Some(cache), Some((address, queues))) => {
            Ok(Parts { main: Part::new(cache, None), broker: Some(Part::new(address, Some(queues))) })
        }
    }
}

impl Observe for RedisProbe {
    type Value = RedisReading;

    async fn observe(&mut self) -> Seen<RedisReading> {
        let parts = match &mut self.parts {
            Ok(parts) => parts,
            Err(why) => return Seen::Unseen(why.clone()),
        };
        let sightings = match &mut parts.broker {
            None => parts.main.session.look().await.map(|main| (main, None)),
            Some(broker) => match tokio::join!(parts.main.session.look(), broker.session.look()) {
                (Ok(main), Ok(broker)) => Ok((main, Some(broker))),
                (Err(why), Ok(_) | Err(_)) | (Ok(_), Err(why)) => Err(why),
            },
        };
        match sightings {
            Ok((main, broker)) => Seen::Value(self.reading(main, broker)),
            Err(sentence) => Seen::Failed(sentence),
        }
    }
}
