//! Which of the slower questions are due: each has a pace of its own, and a look has little time for them.

use std::time::{Duration, Instant};

/// How long a look may have taken for another slower question to be begun in it.
pub(super) const BUDGET: Duration = Duration::from_millis(500);
/// Where something is wrong it is looked at more often, so that its end is seen.
const SOON: Duration = Duration::from_secs(20);

/// Slower questions and when each is due.
#[derive(Debug)]
pub(super) struct Agenda<Q> {
    items: Vec<Item<Q>>,
}

#[derive(Debug)]
struct Item<Q> {
    question: Q,
    every: Duration,
    due: Option<Instant>,
}

impl<Q: Copy + PartialEq> Agenda<Q> {
    /// These questions, all due at once, in this order.
    pub(super) fn new(questions: &[(Q, Duration)]) -> Self {
        let item = |&(question, every): &(Q, Duration)| Item { question, every, due: None };
        Self { items: questions.iter().map(item).collect() }
    }

    /// The question that is due and was put the longest ago, unless the look that began at `begun` has used its time.
    pub(super) fn next(&self, begun: Instant, now: Instant) -> Option<Q> {
        if now.duration_since(begun) >= BUDGET {
            return None;
        }
        let due = self.items.iter().filter(|item| item.due.is_none_or(|due| due <= now));
        due.min_by_key(|item| item.due).map(|item| item.question)
    }

    /// It was answered; `bad`: with something that is wrong.
    pub(super) fn answered(&mut self, question: Q, bad: bool, now: Instant) {
        self.put_off(question, now, |every| if bad { every.min(SOON) } else { every });
    }

    /// It could not be answered: it is put off for longer.
    pub(super) fn refused(&mut self, question: Q, now: Instant) {
        self.put_off(question, now, |every| every * 4);
    }

    fn put_off(&mut self, question: Q, now: Instant, by: impl Fn(Duration) -> Duration) {
        for item in self.items.iter_mut().filter(|item| item.question == question) {
            item.due = Some(now + by(item.every));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Agenda, BUDGET};

    #[test]
    fn each_has_its_turn_and_a_look_its_bound() {
        let start = Instant::now();
        let mut agenda = Agenda::new(&[('a', Duration::from_secs(30)), ('b', Duration::from_mins(10))]);
        assert_eq!(agenda.next(start, start), Some('a'));
        agenda.answered('a', false, start);
        assert_eq!(agenda.next(start, start + BUDGET), None, "the look has taken long enough");
        assert_eq!(agenda.next(start, start), Some('b'));
        agenda.answered('b', true, start);
        assert_eq!(agenda.next(start, start), None);
        let later = start + Duration::from_secs(20);
        assert_eq!(agenda.next(later, later), Some('b'), "what is wrong is looked at more often");
        agenda.refused('b', later);
        let later = start + Duration::from_secs(31);
        assert_eq!(agenda.next(later, later), Some('a'));
        agenda.answered('a', false, later);
        assert_eq!(agenda.next(later, later), None);
    }
}
