//! Who is connected to the broker's database, from `CLIENT LIST`: takers of tasks, heartbeats, subscriptions.
//!
//! A Celery worker has one connection whose last command is `BRPOP` (blocked while it waits, quiet while it has all it
//! can hold), one on which it publishes a heartbeat every two seconds, and two subscriptions to patterns.

use crate::domain::redis::{HEART_S, QUIET_S};

/// Commands that wait for tasks, in Celery's transports of then and now (FIELD R-WORK).
const TAKING: [&str; 6] = ["brpop", "blpop", "bzmpop", "blmpop", "brpoplpush", "blmove"];
/// A connection that published once when it was opened sends no heartbeats; one that still did so many seconds later
/// does.
const REPEATED_S: u64 = 10;

/// The broker's clients.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clients {
    /// Takers of tasks.
    pub(super) takers: u32,
    /// How long the first of them has been connected, in seconds.
    pub(super) age_s: Option<u64>,
    /// The longest time one that does not wait for a task has not asked for one, in seconds.
    pub(super) idle_s: Option<u64>,
    /// Takers that have not asked for longer than [`QUIET_S`].
    pub(super) quiet: u32,
    /// Clients whose heartbeat is recent.
    pub(super) beating: u32,
    /// Clients whose heartbeat has stopped.
    pub(super) silent: u32,
    /// For how long the last of them to stop has, in seconds.
    pub(super) silence_s: Option<u64>,
    /// Subscriptions to patterns.
    pub(super) subscriptions: u32,
}

impl Clients {
    /// Those of `database` in the reply of `CLIENT LIST`.
    pub(super) fn parse(list: &[u8], database: i64) -> Self {
        let list = String::from_utf8_lossy(list);
        let mut clients = Self::default();
        for line in list.lines() {
            clients.add(line, database);
        }
        clients
    }

    fn add(&mut self, line: &str, database: i64) {
        let field = |name: &str| {
            line.split(' ').find_map(|field| field.split_once('=').filter(|(n, _)| *n == name).map(|(_, value)| value))
        };
        let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok());
        if field("db").and_then(|db| db.parse().ok()) != Some(database) {
            return;
        }
        let patterns = number("psub").and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        self.subscriptions = self.subscriptions.saturating_add(patterns);
        let (command, idle) = (field("cmd").unwrap_or_default(), number("idle"));
        if TAKING.contains(&command) {
            self.takers = self.takers.saturating_add(1);
            self.age_s = self.age_s.max(number("age"));
            // Blocked: it is asking right now, whatever its time limit.
            let idle = if field("flags").is_some_and(|flags| flags.contains('b')) { Some(0) } else { idle };
            self.idle_s = self.idle_s.max(idle);
            self.quiet = self.quiet.saturating_add(u32::from(idle.is_some_and(|idle| idle > QUIET_S)));
        } else if command == "publish"
            && let (Some(age), Some(idle)) = (number("age"), idle)
            && age.saturating_sub(idle) >= REPEATED_S
        {
            if idle <= HEART_S {
                self.beating = self.beating.saturating_add(1);
            } else {
                self.silent = self.silent.saturating_add(1);
                self.silence_s = Some(self.silence_s.map_or(idle, |least| least.min(idle)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker of Celery 5.5 on Redis 7.0, as `CLIENT LIST` shows it.
    fn worker(brpop: &str, beat: u64) -> String {
        format!(
            "id=4 addr=127.0.0.1:50280 age=2378 idle=2378 flags=N db=0 sub=0 psub=0 cmd=get user=default\n\
             id=5 addr=127.0.0.1:50290 age=2375 {brpop} db=2 sub=0 psub=0 cmd=brpop user=default\n\
             id=7 age=2375 idle=2375 flags=N db=2 sub=0 psub=0 cmd=ping\n\
             id=9 age=2375 idle=2375 flags=N db=2 sub=0 psub=0 cmd=publish\n\
             id=10 age=2374 idle=2374 flags=P db=2 sub=0 psub=1 cmd=psubscribe\n\
             id=12 age=2374 idle={beat} flags=P db=2 sub=0 psub=1 cmd=psubscribe\n\
             id=14 age=2374 idle={beat} flags=N db=2 sub=0 psub=0 cmd=publish\n"
        )
    }

    #[test]
    fn a_waiting_a_busy_and_a_frozen_worker_differ() {
        let seen = |brpop, beat| Clients::parse(worker(brpop, beat).as_bytes(), 2);
        let waiting = seen("idle=1 flags=b", 1);
        assert_eq!((waiting.takers, waiting.idle_s, waiting.quiet, waiting.age_s), (1, Some(0), 0, Some(2375)));
        assert_eq!((waiting.beating, waiting.silent, waiting.subscriptions), (1, 0, 2));
        let busy = seen("idle=40 flags=N", 2);
        assert_eq!((busy.idle_s, busy.quiet, busy.beating, busy.silent), (Some(40), 1, 1, 0));
        let frozen = seen("idle=40 flags=N", 41);
        assert_eq!((frozen.idle_s, frozen.quiet, frozen.beating, frozen.silent), (Some(40), 1, 0, 1));
        assert_eq!(frozen.silence_s, Some(41));
    }

    #[test]
    fn only_clients_of_the_brokers_database_count_and_a_long_wait_is_no_silence() {
        let list = b"id=6 addr=1:2 name=x idle=1 flags=b db=2 cmd=brpop user=default\n\
            id=7 idle=35 db=2 cmd=evalsha\nid=8 idle=9 db=0 cmd=brpop\nid=9 idle=25 flags=b db=2 cmd=bzmpop\nrubbish\n";
        let seen = Clients::parse(list, 2);
        assert_eq!((seen.takers, seen.idle_s, seen.quiet), (2, Some(0), 0));
        assert_eq!(Clients::parse(b"", 2), Clients::default());
    }
}
