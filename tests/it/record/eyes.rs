//! The record as two midwatches keep it: told once, seen by both, through takeovers and full disks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use midwatch::app::effect::Remark;
use midwatch::app::event::{Event, Storage};
use midwatch::app::model::Model;
use midwatch::app::record::looks;
use midwatch::app::update::update;
use midwatch::config::load::{Request, load};
use midwatch::discovery::Surroundings;
use midwatch::domain::record::{Entry, What};
use midwatch::runtime::clock;
use midwatch::runtime::driver::Wires;
use midwatch::watch::{self, Watch};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long a condition is waited for. A file that has just been checkpointed takes what comes for minutes without needing
/// more of the disk.
const PATIENCE: Duration = Duration::from_mins(5);

/// A midwatch without a screen, that says to its record what it sees.
struct Eyes {
    watch: Watch,
    wires: Wires,
    model: Model,
}

impl Eyes {
    fn open(dir: &Path, port: u16) -> Self {
        let text = format!(
            "discover = false\nstate_dir = \"{}\"\n[pace]\nhealth = \"1s\"\n[sites.shop]\nurl = \"http://127.0.0.1:{port}\"\n",
            dir.join("state").display()
        );
        let path = dir.join("midwatch.toml");
        std::fs::write(&path, text).unwrap();
        let around = Surroundings { root: "/".into(), cwd: dir.to_owned(), ..Surroundings::default() };
        let config = Arc::new(load(&Request { config: Some(path), ..Request::default() }, &around).unwrap());
        let (watch, wires) = Watch::begin(&config);
        Self { watch, wires, model: watch::model(&config) }
    }

    /// Goes on as the program does, a tick a second, until the condition holds.
    async fn until(&mut self, what: &str, holds: impl Fn(&Model) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.model) {
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; {:#?}", self.told());
            if let Ok(event) = timeout(Duration::from_millis(250), self.wires.events.recv()).await {
                update(&mut self.model, event.unwrap());
            }
            update(&mut self.model, Event::Tick(clock::now()));
            self.wires.looks.send_replace(looks(&self.model));
        }
    }

    fn say(&self, line: &str) {
        let scope = self.model.site().map(midwatch::app::model::Site::scope);
        self.wires.remarks.try_send(Remark { line: line.to_owned(), scope, about: None }).unwrap();
    }

    /// What the record says of the site, without counters and severities.
    fn told(&self) -> Vec<String> {
        self.model.timeline.entries.iter().filter(|e| of_site(e)).map(Entry::text).collect()
    }
}

fn of_site(entry: &Entry) -> bool {
    matches!(&entry.scope, Some(midwatch::domain::id::Scope::Site(_)))
        && !matches!(entry.what, What::Numbers(_) | What::Severity { suspected: true, .. })
}

fn opened(model: &Model) -> usize {
    model.timeline.entries.iter().filter(|e| of_site(e) && matches!(e.what, What::Opened(_))).count()
}

fn closed(model: &Model) -> usize {
    model.timeline.entries.iter().filter(|e| of_site(e) && matches!(e.what, What::Closed { .. })).count()
}

fn says(model: &Model, text: &str) -> bool {
    model.timeline.entries.iter().any(|e| e.text() == text)
}

/// A site that is fine; dropped, nobody listens on its port any more.
struct Site(JoinHandle<()>);

impl Site {
    async fn on(port: u16) -> (Self, u16) {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    if stream.read(&mut head).await.is_ok_and(|n| n > 0) {
                        stream
                            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                            .await
                            .ok();
                    }
                });
            }
        });
        (Self(task), port)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn polls(model: &Model) -> bool {
    model.sites[0].storage == Storage::Poller
}

