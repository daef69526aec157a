//! One scope on this host: poll it and publish, or read what another midwatch polls and take over when it goes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::clerk::Polled;
use super::emit::Emitter;
use crate::app::event::{Event, Storage};
use crate::backends::store::{Past, PollLock, Reader, Recorder, Writer, holder, trouble};
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
    /// True while the program is stopped, or about to be.
    pub away: watch::Receiver<bool>,
    /// The scopes this process polls.
    pub polled: Polled,
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
    /// Watches the scope until the program ends: `poll` polls it for ever, when it is this process's turn. While the program
    /// is stopped it is nobody's turn here.
    pub async fn watch<F: Future<Output = ()> + Send>(self, poll: impl Fn(Turn) -> F + Send + Sync) {
        let (mut away, mut ending) = (self.away.clone(), self.ending.clone());
        while !*ending.borrow() {
            self.once(&poll).await;
            tokio::select! {
                () = turned(&mut away, false) => {}
                () = ended(&mut ending) => {}
            }
        }
    }

    /// Watches it until the program ends or is stopped.
    async fn once<F: Future<Output = ()> + Send>(&self, poll: &(impl Fn(Turn) -> F + Send + Sync)) {
        let dir = match &self.state {
            StateDir::Directory(dir) => dir.clone(),
            StateDir::Memory(why) => return self.poll_in_memory(why.clone(), poll).await,
        };
        let taken = match PollLock::try_take(&dir, &self.scope) {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => self.read(&dir).await,
            Err(error) => Err(error.sentence(&dir)),
        };
        match taken {
            Ok(Some(lock)) => self.poll_and_publish(&dir, lock, poll).await,
            Ok(None) => {}
            Err(why) => self.poll_in_memory(why, poll).await,
        }
    }

    /// Waits until the program ends or is stopped.
    async fn over(&self) {
        let (mut away, mut ending) = (self.away.clone(), self.ending.clone());
        tokio::select! {
            () = turned(&mut away, true) => {}
            () = ended(&mut ending) => {}
        }
    }

    async fn poll_in_memory<F: Future<Output = ()> + Send>(
        &self,
        why: String,
        poll: &(impl Fn(Turn) -> F + Send + Sync),
    ) {
        tracing::info!(scope = ?self.scope, why, "memory only");
        let _polling = self.polled.begin(self.scope.clone());
        let emit = Emitter::new(self.scope.clone(), self.events.clone(), None);
        emit.event(Event::Storage(self.scope.clone(), Storage::Memory(why)));
        tokio::select! {
            () = poll(Turn { emit, past: Past::default() }) => {}
            () = self.over() => {}
        }
    }

    async fn poll_and_publish<F: Future<Output = ()> + Send>(
        &self,
        dir: &Path,
        lock: PollLock,
        poll: &(impl Fn(Turn) -> F + Send + Sync),
    ) {
        // Given back after the lock: whoever waits for that must not go before.
        let _polling = self.polled.begin(self.scope.clone());
        // Without a file it polls all the same, and tries again: whoever comes next must not poll a second time, even if
        // nobody can read this poller.
        let writer = Writer::open(dir, &self.scope).await.map_err(|error| error.sentence(dir));
        let (mut past, writer) = match writer {
            Ok(mut writer) => (writer.past(clock::now()).await, Ok(writer)),
            Err(why) => (Past::default(), Err(why)),
        };
        let storage = writer.as_ref().err().map_or(Storage::Poller, |why| Storage::Memory(why.clone()));
        let recorder = Arc::new(Recorder::start(dir.to_owned(), self.scope.clone(), writer, lock));
        let emit = Emitter::new(self.scope.clone(), self.events.clone(), Some(Arc::clone(&recorder)));
        emit.event(Event::Storage(self.scope.clone(), storage));
        emit.event(Event::Recalled(self.scope.clone(), std::mem::take(&mut past.series)));
        if let Some(memory) = past.memory.take().and_then(|(memory, at)| still_true(memory, at, clock::now())) {
            emit.event(Event::Remembered(self.scope.clone(), memory));
        }
        let mut trouble = recorder.trouble();
        let mut memories = self.memories.clone();
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
            () = self.over() => {}
        }
        recorder.close().await;
    }

    /// Reads what the poller publishes until its lock comes free, and takes that; `None` when the program ends or is stopped
    /// first.
    async fn read(&self, dir: &Path) -> Result<Option<PollLock>, String> {
        let emit = Emitter::new(self.scope.clone(), self.events.clone(), None);
        let mut reader = Reader::new(dir, &self.scope);
        let mut told = None;
        let mut recalled = false;
        let mut failures = 0;
        loop {
            let pid = holder(dir, &self.scope).unwrap_or(0);
            let storage = Storage::Reader { pid, trouble: trouble(dir, &self.scope) };
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
                () = self.over() => return Ok(None),
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
pub(super) async fn ended(ending: &mut watch::Receiver<bool>) {
    ending.wait_for(|ending| *ending).await.map(|_| ()).ok();
}

/// Waits until it is so.
async fn turned(what: &mut watch::Receiver<bool>, to: bool) {
    what.wait_for(|is| *is == to).await.map(|_| ()).ok();
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
