//! The access logs of a site: found by themselves, read incrementally on a thread of their own, counted by route.

mod find;
mod journal;
mod tail;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::find::{Found, Wanted, find};
use self::journal::Journal;
use self::tail::Tail;
use super::errand::{Answer, Errand};
use crate::config::{AppKind, SiteConfig, without_login};
use crate::domain::access::{AccessReading, Layout, LogFile, Tally};
use crate::domain::reading::Seen;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;
use crate::ports::Observe;

/// How long one look is waited for; a disk that hangs is told of then.
const PATIENCE: Duration = Duration::from_secs(2);
/// Configurations and processes are looked at anew this often: a proxy may have been told another log.
const FIND_EVERY: Duration = Duration::from_mins(1);
/// The same while there is no log.
const FIND_AGAIN: Duration = Duration::from_secs(15);

/// Reads the access logs of one site.
#[derive(Debug)]
pub struct AccessProbe {
    errand: Errand<(Box<Reader>, Seen<AccessReading>)>,
    reader: Option<Box<Reader>>,
}

/// What is kept from look to look.
#[derive(Debug)]
struct Reader {
    wanted: Wanted,
    tally: Tally,
    logs: Vec<Log>,
    /// What was looked for without success.
    trail: Vec<String>,
    found: Option<Instant>,
    looked: bool,
}

#[derive(Debug)]
struct Log {
    found: Found,
    source: Source,
    state: LogFile,
    /// The time of the first request that was read.
    first: Option<Timestamp>,
}

/// Where its lines come from.
#[derive(Debug)]
enum Source {
    File(Tail),
    Journal(Journal),
}

impl AccessProbe {
    /// A probe for this configuration. Nothing is looked at yet.
    pub fn new(site: &SiteConfig) -> Self {
        let layout = match site.app {
            AppKind::Pretix => Layout::Pretix,
            AppKind::Pretalx => Layout::Pretalx,
            AppKind::Web => Layout::Plain,
        };
        let below = without_login(&site.url).path().trim_end_matches('/').to_owned();
        let mut ignored = vec![format!("{below}{}", site.health_path)];
        ignored.extend(site.metrics.as_ref().ok().map(|metrics| metrics.url.path().to_owned()));
        let reader = Reader {
            wanted: Wanted::of(site),
            tally: Tally::new(layout, ignored),
            logs: Vec::new(),
            trail: Vec::new(),
            found: None,
            looked: false,
        };
        Self { errand: Errand::default(), reader: Some(Box::new(reader)) }
    }
}

impl Observe for AccessProbe {
    type Value = AccessReading;

