//! Redis as cache and as Celery broker: alive, writable, what waits in the queues, who takes tasks.
//!
//! Invariants: one connection per distinct server and database; only commands that read are sent, none of which grows
//! with the number of keys (`PING`, `INFO`, `TIME`, `SLOWLOG LEN`, `TTL`, `LLEN`, `LINDEX`, `HLEN`, `ZRANGE` of few,
//! `SCARD`, `SMEMBERS` of small sets, `CLIENT LIST` of few clients, `PUBSUB NUMPAT`), beside what opens a connection; a
//! command that is denied leaves its field unknown and is named with its grant.

mod address;
mod broker;
mod clients;
mod info;
mod line;
mod link;
pub(crate) mod parked;
mod queues;
mod recent;
mod refused;
mod socket;

use std::time::Duration;

use crate::config::{AppKind, BrokerConfig, RedisConfig};
use crate::domain::reading::Seen;
use crate::domain::redis::{RedisReading, RedisServer};
use crate::domain::text::plain;
use crate::ports::Observe;

use super::session::KeptSession;
use address::Address;
use info::{Complaints, Info};
use link::{Link, Sighting};
use queues::{Queues, Tails};
use recent::Recent;
use socket::Mounts;

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
    recent: Recent,
    mounts: Mounts,
    place: String,
    user: String,
}

/// A client for a site's cache, with its password.
///
/// # Errors
/// A sentence, where its URL can't be used, or its container has no address.
pub(crate) async fn client(config: &RedisConfig) -> Result<redis::Client, String> {
    let address = Address::parse(&config.url, "Redis")?.within(config.container.as_ref());
    redis::Client::open(address.connection().await?).map_err(|error| plain(&error.to_string(), 160))
}

impl Part {
    fn new(address: Address, queues: Option<Queues>, periodic: bool) -> Self {
        let (place, user) = (address.place(), plain(address.user(), 60));
        Self {
            mounts: Mounts::of(&place),
            place: place.to_string(),
            user,
            session: KeptSession::new(Link::new(address, queues, periodic), LIMIT),
            complaints: Complaints::default(),
            recent: Recent::default(),
        }
    }

    /// What the server says of itself.
    fn server(&mut self, sighting: &Sighting) -> RedisServer {
        let mut server = sighting.info.as_ref().map(Info::server).unwrap_or_default();
        if let Some(info) = &sighting.info {
            server.evicted = self.recent.counter("evicted_keys", info);
            server.rejected = self.recent.counter("rejected_connections", info);
            server.oom_errors = self.recent.counter("errorstat_OOM", info);
            server.misconf_errors = self.recent.counter("errorstat_MISCONF", info);
        } else {
            (server.version, server.role) = (UNKNOWN.to_owned(), UNKNOWN.to_owned());
        }
        server.place.clone_from(&self.place);
        server.slow_entries = sighting.slow_entries;
        server.clock_ahead_ms = sighting.clock_ahead_ms;
        server
    }

    /// What can't be seen here, and what would open it.
    fn unseen(&self, sighting: &Sighting) -> Vec<String> {
        let mut unseen = sighting.refused.sentences(&self.user, &["Redis at ", &self.place].concat());
        unseen.extend(self.mounts.unseen());
        unseen
    }
}

impl RedisProbe {
    /// A probe that connects at the first look. Either may be absent; both may be the same server.
    pub fn new(cache: Option<&RedisConfig>, broker: Option<&BrokerConfig>) -> Self {
        Self::of(cache, broker, AppKind::Web)
    }

    /// The same for an application of this kind: of pretix, the cache also tells when periodic tasks last ran.
    pub fn of(cache: Option<&RedisConfig>, broker: Option<&BrokerConfig>, app: AppKind) -> Self {
        Self { parts: parts(cache, broker, app == AppKind::Pretix), tails: Tails::default() }
    }
}

impl Parts {
    /// What was sighted, as one reading. Of two servers either may refuse writes.
    fn reading(&mut self, main: Sighting, broker: Option<Sighting>, tails: &mut Tails) -> RedisReading {
        let mut reading = RedisReading {
            latency_ms: main.latency_ms,
            server: self.main.server(&main),
            refuses_writes: self.main.complaints.judge(main.complaint.as_deref(), main.info.as_ref()),
            periodic_age_s: main.periodic.map(|(age, _)| age),
            periodic_at_least: main.periodic.is_some_and(|(_, at_least)| at_least),
            stale_socket: self.main.mounts.stale(),
            unseen: self.main.unseen(&main),
            ..RedisReading::default()
        };
        if let (Some(part), Some(sighting)) = (&mut self.broker, &broker) {
            let run = |sighting: &Sighting| sighting.info.as_ref().and_then(Info::run).map(str::to_owned);
            let same = run(sighting).is_some_and(|theirs| run(&main).is_some_and(|ours| ours == theirs));
            let why = part.complaints.judge(sighting.complaint.as_deref(), sighting.info.as_ref());
            reading.refuses_writes = reading.refuses_writes.or_else(|| why.map(|why| format!("broker: {why}")));
            if !same && part.place != self.main.place {
                reading.broker_server = Some(part.server(sighting));
            }
            reading.stale_socket = reading.stale_socket.or_else(|| part.mounts.stale());
            for sentence in part.unseen(sighting) {
                if !reading.unseen.contains(&sentence) {
                    reading.unseen.push(sentence);
                }
            }
        }
        let waiting = broker.map_or(main.broker, |broker| broker.broker);
        reading.broker = waiting.map(|waiting| tails.broker(waiting));
        reading
    }
}

fn parts(cache: Option<&RedisConfig>, broker: Option<&BrokerConfig>, pretix: bool) -> Result<Parts, String> {
    let cache = match cache {
        Some(cache) => Some(Address::parse(&cache.url, "the Redis cache")?.within(cache.container.as_ref())),
        None => None,
    };
    let broker = match broker {
        Some(broker) => {
            let address = Address::parse(&broker.url, "the Celery broker")?.within(broker.container.as_ref());
            let queues = Queues::new(&broker.queues, broker.priorities, address.database());
            Some((address, queues))
        }
        None => None,
    };
    match (cache, broker) {
        (None, None) => Err("No Redis is configured.".to_owned()),
        (Some(cache), None) => Ok(Parts { main: Part::new(cache, None, pretix), broker: None }),
        (None, Some((address, queues))) => Ok(Parts { main: Part::new(address, Some(queues), false), broker: None }),
        (Some(cache), Some((address, queues))) if cache == address => {
            Ok(Parts { main: Part::new(cache, Some(queues), pretix), broker: None })
        }
        (Some(cache), Some((address, queues))) => {
            Ok(Parts { main: Part::new(cache, None, pretix), broker: Some(Part::new(address, Some(queues), false)) })
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
        parts.main.mounts.look();
        if let Some(broker) = &mut parts.broker {
            broker.mounts.look();
        }
        match sightings {
            Ok((main, broker)) => Seen::Value(parts.reading(main, broker, &mut self.tails)),
            Err(sentence) => Seen::Failed(sentence),
        }
    }
}
