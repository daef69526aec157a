//! A bounded front before the writer: the event loop and the pollers never wait for a disk.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::writer::{COUNTERS, MEMORY};
use super::{PollLock, StoreError, Writer};
use crate::domain::counters::Counters;
use crate::domain::history::{self, SeriesKey};
use crate::domain::id::{Scope, SourceKind};
use crate::domain::observation::{News, Observed};
use crate::domain::time::Timestamp;
use crate::triage::Memory;

/// At most one transaction in this time.
const BATCH: Duration = Duration::from_secs(1);
/// After a failure the disk is tried again this often.
const RETRY: Duration = Duration::from_secs(30);
/// How long the last batch may take at the end.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Points of history that may wait for a disk that takes nothing; the oldest go first.
const POINTS_WAITING: usize = 50_000;

/// What waits to be written; of each source only the newest value and the newest failure, of history every point.
#[derive(Debug, Default)]
struct Tray {
    observed: BTreeMap<(SourceKind, News), Observed>,
    points: VecDeque<(Timestamp, SeriesKey, f64)>,
    requests: BTreeMap<SourceKind, Option<(Timestamp, Timestamp)>>,
    notes: BTreeMap<&'static str, (String, Timestamp)>,
    urgent: bool,
    closing: bool,
}

impl Tray {
    fn is_empty(&self) -> bool {
        self.observed.is_empty() && self.points.is_empty() && self.requests.is_empty() && self.notes.is_empty()
    }

    /// Takes an observation in; what it replaces stays a point of history.
    fn observe(&mut self, observed: Observed) {
        let (kind, news) = (observed.what.kind(), observed.what.news());
        let after: &[News] = match news {
            News::Value => &[News::Failure, News::Asking],
            News::Failure => &[News::Asking],
            News::Asking => &[],
        };
        let ended = after.iter().filter_map(|news| self.observed.remove(&(kind, *news))).collect::<Vec<_>>();
        let replaced = self.observed.insert((kind, news), observed);
        for old in ended.iter().chain(&replaced) {
            let points = history::points(&old.what).into_iter().map(|(series, value)| (old.at, series, value));
            self.points.extend(points);
        }
        self.points.drain(..self.points.len().saturating_sub(POINTS_WAITING));
    }

    /// Puts back what could not be written, below what has come since.
    fn restore(&mut self, unwritten: Self) {
        let newer = std::mem::replace(self, Self { urgent: self.urgent, closing: self.closing, ..unwritten });
        self.points.extend(newer.points);
        for observed in newer.observed.into_values() {
            self.observe(observed);
        }
        self.requests.extend(newer.requests);
        self.notes.extend(newer.notes);
    }
}

#[derive(Debug, Default)]
struct Shared {
    tray: Mutex<Tray>,
    ready: Notify,
}

