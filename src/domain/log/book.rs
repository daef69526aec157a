//! Keeps what was read of all sources, and tells it as one reading.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::assemble::Entry;
use super::group::{Groups, identity};
use super::mask::hash;
use super::sign::Signs;
use super::trigger::Armed;
use super::window::Merge;
use super::{Fired, Line, LogReading, LogSource, Severity, Trigger};
use crate::domain::time::Timestamp;

/// A source that has been read for so long says that what comes now is new, in milliseconds.
pub const COVERED_MS: u64 = 10 * 60_000;
/// Lines of which is remembered that they were read, to know them again from another source.
const TWINS: usize = 2_048;
/// Times of lines without a part of a second are too coarse to know two lines for one.
const FINE_MS: i64 = 1_000;

/// Keeps what was read.
#[derive(Debug)]
pub struct Book {
    sources: Vec<LogSource>,
    merge: Merge,
    groups: Groups,
    signs: Signs,
    triggers: Vec<Armed>,
    next: u64,
    twins: VecDeque<(u64, u16)>,
    known: HashSet<u64>,
    /// When the first reading was made.
    began: Option<Timestamp>,
}

impl Book {
    /// An empty one, with the operator's triggers.
    pub fn new(triggers: Vec<Trigger>) -> Self {
        Self {
            sources: Vec::new(),
            merge: Merge::default(),
            groups: Groups::default(),
            signs: Signs::default(),
            triggers: triggers.into_iter().map(Armed::new).collect(),
            next: 1,
            twins: VecDeque::new(),
            known: HashSet::new(),
            began: None,
        }
    }

    /// Adds a source; its number.
    pub fn add(&mut self, source: LogSource) -> u16 {
        self.sources.push(source);
        u16::try_from(self.sources.len() - 1).unwrap_or(u16::MAX)
    }

    /// A source, to be told what is known of it.
    pub fn source_mut(&mut self, source: u16) -> Option<&mut LogSource> {
        self.sources.get_mut(usize::from(source))
    }

    /// Takes in an entry of a source.
    pub fn push(&mut self, source: u16, entry: Entry) {
        let covered = self.sources.get_mut(usize::from(source)).is_some_and(|known| {
            known.oldest = Some(known.oldest.map_or(entry.at, |oldest| oldest.min(entry.at)));
            known.newest = Some(known.newest.map_or(entry.at, |newest| newest.max(entry.at)));
            known.oldest.is_some_and(|oldest| entry.at.millis_since(oldest) >= COVERED_MS)
        });
        if self.is_twin(source, &entry) {
            return;
        }
        let group = identity(entry.level, &entry.text, &entry.more);
        let Entry { at, dated, level, text, more } = entry;
        let line = Arc::new(Line { id: self.next, at, dated, source, level, text, more, group });
        self.next += 1;
        self.groups.push(&line, covered);
        self.signs.push(&line, covered);
        for trigger in &mut self.triggers {
            trigger.push(&line);
        }
        self.merge.push(line);
    }

    /// Says within the merged lines that `bytes` of a source were passed over.
    pub fn gap(&mut self, source: u16, bytes: u64, at: Timestamp) {
        if let Some(known) = self.sources.get_mut(usize::from(source)) {
            known.skipped = known.skipped.saturating_add(bytes);
            // What was passed over can't be known to have been read.
            known.oldest = Some(at);
            known.whole = false;
        }
        let text =
            format!("… {} were passed over: it grows faster than it is read …", crate::domain::text::bytes(bytes));
        let (id, level, more) = (self.next, Severity::Notice, "".into());
        self.next += 1;
        self.merge.push(Arc::new(Line { id, at, dated: false, source, level, text: text.into(), more, group: None }));
    }

    /// The same line written to two places (pretix logs to its file and to the console, which gunicorn keeps) is one.
    fn is_twin(&mut self, source: u16, entry: &Entry) -> bool {
        if !entry.dated || entry.at.as_millis() % FINE_MS == 0 {
            return false;
        }
        let mark = hash([&*entry.text, entry.level.word()]) ^ entry.at.as_millis().unsigned_abs().rotate_left(32);
        if self.known.contains(&mark) {
            return self.twins.iter().any(|(known, from)| *known == mark && *from != source);
        }
        self.known.insert(mark);
        self.twins.push_back((mark, source));
        if self.twins.len() > TWINS
            && let Some((old, _)) = self.twins.pop_front()
        {
            self.known.remove(&old);
        }
        false
    }

