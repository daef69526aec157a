//! Tasks that wait in the broker, put aside with a database and given back with it. Lists are renamed, never read and never
//! flushed.
//!
//! Invariant: every message is in exactly one place at every moment, a queue or aside; only what is dropped is gone.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult};

use super::work::Tools;
use crate::backends::redis::parked::{Tasks, count, sentence};
use crate::runbook::plan::tasks::{PARKED, TasksAct, UNACKED, aside, marker};

/// How long it may take in all.
const LIMIT: Duration = Duration::from_mins(1);
/// Messages moved at once.
const MANY: usize = 500;
/// In a marker: all of it was put aside.
const ALL: &str = "";
/// In a marker: it is being given back.
const RETURNING: &str = "*";

/// Does it.
pub(super) async fn act(tools: &Tools<'_>, act: &TasksAct) -> Result<String, String> {
    let site = tools.site.ok_or_else(|| "there is no site".to_owned())?;
    let tasks = Tasks::of(site.broker.as_ref().map_err(Clone::clone)?).await?;
    let work = async {
        let mut connection = tasks.client.get_multiplexed_async_connection().await?;
        match act {
            TasksAct::Park { with, lists } => {
                let since = (tools.now)().as_millis();
                park(&tasks, &mut connection, (with, since), lists).await
            }
            TasksAct::GiveBack { with } => give_back(&mut connection, with).await,
            TasksAct::Drop { with } => drop_all(&mut connection, with).await,
        }
    };
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done.map_err(|error| sentence(&error)),
        Err(_) => Err(format!("the broker was not done within {} s", LIMIT.as_secs())),
    }
}

/// All lists change their names in one transaction, with the mark that says so: done again, it finds that and leaves alone
/// what was queued since.
async fn park(
    tasks: &Tasks,
    connection: &mut MultiplexedConnection,
    (with, since): (&str, i64),
    lists: &[String],
) -> RedisResult<String> {
    let marker = marker(with);
    let known: Vec<String> = redis::cmd("SMEMBERS").arg(&marker).query_async(connection).await?;
    if known.iter().any(|name| name == ALL) {
        let parked = count(connection, with).await?.unwrap_or(0);
        return Ok(format!("it had been done: {parked} tasks are put aside with {with}"));
    }
    let mut there: Vec<&str> = Vec::new();
    for list in lists {
        let waiting: u64 = redis::cmd("LLEN").arg(list).query_async(connection).await?;
        there.extend((waiting > 0).then_some(list.as_str()));
    }
    let [hash, _] = UNACKED;
    let held: u64 = redis::cmd("HLEN").arg(hash).query_async(connection).await?;
    let orphaned = held > 0 && tasks.takers(connection).await == Some(0);
    there.extend(UNACKED.iter().filter(|_| orphaned));
    let mut pipe = redis::pipe();
    pipe.atomic().cmd("SADD").arg(&marker).arg(ALL).cmd("SREM").arg(&marker).arg(RETURNING);
    if !there.is_empty() {
        pipe.cmd("ZADD").arg(PARKED).arg("NX").arg(since).arg(with);
    }
    for list in there {
        pipe.cmd("SADD").arg(&marker).arg(list).cmd("RENAMENX").arg(list).arg(aside(with, list));
    }
    let renamed: RedisResult<redis::Value> = pipe.query_async(connection).await;
    // Taken to its last message meanwhile; the others are renamed all the same.
    renamed.map(|_| ()).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })?;
    let parked = count(connection, with).await?.unwrap_or(0);
    let left = if held > 0 && !orphaned {
        format!("; {held} that workers hold are left to them, for a worker may be connected")
    } else {
        String::new()
    };
    Ok(format!("{parked} tasks are put aside with {with}{left}"))
}

