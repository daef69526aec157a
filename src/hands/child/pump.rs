//! From a program's output to the journal and, where the step says so, a file.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::flood::Flood;
use super::lines::Lines;
use super::{News, Saved};
use crate::backends::journal::OUTPUT_HEAD;
use crate::domain::text::bytes;
use crate::runbook::kept::Stream;

/// Bytes that are read at a time.
const READ: usize = 64 * 1024;
/// After this long the beginning of a line is told without its end.
const LINE_PATIENCE: Duration = Duration::from_secs(2);
/// How long an output may be silent after the program has ended, where somebody keeps it open.
const LINGER: Duration = Duration::from_millis(500);
/// Bytes that are still read then.
const AFTER: u64 = 1024 * 1024;
/// Bytes that are saved.
pub(super) const SAVED_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of an output that are told as they come: as many as a run keeps.
pub(super) const TOLD_MAX: u64 = OUTPUT_HEAD as u64;
/// Longer than anything takes.
const LONG: Duration = Duration::from_hours(24);

/// When a program was last heard, for who reports its silence.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    begun: Instant,
    at_ms: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn now() -> Self {
        Self { begun: Instant::now(), at_ms: Arc::default() }
    }

    pub(super) fn last(&self) -> Instant {
        self.begun + Duration::from_millis(self.at_ms.load(Ordering::Relaxed))
    }

    fn note(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at_ms.store(now, Ordering::Relaxed);
    }
}

/// A file that takes a program's output as it is.
#[derive(Debug)]
pub(super) struct Saving {
    file: File,
    saved: Saved,
    most: u64,
}

impl Saving {
    /// A new file, for its owner alone.
    ///
    /// # Errors
    /// When it can't be made; one that is there is left alone.
    pub(super) fn begin(path: &str, most: u64) -> io::Result<Self> {
        if !Path::new(path).is_absolute() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no absolute path"));
        }
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)?;
        Ok(Self { file: File::from_std(file), saved: Saved { bytes: 0, trouble: None }, most })
    }

    async fn write(&mut self, got: &[u8]) {
        if self.saved.trouble.is_some() {
            return;
        }
        let room = usize::try_from(self.most.saturating_sub(self.saved.bytes)).unwrap_or(usize::MAX);
        let part = got.get(..room.min(got.len())).unwrap_or_default();
        match self.file.write_all(part).await {
            Ok(()) => self.saved.bytes += u64::try_from(part.len()).unwrap_or(0),
            Err(error) => self.saved.trouble = Some(error.to_string()),
        }
        if self.saved.trouble.is_none() && part.len() < got.len() {
            self.saved.trouble = Some(format!("only the first {} are kept", bytes(self.most)));
        }
    }

    async fn end(mut self) -> Saved {
        let written = match self.file.flush().await {
            Ok(()) => self.file.sync_all().await,
            failed => failed,
        };
        if let Err(error) = written {
            self.saved.trouble.get_or_insert(error.to_string());
        }
        self.saved
    }
}

/// What became of an output.
#[derive(Debug, Default)]
pub(super) struct Pumped {
    pub(super) saved: Option<Saved>,
    /// Whether somebody kept it open when the program had ended.
    pub(super) kept_open: bool,
}

/// Reads one output to its end. What nobody takes is waited for: the program then waits too, and no memory grows.
pub(super) struct Pump<R> {
    pub(super) from: R,
    pub(super) stream: Stream,
    pub(super) news: mpsc::Sender<News>,
    pub(super) heard: Heard,
    pub(super) saving: Option<Saving>,
    pub(super) ended: watch::Receiver<bool>,
}

enum Step {
    Bytes(usize),
    Quiet,
    Ended,
    End,
}

impl<R: AsyncRead + Unpin> Pump<R> {
    pub(super) async fn run(mut self) -> Pumped {
        let mut buffer = vec![0; READ];
        let mut lines = Lines::default();
        let (mut over, mut kept_open, mut after) = (false, false, 0_u64);
        let (mut told, mut flood) = (0_u64, None::<Flood>);
        loop {
            match self.step(&mut buffer, over, lines.waits()).await {
                Step::Bytes(count) => {
                    self.heard.note();
                    let got = buffer.get(..count).unwrap_or_default();
                    let count = u64::try_from(count).unwrap_or(0);
                    told = told.saturating_add(count);
                    if let Some(saving) = &mut self.saving {
                        // It is read there.
                        saving.write(got).await;
                    } else if let Some(flood) = &mut flood {
                        flood.take(got);
                    } else if told > TOLD_MAX {
                        self.pass(0, 0).await;
                        let begun = flood.insert(Flood::default());
                        begun.take(&lines.take_pending());
                        begun.take(got);
                    } else {
                        self.tell(lines.push(got)).await;
                    }
                    after += if over { count } else { 0 };
                    if after > AFTER {
                        kept_open = true;
                        break;
                    }
                }
                Step::Quiet if over => {
                    kept_open = true;
                    break;
                }
                Step::Quiet => self.tell(lines.flush()).await,
                Step::Ended => over = true,
                Step::End => break,
            }
        }
        match flood {
            None => self.tell(lines.flush()).await,
            Some(flood) => {
                let rest = flood.end(lines);
                self.pass(rest.bytes, rest.lines).await;
                self.tell(rest.pieces).await;
            }
        }
        let saved = match self.saving.take() {
            Some(saving) => Some(saving.end().await),
            None => None,
        };
        Pumped { saved, kept_open }
    }

    async fn step(&mut self, buffer: &mut [u8], over: bool, waits: bool) -> Step {
        let patience = match (over, waits) {
            (true, _) => LINGER,
            (false, true) => LINE_PATIENCE,
            (false, false) => LONG,
        };
        tokio::select! {
            biased;
            read = self.from.read(buffer) => match read {
                Ok(0) | Err(_) => Step::End,
                Ok(count) => Step::Bytes(count),
            },
            _ended = self.ended.wait_for(|ended| *ended), if !over => Step::Ended,
            () = sleep(patience) => Step::Quiet,
        }
    }

    async fn pass(&mut self, bytes: u64, lines: u64) {
        self.news.send(News::Passed { stream: self.stream, bytes, lines }).await.ok();
    }

    async fn tell(&mut self, pieces: Vec<String>) {
        for text in pieces {
            // Nobody listens any more: the program goes on all the same.
            self.news.send(News::Printed(self.stream, text)).await.ok();
        }
    }
}
