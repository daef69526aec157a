//! One Redis database, and the questions put to it.

use std::error::Error;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, Value};

use super::address::Address;
use super::broker;
use super::info::{Info, MISCONF};
use super::line::{Line, bytes, items, number};
use super::queues::{Queues, Waiting};
use super::refused::Refused;
use crate::backends::place::{self, unreachable};
use crate::backends::session::{Server, Then, Trouble};
use crate::domain::redis::PERIODIC_KEY_S;
use crate::domain::text::plain;

/// The key that pretix sets in its cache at each run of its periodic tasks, as Django's cache writes it.
const PERIODIC: &str = ":1:pretix_runperiodic_executed";

/// One Redis database.
pub(super) struct Link {
    /// Where it is.
    pub(super) address: Address,
    queues: Option<Queues>,
    periodic: bool,
}

/// What was seen at one look.
#[derive(Debug)]
pub(super) struct Sighting {
    /// Milliseconds for `PING`.
    pub(super) latency_ms: f64,
    /// Why `PING` was not answered with `PONG`: what refuses writes then refuses that, too.
    pub(super) complaint: Option<String>,
    /// `INFO`, where it may be asked.
    pub(super) info: Option<Info>,
    /// Milliseconds by which its clock is ahead of ours.
    pub(super) clock_ahead_ms: Option<i64>,
    /// Entries in its slow log.
    pub(super) slow_entries: Option<u64>,
    /// Seconds since pretix' periodic tasks last ran, and whether that is only a lower bound.
    pub(super) periodic: Option<(u64, bool)>,
    /// The queues, where this is the broker.
    pub(super) broker: Option<Waiting>,
    /// The commands it refused.
    pub(super) refused: Refused,
}

impl Link {
    /// The database at `address`, with the queues in it where it is the broker's; `periodic`: it is pretix' cache.
    pub(super) fn new(address: Address, queues: Option<Queues>, periodic: bool) -> Self {
        Self { address, queues, periodic }
    }

    fn trouble(&self, error: &RedisError) -> Trouble {
        let place = self.address.place();
        let said = plain(&error.to_string(), 160);
        if let Some(error) = io_error(error) {
            return unreachable("Redis", &place, error);
        }
        let (sentence, then) = match (error.kind(), error.code()) {
            (_, Some("NOAUTH")) => (format!("Redis at {place} wants a password, and none is configured."), Then::Rest),
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => (
                format!("Redis at {place} refuses the user or password. Compare them with the application's settings."),
                Then::Rest,
            ),
            (_, Some("BUSY")) => {
                (format!("Redis at {place} is busy with a script and serves nobody until that ends."), Then::Stay)
            }
            (ErrorKind::Parse, _) => {
                (format!("What listens at {place} does not speak Redis' protocol. Is the port right?"), Then::Reconnect)
            }
            _ if error.is_connection_dropped() || error.is_io_error() => {
                (format!("Redis at {place} closed the connection: {said}."), Then::Reconnect)
            }
            _ if said.contains("max number of clients") => {
                (format!("Redis at {place} has no free connection: find out who holds them."), Then::Reconnect)
            }
            _ => (format!("Redis at {place} answers with an error: {said}."), Then::Reconnect),
        };
        Trouble::new(sentence, then)
    }

    async fn ping(&self, line: &mut Line) -> Result<Option<String>, Trouble> {
        let answer: RedisResult<Value> = redis::cmd("PING").query_async(&mut line.connection).await;
        match answer {
            Ok(_) => Ok(None),
            Err(error) => match error.code() {
                Some("NOPERM") => Ok(None),
                Some("LOADING") => Ok(Some("it is loading its data from disk".to_owned())),
                Some("MASTERDOWN") => Ok(Some("it is a replica that has lost its master".to_owned())),
                Some("MISCONF") => Ok(Some(MISCONF.to_owned())),
                Some(_) | None => Err(self.trouble(&error)),
            },
        }
    }

    /// `INFO`, and what is asked along with it.
    async fn state(&self, line: &mut Line, seen: &mut Sighting) -> RedisResult<()> {
        let (mut pipe, mut names) = (redis::pipe(), vec!["INFO", "TIME", "SLOWLOG LEN"]);
        pipe.cmd("INFO").cmd("TIME").cmd("SLOWLOG").arg("LEN");
        if self.periodic {
            pipe.ttl(PERIODIC);
            names.push("TTL");
        }
        let asked = SystemTime::now();
        let mut replies = line.all(&names, &mut pipe).await?.into_iter();
        let mut next = || replies.next().flatten();
        seen.info = next().as_ref().and_then(bytes).map(Info::parse);
        seen.clock_ahead_ms = next().as_ref().and_then(|time| ahead(time, asked));
        seen.slow_entries = next().as_ref().and_then(number).and_then(|n| u64::try_from(n).ok());
        let uptime = seen.info.as_ref().and_then(|info| info.number("uptime_in_seconds"));
        seen.periodic = next().as_ref().and_then(number).and_then(|lifetime| periodic_age(lifetime, uptime));
        Ok(())
    }
}

