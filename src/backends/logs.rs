//! The logs of a site: files read from their end, the journal followed, containers asked through Docker's API.
//!
//! Nothing here can hold the program up or fill its memory: of a file at most [`tail::ROUND`] bytes are read per look,
//! what it grew beyond that is passed over and counted; journal and containers are read as fast as this side takes
//! their lines, and no faster. Files are read on threads of their own, so that a dead mount stops nothing but its own
//! log. Nothing is written anywhere.

mod container;
mod follow;
mod journal;
pub mod tail;
mod zone;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use self::container::Which;
use self::follow::{Came, Follow};
use self::journal::{KERNEL, Of};
use self::tail::{Round, Tail};
use super::errand::{Answer, Errand};
use crate::config::{LogConfig, LogPlace, SiteConfig};
use crate::domain::log::book::Book;
use crate::domain::log::{LogReading, LogSource};
use crate::domain::reading::Seen;
use crate::domain::text;
use crate::domain::time::Timestamp;
use crate::ports::Observe;

/// How long one look waits for the threads that read files.
const LOOK: Duration = Duration::from_millis(1_200);
/// Reading that takes longer than this is told.
const HANGS: Duration = Duration::from_secs(5);
/// How fast a log grows is told over so many milliseconds.
const RATE_MS: u64 = 60_000;
/// Most rows that are taken of one followed source per look; the rest waits at its writer.
const TAKEN: usize = 4_000;
/// Most sources of one site.
const SOURCES: usize = 32;
/// Where Docker listens, or else Podman.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// It is there where systemd runs.
const SYSTEMD: &str = "/run/systemd/system";

/// Reads the logs of one site.
pub struct LogProbe {
    book: Book,
    files: Vec<File>,
    follows: Vec<Follow>,
    /// What is to be followed, before the first look.
    pending: Vec<Pending>,
    sources: usize,
}

impl std::fmt::Debug for LogProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogProbe").field("sources", &self.sources).finish_non_exhaustive()
    }
}

/// One file.
struct File {
    source: u16,
    /// Here, unless a thread has it.
    tail: Option<Tail>,
    errand: Errand<(Tail, Round)>,
    grown: VecDeque<(Timestamp, u64)>,
    first: bool,
}

/// Something to be followed: a task needs a runtime, which there may be none of yet when the probe is made.
enum Pending {
    Journal(Of, Vec<(String, u16)>),
    Container(PathBuf, Which, u16),
}

impl LogProbe {
    /// A probe for this configuration.
    pub fn new(config: &SiteConfig) -> Self {
        let mut probe = Self {
            book: Book::new(config.triggers.clone()),
            files: Vec::new(),
            follows: Vec::new(),
            pending: Vec::new(),
            sources: 0,
        };
        let systemd = std::path::Path::new(SYSTEMD).exists();
        let mut journals: Vec<(Of, Vec<(String, u16)>)> = Vec::new();
        let own_uid = rustix::process::getuid().as_raw();
        let mut logs = config.logs.clone();
        for log in config.services.iter().filter_map(|service| LogConfig::service(service, own_uid)) {
            // Unit files lie about where no systemd runs.
            let idle = matches!(log.place, LogPlace::Unit { .. }) && !systemd;
            if !idle && !logs.iter().any(|known| known.place == log.place) {
                logs.push(log);
            }
        }
        for log in logs.iter().take(SOURCES) {
            let source = probe.add(log);
            match &log.place {
                LogPlace::File(path) => probe.file(source, path.clone()),
                LogPlace::Unit { unit, user } => {
                    if !systemd {
                        probe.why(source, Some("systemd does not run here".to_owned()));
                        continue;
                    }
                    let of = if *user { Of::User } else { Of::System };
                    match journals.iter_mut().find(|(known, _)| *known == of) {
                        Some((_, units)) => units.push((unit.clone(), source)),
                        None => journals.push((of, vec![(unit.clone(), source)])),
                    }
                }
                LogPlace::Container { socket, name } => {
                    let which = Which::Named(name.clone());
                    let socket = socket.clone().unwrap_or_else(usual_socket);
                    probe.pending.push(Pending::Container(socket, which, source));
                }
                LogPlace::Compose { socket, project, service } => {
                    let which = Which::Service { project: project.clone(), service: service.clone() };
                    probe.pending.push(Pending::Container(socket.clone(), which, source));
                }
            }
        }
        // Where the units' journal is read, the kernel's tells of processes killed for memory.
        if journals.iter().any(|(of, _)| *of == Of::System) {
            let source = probe.book.add(LogSource::new(KERNEL.to_owned(), "journalctl --dmesg".to_owned()));
            journals.push((Of::Kernel, vec![(KERNEL.to_owned(), source)]));
        }
        probe.pending.extend(journals.into_iter().map(|(of, units)| Pending::Journal(of, units)));
        probe
    }

    fn add(&mut self, log: &LogConfig) -> u16 {
        self.sources += 1;
        self.book.add(LogSource::new(text::plain(&log.name, 60), text::plain(&log.place.to_string(), 200)))
    }

