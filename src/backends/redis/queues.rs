//! The broker's queues: lists of messages, the oldest at the right end; what workers hold; who waits for tasks.
//!
//! Messages are personal data and are never looked into: a message is recognised by a hash of its bytes, which stay
//! the same as long as it waits.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use crate::domain::redis::{Broker, WaitingQueue};
use crate::domain::text::plain;

/// pretix' priority steps beside the plain name (FIELD T-06).
const SUFFIXES: [&str; 2] = [":4", ":8"];
/// Most queues that are asked for.
const MOST: usize = 64;
/// Commands that wait for tasks, in Celery's transports of then and now (FIELD R-WORK).
const TAKING: [&str; 6] = ["brpop", "blpop", "bzmpop", "blmpop", "brpoplpush", "blmove"];

/// The queues to ask for, and the database they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queues {
    /// Each queue's name and the lists it consists of.
    pub(super) lists: Vec<(String, Vec<String>)>,
    /// The number of the database.
    pub(super) database: i64,
}

impl Queues {
    /// The queues called `names`, each once.
    pub(super) fn new(names: &[String], priorities: bool, database: i64) -> Self {
        let mut met = BTreeSet::new();
        let names = names.iter().filter(|name| met.insert(name.as_str())).take(MOST);
        let lists = names.map(|name| {
            let more = SUFFIXES.iter().filter(|_| priorities).map(|suffix| [name.as_str(), suffix].concat());
            (name.clone(), std::iter::once(name.clone()).chain(more).collect())
        });
        Self { lists: lists.collect(), database }
    }

    /// The names of all lists.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.lists.iter().flat_map(|(_, lists)| lists)
    }
}

/// What was seen of the broker at one look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Each queue that could be asked for, with its lists.
    pub(super) queues: Vec<(String, Vec<WaitingList>)>,
    /// Length of `unacked`.
    pub(super) unacked: Option<u64>,
    /// How many wait for tasks, and how long the one that asked least recently hasn't.
    pub(super) takers: Option<(u32, Option<u64>)>,
}

/// One list of a queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WaitingList {
    /// Its name.
    pub(super) name: String,
    /// Its length.
    pub(super) length: u64,
    /// A hash of the message at its end, where that could be read.
    pub(super) last: Option<u64>,
}

/// A message's hash.
pub(super) fn mark(message: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

/// Since when the same message has been at the end of each list (FIELD T-08).
#[derive(Debug, Default)]
pub(super) struct Tails {
    since: BTreeMap<String, (u64, Instant)>,
}

impl Tails {
    /// What was seen, with the age of the oldest message of each queue.
    pub(super) fn broker(&mut self, waiting: Waiting) -> Broker {
        self.at(waiting, Instant::now())
    }

    fn at(&mut self, waiting: Waiting, now: Instant) -> Broker {
        let mut since = BTreeMap::new();
        let mut queues = Vec::new();
        for (name, lists) in waiting.queues {
            let mut oldest: Option<u64> = None;
            for list in &lists {
                let Some(last) = list.last else { continue };
                let known = self.since.get(&list.name).filter(|(mark, _)| *mark == last);
                let first = known.map_or(now, |(_, first)| *first);
                since.insert(list.name.clone(), (last, first));
                oldest = oldest.max(Some(now.saturating_duration_since(first).as_secs()));
            }
            let length = lists.iter().fold(0_u64, |sum, list| sum.saturating_add(list.length));
            queues.push(WaitingQueue { name: plain(&name, 60), waiting: length, oldest_at_least_s: oldest });
        }
        self.since = since;
        Broker {
            queues,
            unacked: waiting.unacked,
            consumers: waiting.takers.map(|(count, _)| count),
            consumer_idle_s: waiting.takers.and_then(|(_, idle)| idle),
        }
    }
}

/// Clients of `database` in the reply of `CLIENT LIST` that wait for tasks: how many, and the longest idle time of any.
pub(super) fn takers(list: &[u8], database: i64) -> (u32, Option<u64>) {
    let list = String::from_utf8_lossy(list);
    let mut found = (0_u32, None);
    for line in list.lines() {
        let field = |name: &str| {
            line.split(' ').find_map(|field| field.split_once('=').filter(|(n, _)| *n == name).map(|(_, value)| value))
        };
        let here = field("db").and_then(|db| db.parse().ok()) == Some(database);
        if here && field("cmd").is_some_and(|cmd| TAKING.contains(&cmd)) {
            let idle = field("idle").and_then(|idle| idle.parse::<u64>().ok());
            found = (found.0.saturating_add(1), found.1.max(idle));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_get_priority_suffixes_only_where_asked() {
        let names = ["default".to_owned(), "checkout".to_owned(), "default".to_owned()];
        let with: Vec<_> = Queues::new(&names, true, 2).names().cloned().collect();
        assert_eq!(with, ["default", "default:4", "default:8", "checkout", "checkout:4", "checkout:8"]);
        let without: Vec<_> = Queues::new(&names, false, 2).names().cloned().collect();
        assert_eq!(without, ["default", "checkout"]);
    }

    fn one(length: u64, last: Option<u64>) -> Waiting {
        let row = |name: &str, length, last| WaitingList { name: name.to_owned(), length, last };
        let lists = vec![row("q", 0, None), row("q:4", length, last)];
        Waiting { queues: vec![("q".to_owned(), lists)], ..Waiting::default() }
    }

    #[test]
    fn the_age_is_that_of_the_same_message_at_the_end() {
        let mut tails = Tails::default();
        let start = Instant::now();
        let mut age = |waiting, seconds| {
            let broker = tails.at(waiting, start + Duration::from_secs(seconds));
            (broker.waiting(), broker.queues.first().and_then(|queue| queue.oldest_at_least_s))
        };
        assert_eq!(age(one(2, Some(7)), 0), (2, Some(0)));
        assert_eq!(age(one(5, Some(7)), 40), (5, Some(40)));
        assert_eq!(age(one(4, Some(8)), 45), (4, Some(0)), "the oldest was taken");
        assert_eq!(age(one(0, None), 50), (0, None));
        assert_eq!(age(one(1, Some(8)), 55), (1, Some(0)), "what was gone begins anew");
    }

    #[test]
    fn only_waiting_clients_of_the_brokers_database_are_workers() {
        let list = b"id=6 addr=1:2 name=x idle=1 flags=b db=2 cmd=brpop user=default\n\
            id=7 idle=35 db=2 cmd=evalsha\nid=8 idle=9 db=0 cmd=brpop\nid=9 idle=4 db=2 cmd=bzmpop\nrubbish\n";
        assert_eq!(takers(list, 2), (2, Some(4)));
        assert_eq!(takers(b"", 2), (0, None));
    }
}