    async fn observe(&mut self) -> Seen<AccessReading> {
        if let Some(mut reader) = self.reader.take() {
            let begun = self.errand.begin(move || {
                let seen = reader.look(now());
                (reader, seen)
            });
            if let Err(error) = begun {
                return Seen::Failed(format!("The access logs can't be read: no thread to be had ({error})."));
            }
        }
        match self.errand.answer(Instant::now() + PATIENCE).await {
            Answer::Came((reader, seen)) => {
                self.reader = Some(reader);
                seen
            }
            Answer::Waiting(since) => Seen::Failed(format!(
                "The access logs have not been read for {} s: does their disk hang?",
                since.as_secs()
            )),
            Answer::Lost => Seen::Failed("Reading the access logs ended without an answer.".to_owned()),
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Reader {
    fn look(&mut self, now: Timestamp) -> Seen<AccessReading> {
        let spacing = if self.logs.is_empty() { FIND_AGAIN } else { FIND_EVERY };
        if self.found.is_none_or(|found| found.elapsed() >= spacing) {
            self.found = Some(Instant::now());
            self.find();
        }
        if self.logs.is_empty() {
            return Seen::Unseen(self.nothing());
        }
        let offset_s = i64::from(jiff::Zoned::now().offset().seconds());
        for log in &mut self.logs {
            log.read(&mut self.tally, &self.wanted.host, offset_s);
        }
        let troubled = self.logs.iter().filter(|log| log.state.trouble.is_some()).count();
        if troubled == self.logs.len() {
            let why = self.logs.iter().filter_map(|log| log.state.trouble.clone()).collect::<Vec<_>>().join("; ");
            return Seen::Unseen(why);
        }
        // The window begins where the youngest of the logs does, if that is within it.
        let begins = self.logs.iter().filter_map(|log| log.first).max().map(|first| first.min(now));
        let first = !std::mem::replace(&mut self.looked, true);
        Seen::Value(AccessReading {
            traffic: self.tally.traffic(now, begins),
            logs: self.logs.iter().map(|log| log.state.clone()).collect(),
            gateway: self.tally.gateway(now),
            statics: self.tally.statics(now),
            errors: self.tally.errors(now),
            last_request: self.tally.last_request(),
            errors_since: self.tally.errors_since(now),
            gateway_since: self.tally.gateway_since(now),
            past: if first { self.tally.past(now) } else { crate::domain::access::Past::default() },
        })
    }

    /// Looks for logs anew; those that are read already are read on.
    fn find(&mut self) {
        let (found, trail) = find(&self.wanted);
        self.trail = trail;
        // A server that is being restarted names no log for a moment; what was read goes on being read.
        if found.is_empty() {
            return;
        }
        self.logs.retain(|log| found.iter().any(|f| f.path == log.found.path));
        for found in found {
            match self.logs.iter_mut().find(|log| log.found.path == found.path) {
                Some(log) => log.found = found,
                None => self.logs.push(Log::new(found)),
            }
        }
    }

    fn nothing(&self) -> String {
        let looked = if self.trail.is_empty() {
            String::new()
        } else {
            format!(" ({})", self.trail.iter().map(|t| plain(t, 160)).collect::<Vec<_>>().join("; "))
        };
        format!(
            "no access log was found{looked}; name one with access_logs = [\"…\"] in the site's table of midwatch.toml"
        )
    }
}

impl Log {
    fn new(found: Found) -> Self {
        let state = LogFile {
            path: plain(&found.path.display().to_string(), 200),
            by: plain(&found.by, 60),
            shared_with: found.shared_with.iter().map(|name| plain(name, 80)).collect(),
            ..LogFile::default()
        };
        let source = match &found.unit {
            Some(unit) => Source::Journal(Journal::new(unit.clone())),
            None => Source::File(Tail::new(found.path.clone())),
        };
        Self { source, found, state, first: None }
    }

    fn read(&mut self, tally: &mut Tally, host: &str, offset_s: i64) {
        let Self { found, source, state, first } = self;
        let mut take = |line: &str| {
            let Some(entry) = found.format.parse(line, offset_s) else {
                state.others += u64::from(!line.trim().is_empty());
                return;
            };
            // Where several sites write into one log and it says which, only this one's are counted.
            let other = |asked: &str| {
                let name =
                    asked.rsplit_once(':').map_or(asked, |(name, port)| if port.ends_with(']') { asked } else { name });
                !name.eq_ignore_ascii_case(host)
            };
            if !found.shared_with.is_empty() && entry.host.as_deref().is_some_and(other) {
                return;
            }
            if entry.host.is_some() {
                state.shared_with.clear();
            }
            state.requests += 1;
            state.timed |= entry.took_s.is_some();
            *first = Some(first.map_or(entry.at, |known| known.min(entry.at)));
            tally.note(&entry);
        };
        let trouble = match source {
            Source::File(tail) => {
                let read = tail.read(&mut take);
                (read.err().map(|error| trouble(tail.path(), &error)), tail.skipped())
            }
            Source::Journal(journal) => (journal.read(&mut take).err(), 0),
        };
        (state.trouble, state.skipped) = trouble;
    }
}

/// Why a log can't be read, and what would open it.
fn trouble(path: &Path, error: &std::io::Error) -> String {
    let shown = plain(&path.display().to_string(), 200);
    if error.kind() != std::io::ErrorKind::PermissionDenied {
        return format!("{shown} can't be read: {error}");
    }
    let group = std::fs::metadata(path).ok().filter(|m| m.mode() & 0o040 != 0).and_then(|m| group_name(m.gid()));
    match group {
        Some(group) => {
            format!("{shown} may not be read by this user; as root: usermod -aG {group} USER, and log in again")
        }
        None => format!(
            "{shown} may not be read by this user; as root: setfacl -m u:USER:r {shown} (and x on its directories)"
        ),
    }
}

fn group_name(gid: u32) -> Option<String> {
    let text = std::fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(gid)).then(|| plain(name, 32))
    })
}