/// Takes what pollers see and writes it in the background. When it is dropped, what waits is still written, and the lock
/// given back.
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    trouble: watch::Receiver<Option<String>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Starts with an opened writer, or why there is none: then one is tried for again and again. Keeps the lock for as
    /// long as it runs.
    pub fn start(dir: PathBuf, scope: Scope, writer: Result<Writer, String>, lock: PollLock) -> Self {
        let shared: Arc<Shared> = Arc::default();
        let why = writer.as_ref().err().cloned();
        lock.tell(why.as_deref());
        let (tell, trouble) = watch::channel(why);
        let work = Work { dir, scope, shared: Arc::clone(&shared), tell, writer: writer.ok(), lock };
        Self { shared, trouble, task: Mutex::new(Some(tokio::spawn(work.run()))) }
    }

    /// Why nothing can be written at present; `None`: it can.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    fn put(&self, change: impl FnOnce(&mut Tray)) {
        change(&mut self.shared.tray.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.ready.notify_one();
    }

    /// Publishes an observation; one of the same source that still waits is replaced.
    pub fn record(&self, observed: Observed) {
        self.put(|tray| {
            tray.observe(observed);
        });
    }

    /// Notes at once that a question is under way, for the midwatch that comes after a sudden end of this one.
    pub fn begin_request(&self, source: SourceKind, since: Timestamp, until: Timestamp) {
        self.put(|tray| {
            tray.requests.insert(source, Some((since, until)));
            tray.urgent = true;
        });
    }

    /// Notes that it was answered.
    pub fn end_request(&self, source: SourceKind) {
        self.put(|tray| {
            tray.requests.insert(source, None);
        });
    }

    /// Keeps the raw counters, so that the next poller has rates at once.
    pub fn save_counters(&self, counters: &Counters, at: Timestamp) {
        if let Ok(body) = serde_json::to_string(counters) {
            self.put(|tray| {
                tray.notes.insert(COUNTERS, (body, at));
            });
        }
    }

    /// Keeps what the rules remember.
    pub fn save_memory(&self, memory: &Memory, at: Timestamp) {
        if let Ok(body) = serde_json::to_string(memory) {
            self.put(|tray| {
                tray.notes.insert(MEMORY, (body, at));
            });
        }
    }

    /// Writes what waits, within a second, and gives the lock back.
    pub async fn close(&self) {
        self.put(|tray| tray.closing = true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && timeout(CLOSE_LIMIT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.put(|tray| tray.closing = true);
    }
}

struct Work {
    dir: PathBuf,
    scope: Scope,
    shared: Arc<Shared>,
    tell: watch::Sender<Option<String>>,
    writer: Option<Writer>,
    lock: PollLock,
}

impl Work {
    async fn run(mut self) {
        loop {
            self.shared.ready.notified().await;
            let tray = std::mem::take(&mut *self.shared.tray.lock().unwrap_or_else(PoisonError::into_inner));
            // Without anything to write nothing is learnt of the disk, whose trouble may still be told.
            if tray.is_empty() && !tray.closing {
                continue;
            }
            let (closing, urgent) = (tray.closing, tray.urgent);
            let written = self.write(&tray).await;
            if closing {
                break;
            }
            let pause = match written {
                Ok(()) => {
                    if self.tell.send_if_modified(|t| t.take().is_some()) {
                        self.lock.tell(None);
                    }
                    BATCH
                }
                Err(error) => {
                    self.shared.tray.lock().unwrap_or_else(PoisonError::into_inner).restore(tray);
                    let sentence = error.sentence(&self.dir);
                    tracing::warn!(%error, "history can't be written");
                    self.lock.tell(Some(&sentence));
                    self.tell.send_if_modified(|t| t.replace(sentence.clone()) != Some(sentence));
                    RETRY
                }
            };
            if !urgent || pause == RETRY {
                self.rest(pause).await;
            }
        }
        if let Some(writer) = self.writer.take() {
            writer.close().await;
        }
    }

    /// Lets more come together; what is urgent, and the end, don't wait.
    async fn rest(&self, pause: Duration) {
        let nap = sleep(pause);
        tokio::pin!(nap);
        loop {
            tokio::select! {
                () = &mut nap => break,
                () = self.shared.ready.notified() => {
                    let tray = self.shared.tray.lock().unwrap_or_else(PoisonError::into_inner);
                    if tray.closing || tray.urgent {
                        break;
                    }
                }
            }
        }
        self.shared.ready.notify_one();
    }

    async fn write(&mut self, tray: &Tray) -> Result<(), StoreError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::open(&self.dir, &self.scope).await?,
        };
        let written = put_down(&mut writer, tray).await;
        // After a failure the file is opened anew: what broke may have been the file itself.
        if written.is_ok() {
            self.writer = Some(writer);
        } else {
            writer.close().await;
        }
        written
    }
}

async fn put_down(writer: &mut Writer, tray: &Tray) -> Result<(), StoreError> {
    for (source, request) in &tray.requests {
        match request {
            Some((since, until)) => writer.begin_request(*source, *since, *until).await?,
            None => writer.end_request(*source).await?,
        }
    }
    let batch: Vec<Observed> = tray.observed.values().cloned().collect();
    let points: Vec<_> = tray.points.iter().cloned().collect();
    if !batch.is_empty() || !points.is_empty() {
        writer.publish(&batch, &points).await?;
    }
    for (name, (body, at)) in &tray.notes {
        writer.note(name, body, *at).await?;
    }
    Ok(())
}