async fn give_back(connection: &mut MultiplexedConnection, with: &str) -> RedisResult<String> {
    let marker = marker(with);
    let Some(parked) = count(connection, with).await? else {
        return Ok(format!("nothing is put aside with {with}"));
    };
    let mut begun = redis::pipe();
    begun.atomic().cmd("SADD").arg(&marker).arg(RETURNING).cmd("SREM").arg(&marker).arg(ALL);
    let () = begun.query_async(connection).await?;
    for list in names(connection, &marker).await? {
        let from = aside(with, &list);
        let renamed = redis::cmd("RENAMENX").arg(&from).arg(&list).query_async::<bool>(connection).await;
        match renamed {
            Ok(true) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
            Ok(false) => match UNACKED.iter().position(|name| *name == list) {
                None => behind(connection, &from, &list).await?,
                Some(0) => held(connection, &from, &list).await?,
                Some(_) => taken(connection, &from, &list).await?,
            },
        }
    }
    gone(connection, with, &[marker]).await?;
    Ok(format!("{parked} tasks are back in their queues"))
}

/// Moves messages, each in one command, behind those that wait.
async fn behind(connection: &mut MultiplexedConnection, from: &str, to: &str) -> RedisResult<()> {
    loop {
        let mut pipe = redis::pipe();
        for _ in 0..MANY {
            pipe.cmd("RPOPLPUSH").arg(from).arg(to);
        }
        let moved: Vec<Option<Vec<u8>>> = pipe.query_async(connection).await?;
        if moved.iter().any(Option::is_none) {
            return Ok(());
        }
    }
}

/// Messages that workers held, beside those that they hold now.
async fn held(connection: &mut MultiplexedConnection, from: &str, to: &str) -> RedisResult<()> {
    let all: Vec<(Vec<u8>, Vec<u8>)> = redis::cmd("HGETALL").arg(from).query_async(connection).await?;
    let mut pipe = redis::pipe();
    pipe.atomic();
    for (tag, message) in all {
        pipe.cmd("HSETNX").arg(to).arg(tag).arg(message);
    }
    pipe.cmd("DEL").arg(from);
    pipe.query_async::<redis::Value>(connection).await.map(|_| ())
}

/// When they took them.
async fn taken(connection: &mut MultiplexedConnection, from: &str, to: &str) -> RedisResult<()> {
    let all: Vec<(Vec<u8>, f64)> =
        redis::cmd("ZRANGE").arg(from).arg(0).arg(-1).arg("WITHSCORES").query_async(connection).await?;
    let mut pipe = redis::pipe();
    pipe.atomic();
    for (tag, at) in all {
        pipe.cmd("ZADD").arg(to).arg("NX").arg(at).arg(tag);
    }
    pipe.cmd("DEL").arg(from);
    pipe.query_async::<redis::Value>(connection).await.map(|_| ())
}

async fn drop_all(connection: &mut MultiplexedConnection, with: &str) -> RedisResult<String> {
    let marker = marker(with);
    let parked = count(connection, with).await?.unwrap_or(0);
    let mut all: Vec<String> = names(connection, &marker).await?.iter().map(|list| aside(with, list)).collect();
    all.push(marker);
    gone(connection, with, &all).await?;
    Ok(format!("{parked} tasks that were put aside with {with} are removed"))
}

/// Removes keys, and what says that something is put aside: whoever finds the one finds the other.
async fn gone(connection: &mut MultiplexedConnection, with: &str, keys: &[String]) -> RedisResult<()> {
    let mut pipe = redis::pipe();
    pipe.atomic().cmd("UNLINK").arg(keys).cmd("ZREM").arg(PARKED).arg(with);
    pipe.query_async::<redis::Value>(connection).await.map(|_| ())
}

/// The lists that a marker names.
async fn names(connection: &mut MultiplexedConnection, marker: &str) -> RedisResult<Vec<String>> {
    let mut names: Vec<String> = redis::cmd("SMEMBERS").arg(marker).query_async(connection).await?;
    names.retain(|name| name != ALL && name != RETURNING);
    names.sort();
    Ok(names)
}

/// Whether the server says that there is no such key.
fn is_gone(error: &RedisError) -> bool {
    error.to_string().contains("no such key")
}
