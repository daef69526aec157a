//! What is followed rather than read: a task takes in rows as they come and hands them on through a bounded queue. When
//! the queue is full the task waits, and with it the writer of its pipe.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::domain::log::Severity;
use crate::domain::log::assemble::{Assembler, Entry};
use crate::domain::time::Timestamp;

/// Rows that may wait.
const QUEUE: usize = 4_096;
/// No row came for so long, in milliseconds: the last entry is complete.
const SETTLED_MS: u64 = 500;

/// What comes from a followed source.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A row.
    Row {
        /// Of which unit or container.
        of: String,
        /// What it says.
        row: String,
        /// When it was written.
        at: Timestamp,
        /// How bad its carrier says it is.
        priority: Option<Severity>,
        /// Whether it stands for itself, whatever stood before it.
        whole: bool,
    },
    /// Why nothing can be read, or nothing more.
    Trouble(String),
    /// It can be read.
    Going,
    /// So many bytes, at least, were passed over because they came too fast.
    Skipped(u64),
}

/// A followed source, or several of one carrier.
#[derive(Debug)]
pub(super) struct Follow {
    news: mpsc::Receiver<News>,
    /// By unit or container: the number of its source, and what puts its rows together.
    parts: BTreeMap<String, (u16, Assembler, Option<Timestamp>)>,
    _task: JoinSet<()>,
}

/// What one look at a followed source brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// An entry of a source.
    Entry(u16, Entry),
    /// What is wrong with a source, or that nothing is any more.
    Why(u16, Option<String>),
    /// Bytes of a source were passed over.
    Skipped(u16, u64),
}

impl Follow {
    /// Follows with `task`, which sends what comes of these units or containers.
    pub(super) fn new<F>(parts: Vec<(String, u16)>, task: impl FnOnce(mpsc::Sender<News>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, news) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        tasks.spawn(task(sender));
        let parts = parts.into_iter().map(|(name, source)| (name, (source, Assembler::carried(), None))).collect();
        Self { news, parts, _task: tasks }
    }

    /// What came since the last look, at most `most` rows.
    pub(super) fn came(&mut self, now: Timestamp, most: usize) -> Vec<Came> {
        let mut out = Vec::new();
        for _ in 0..most {
            let Ok(news) = self.news.try_recv() else { break };
            match news {
                News::Row { of, row, at, priority, whole } => {
                    let Some((source, assembler, last)) = self.parts.get_mut(&of) else { continue };
                    // A clock that is behind the writer's must not push lines into the future.
                    let at = at.min(now);
                    *last = Some(at);
                    if whole {
                        out.extend(assembler.flush().map(|entry| Came::Entry(*source, entry)));
                    }
                    let rows = row.split('\n').filter_map(|row| assembler.row(row, at, at, priority));
                    out.extend(rows.map(|entry| Came::Entry(*source, entry)));
                    if whole {
                        out.extend(assembler.flush().map(|entry| Came::Entry(*source, entry)));
                    }
                }
                News::Trouble(why) => {
                    out.extend(self.parts.values().map(|(source, ..)| Came::Why(*source, Some(why.clone()))));
                }
                News::Going => out.extend(self.parts.values().map(|(source, ..)| Came::Why(*source, None))),
                News::Skipped(bytes) => {
                    out.extend(self.parts.values().map(|(source, ..)| Came::Skipped(*source, bytes)));
                }
            }
        }
        for (source, assembler, last) in self.parts.values_mut() {
            if last.is_some_and(|last| now.millis_since(last) > SETTLED_MS) {
                out.extend(assembler.flush().map(|entry| Came::Entry(*source, entry)));
            }
        }
        out
    }
}
