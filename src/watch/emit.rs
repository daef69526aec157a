//! Where observations go: to the model of this process, and to the recorder for the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::app::event::Event;
use crate::backends::store::Recorder;
use crate::domain::id::Scope;
use crate::domain::observation::{Observation, Observed};
use crate::domain::time::Timestamp;
use crate::runtime::clock;

/// Sends observations of one scope.
#[derive(Debug, Clone)]
pub struct Emitter {
    scope: Scope,
    events: mpsc::Sender<Event>,
    recorder: Option<Arc<Recorder>>,
    dropped: Arc<AtomicU64>,
}

impl Emitter {
    /// For one scope; without a recorder nothing is published.
    pub fn new(scope: Scope, events: mpsc::Sender<Event>, recorder: Option<Arc<Recorder>>) -> Self {
        Self { scope, events, recorder, dropped: Arc::default() }
    }

    /// The recorder, where there is one.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_deref()
    }

    /// Sends what was seen just now.
    pub fn seen(&self, what: Observation, took_ms: u64) {
        self.at(what, clock::now(), took_ms);
    }

    /// Sends what was seen at `at`. Never waits: when the event loop is behind, the observation is dropped and
    /// counted, for a newer one of its source follows.
    pub fn at(&self, what: Observation, at: Timestamp, took_ms: u64) {
        let took_ms = u32::try_from(took_ms).unwrap_or(u32::MAX);
        let observed = Observed { scope: self.scope.clone(), at, took_ms, what };
        if let Some(recorder) = &self.recorder {
            recorder.record(observed.clone());
        }
        self.event(Event::Observed(Box::new(observed)));
    }

    /// Sends an event of this scope.
    pub fn event(&self, event: Event) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && self.events.try_send(Event::Dropped(dropped)).is_err() {
            self.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        if self.events.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
