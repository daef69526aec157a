//! One scope on this host: poll it and publish, or read what another midwatch polls and take over when it goes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::emit::Emitter;
use crate::app::event::{Event, Storage};
use crate::backends::store::{Past, PollLock, Reader, Recorder, Writer, holder};
use crate::config::StateDir;
use crate::domain::id::Scope;
use crate::domain::time::Timestamp;
use crate::runtime::clock;
use crate::runtime::driver::Memories;
use crate::triage::{MARK_KEPT_MS, Memory};

/// How often a reader looks for news, and whether the poller is gone.
const READ_EVERY: Duration = Duration::from_secs(1);

/// So many failures in a row, and what the poller publishes can't be read for good.
const READ_FAILURES: u32 = 15;

/// What every scope's task needs.
#[derive(Debug, Clone)]
pub struct Post {
    /// Which scope.
    pub scope: Scope,
    /// Where observations go.
    pub events: mpsc::Sender<Event>,
    /// Where state lives.
    pub state: StateDir,
    /// Counts up whenever everything shall be looked at now.
    pub poll_now: watch::Receiver<u64>,
    /// What the rules of this process remember.
    pub memories: watch::Receiver<Memories>,
    /// Turns true when the program ends: what waits is written then.
    pub ending: watch::Receiver<bool>,
}

/// What a poller begins with.
#[derive(Debug)]
pub struct Turn {
    /// Where it sends what it sees.
    pub emit: Emitter,
    /// What an earlier poller left.
    pub past: Past,
}

impl Post {
    /// Watches the scope until the program ends: `poll` polls it for ever, when it is this process's turn.
    pub async fn watch<F: Future<Output = ()> + Send>(self, poll: impl FnOnce(Turn) -> F + Send) {
        let dir = match &self.state {
            StateDir::Directory(dir) => dir.clone(),
            StateDir::Memory(why) => {
                let why = why.clone();
                return self.poll_in_memory(why, poll).await;
            }
        };
        let taken = match PollLock::try_take(&dir, &self.scope) {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => self.read(&dir).await,
            Err(error) => Err(error.sentence(&dir)),
        };
        let lock = match taken {
            Ok(Some(lock)) => lock,
            Ok(None) => return,
            Err(why) => return self.poll_in_memory(why, poll).await,
        };
        match Writer::open(&dir, &self.scope).await {
            Ok(writer) => self.poll_and_publish(&dir, lock, writer, poll).await,
            // The lock is kept: whoever comes next must not poll a second time, even if nobody can read this poller.
            Err(error) => {
                let why = error.sentence(&dir);
                self.poll_in_memory(why, poll).await;
                drop(lock);
            }
        }
    }

    async fn poll_in_memory<F: Future<Output = ()> + Send>(self, why: String, poll: impl FnOnce(Turn) -> F + Send) {
        tracing::info!(scope = ?self.scope, why, "memory only");
        let emit = Emitter::new(self.scope.clone(), self.events.clone(), None);
        emit.event(Event::Storage(self.scope.clone(), Storage::Memory(why)));
        let mut ending = self.ending.clone();
        tokio::select! {
            () = poll(Turn { emit, past: Past::default() }) => {}
            () = ended(&mut ending) => {}
        }
    }