    /// The time from which on every source was read without a gap. One that was read whole hides nothing: before its
    /// first line nobody wrote.
    fn covered(&self) -> Option<Timestamp> {
        let partly = self.sources.iter().filter(|s| s.why.is_none() && !s.whole);
        let oldest = self.sources.iter().filter_map(|s| s.oldest).min();
        partly.map(|s| s.oldest.or(self.began)).max().flatten().or(oldest).or(self.began)
    }

    /// All that is known at `now`.
    pub fn reading(&mut self, now: Timestamp) -> LogReading {
        self.began.get_or_insert(now);
        let covered = self.covered();
        let fired: Vec<Fired> = self.triggers.iter_mut().filter_map(|t| t.judge(now, covered)).collect();
        LogReading {
            sources: self.sources.clone(),
            window: self.merge.window(),
            groups: self.groups.sorted(),
            signs: self.signs.all(),
            fired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::log::SignKind;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_231_800_000 + millis)
    }

    fn entry(millis: i64, level: Severity, text: &str) -> Entry {
        Entry { at: at(millis), dated: true, level, text: text.into(), more: "".into() }
    }

    fn book() -> Book {
        let mut book = Book::new(Vec::new());
        for name in ["a.log", "b.log"] {
            book.add(LogSource::new(name.to_owned(), format!("/{name}")));
        }
        book
    }

    #[test]
    fn sources_are_merged_by_time() {
        let mut book = book();
        for (source, millis, text) in [(0, 5, "a5"), (0, 9, "a9"), (1, 1, "b1"), (1, 7, "b7")] {
            book.push(source, entry(millis, Severity::Info, text));
        }
        let reading = book.reading(at(20));
        let told: Vec<&str> = reading.window.lines().iter().map(|l| &*l.text).collect();
        assert_eq!(told, ["b1", "a5", "b7", "a9"]);
        assert_eq!(reading.source(&reading.window.lines()[0]), "b.log");
    }

    #[test]
    fn a_line_in_two_files_is_one() {
        let mut book = book();
        book.push(0, entry(123, Severity::Error, "bad"));
        book.push(1, entry(123, Severity::Error, "bad"));
        assert_eq!(book.reading(at(200)).groups[0].tally.count, 1);
        // The same words twice in one file are two; whole seconds are too coarse to know.
        book.push(0, entry(124, Severity::Error, "bad"));
        book.push(0, entry(124, Severity::Error, "bad"));
        book.push(0, entry(1_000, Severity::Error, "bad"));
        book.push(1, entry(1_000, Severity::Error, "bad"));
        assert_eq!(book.reading(at(2_000)).groups[0].tally.count, 5);
    }

    #[test]
    fn what_comes_after_a_time_without_it_is_new() {
        let mut book = book();
        book.push(0, entry(0, Severity::Info, "hello"));
        book.push(0, entry(10, Severity::Error, "old"));
        let later = i64::try_from(COVERED_MS).unwrap_or(0) + 20;
        book.push(0, entry(later, Severity::Error, "relation \"x\" does not exist"));
        let reading = book.reading(at(later + 1));
        let new: Vec<bool> = reading.groups.iter().map(|g| g.new).collect();
        assert_eq!(new, [true, false]);
        assert!(reading.sign(SignKind::SchemaBehind).is_some_and(|s| s.seen));
    }

    #[test]
    fn a_gap_is_told_and_ends_what_was_covered() {
        let mut book = book();
        book.push(0, entry(0, Severity::Info, "hello"));
        let later = i64::try_from(COVERED_MS).unwrap_or(0) + 20;
        book.gap(0, 5_000_000, at(later));
        book.push(0, entry(later + 1, Severity::Error, "who knows"));
        let reading = book.reading(at(later + 2));
        assert!(!reading.groups[0].new);
        assert_eq!(reading.sources[0].skipped, 5_000_000);
        assert!(reading.window.lines().iter().any(|l| l.text.contains("4.77 MB were passed over")));
    }
}
