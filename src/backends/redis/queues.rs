//! The broker's queues: lists of messages, the oldest at the right end; what workers hold; who waits for tasks.
//!
//! Messages are personal data and are never looked into: a message is recognised by a hash of its bytes, which stay
//! the same as long as it waits.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use super::clients::Clients;
use crate::domain::redis::{Broker, Parked, WaitingQueue};
use crate::domain::text::plain;

/// pretix' priority steps beside the plain name (FIELD T-06).
const SUFFIXES: [&str; 2] = [":4", ":8"];
/// Kombu's own, where the application does not say otherwise.
const KOMBU_SUFFIXES: [&str; 3] = ["\u{6}\u{16}3", "\u{6}\u{16}6", "\u{6}\u{16}9"];
/// What stands between the parts of a binding.
const BINDING_PARTS: &str = "\u{6}\u{16}";
/// Most queues that are asked for.
const MOST: usize = 64;
/// The queues to ask for, and the database they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queues {
    /// Each queue's name and the lists it consists of.
    pub(super) lists: Vec<(String, Vec<String>)>,
    suffixes: &'static [&'static str],
    /// The number of the database.
    pub(super) database: i64,
}

impl Queues {
    /// The queues called `names`, each once.
    pub(super) fn new(names: &[String], priorities: bool, database: i64) -> Self {
        let mut met = BTreeSet::new();
        let names = names.iter().filter(|name| met.insert(name.as_str())).take(MOST);
        let suffixes = if priorities { SUFFIXES.as_slice() } else { KOMBU_SUFFIXES.as_slice() };
        Self { lists: names.map(|name| lists(name, suffixes)).collect(), suffixes, database }
    }

    /// Also asks for the queues that a set of bindings names (`_kombu.binding.NAME`), up to [`MOST`].
    pub(super) fn learn(&mut self, bindings: &[&[u8]]) {
        for binding in bindings.iter().filter_map(|binding| std::str::from_utf8(binding).ok()) {
            // Routing key, pattern, queue; pretix has a colon between them.
            let parts = if binding.contains(BINDING_PARTS) { BINDING_PARTS } else { ":" };
            let Some(queue) = binding.split(parts).nth(2).filter(|queue| is_name(queue)) else { continue };
            if self.lists.len() < MOST && self.lists.iter().all(|(name, _)| name != queue) {
                self.lists.push(lists(queue, self.suffixes));
            }
        }
    }

    /// The names of all lists.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.lists.iter().flat_map(|(_, lists)| lists)
    }
}

fn lists(name: &str, suffixes: &[&str]) -> (String, Vec<String>) {
    let more = suffixes.iter().map(|suffix| [name, suffix].concat());
    (name.to_owned(), std::iter::once(name.to_owned()).chain(more).collect())
}

/// Whether a bound name is that of a queue of tasks, not of a worker's own mailbox, and short enough to be one.
fn is_name(queue: &str) -> bool {
    (1..=100).contains(&queue.len()) && !queue.contains("pidbox") && !queue.starts_with("celeryev")
}

/// What was seen of the broker at one look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Each queue that could be asked for, with its lists.
    pub(super) queues: Vec<(String, Vec<WaitingList>)>,
    /// Length of `unacked`.
    pub(super) unacked: Option<u64>,
    /// For how long the oldest of them has been held, in seconds.
    pub(super) unacked_oldest_s: Option<u64>,
    /// Who is connected.
    pub(super) clients: Option<Clients>,
    /// Subscriptions to patterns, where only their number may be asked (`PUBSUB NUMPAT`).
    pub(super) patterns: Option<u32>,
    /// What midwatch has put aside.
    pub(super) parked: Vec<Parked>,
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
        let clients = waiting.clients.unwrap_or_default();
        Broker {
            queues,
            unacked: waiting.unacked,
            unacked_oldest_s: waiting.unacked_oldest_s,
            consumers: waiting.clients.map(|clients| clients.takers),
            consumer_age_s: clients.age_s,
            consumer_idle_s: clients.idle_s,
            quiet: clients.quiet,
            beating: clients.beating,
            silent: clients.silent,
            silence_s: clients.silence_s,
            subscriptions: waiting.clients.map(|clients| clients.subscriptions).or(waiting.patterns),
            parked: waiting.parked,
        }
    }
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
        let default = ["default", "default\u{6}\u{16}3", "default\u{6}\u{16}6", "default\u{6}\u{16}9"];
        assert_eq!(without.get(..4).unwrap(), default);
    }

    #[test]
    fn queues_that_are_bound_are_asked_for_mailboxes_are_not() {
        let mut queues = Queues::new(&["default".to_owned()], true, 2);
        let bound: [&[u8]; 5] = [
            b"default.#\x06\x16\x06\x16default",
            b"mail.#::mail",
            b"\x06\x16\x06\x16celery@web1.celery.pidbox",
            b"worker.#\x06\x16\x06\x16celeryev.10e1",
            b"\xff\xfe",
        ];
        queues.learn(&bound);
        queues.learn(&bound);
        let names: Vec<_> = queues.lists.iter().map(|(name, lists)| (name.as_str(), lists.len())).collect();
        assert_eq!(names, [("default", 3), ("mail", 3)]);
        let many: Vec<Vec<u8>> = (0..500).map(|n| format!("\u{6}\u{16}\u{6}\u{16}q{n}").into_bytes()).collect();
        queues.learn(&many.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(queues.lists.len(), MOST);
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
}