fn healthy(model: &Model) -> bool {
    model.sites[0].health.fresh().is_some_and(|c| c.state == midwatch::domain::health::HealthState::Ok)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_once_whoever_polls_and_everybody_sees_what_everybody_says() {
    let dir = TempDir::new().unwrap();
    let (site, port) = Site::on(0).await;
    let mut poller = Eyes::open(dir.path(), port);
    poller.until("it polls", |m| polls(m) && healthy(m)).await;
    let mut reader = Eyes::open(dir.path(), port);
    reader.until("it reads", |m| matches!(m.sites[0].storage, Storage::Reader { .. }) && healthy(m)).await;

    drop(site);
    poller.until("the outage is on record", |m| opened(m) == 1).await;
    reader.until("the other one has it too", |m| opened(m) == 1).await;
    reader.say("TODO: alert on it");
    poller.until("what the other one says", |m| says(m, "TODO: alert on it")).await;
    poller.say("SEV-2 nobody can pay");
    reader.until("the severity", |m| m.timeline.severity() == Some((2, false))).await;

    // The poller goes; who takes over goes on where it was.
    poller.watch.end().await;
    reader.until("it polls in its turn", polls).await;
    reader.until("it sees the outage", |m| m.findings.iter().any(|f| f.rule == "web-unreachable")).await;
    let (_site, _) = Site::on(port).await;
    reader.until("the end is on record", |m| closed(m) == 1).await;
    assert_eq!(opened(&reader.model), 1, "{:#?}", reader.told());
    assert!(reader.told().last().unwrap().starts_with("gone: "), "{:#?}", reader.told());
    reader.watch.end().await;

    let late = Eyes::open(dir.path(), port);
    let mut late = late;
    late.until("all of it is there for who comes later", |m| opened(m) == 1 && closed(m) == 1).await;
    assert!(says(&late.model, "TODO: alert on it"));
    late.watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_state_directory_the_record_is_in_memory_and_says_so() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("state"), "a file where the directory should be").unwrap();
    let (site, port) = Site::on(0).await;
    let mut eyes = Eyes::open(dir.path(), port);
    eyes.until("it is healthy", healthy).await;
    assert!(eyes.model.timeline.trouble.as_ref().unwrap().contains("kept in memory"));
    eyes.say("nobody else will read this");
    eyes.until("the note is shown, and told to be in memory", |m| {
        says(m, "nobody else will read this") && m.toast.as_ref().is_some_and(|t| t.text.starts_with("NOT on disk"))
    })
    .await;
    drop(site);
    eyes.until("observations are told too", |m| opened(m) == 1).await;
    assert!(eyes.model.timeline.entries.iter().all(|e| e.id == 0));
    eyes.watch.end().await;
}

/// A small file system that is full, then not; only root can make one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root: mounts a small tmpfs"]
async fn a_note_a_full_disk_does_not_take_is_told_at_once_and_kept_when_there_is_room() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let target = state.display().to_string();
    let run = |program: &str, args: &[&str]| {
        assert!(std::process::Command::new(program).args(args).status().unwrap().success());
    };
    run("mount", &["-t", "tmpfs", "-o", "size=600k", "tmpfs", &target]);
    let (_site, port) = Site::on(0).await;
    let mut eyes = Eyes::open(dir.path(), port);
    eyes.until("it polls", |m| polls(m) && healthy(m)).await;
    eyes.say("there is room");
    eyes.until("the note is on disk", |m| m.timeline.entries.iter().any(|e| e.id > 0 && e.text() == "there is room"))
        .await;
    let filler = state.join("filler");
    let mut size = 600 * 1024;
    while size > 0 {
        // To the last block: what can't be written in one piece is written in smaller ones.
        let mut bytes = std::fs::read(&filler).unwrap_or_default();
        bytes.extend(vec![0; size]);
        if std::fs::write(&filler, &bytes).is_err() {
            size /= 2;
        }
    }
    let long = "no room ".repeat(60);
    eyes.say(&long);
    eyes.until("it says that it is not on disk", |m| {
        m.toast.as_ref().is_some_and(|t| t.text.contains("is full")) && m.timeline.trouble.is_some()
    })
    .await;
    assert!(eyes.model.timeline.entries.iter().any(|e| e.id == 0 && e.text().starts_with("no room")));
    eyes.until("the poller's file is full too, and it goes on", |m| matches!(m.sites[0].storage, Storage::Memory(_)))
        .await;
    // Who reads is told why there is nothing new.
    let mut reader = Eyes::open(dir.path(), port);
    reader
        .until(
            "the reader is told",
            |m| matches!(&m.sites[0].storage, Storage::Reader { trouble: Some(why), .. } if why.contains("is full")),
        )
        .await;
    std::fs::remove_file(&filler).unwrap();
    eyes.until("it is kept now, once", |m| {
        let notes: Vec<&Entry> = m.timeline.entries.iter().filter(|e| e.text().starts_with("no room")).collect();
        notes.len() == 1 && notes[0].id > 0 && m.timeline.trouble.is_none()
    })
    .await;
    eyes.until("it publishes again", polls).await;
    reader
        .until("and the reader reads on", |m| matches!(&m.sites[0].storage, Storage::Reader { trouble: None, .. }))
        .await;
    reader.watch.end().await;
    eyes.watch.end().await;
    run("umount", &[&target]);
}
