//! The journals of runs, looked at often and read only when they have changed.

use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::event::Event;
use crate::app::runbooks::{ENTRIES, LINES, RUNS, Run, Tail};
use crate::backends::journal;
use crate::backends::store::who;
use crate::cli::runbook::follow::{lives, state as state_of};
use crate::config::StateDir;
use crate::runbook::kept::{Printed, RunView};

/// Rows of output that are read at once.
const ROWS: u32 = 500;
/// Journals that are looked at.
const USERS: usize = 1_000;

/// A journal as it was when it was last looked at: where, its size, when it was changed.
type Stamp = (PathBuf, u64, i64, i64);

/// What was read.
#[derive(Debug)]
pub(super) struct Journals {
    state: Result<PathBuf, String>,
    stamps: Option<Vec<Stamp>>,
    views: Vec<RunView>,
    runs: Vec<Arc<Run>>,
    unread: Vec<String>,
    followed: Option<String>,
    fresh: bool,
    seq: u64,
    tail: VecDeque<Printed>,
}

impl Journals {
    pub(super) fn of(state: &StateDir) -> Self {
        let state = state_of(state).map(Path::to_owned);
        let (stamps, followed) = (None, None);
        let (views, runs, unread, tail) = (Vec::new(), Vec::new(), Vec::new(), VecDeque::new());
        Self { state, stamps, views, runs, unread, followed, fresh: false, seq: 0, tail }
    }

    /// From now on what this run prints is read.
    pub(super) fn follow(&mut self, run: Option<String>) {
        (self.followed, self.fresh, self.seq) = (run, true, 0);
        self.tail.clear();
    }

    /// What has changed since the last look.
    pub(super) async fn look(&mut self) -> Vec<Event> {
        let mut out = Vec::new();
        let state = match &self.state {
            Ok(state) => state.clone(),
            Err(why) => {
                if self.stamps.is_none() {
                    self.stamps = Some(Vec::new());
                    out.push(Event::Runs(Vec::new(), vec![why.clone()]));
                }
                return out;
            }
        };
        let stamps = stamps(&state);
        let changed = self.stamps.as_ref() != Some(&stamps);
        if changed {
            let read = journal::runs(&state).await;
            self.views = read.runs;
            self.views.truncate(RUNS);
            self.unread = read.unread;
        }
        // A runner that was killed writes nothing: whether it lives is looked at every time.
        let alive: Vec<bool> = self.views.iter().map(lives).collect();
        if changed || alive.iter().zip(&self.runs).any(|(alive, run)| *alive != run.lives) {
            self.runs = self.views.iter().zip(alive).map(|(view, alive)| Arc::new(run(view, alive))).collect();
            out.push(Event::Runs(self.runs.clone(), self.unread.clone()));
        }
        if changed || self.fresh {
            out.extend(self.printed(&state).await);
        }
        (self.stamps, self.fresh) = (Some(stamps), false);
        out
    }

    /// What the run that is followed has printed since; `None`: nothing.
    async fn printed(&mut self, state: &Path) -> Option<Event> {
        let id = self.followed.clone()?;
        let owner = self.views.iter().find(|view| view.record.id == id)?.owner;
        let before = self.seq;
        loop {
            let rows = journal::output_after(state, owner, &id, self.seq, ROWS).await.unwrap_or_default();
            let count = rows.len();
            for (seq, printed) in rows {
                self.seq = seq;
                self.tail.push_back(printed);
            }
            self.shorten();
            if count < ROWS as usize {
                break;
            }
        }
        let printed = Arc::new(self.tail.iter().cloned().collect());
        (self.fresh || self.seq != before).then_some(Event::Printed(Tail { run: id, printed }))
    }

    /// Keeps the newest lines.
    fn shorten(&mut self) {
        let count = |printed: &Printed| printed.text.lines().count().max(1);
        let mut lines: usize = self.tail.iter().map(count).sum();
        while lines > LINES && self.tail.len() > 1 {
            lines -= self.tail.pop_front().map_or(0, |printed| count(&printed));
        }
    }
}

fn stamps(state: &Path) -> Vec<Stamp> {
    let entries = std::fs::read_dir(state.join("runs")).into_iter().flatten().flatten().take(USERS);
    let uids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let stamp = |uid| {
        let path = journal::path(state, uid);
        let meta = std::fs::metadata(&path).ok()?;
        Some((path, meta.len(), meta.mtime(), meta.mtime_nsec()))
    };
    let mut out: Vec<Stamp> = uids.filter_map(stamp).collect();
    out.sort();
    out
}

fn run(view: &RunView, alive: bool) -> Run {
    let skipped = view.entries.len().saturating_sub(ENTRIES);
    Run {
        id: view.record.id.clone(),
        plan: view.record.plan.clone(),
        by: view.record.by.clone(),
        began: view.record.began,
        progress: view.progress(),
        ended: view.ended(),
        took_ms: view.took_ms(),
        entries: view.entries.iter().skip(skipped).cloned().collect(),
        lives: alive,
        owner: who::name(view.owner),
        mine: view.owner == rustix::process::geteuid().as_raw(),
    }
}