/// How far a reply to `TIME` is ahead of our clock; as good as the network is fast.
fn ahead(reply: &Value, asked: SystemTime) -> Option<i64> {
    let [seconds, micros] = items(reply) else { return None };
    let theirs = number(seconds)?.checked_mul(1000)?.checked_add(number(micros)? / 1000)?;
    let millis = |at: SystemTime| {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    };
    let (before, after) = (millis(asked)?, millis(SystemTime::now())?);
    // Anywhere between asking and the answer is no difference.
    Some(if theirs < before { theirs - before } else { (theirs - after).max(0) })
}

/// The age of a key that lives for [`PERIODIC_KEY_S`], from the reply to `TTL`. One that is gone has expired, or was
/// never there since the server started: then so long ago at least.
fn periodic_age(lifetime: i64, uptime_s: Option<u64>) -> Option<(u64, bool)> {
    match u64::try_from(lifetime) {
        Ok(left) => PERIODIC_KEY_S.checked_sub(left).map(|age| (age, false)),
        Err(_) if lifetime == -2 => uptime_s.map(|uptime| (uptime.min(PERIODIC_KEY_S), true)),
        Err(_) => None,
    }
}

impl Server for Link {
    type Session = Line;
    type Answer = Sighting;

    async fn connect(&self) -> Result<Line, Trouble> {
        let found = self.address.connection().await.map_err(|why| Trouble::new(why, Then::Reconnect))?;
        let client = Client::open(found).map_err(|error| self.trouble(&error))?;
        // Time is kept by the session: the library's own limits would drop the connection and make a new one each time.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        Ok(Line::new(connection.map_err(|error| self.trouble(&error))?, self.queues.clone()))
    }

    async fn ask(&self, line: &mut Line) -> Result<Sighting, Trouble> {
        let start = Instant::now();
        let complaint = self.ping(line).await?;
        let mut seen = Sighting {
            latency_ms: start.elapsed().as_secs_f64() * 1000.0,
            complaint,
            info: None,
            clock_ahead_ms: None,
            slow_entries: None,
            periodic: None,
            broker: None,
            refused: Refused::default(),
        };
        line.refused = Refused::default();
        self.state(line, &mut seen).await.map_err(|error| self.trouble(&error))?;
        if line.queues.is_some() {
            let waiting = broker::waiting(line, seen.info.as_ref()).await;
            seen.broker = Some(waiting.map_err(|error| self.trouble(&error))?);
        }
        seen.refused = std::mem::take(&mut line.refused);
        Ok(seen)
    }

    fn silent(&self, admitted: bool, seconds: u64) -> String {
        place::silent("Redis", &self.address.place(), admitted, seconds)
    }
}

fn io_error(error: &RedisError) -> Option<&std::io::Error> {
    let source = error.source()?;
    match source.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        Some(shared) => shared.downcast_ref(),
        None => source.downcast_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_periodic_run_is_as_old_as_its_key() {
        assert_eq!(periodic_age(43_100, Some(9)), Some((100, false)));
        assert_eq!(periodic_age(-2, Some(90_000)), Some((43_200, true)), "expired: so old or older");
        assert_eq!(periodic_age(-2, Some(60)), Some((60, true)), "the server remembers no more than that");
        assert_eq!(
            (periodic_age(-1, Some(60)), periodic_age(50_000, None), periodic_age(-2, None)),
            (None, None, None)
        );
    }

    #[test]
    fn clocks_that_agree_are_not_ahead() {
        let now = SystemTime::now();
        let reply = |at: SystemTime| {
            let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let bulk = |n: String| Value::BulkString(n.into_bytes());
            Value::Array(vec![bulk(since.as_secs().to_string()), bulk(since.subsec_micros().to_string())])
        };
        let minute = std::time::Duration::from_mins(1);
        assert_eq!(ahead(&reply(now), now), Some(0));
        assert!(ahead(&reply(now + minute), now).unwrap() > 59_000);
        assert!(ahead(&reply(now - minute), now).unwrap() < -59_000);
        assert_eq!(ahead(&Value::Nil, now), None);
    }
}
