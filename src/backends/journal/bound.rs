//! How much of what programs print is kept: the beginning of all, and of every step the end.

use std::collections::VecDeque;

use super::ROW_MAX;
use crate::domain::text::{bytes, count};
use crate::runbook::kept::Printed;

/// Bytes of output that are kept of a run as they come.
pub const HEAD: usize = 4 * 1024 * 1024;
/// Bytes that are kept of the end of a step whose output is no longer kept as it comes.
const TAIL: usize = 64 * 1024;
/// Bytes that are kept of a run in all.
const ALL: usize = 8 * 1024 * 1024;
/// What a row costs besides its text, in bytes.
const ROW: usize = 64;

/// Decides what is kept of a run's output. Its memory is bounded by the kept end of one step.
#[derive(Debug, Default)]
pub struct OutputBound {
    kept: usize,
    tail: VecDeque<Printed>,
    tail_bytes: usize,
    dropped: u64,
    /// Lines among them.
    lines: u64,
    dropping: bool,
}

impl OutputBound {
    /// For a run of whose output so many bytes are kept already.
    pub fn after(kept: u64) -> Self {
        Self { kept: usize::try_from(kept).unwrap_or(usize::MAX), ..Self::default() }
    }

    /// Takes in what was printed; what is to be kept now.
    #[must_use]
    pub fn take(&mut self, printed: Printed) -> Vec<Printed> {
        let cost = printed.text.len().saturating_add(ROW);
        if !self.dropping && self.kept.saturating_add(cost) <= HEAD {
            self.kept += cost;
            return vec![printed];
        }
        let out = self.begin_dropping(&printed);
        self.tail_bytes += cost;
        self.tail.push_back(printed);
        while self.tail_bytes > TAIL {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.drop_row(&oldest);
        }
        out
    }

    /// So much of a stream was not even told; what is to be kept now. What it had printed before is no end any more.
    #[must_use]
    pub fn pass(&mut self, of: &Printed, bytes: u64, lines: u64) -> Vec<Printed> {
        let out = self.begin_dropping(of);
        if bytes > 0 {
            for row in std::mem::take(&mut self.tail) {
                if row.stream == of.stream {
                    self.drop_row(&row);
                } else {
                    self.tail.push_back(row);
                }
            }
        }
        self.dropped = self.dropped.saturating_add(bytes);
        self.lines = self.lines.saturating_add(lines);
        out
    }

    /// Says once in a step that its output is no longer kept as it comes.
    fn begin_dropping(&mut self, at: &Printed) -> Vec<Printed> {
        if std::mem::replace(&mut self.dropping, true) {
            return Vec::new();
        }
        let text = "… more is printed and not kept; its end is added when the step ends".to_owned();
        self.charged(Printed { text, ..at.clone() }).into_iter().collect()
    }

    fn drop_row(&mut self, row: &Printed) {
        self.tail_bytes = self.tail_bytes.saturating_sub(row.text.len().saturating_add(ROW));
        self.dropped = self.dropped.saturating_add(u64::try_from(row.text.len()).unwrap_or(u64::MAX));
        self.lines = self.lines.saturating_add(u64::try_from(row.text.lines().count()).unwrap_or(u64::MAX));
    }

    /// The step has ended; what is still to be kept of it.
    #[must_use]
    pub fn end_step(&mut self) -> Vec<Printed> {
        self.dropping = false;
        self.tail_bytes = 0;
        let (dropped, lines) = (std::mem::take(&mut self.dropped), std::mem::take(&mut self.lines));
        let tail = std::mem::take(&mut self.tail);
        let gap = tail.front().filter(|_| dropped > 0).map(|first| {
            let text = format!("… {} in {} were printed here and not kept", bytes(dropped), count(lines, "line"));
            Printed { text, ..first.clone() }
        });
        gap.into_iter().chain(tail).filter_map(|printed| self.charged(printed)).collect()
    }

