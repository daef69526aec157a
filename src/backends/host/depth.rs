//! What of the host is looked at seldom, on a thread of its own: open files of all processes, the kernel's log of kills,
//! the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::clock::Clocks;
use super::listen::Owner;
use super::oom::Kills;
use super::openfiles::{self, OpenFiles};
use super::targets::Targets;
use crate::backends::errand::{Answer, Errand};
use crate::domain::host::Depth;
use crate::domain::time::Timestamp;

/// Between two looks.
const SPACING: Duration = Duration::from_secs(15);
/// Between the first and the second: what is data is only told when it was there twice.
const FIRST_SPACING: Duration = Duration::from_secs(4);

/// Looks now and then, and remembers the last look.
pub(super) struct Depths {
    errand: Errand<(Box<Work>, Looked)>,
    work: Option<Box<Work>>,
    begun: Option<Instant>,
    looks: u32,
    kills: u64,
    last: Option<Looked>,
}

/// What one look brought.
#[derive(Debug, Clone, Default)]
pub(super) struct Looked {
    pub(super) depth: Depth,
    /// Who listens, by the inode of the socket.
    pub(super) owners: BTreeMap<u64, Owner>,
    /// What could not be seen, in sentences.
    pub(super) unseen: Vec<String>,
}

/// What is kept from look to look.
struct Work {
    targets: Targets,
    kills: Kills,
    clocks: Clocks,
    /// Deleted files of the look before, by device and inode.
    deleted_before: BTreeSet<(u64, u64)>,
}

impl Depths {
    pub(super) fn new(targets: Targets) -> Self {
        let work =
            Work { targets, kills: Kills::default(), clocks: Clocks::default(), deleted_before: BTreeSet::new() };
        Self { errand: Errand::default(), work: Some(Box::new(work)), begun: None, looks: 0, kills: 0, last: None }
    }

    /// Starts a look if one is due, or the kernel has killed something since the last one; takes what has come.
    pub(super) async fn look(
        &mut self,
        now: Instant,
        at: Timestamp,
        oom_kills: Option<u64>,
        uptime_s: u64,
    ) -> Option<&Looked> {
        let killed = oom_kills.is_some_and(|kills| kills != self.kills);
        let spacing = if self.looks < 2 { FIRST_SPACING } else { SPACING };
        let due = self.begun.is_none_or(|begun| now.duration_since(begun) >= spacing) || (killed && self.looks > 0);
        if due && let Some(mut work) = self.work.take() {
            let begun = self.errand.begin(move || {
                let looked = work.look(at, oom_kills, uptime_s);
                (work, looked)
            });
            if begun.is_ok() {
                (self.begun, self.kills) = (Some(now), oom_kills.unwrap_or(0));
            }
        }
        if self.errand.is_under_way() {
            match self.errand.answer(Instant::now()).await {
                Answer::Came((work, looked)) => {
                    self.looks = self.looks.saturating_add(1);
                    (self.work, self.last) = (Some(work), Some(looked));
                }
                Answer::Waiting(_) | Answer::Lost => {}
            }
        }
        self.last.as_ref()
    }
}

impl Work {
    fn look(&mut self, at: Timestamp, oom_kills: Option<u64>, uptime_s: u64) -> Looked {
        let OpenFiles { mut deleted, deleted_bytes, hidden, owners, names, seen } =
            openfiles::look(&self.targets, &self.deleted_before);
        self.deleted_before = seen;
        deleted.truncate(openfiles::MOST);
        let mut unseen = Vec::new();
        if hidden > 0 {
            unseen.push(format!(
                "What {hidden} processes of other users hold open (deleted files that take space, who listens) is seen only as root."
            ));
        }
        let oom = self.kills.look(at, oom_kills, uptime_s);
        let depth = Depth {
            at,
            deleted,
            deleted_bytes,
            hidden_processes: hidden,
            oom,
            clock: self.clocks.look(&names, uptime_s),
            lookups: Vec::new(),
        };
        Looked { depth, owners, unseen }
    }
}