    fn file(&mut self, source: u16, path: PathBuf) {
        let (tail, errand) = (Some(Tail::new(path)), Errand::default());
        self.files.push(File { source, tail, errand, grown: VecDeque::new(), first: true });
    }

    fn why(&mut self, source: u16, why: Option<String>) {
        if let Some(source) = self.book.source_mut(source) {
            source.why = why;
        }
    }

    fn begin(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            self.follows.push(match pending {
                Pending::Journal(of, units) => {
                    let names = units.iter().map(|(unit, _)| unit.clone()).collect();
                    Follow::new(units, |news| journal::follow(of, names, news))
                }
                Pending::Container(socket, which, source) => {
                    let parts = vec![(container::PART.to_owned(), source)];
                    Follow::new(parts, |news| container::follow(socket, which, news))
                }
            });
        }
    }

    async fn read_files(&mut self, now: Timestamp) {
        for file in &mut self.files {
            if let Some(mut tail) = file.tail.take() {
                let begun = file.errand.begin(move || {
                    let round = tail.round(now);
                    (tail, round)
                });
                if begun.is_err() {
                    tracing::warn!("no thread to be had to read a log");
                }
            }
        }
        let deadline = Instant::now() + LOOK;
        for at in 0..self.files.len() {
            let Some(file) = self.files.get_mut(at) else { break };
            let source = file.source;
            match file.errand.answer(deadline).await {
                Answer::Came((tail, round)) => {
                    file.tail = Some(tail);
                    let rate = file.rate(round.grown, now);
                    let first = std::mem::replace(&mut file.first, false);
                    self.take(source, round, rate, first, now);
                }
                Answer::Waiting(since) if since >= HANGS => {
                    self.why(
                        source,
                        Some(format!("reading it has hung for {} s: its file system does not answer", since.as_secs())),
                    );
                }
                Answer::Waiting(_) => {}
                Answer::Lost => {
                    self.why(source, Some("the thread that read it ended; start midwatch anew to read it".to_owned()));
                }
            }
        }
    }

    fn take(&mut self, source: u16, round: Round, rate: Option<f64>, first: bool, now: Timestamp) {
        let Round { entries, skipped, whole, why, .. } = round;
        if skipped > 0 {
            self.book.gap(source, skipped, entries.first().map_or(now, |entry| entry.at));
        }
        for entry in entries {
            self.book.push(source, entry);
        }
        if let Some(source) = self.book.source_mut(source) {
            source.whole |= whole && first;
            source.rate = rate;
            source.why = why;
        }
    }

    fn read_follows(&mut self, now: Timestamp) {
        for follow in &mut self.follows {
            for came in follow.came(now, TAKEN) {
                match came {
                    Came::Entry(source, entry) => self.book.push(source, entry),
                    Came::Why(source, why) => {
                        if let Some(source) = self.book.source_mut(source) {
                            source.why = why;
                        }
                    }
                    Came::Skipped(source, bytes) => self.book.gap(source, bytes, now),
                }
            }
        }
    }
}

/// The first of the usual sockets that is there; Docker's, when none is.
fn usual_socket() -> PathBuf {
    let [docker, ..] = SOCKETS;
    PathBuf::from(SOCKETS.into_iter().find(|socket| std::path::Path::new(socket).exists()).unwrap_or(docker))
}

impl File {
    /// Bytes per second over the last minute; not known before ten seconds have been watched.
    fn rate(&mut self, grown: u64, now: Timestamp) -> Option<f64> {
        self.grown.push_back((now, grown));
        while self.grown.front().is_some_and(|(at, _)| now.millis_since(*at) > RATE_MS) {
            self.grown.pop_front();
        }
        let span = self.grown.front().map_or(0, |(at, _)| now.millis_since(*at));
        let bytes: u64 = self.grown.iter().skip(1).map(|(_, bytes)| bytes).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let rate = bytes as f64 * 1000.0 / span.max(1) as f64;
        (span >= 10_000).then_some(rate)
    }
}

impl Observe for LogProbe {
    type Value = LogReading;

    async fn observe(&mut self) -> Seen<LogReading> {
        if self.sources == 0 {
            let why =
                "no log was found; name some with [[sites.NAME.logs]] path = \"…\", unit = \"…\" or container = \"…\"";
            return Seen::Unseen(why.to_owned());
        }
        self.begin();
        self.read_files(zone::now()).await;
        let now = zone::now();
        self.read_follows(now);
        let reading = self.book.reading(now);
        // Where every single one refuses, what would open them is worth more than an empty screen.
        let lines = reading.window.lines().is_empty();
        let all: Option<Vec<&str>> = reading.sources.iter().map(|s| s.why.as_deref()).collect();
        match all.as_deref() {
            Some([first, ..]) if lines => {
                let name = reading.sources.first().map_or("", |s| s.place.as_str());
                let others = reading.sources.len() - 1;
                let others = if others > 0 { format!(" ({others} more can't be read either)") } else { String::new() };
                Seen::Unseen(format!("{name} {first}{others}"))
            }
            Some(_) | None => Seen::Value(reading),
        }
    }
}
