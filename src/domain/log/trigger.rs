//! What the operator wants to be told of: a pattern that comes too often, that no longer comes, or that follows another.

use std::sync::Arc;

use regex::Regex;

use super::{Fired, Line, Tally};
use crate::domain::level::Level;
use crate::domain::text;
use crate::domain::time::Timestamp;

/// When a trigger holds.
#[derive(Debug, Clone)]
pub enum Condition {
    /// At least `count` matches within `within_ms`.
    Rate {
        /// How many.
        count: u64,
        /// Milliseconds.
        within_ms: u64,
    },
    /// No match for so many milliseconds.
    AbsentFor(u64),
    /// A match, and then within `within_ms` a match of `then`.
    Sequence {
        /// What follows.
        then: Regex,
        /// Milliseconds.
        within_ms: u64,
    },
}

/// A trigger as the operator wrote it.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// What a line must match: its first row, or a row of its traceback.
    pub pattern: Regex,
    /// When it holds.
    pub condition: Condition,
    /// How bad that is.
    pub level: Level,
}

/// A trigger with what it has seen.
#[derive(Debug, Clone)]
pub struct Armed {
    trigger: Trigger,
    matches: Option<(Tally, Arc<Line>)>,
    followed: Option<(Tally, Arc<Line>)>,
    /// Since when a rate has held.
    held: Option<Timestamp>,
}

impl Armed {
    /// One that has seen nothing.
    pub const fn new(trigger: Trigger) -> Self {
        Self { trigger, matches: None, followed: None, held: None }
    }

    /// Looks at a line.
    pub fn push(&mut self, line: &Arc<Line>) {
        // What follows is looked at first: a line doesn't follow itself.
        if let Condition::Sequence { then, within_ms } = &self.trigger.condition
            && let Some((before, _)) = &self.matches
            && line.at >= before.last
            && line.at.millis_since(before.last) <= *within_ms
            && hits(then, line)
        {
            count(&mut self.followed, line);
        }
        if hits(&self.trigger.pattern, line) {
            count(&mut self.matches, line);
        }
    }

    /// Whether it holds at `now`; `covered` is the time from which on every line was read.
    pub fn judge(&mut self, now: Timestamp, covered: Option<Timestamp>) -> Option<Fired> {
        let name = &self.trigger.name;
        let fired = |what: String, since: Timestamp, seen: bool, example: Option<&Arc<Line>>| Fired {
            name: name.clone(),
            what,
            since,
            seen,
            example: example.cloned(),
            level: self.trigger.level,
        };
        match &self.trigger.condition {
            Condition::Rate { count, within_ms } => {
                let held = self.matches.as_ref().filter(|(tally, _)| tally.within(*within_ms, now) >= *count);
                let Some((tally, example)) = held else {
                    self.held = None;
                    return None;
                };
                let since = *self.held.get_or_insert(tally.last);
                let n = tally.within(*within_ms, now);
                let what = format!("{} in {}, {count} are too many", text::count(n, "match"), text::span(*within_ms));
                Some(fired(what.replace("matchs", "matches"), since, true, Some(example)))
            }
            Condition::AbsentFor(absent_ms) => {
                let last = self.matches.as_ref().map(|(tally, _)| tally.last);
                let since = last.or(covered)?;
                let silent = now.millis_since(since);
                (silent >= *absent_ms).then(|| {
                    let what = match last {
                        Some(_) => {
                            format!("no match for {}, {} are allowed", text::span(silent), text::span(*absent_ms))
                        }
                        None => format!("no match in the {} that were read", text::span(silent)),
                    };
                    fired(what, since, last.is_some(), self.matches.as_ref().map(|(_, example)| example))
                })
            }
            Condition::Sequence { within_ms, .. } => {
                let (tally, example) = self.followed.as_ref()?;
                // It is told for as long as it would be waited for, and for five minutes at least.
                let told = (*within_ms).max(5 * 60_000);
                (now.millis_since(tally.last) <= told).then(|| {
                    let what = format!(
                        "seen {} times, the last {} ago",
                        tally.count,
                        text::span(now.millis_since(tally.last))
                    );
                    let what = if tally.count == 1 { what.replace("1 times, the last", "once,") } else { what };
                    fired(what, tally.streak, true, Some(example))
                })
            }
        }
    }
}

fn hits(pattern: &Regex, line: &Line) -> bool {
    pattern.is_match(&line.text) || (!line.more.is_empty() && line.more.lines().any(|row| pattern.is_match(row)))
}

fn count(seen: &mut Option<(Tally, Arc<Line>)>, line: &Arc<Line>) {
    match seen {
        Some((tally, example)) => {
            tally.add(line.at);
            *example = Arc::clone(line);
        }
        None => *seen = Some((Tally::once(line.at), Arc::clone(line))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::log::Severity;

    const fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn line(secs: i64, text: &str) -> Arc<Line> {
        let (at, level) = (at(secs), Severity::Info);
        Arc::new(Line { id: 0, at, dated: true, source: 0, level, text: text.into(), more: "".into(), group: None })
    }

    fn armed(pattern: &str, condition: Condition) -> Armed {
        let pattern = Regex::new(pattern).unwrap();
        Armed::new(Trigger { name: "t".to_owned(), pattern, condition, level: Level::Warning })
    }

    #[test]
    fn too_many_fire_and_stop() {
        let mut trigger = armed("login failed", Condition::Rate { count: 3, within_ms: 60_000 });
        for secs in [0, 10, 20] {
            assert_eq!(trigger.judge(at(secs), None), None);
            trigger.push(&line(secs, "login failed for x"));
            trigger.push(&line(secs, "login fine"));
        }
        let fired = trigger.judge(at(21), None).unwrap();
        assert_eq!((fired.what.as_str(), fired.since), ("3 matches in 1m00s, 3 are too many", at(20)));
        assert_eq!(trigger.judge(at(90), None), None);
    }

    #[test]
    fn silence_fires_only_when_it_was_listened_to() {
        let mut trigger = armed("paid", Condition::AbsentFor(60_000));
        assert_eq!(trigger.judge(at(1_000), None), None);
        assert_eq!(trigger.judge(at(1_000), Some(at(970))), None);
        let fired = trigger.judge(at(1_000), Some(at(900))).unwrap();
        assert!(!fired.seen);
        trigger.push(&line(990, "order ABC paid"));
        assert_eq!(trigger.judge(at(1_000), Some(at(900))), None);
        let fired = trigger.judge(at(1_100), Some(at(900))).unwrap();
        assert_eq!((fired.since, fired.seen), (at(990), true));
    }

    #[test]
    fn a_sequence_needs_its_order_and_its_time() {
        let mut trigger = armed("boot", Condition::Sequence { then: Regex::new("exit").unwrap(), within_ms: 10_000 });
        trigger.push(&line(0, "exit"));
        trigger.push(&line(1, "boot"));
        trigger.push(&line(30, "exit"));
        assert_eq!(trigger.judge(at(31), None), None);
        trigger.push(&line(40, "boot"));
        trigger.push(&line(45, "exit"));
        assert_eq!(trigger.judge(at(50), None).unwrap().what, "seen once, 5 s ago");
        assert_eq!(trigger.judge(at(500), None), None);
    }
}
