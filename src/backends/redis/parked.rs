//! What a restore has to know of the broker: which lists the site's queues consist of, what waits in them, and what was put
//! aside there. It only reads.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError, RedisResult};

use super::address::Address;
use super::broker::learn;
use super::clients::Clients;
use super::line::Line;
use super::queues::Queues;
use crate::config::BrokerConfig;
use crate::domain::redis::Parked;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;
use crate::runbook::plan::tasks::{PARKED, UNACKED, aside, marker};

/// How long the broker may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Most that may be chosen from, the newest.
const MOST: isize = 500;

/// What waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The lists of all queues of the site.
    pub(crate) lists: Vec<String>,
    /// Messages in them.
    pub(crate) messages: u64,
    /// Messages that workers hold.
    pub(crate) held: u64,
}

/// The broker of a site.
pub(crate) struct Tasks {
    queues: Queues,
    database: i64,
    /// The way in.
    pub(crate) client: Client,
}

impl Tasks {
    /// As it is configured.
    ///
    /// # Errors
    /// A sentence, where its URL can't be used.
    pub(crate) async fn of(config: &BrokerConfig) -> Result<Self, String> {
        let address = Address::parse(&config.url, "the Celery broker")?.within(config.container.as_ref());
        let database = address.database();
        let client = Client::open(address.connection().await?).map_err(|error| sentence(&error))?;
        Ok(Self { queues: Queues::new(&config.queues, config.priorities, database), database, client })
    }

    /// What waits now.
    ///
    /// # Errors
    /// A sentence, where that can't be asked.
    pub(crate) async fn waiting(&self) -> Result<Waiting, String> {
        in_time(async {
            let connection = self.client.get_multiplexed_async_connection().await?;
            let mut line = Line::new(connection, Some(self.queues.clone()));
            learn(&mut line).await?;
            let mut lists: Vec<String> = line.queues.iter().flat_map(Queues::names).cloned().collect();
            lists.sort();
            let messages = lengths(&mut line.connection, lists.iter().map(String::as_str)).await?;
            let [hash, _] = UNACKED;
            let held = redis::cmd("HLEN").arg(hash).query_async(&mut line.connection).await?;
            Ok(Waiting { lists, messages, held })
        })
        .await
    }

    /// How many messages were put aside with this database; `None`: that was never done.
    ///
    /// # Errors
    /// A sentence, where that can't be asked.
    pub(crate) async fn parked(&self, with: &str) -> Result<Option<u64>, String> {
        in_time(async {
            let mut connection = self.client.get_multiplexed_async_connection().await?;
            count(&mut connection, with).await
        })
        .await
    }

    /// Everything that is put aside, the newest first.
    ///
    /// # Errors
    /// A sentence, where that can't be asked.
    pub(crate) async fn all_parked(&self) -> Result<Vec<Parked>, String> {
        in_time(async {
            let mut connection = self.client.get_multiplexed_async_connection().await?;
            parked(&mut connection, MOST).await
        })
        .await
    }

    /// How many clients of the broker's database take tasks; `None`: that may not be asked.
    pub(crate) async fn takers(&self, connection: &mut MultiplexedConnection) -> Option<u32> {
        let list: Vec<u8> = redis::cmd("CLIENT").arg("LIST").query_async(connection).await.ok()?;
        Some(Clients::parse(&list, self.database).takers)
    }
}

/// What is put aside, the newest first, at most so many.
pub(super) async fn parked(connection: &mut MultiplexedConnection, most: isize) -> RedisResult<Vec<Parked>> {
    let mut index = redis::cmd("ZRANGE");
    index.arg(PARKED).arg(-most).arg(-1).arg("WITHSCORES");
    let known: Vec<(String, f64)> = index.query_async(connection).await?;
    let mut all = Vec::new();
    for (with, since) in known.into_iter().rev() {
        if let Some(tasks) = count(connection, &with).await? {
            #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 have 41 bits")]
            let since = Timestamp::from_millis(since as i64);
            all.push(Parked { with, tasks, since });
        }
    }
    Ok(all)
}

/// How many messages were put aside with a database.
pub(crate) async fn count(connection: &mut MultiplexedConnection, with: &str) -> RedisResult<Option<u64>> {
    let names: Vec<String> = redis::cmd("SMEMBERS").arg(marker(with)).query_async(connection).await?;
    if names.is_empty() {
        return Ok(None);
    }
    let [hash, index] = UNACKED;
    let places: Vec<String> = names.iter().filter(|name| ![hash, index].contains(&name.as_str())).cloned().collect();
    let places: Vec<String> = places.iter().map(|name| aside(with, name)).collect();
    let waiting = lengths(connection, places.iter().map(String::as_str)).await?;
    let held: u64 = redis::cmd("HLEN").arg(aside(with, hash)).query_async(connection).await?;
    Ok(Some(waiting.saturating_add(held)))
}

async fn lengths(connection: &mut MultiplexedConnection, lists: impl Iterator<Item = &str>) -> RedisResult<u64> {
    let mut pipe = redis::pipe();
    for list in lists {
        pipe.cmd("LLEN").arg(list);
    }
    if pipe.is_empty() {
        return Ok(0);
    }
    let all: Vec<u64> = pipe.query_async(connection).await?;
    Ok(all.into_iter().fold(0, u64::saturating_add))
}

async fn in_time<T>(asked: impl Future<Output = RedisResult<T>>) -> Result<T, String> {
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(answer) => answer.map_err(|error| sentence(&error)),
        Err(_) => Err(format!("the broker has not answered within {} s", LIMIT.as_secs())),
    }
}

/// What went wrong, without secrets.
pub(crate) fn sentence(error: &RedisError) -> String {
    format!("the broker: {}", plain(&error.to_string(), 160))
}
