//! The questions put to the broker's database: queues, what workers hold, who is connected.

use std::time::{Duration, Instant, SystemTime};

use redis::{RedisResult, Value};

use super::clients::Clients;
use super::info::Info;
use super::line::{Line, bytes, items, number, text};
use super::parked::parked;
use super::queues::{Queues, Waiting, WaitingList, mark};
use crate::domain::redis::Parked;

/// With more clients than this their list is not asked for: it costs the server a few hundred bytes for each.
const CLIENTS: u64 = 5000;
/// A message longer than this is not fetched again for [`SPARED`].
const LONG_MESSAGE: usize = 1024 * 1024;
const SPARED: Duration = Duration::from_mins(1);
/// The hash of messages that workers hold (FIELD T-15), and the times at which they took them.
const UNACKED: &str = "unacked";
const UNACKED_INDEX: &str = "unacked_index";
/// Bindings change when queues are added: how often they are looked at, and how many names one may hold.
const LEARN_EVERY: Duration = Duration::from_mins(5);
const MOST_BINDINGS: i64 = 200;
/// Of how many databases it is looked what was put aside with them, the newest.
const MOST_PARKED: isize = 8;

/// What waits, is held, and who is there.
pub(super) async fn waiting(line: &mut Line, info: Option<&Info>) -> RedisResult<Waiting> {
    let mut waiting = Waiting::default();
    learn(line).await?;
    let Some(queues) = line.queues.clone() else { return Ok(waiting) };
    lengths(line, &queues, &mut waiting).await?;
    last_messages(line, &mut waiting).await?;
    waiting.parked = put_aside(line).await?;
    if info.and_then(|info| info.number("connected_clients")).is_none_or(|clients| clients <= CLIENTS) {
        let list = line.one("CLIENT LIST", redis::cmd("CLIENT").arg("LIST")).await?;
        waiting.clients = list.as_ref().and_then(bytes).map(|list| Clients::parse(list, queues.database));
    }
    if waiting.clients.is_none() {
        let patterns = line.one("PUBSUB NUMPAT", redis::cmd("PUBSUB").arg("NUMPAT")).await?;
        waiting.patterns = patterns.as_ref().and_then(number).and_then(|n| u32::try_from(n).ok());
    }
    Ok(waiting)
}

/// Lengths of all lists, and of what workers hold.
async fn lengths(line: &mut Line, queues: &Queues, waiting: &mut Waiting) -> RedisResult<()> {
    let (mut pipe, mut names) = (redis::pipe(), Vec::new());
    for name in queues.names() {
        pipe.llen(name);
        names.push("LLEN");
    }
    pipe.hlen(UNACKED).cmd("ZRANGE").arg(UNACKED_INDEX).arg(0).arg(0).arg("WITHSCORES");
    names.extend(["HLEN", "ZRANGE"]);
    let mut replies = line.all(&names, &mut pipe).await?.into_iter();
    let count = |reply: Option<Value>| reply.as_ref().and_then(number).and_then(|n| u64::try_from(n).ok());
    for (name, lists) in &queues.lists {
        let known: Vec<Option<u64>> = replies.by_ref().take(lists.len()).map(count).collect();
        let lists = lists
            .iter()
            .zip(known)
            .map(|(list, length)| length.map(|length| WaitingList { name: list.clone(), length, last: None }));
        if let Some(lists) = lists.collect::<Option<Vec<_>>>() {
            waiting.queues.push((name.clone(), lists));
        }
    }
    waiting.unacked = count(replies.next().flatten());
    waiting.unacked_oldest_s = replies.next().flatten().as_ref().and_then(taken).and_then(age);
    Ok(())
}

/// What midwatch has put aside. Who may not ask for that can't have put anything aside either.
async fn put_aside(line: &mut Line) -> RedisResult<Vec<Parked>> {
    match parked(&mut line.connection, MOST_PARKED).await {
        Err(error) if error.code().is_some() => Ok(Vec::new()),
        seen => seen,
    }
}

/// The score of the first member of a reply to `ZRANGE … WITHSCORES`: seconds since 1970. Newer protocols nest pairs.
fn taken(reply: &Value) -> Option<f64> {
    let score = |value: &Value| if let Value::Double(score) = value { Some(*score) } else { text(value)?.parse().ok() };
    match items(reply) {
        [_, value] => score(value),
        [pair] => items(pair).get(1).and_then(score),
        _ => None,
    }
}

fn age(taken: f64) -> Option<u64> {
    let taken = Duration::try_from_secs_f64(taken).ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(taken).as_secs())
}

/// Marks the oldest message of each list that has one.
async fn last_messages(line: &mut Line, waiting: &mut Waiting) -> RedisResult<()> {
    line.long.retain(|_, since| since.elapsed() < SPARED);
    let mut wanted: Vec<&mut WaitingList> = waiting.queues.iter_mut().flat_map(|(_, lists)| lists).collect();
    wanted.retain(|list| list.length > 0 && !line.long.contains_key(&list.name));
    let mut pipe = redis::pipe();
    for list in &wanted {
        pipe.lindex(&list.name, -1);
    }
    let names = vec!["LINDEX"; wanted.len()];
    let replies = line.all(&names, &mut pipe).await?;
    for (list, reply) in wanted.into_iter().zip(replies) {
        match reply.as_ref().and_then(bytes) {
            Some(message) if message.len() > LONG_MESSAGE => {
                line.long.insert(list.name.clone(), Instant::now());
            }
            Some(message) => list.last = Some(mark(message)),
            None => {}
        }
    }
    Ok(())
}

/// Now and then looks which queues are bound to the exchanges called like known queues. Keys are never searched for.
pub(super) async fn learn(line: &mut Line) -> RedisResult<()> {
    let Some(queues) = &line.queues else { return Ok(()) };
    if line.learned.is_some_and(|at| at.elapsed() < LEARN_EVERY) {
        return Ok(());
    }
    line.learned = Some(Instant::now());
    let keys: Vec<String> = queues.lists.iter().map(|(name, _)| ["_kombu.binding.", name].concat()).collect();
    let mut pipe = redis::pipe();
    for key in &keys {
        pipe.scard(key);
    }
    let sizes = line.all(&vec!["SCARD"; keys.len()], &mut pipe).await?;
    let small = keys
        .iter()
        .zip(sizes)
        .filter(|(_, size)| size.as_ref().and_then(number).is_some_and(|size| (1..=MOST_BINDINGS).contains(&size)));
    let small: Vec<&String> = small.map(|(key, _)| key).collect();
    let mut pipe = redis::pipe();
    for key in &small {
        pipe.smembers(key);
    }
    let replies = line.all(&vec!["SMEMBERS"; small.len()], &mut pipe).await?;
    let bindings: Vec<&[u8]> = replies.iter().flatten().flat_map(items).filter_map(bytes).collect();
    if let Some(queues) = &mut line.queues {
        queues.learn(&bindings);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_at_which_a_task_was_taken_is_read_in_both_protocols() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let old = Value::Array(vec![bulk("6969b577"), bulk("1795250033.4329908")]);
        assert_eq!(taken(&old), Some(1_795_250_033.432_990_8));
        let new = Value::Array(vec![Value::Array(vec![bulk("6969b577"), Value::Double(12.5)])]);
        assert_eq!(taken(&new), Some(12.5));
        assert_eq!((taken(&Value::Array(vec![])), age(-1.0), age(f64::NAN)), (None, None, None));
        assert_eq!(age(1e15), Some(0), "a worker whose clock is ahead");
    }
}