    /// Lets a row through as long as the run's whole share lasts.
    fn charged(&mut self, printed: Printed) -> Option<Printed> {
        let cost = printed.text.len().saturating_add(ROW);
        if self.kept.saturating_add(cost) > ALL {
            return None;
        }
        self.kept += cost;
        Some(printed)
    }
}

/// The text of a row: at most [`ROW_MAX`] bytes.
pub(super) fn row(text: &str) -> &str {
    text.get(..text.floor_char_boundary(ROW_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{ALL, HEAD, OutputBound, ROW_MAX, TAIL, row};
    use crate::domain::time::Timestamp;
    use crate::runbook::kept::{Printed, Stream};

    fn printed(step: usize, text: &str) -> Printed {
        let at = Timestamp::from_millis(1);
        Printed { at, step, attempt: 1, stream: Stream::Out, text: text.to_owned() }
    }

    #[test]
    fn the_beginning_and_the_end_are_kept_whatever_is_between() {
        let mut bound = OutputBound::default();
        let mut kept = bound.take(printed(0, "first"));
        for _ in 0..5_000 {
            kept.extend(bound.take(printed(0, &"x".repeat(4_000))));
        }
        kept.extend(bound.take(printed(0, "last")));
        assert!(bound.tail_bytes <= TAIL);
        let ended = bound.end_step();
        let bytes: usize = kept.iter().chain(&ended).map(|p| p.text.len()).sum();
        assert!((HEAD / 2..HEAD + TAIL + 1000).contains(&bytes), "{bytes}");
        assert_eq!(kept.first().unwrap().text, "first");
        assert!(kept.last().unwrap().text.contains("not kept"));
        assert!(ended[0].text.contains("MB in 39"), "{}", ended[0].text);
        assert!(ended[0].text.ends_with(" lines were printed here and not kept"), "{}", ended[0].text);
        assert_eq!(ended.last().unwrap().text, "last");
    }

    #[test]
    fn a_run_of_many_talkative_steps_is_bounded_too() {
        let (mut bound, mut bytes) = (OutputBound::after(HEAD as u64), HEAD);
        for step in 0..500 {
            for _ in 0..40 {
                bytes += bound.take(printed(step, &"x".repeat(4_000))).iter().map(|p| p.text.len()).sum::<usize>();
            }
            bytes += bound.end_step().iter().map(|p| p.text.len()).sum::<usize>();
        }
        assert!(bytes <= ALL, "{bytes}");
    }

    #[test]
    fn what_was_not_even_told_is_counted_and_what_others_said_stays() {
        let mut bound = OutputBound::default();
        assert_eq!(bound.take(printed(0, "first")).len(), 1);
        let said = bound.pass(&printed(0, ""), 0, 0);
        assert!(said.len() == 1 && said[0].text.contains("its end is added when the step ends"), "{said:?}");
        assert_eq!(bound.take(printed(0, "old")), []);
        let wrong = Printed { stream: Stream::Err, ..printed(0, "fatal: no") };
        assert_eq!(bound.take(wrong.clone()), []);
        assert_eq!(bound.pass(&printed(0, ""), 3 << 30, 70), []);
        assert_eq!(bound.take(printed(0, "last")), []);
        let ended = bound.end_step();
        assert_eq!(ended[0].text, "… 3.00 GB in 71 lines were printed here and not kept");
        assert_eq!(ended[1..], [wrong, printed(0, "last")]);
        assert_eq!(bound.take(printed(1, "next")), [printed(1, "next")]);
    }

    #[test]
    fn what_is_little_is_kept_as_it_comes() {
        let mut bound = OutputBound::default();
        assert_eq!(bound.take(printed(0, "a")), [printed(0, "a")]);
        assert_eq!(bound.end_step(), []);
        assert_eq!(row(&"é".repeat(ROW_MAX)).len(), ROW_MAX);
    }
}
