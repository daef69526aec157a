//! The newest lines of all sources in one order, bounded in number and bytes, cheap to hand on.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Line;

/// Most lines that are kept.
pub const LINES_MAX: usize = 5_000;
/// Most bytes that are kept.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Lines in the order of their time, the oldest first; shared, never copied.
#[derive(Debug, Clone)]
pub struct Window(Arc<[Arc<Line>]>);

impl Window {
    /// The lines.
    pub fn lines(&self) -> &[Arc<Line>] {
        &self.0
    }

    /// The place of a line, by its number.
    pub fn position(&self, id: u64) -> Option<usize> {
        self.0.iter().position(|line| line.id == id)
    }

    /// Whether two windows are one and the same.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Default for Window {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0 == other.0
    }
}

impl FromIterator<Line> for Window {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        Self(lines.into_iter().map(Arc::new).collect())
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|line| &**line))
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Line>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Collects lines for windows.
#[derive(Debug, Clone, Default)]
pub struct Merge {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    shown: Option<Window>,
}

impl Merge {
    /// Takes in a line at its place; the oldest ones leave when there are too many.
    pub fn push(&mut self, line: Arc<Line>) {
        self.shown = None;
        self.bytes += line.size();
        // Nearly always at the end; otherwise not far from it.
        let mut at = self.lines.len();
        while at > 0 && self.lines.get(at - 1).is_some_and(|before| before.at > line.at) {
            at -= 1;
        }
        self.lines.insert(at, line);
        while self.lines.len() > LINES_MAX || (self.bytes > BYTES_MAX && self.lines.len() > 1) {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.size();
        }
    }

    /// The lines as they are now; the same ones as before if none came.
    pub fn window(&mut self) -> Window {
        let lines = &self.lines;
        self.shown.get_or_insert_with(|| Window(lines.iter().cloned().collect())).clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::log::Severity;
    use crate::domain::time::Timestamp;

    fn line(id: u64, at: i64, length: usize) -> Arc<Line> {
        Arc::new(Line {
            id,
            at: Timestamp::from_millis(at),
            dated: true,
            source: 0,
            level: Severity::Info,
            text: "x".repeat(length).into(),
            more: "".into(),
            group: None,
        })
    }

    #[test]
    fn nothing_is_copied_when_nothing_came() {
        let mut merge = Merge::default();
        merge.push(line(1, 1, 3));
        let (a, b) = (merge.window(), merge.window());
        assert!(a.is(&b));
        merge.push(line(2, 2, 3));
        assert!(!merge.window().is(&a));
    }

    proptest! {
        #[test]
        fn it_stays_in_order_and_within_bounds(times in proptest::collection::vec((0_i64..1_000, 0_usize..40_000), 0..400)) {
            let mut merge = Merge::default();
            for (id, (at, length)) in (0..).zip(&times) {
                merge.push(line(id, *at, *length));
            }
            let window = merge.window();
            prop_assert!(window.lines().is_sorted_by_key(|l| l.at));
            prop_assert!(window.lines().len() <= LINES_MAX);
            let bytes: usize = window.lines().iter().map(|l| l.size()).sum();
            prop_assert!(bytes <= BYTES_MAX || window.lines().len() == 1);
            prop_assert_eq!(merge.bytes, bytes);
        }
    }
}
