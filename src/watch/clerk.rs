//! Keeps the incident record: writes what this process's pollers observe and what its operator says, and reads what all
//! the others on this host add.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::scope::ended;
use crate::app::effect::Remark;
use crate::app::event::Event;
use crate::app::record::ENTRIES_MAX;
use crate::backends::store::StoreError;
use crate::backends::store::record::{Kept, RecordFile, Stand};
use crate::config::StateDir;
use crate::domain::id::Scope;
use crate::domain::record::ledger::{Ledger, Look, Standing};
use crate::domain::record::said::said;
use crate::domain::record::{Entry, Who};
use crate::runtime::clock;
use crate::runtime::driver::Looks;

/// How often it looks, and reads what others wrote.
const EVERY: Duration = Duration::from_secs(1);
/// How often it is noted that somebody still watches.
const BEAT: Duration = Duration::from_mins(1);
/// After a failure the disk is tried again this often.
const RETRY: Duration = Duration::from_secs(15);
/// An event loop that takes nothing for so long is gone.
const SEND_LIMIT: Duration = Duration::from_millis(500);
/// Entries read when the record is opened.
const RECALLED: u32 = ENTRIES_MAX;
/// Entries that wait for a disk that takes nothing; of more, the oldest observations go first.
const WAITING_MAX: usize = 1_000;

/// The scopes this process polls at present.
#[derive(Debug, Clone)]
pub struct Polled(Arc<watch::Sender<BTreeSet<Scope>>>);

/// Says for as long as it lives that this process polls a scope.
#[derive(Debug)]
pub struct Polling(Polled, Scope);

impl Polled {
    /// None yet; and what tells how many there are.
    pub fn none() -> (Self, watch::Receiver<BTreeSet<Scope>>) {
        let (sender, receiver) = watch::channel(BTreeSet::new());
        (Self(Arc::new(sender)), receiver)
    }

    /// From now on this process polls a scope.
    pub fn begin(&self, scope: Scope) -> Polling {
        self.0.send_modify(|all| {
            all.insert(scope.clone());
        });
        Polling(self.clone(), scope)
    }

    fn all(&self) -> BTreeSet<Scope> {
        self.0.borrow().clone()
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.0.send_modify(|all| {
            all.remove(&self.1);
        });
    }
}

/// What the clerk needs.
#[derive(Debug)]
pub struct Desk {
    /// Where state lives.
    pub state: StateDir,
    /// Who sits here.
    pub who: Who,
    /// The scopes whose observations are this process's to tell.
    pub polled: Polled,
    /// What the model says.
    pub looks: watch::Receiver<Looks>,
    /// What the operator says.
    pub remarks: mpsc::Receiver<Remark>,
    /// Where entries are shown.
    pub events: mpsc::Sender<Event>,
    /// Turns true when the program ends.
    pub ending: watch::Receiver<bool>,
}

/// The observations of one scope.
#[derive(Debug)]
struct Book {
    ledger: Ledger,
    version: i64,
    unwritten: Vec<Entry>,
    beaten: Option<Instant>,
}

#[derive(Debug)]
struct Clerk {
    dir: Result<PathBuf, String>,
    writer: Option<RecordFile>,
    reader: Option<RecordFile>,
    seen: i64,
    books: BTreeMap<Scope, Book>,
    said: Vec<Entry>,
    retry: Option<Instant>,
    trouble: Option<String>,
    events: mpsc::Sender<Event>,
}

/// Keeps the record until the program ends.
pub async fn keep(mut desk: Desk) {
    let dir = match desk.state {
        StateDir::Directory(dir) => Ok(dir),
        StateDir::Memory(why) => Err(why),
    };
    let mut clerk = Clerk {
        dir,
        writer: None,
        reader: None,
        seen: 0,
        books: BTreeMap::new(),
        said: Vec::new(),
        retry: None,
        trouble: None,
        events: desk.events,
    };
    if let Err(why) = &clerk.dir {
        let why = why.clone();
        clerk.tell(Some(why)).await;
    }
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = ended(&mut desk.ending) => break,
            Some(remark) = desk.remarks.recv() => clerk.remark(&remark, &desk.who).await,
            _ = tick.tick() => {
                let looks = desk.looks.borrow_and_update().clone();
                clerk.observe(&looks, &desk.polled.all(), false).await;
                clerk.read().await;
            }
        }
    }
    while let Ok(remark) = desk.remarks.try_recv() {
        clerk.remark(&remark, &desk.who).await;
    }
    let looks = desk.looks.borrow_and_update().clone();
    let books: BTreeSet<Scope> = clerk.books.keys().cloned().collect();
    let polled = desk.polled.all().union(&books).cloned().collect();
    clerk.retry = None;
    clerk.observe(&looks, &polled, true).await;
    for file in [clerk.writer, clerk.reader].into_iter().flatten() {
        file.close().await;
    }
}

impl Clerk {
    async fn tell(&mut self, trouble: Option<String>) {
        if self.trouble != trouble {
            self.trouble.clone_from(&trouble);
            self.send(Event::RecordTrouble(trouble)).await;
        }
    }

    /// Shows entries; false: the event loop is too far behind to take them.
    async fn show(&self, entries: Vec<Entry>) -> bool {
        entries.is_empty() || self.send(Event::Recorded(entries)).await
    }

    async fn send(&self, event: Event) -> bool {
        matches!(timeout(SEND_LIMIT, self.events.send(event)).await, Ok(Ok(())))
    }

