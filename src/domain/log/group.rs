//! Equal warnings and errors together: how often, since when, how fast, and one of them as an example.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mask::{hash, pattern};
use super::{Line, Severity, Tally, exception};

/// Most groups that are remembered; the one not seen for the longest time is forgotten first.
pub const GROUPS_MAX: usize = 400;

/// Equal messages of one severity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its identity, from severity and pattern.
    pub id: u64,
    /// How bad.
    pub level: Severity,
    /// How often, and when.
    pub tally: Tally,
    /// The last one.
    pub example: Arc<Line>,
    /// Whether its first came when its source had been read for some time without it.
    pub new: bool,
}

impl Group {
    fn add(&mut self, line: &Arc<Line>) {
        if line.at >= self.tally.last {
            self.example = Arc::clone(line);
        }
        self.tally.add(line.at);
    }
}

/// The identity of the group a message belongs to; `None`: messages of this severity are not grouped.
pub fn identity(level: Severity, text: &str, more: &str) -> Option<u64> {
    if !level.is_grouped() {
        return None;
    }
    let raised = exception(text, more).map(pattern).unwrap_or_default();
    Some(hash([level.word(), &pattern(text), &raised]))
}

/// All groups.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    known: HashMap<u64, Group>,
}

impl Groups {
    /// Counts a line; `covered` says whether its source had been read for some time before it.
    pub fn push(&mut self, line: &Arc<Line>, covered: bool) {
        let Some(id) = line.group else { return };
        if let Some(group) = self.known.get_mut(&id) {
            group.add(line);
            return;
        }
        if self.known.len() >= GROUPS_MAX {
            let oldest = self.known.values().min_by_key(|g| g.tally.last).map(|g| g.id);
            oldest.and_then(|id| self.known.remove(&id));
        }
        let group =
            Group { id, level: line.level, tally: Tally::once(line.at), example: Arc::clone(line), new: covered };
        self.known.insert(id, group);
    }

    /// All of them, the last seen first.
    pub fn sorted(&self) -> Vec<Group> {
        let mut all: Vec<Group> = self.known.values().cloned().collect();
        all.sort_by(|a, b| b.tally.last.cmp(&a.tally.last).then(b.level.cmp(&a.level)).then(a.id.cmp(&b.id)));
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::Timestamp;

    fn line(at_s: i64, level: Severity, text: &str) -> Arc<Line> {
        Arc::new(Line {
            id: 0,
            at: Timestamp::from_millis(at_s * 1000),
            dated: true,
            source: 0,
            level,
            text: text.into(),
            more: "".into(),
            group: identity(level, text, ""),
        })
    }

    #[test]
    fn equal_messages_are_counted_together() {
        let mut groups = Groups::default();
        for at in [0, 30, 60, 130, 10] {
            groups.push(&line(at, Severity::Error, &format!("no answer from {at}")), false);
        }
        let all = groups.sorted();
        assert_eq!(all.len(), 1);
        let tally = &all[0].tally;
        assert_eq!((tally.count, tally.first.as_secs(), tally.last.as_secs()), (5, 0, 130));
        assert_eq!(&*all[0].example.text, "no answer from 130");
    }

    #[test]
    fn the_number_of_groups_is_bounded() {
        let mut groups = Groups::default();
        for at in 0..2_000 {
            let word: String = format!("{at:04}").bytes().map(|b| char::from(b + 50)).collect();
            groups.push(&line(at, Severity::Error, &word), false);
        }
        assert_eq!(groups.sorted().len(), GROUPS_MAX);
        assert_eq!(groups.sorted()[0].tally.last.as_secs(), 1_999);
    }

    proptest! {
        #[test]
        fn different_severities_never_share_a_group(text in "\\PC{0,80}", more in "\\PC{0,80}") {
            let all: Vec<u64> = Severity::ALL.iter().filter_map(|level| identity(*level, &text, &more)).collect();
            let mut distinct = all.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!((all.len(), distinct.len()), (3, 3));
        }
    }
}
