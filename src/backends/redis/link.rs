//! One connection to one Redis database, and the questions put through it.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, RedisResult, Value};

use super::address::Address;
use super::info::{Info, MISCONF};
use super::queues::{Queues, Waiting, WaitingList, mark, takers};
use crate::backends::place::{self, unreachable};
use crate::backends::session::{Server, Then, Trouble};
use crate::domain::text::plain;

/// With more clients than this their list is not asked for: it costs the server a few hundred bytes for each.
const CLIENTS: u64 = 5000;
/// A message longer than this is not fetched again for [`SPARED`].
const LONG_MESSAGE: usize = 1024 * 1024;
const SPARED: Duration = Duration::from_mins(1);
/// The hash of messages that workers hold (FIELD T-15).
const UNACKED: &str = "unacked";

/// One Redis database.
pub(super) struct Link {
    address: Address,
    queues: Option<Queues>,
}

/// The connection, and the lists whose last message was too long to be fetched at every look.
pub(super) struct Line {
    connection: MultiplexedConnection,
    long: BTreeMap<String, Instant>,
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
    /// The queues, where this is the broker.
    pub(super) broker: Option<Waiting>,
}

impl Link {
    /// The database at `address`, with the queues in it where it is the broker's.
    pub(super) fn new(address: Address, queues: Option<Queues>) -> Self {
        Self { address, queues }
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

    /// The reply, or `None` where the server answers with an error: not allowed, or not now.
    async fn allowed(&self, line: &mut Line, command: &Cmd) -> Result<Option<Value>, Trouble> {
        match line.connection.send_packed_command(command).await {
            Ok(Value::ServerError(_)) => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code().is_some() => Ok(None),
            Err(error) => Err(self.trouble(&error)),
        }
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

    async fn waiting(&self, line: &mut Line, queues: &Queues, info: Option<&Info>) -> Result<Waiting, Trouble> {
        let mut lengths = redis::pipe();
        for name in queues.names() {
            lengths.llen(name);
        }
        lengths.hlen(UNACKED);
        let mut lengths = self.numbers(line, &mut lengths).await?.into_iter();
        let mut waiting = Waiting::default();
        for (name, lists) in &queues.lists {
            let known: Vec<Option<u64>> = lengths.by_ref().take(lists.len()).collect();
            let lists = lists
                .iter()
                .zip(known)
                .map(|(list, length)| length.map(|length| WaitingList { name: list.clone(), length, last: None }));
            if let Some(lists) = lists.collect::<Option<Vec<_>>>() {
                waiting.queues.push((name.clone(), lists));
            }
        }
        waiting.unacked = lengths.next().flatten();
        self.last_messages(line, &mut waiting).await?;
        if info.and_then(|info| info.number("connected_clients")).is_some_and(|clients| clients <= CLIENTS) {
            let command = redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("normal").to_owned();
            let reply = self.allowed(line, &command).await?;
            waiting.takers = reply.as_ref().and_then(bytes).map(|list| takers(list, queues.database));
        }
        Ok(waiting)
    }

    async fn numbers(&self, line: &mut Line, pipe: &mut redis::Pipeline) -> Result<Vec<Option<u64>>, Trouble> {
        let replies: RedisResult<Vec<RedisResult<u64>>> = pipe.ignore_errors().query_async(&mut line.connection).await;
        let replies = replies.map_err(|error| self.trouble(&error))?;
        Ok(replies.into_iter().map(Result::ok).collect())
    }

    /// Marks the oldest message of each list that has one.
    async fn last_messages(&self, line: &mut Line, waiting: &mut Waiting) -> Result<(), Trouble> {
        line.long.retain(|_, since| since.elapsed() < SPARED);
        let mut wanted: Vec<&mut WaitingList> = waiting.queues.iter_mut().flat_map(|(_, lists)| lists).collect();
        wanted.retain(|list| list.length > 0 && !line.long.contains_key(&list.name));
        if wanted.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for list in &wanted {
            pipe.lindex(&list.name, -1);
        }
        let replies: RedisResult<Vec<RedisResult<Value>>> =
            pipe.ignore_errors().query_async(&mut line.connection).await;
        for (list, reply) in wanted.into_iter().zip(replies.map_err(|error| self.trouble(&error))?) {
            let Ok(reply) = reply else { continue };
            match bytes(&reply) {
                Some(message) if message.len() > LONG_MESSAGE => {
                    line.long.insert(list.name.clone(), Instant::now());
                }
                Some(message) => list.last = Some(mark(message)),
                None => {}
            }
        }
        Ok(())
    }
}

impl Server for Link {
    type Session = Line;
    type Answer = Sighting;

    async fn connect(&self) -> Result<Line, Trouble> {
        let client = Client::open(self.address.connection()).map_err(|error| self.trouble(&error))?;
        // Time is kept by the session: the library's own limits would drop the connection and make a new one each time.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        Ok(Line { connection: connection.map_err(|error| self.trouble(&error))?, long: BTreeMap::new() })
    }

    async fn ask(&self, line: &mut Line) -> Result<Sighting, Trouble> {
        let start = Instant::now();
        let complaint = self.ping(line).await?;
        let latency_ms = start.elapsed().as_secs_f64() * 1000.0;
        let reply = self.allowed(line, &redis::cmd("INFO")).await?;
        let info = reply.as_ref().and_then(bytes).map(Info::parse);
        let broker = match &self.queues {
            Some(queues) => Some(self.waiting(line, queues, info.as_ref()).await?),
            None => None,
        };
        Ok(Sighting { latency_ms, complaint, info, broker })
    }

    fn silent(&self, admitted: bool, seconds: u64) -> String {
        place::silent("Redis", &self.address.place(), admitted, seconds)
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

fn io_error(error: &RedisError) -> Option<&std::io::Error> {
    let source = error.source()?;
    match source.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        Some(shared) => shared.downcast_ref(),
        None => source.downcast_ref(),
    }
}