    async fn poll_and_publish<F: Future<Output = ()> + Send>(
        self,
        dir: &Path,
        lock: PollLock,
        mut writer: Writer,
        poll: impl FnOnce(Turn) -> F + Send,
    ) {
        let mut past = writer.past(clock::now()).await;
        let recorder = Arc::new(Recorder::start(dir.to_owned(), self.scope.clone(), writer, lock));
        let emit = Emitter::new(self.scope.clone(), self.events.clone(), Some(Arc::clone(&recorder)));
        emit.event(Event::Storage(self.scope.clone(), Storage::Poller));
        emit.event(Event::Recalled(self.scope.clone(), std::mem::take(&mut past.series)));
        if let Some(memory) = past.memory.take().and_then(|(memory, at)| still_true(memory, at, clock::now())) {
            emit.event(Event::Remembered(self.scope.clone(), memory));
        }
        let mut trouble = recorder.trouble();
        let mut memories = self.memories.clone();
        let mut ending = self.ending.clone();
        let mut saved = sleep_again();
        let beside = async {
            loop {
                tokio::select! {
                    Ok(()) = trouble.changed() => {
                        let storage = trouble.borrow_and_update().clone().map_or(Storage::Poller, Storage::Memory);
                        emit.event(Event::Storage(self.scope.clone(), storage));
                    }
                    Ok(()) = memories.changed() => remember(&recorder, &memories.borrow_and_update(), &self.scope),
                    () = &mut saved => {
                        remember(&recorder, &memories.borrow(), &self.scope);
                        saved = sleep_again();
                    }
                }
            }
        };
        let turn = Turn { emit: emit.clone(), past };
        tokio::select! {
            () = poll(turn) => {}
            () = beside => {}
            () = ended(&mut ending) => {}
        }
        recorder.close().await;
    }

    /// Reads what the poller publishes until its lock comes free, and takes that; `None` when the program ends first.
    async fn read(&self, dir: &Path) -> Result<Option<PollLock>, String> {
        let emit = Emitter::new(self.scope.clone(), self.events.clone(), None);
        let mut ending = self.ending.clone();
        let mut reader = Reader::new(dir, &self.scope);
        let mut told = None;
        let mut recalled = false;
        let mut failures = 0;
        loop {
            let storage = Storage::Reader { pid: holder(dir, &self.scope).unwrap_or(0) };
            if told.as_ref() != Some(&storage) {
                emit.event(Event::Storage(self.scope.clone(), storage.clone()));
                told = Some(storage);
            }
            if !recalled && let Ok(series) = reader.recall(clock::now()).await {
                emit.event(Event::Recalled(self.scope.clone(), series));
                recalled = true;
                if let Some(memory) = reader.memory().await.and_then(|m| still_true(m, clock::now(), clock::now())) {
                    emit.event(Event::Remembered(self.scope.clone(), memory));
                }
            }
            match reader.poll().await {
                Ok(news) => {
                    failures = 0;
                    for observed in news {
                        emit.event(Event::Observed(Box::new(observed)));
                    }
                }
                // Its files can't be read: then this process would see nothing at all; after a while it polls for itself.
                // At once would be wrong: a poller that was just killed leaves a file that only the next one can mend.
                Err(error) => {
                    failures += 1;
                    if failures >= READ_FAILURES {
                        let pid = holder(dir, &self.scope).unwrap_or(0);
                        return Err(format!("what midwatch {pid} publishes can't be read ({error})"));
                    }
                }
            }
            tokio::select! {
                () = sleep(READ_EVERY) => {}
                () = ended(&mut ending) => return Ok(None),
            }
            match PollLock::try_take(dir, &self.scope) {
                Ok(Some(lock)) => {
                    tracing::info!(scope = ?self.scope, "the poller is gone; this process takes over");
                    reader.close().await;
                    return Ok(Some(lock));
                }
                Ok(None) => {}
                Err(error) => return Err(error.sentence(dir)),
            }
        }
    }
}

/// Waits until the program ends.
async fn ended(ending: &mut watch::Receiver<bool>) {
    ending.wait_for(|ending| *ending).await.map(|_| ()).ok();
}

fn sleep_again() -> std::pin::Pin<Box<tokio::time::Sleep>> {
    Box::pin(sleep(Duration::from_millis(MARK_KEPT_MS / 3)))
}

fn remember(recorder: &Recorder, memories: &Memories, scope: &Scope) {
    if let Some(memory) = memories.get(scope) {
        recorder.save_memory(memory, clock::now());
    }
}

/// What was remembered at `at` still says something at `now` if somebody was watching until shortly before.
fn still_true(mut memory: Memory, at: Timestamp, now: Timestamp) -> Option<Memory> {
    if now.millis_since(at) > MARK_KEPT_MS || at > now {
        return None;
    }
    for mark in memory.marks.values_mut() {
        mark.last = now;
    }
    Some(memory)
}