    /// The file, open for writing.
    async fn open(&mut self) -> Result<&mut RecordFile, String> {
        let dir = self.dir.clone()?;
        if self.writer.as_ref().is_some_and(RecordFile::is_gone) {
            self.writer = None;
        }
        if self.writer.is_none() {
            let opened = RecordFile::open(&dir).await;
            self.writer = Some(opened.map_err(|error| sentence(&error, &dir))?);
        }
        self.writer.as_mut().ok_or_else(String::new)
    }

    /// Takes what the operator said: shown at once, and told at once if it can't be kept.
    async fn remark(&mut self, remark: &Remark, who: &Who) {
        let Some(entry) = said(&remark.line, who, remark.scope.clone(), remark.about.as_ref(), clock::now()) else {
            return;
        };
        self.said.push(entry.clone());
        self.retry = None;
        match self.write_said().await {
            Ok(()) => {
                self.read().await;
                self.send(Event::Noted(None)).await;
            }
            Err(why) => {
                self.show(vec![entry]).await;
                self.send(Event::Noted(Some(why.clone()))).await;
                self.failed(why).await;
            }
        }
    }

    async fn write_said(&mut self) -> Result<(), String> {
        if self.said.is_empty() {
            return Ok(());
        }
        let said = self.said.clone();
        self.append(&said, None).await?;
        self.said.clear();
        Ok(())
    }

    async fn append(&mut self, entries: &[Entry], stand: Option<Stand<'_>>) -> Result<Kept, String> {
        let dir = self.dir.clone()?;
        let file = self.open().await?;
        match file.append(entries, stand, clock::now()).await {
            Ok(kept) => Ok(kept),
            Err(error) => {
                // What broke may have been the file itself: it is opened anew.
                if let Some(file) = self.writer.take() {
                    file.close().await;
                }
                Err(sentence(&error, &dir))
            }
        }
    }

    async fn failed(&mut self, why: String) {
        self.retry = Some(Instant::now() + RETRY);
        self.tell(Some(why)).await;
    }

    /// Tells what the pollers of this process see, and writes it.
    async fn observe(&mut self, looks: &Looks, polled: &BTreeSet<Scope>, last: bool) {
        self.books.retain(|scope, _| polled.contains(scope));
        let waiting = self.retry.is_some_and(|at| at > Instant::now());
        for scope in polled {
            let Some(look) = looks.get(scope) else { continue };
            if let Err(why) = self.one(scope, look, last, waiting).await {
                return self.failed(why).await;
            }
        }
        if waiting {
            return;
        }
        match self.write_said().await {
            Ok(()) if self.dir.is_ok() => self.tell(None).await,
            Ok(()) => {}
            Err(why) => self.failed(why).await,
        }
    }

    async fn one(&mut self, scope: &Scope, look: &Look, last: bool, waiting: bool) -> Result<(), String> {
        if !self.books.contains_key(scope) {
            let (standing, version) = self.standing(scope).await;
            let ledger = Ledger::new(scope.clone(), standing);
            self.books.insert(scope.clone(), Book { ledger, version, unwritten: Vec::new(), beaten: None });
        }
        let Some(book) = self.books.get_mut(scope) else { return Ok(()) };
        let news = book.ledger.look(look, last);
        let beat = book.beaten.is_none_or(|at| at.elapsed() >= BEAT) || (last && book.version > 0);
        book.unwritten.extend(news.iter().cloned());
        book.unwritten.drain(..book.unwritten.len().saturating_sub(WAITING_MAX));
        if self.dir.is_err() {
            book.unwritten.clear();
            self.show(news).await;
            return Ok(());
        }
        if waiting {
            self.show(news).await;
            return Ok(());
        }
        if book.unwritten.is_empty() && !beat {
            return Ok(());
        }
        let (entries, standing, version) = (book.unwritten.clone(), book.ledger.standing().clone(), book.version);
        let stand = Stand { scope, standing: &standing, version };
        match self.append(&entries, Some(stand)).await {
            Ok(Kept::Yes(_, version)) => {
                if let Some(book) = self.books.get_mut(scope) {
                    book.version = version;
                    book.unwritten.clear();
                    book.beaten = Some(Instant::now());
                }
            }
            // Another poller knows more: what it wrote is where the next look goes on from.
            Ok(Kept::Overtaken) => {
                self.books.remove(scope);
            }
            Err(why) => {
                self.show(news).await;
                return Err(why);
            }
        }
        Ok(())
    }

    /// What stands, as far as there is a record that can be read: what is seen is told in any case.
    async fn standing(&mut self, scope: &Scope) -> (Standing, i64) {
        let Ok(file) = self.open().await else { return (Standing::default(), 0) };
        file.standing(scope).await.unwrap_or_default()
    }

    /// Reads what anybody has added.
    async fn read(&mut self) {
        let Ok(dir) = self.dir.clone() else { return };
        if self.reader.as_ref().is_some_and(RecordFile::is_gone) {
            // Another file has its name now: a damaged one was moved aside. What it counts begins anew.
            self.reader = None;
            self.seen = 0;
        }
        if self.reader.is_none() {
            match RecordFile::read(&dir).await {
                Ok(reader) => self.reader = reader,
                Err(error) => tracing::debug!(%error, "the record can't be read now"),
            }
        }
        let Some(reader) = self.reader.as_mut() else { return };
        match reader.entries(self.seen, RECALLED).await {
            Ok(entries) => {
                let last = entries.last().map_or(self.seen, |entry| entry.id);
                if self.show(entries).await {
                    self.seen = last;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the record can't be read now");
                self.reader = None;
            }
        }
    }
}

fn sentence(error: &StoreError, dir: &std::path::Path) -> String {
    if error.is_full() {
        return format!("the disk of {} is full: the record is kept in memory", dir.display());
    }
    format!("{error}: the record is kept in memory")
}
