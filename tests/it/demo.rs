//! The practice site, brought up for real, with each of its faults seen and gone again.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;
use std::time::Duration;

use midwatch::app::event::Event;
use midwatch::app::model::Model;
use midwatch::app::update::update;
use midwatch::config::load::{Request, load};
use midwatch::discovery::Surroundings;
use midwatch::domain::health::HealthState;
use midwatch::domain::level::Level;
use midwatch::watch::{self, Watch};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, timeout_at};

use crate::support::LOCKS;
use crate::support::servers::eventually;

/// How long a condition is waited for before the test fails. A worker that does nothing shows after two metrics pages.
const PATIENCE: Duration = Duration::from_secs(100);

pub(crate) struct Practice {
    child: Child,
    says: BTreeMap<String, String>,
}

impl Practice {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
        command.args(["demo", "--headless"]).args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut says = BTreeMap::new();
        while !says.contains_key("PID") {
            let line = lines.next().unwrap().unwrap();
            let (key, value) = line.split_once('=').unwrap();
            says.insert(key.to_owned(), value.to_owned());
        }
        Self { child, says }
    }

    /// Its configuration, as a path.
    pub(crate) fn config(&self) -> &str {
        &self.says["CONFIG"]
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> &str {
        &self.says["URL"]
    }

    /// Where everything of it lies.
    pub(crate) fn dir(&self) -> std::path::PathBuf {
        std::path::Path::new(self.config()).parent().unwrap().to_owned()
    }

    fn fault(&self, name: &str) {
        std::fs::write(&self.says["FAULT_FILE"], name).unwrap();
    }
}

impl Drop for Practice {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).ok();
        self.child.wait().ok();
    }
}

struct Eyes {
    watch: Watch,
    wires: midwatch::runtime::driver::Wires,
    model: Model,
}

impl Eyes {
    fn open(practice: &Practice) -> Self {
        let mut request = Request { config: Some(practice.says["CONFIG"].clone().into()), ..Request::default() };
        request.state_dir = Some(practice.says["STATE_DIR"].clone().into());
        let config = std::sync::Arc::new(
            load(&request, &Surroundings { root: "/".into(), cwd: "/".into(), ..Surroundings::default() }).unwrap(),
        );
        let (watch, wires) = Watch::begin(&config);
        Self { watch, wires, model: watch::model(&config) }
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Model) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.model) {
            let Ok(Some(event)) = timeout_at(deadline, self.wires.events.recv()).await else {
                panic!("not within {PATIENCE:?}: {what}; {:?}", self.model.findings);
            };
            update(&mut self.model, event);
            update(&mut self.model, Event::Tick(midwatch::runtime::clock::now()));
        }
    }
}

/// Whether the practice site itself (not the machine the test runs on) has this rule as its first finding.
/// Whether the site's first finding has this rule, or the process that is gone is told as its cause.
fn first(model: &Model, rule: &str) -> bool {
    let top = model.findings.iter().find(|f| f.site == "practice");
    top.is_some_and(|f| f.rule == rule || (f.rule == "service-stopped" && f.symptoms.iter().any(|s| s.rule == rule)))
}

fn healthy(model: &Model) -> bool {
    model.sites[0].health.fresh().is_some_and(|c| c.state == HealthState::Ok)
        && model.sites[0].traffic.fresh().is_some()
        // That a process was started anew is told for some minutes, as a note.
        && !model.findings.iter().any(|f| f.site == "practice" && f.level > Level::Note)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_live_and_its_faults_are_named_and_go() {
    let practice = Practice::start(&[]);
    let mut eyes = Eyes::open(&practice);
    eyes.until("it is healthy, with requests, tasks and rates", |m| {
        healthy(m)
            && m.sites[0].practice
            && m.sites[0].traffic.value().is_some_and(|t| {
                t.request_rate().is_some_and(|r| r > 0.5)
                    && t.task_rate().is_some_and(|r| r > 0.1)
                    && t.routes.len() >= 4
            })
    })
    .await;
    for (fault, rule) in
        [("web-down", "web-unreachable"), ("db-locked", "database-lock"), ("worker-dead", "worker-silent")]
    {
        practice.fault(fault);
        eyes.until(rule, |m| first(m, rule)).await;
        practice.fault("");
        eyes.until("it is healthy again", healthy).await;
    }
    eyes.watch.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_begin_with_a_fault() {
    let practice = Practice::start(&["--fault", "slow"]);
    let mut eyes = Eyes::open(&practice);
    eyes.until("slow", |m| first(m, "web-slow")).await;
    practice.fault("errors");
    eyes.until("failing requests", |m| first(m, "requests-fail")).await;
    eyes.watch.end().await;
}

/// What a page of the site says; `None`: nobody answers.
pub(crate) fn page(url: &str, method: &str, path: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let host = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    said.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// The first page's headline, and how many orders it says there are.
pub(crate) fn shown(url: &str) -> Option<(String, u64)> {
    let page = page(url, "GET", "/")?;
    let (_, rest) = page.split_once("<h1>")?;
    let (headline, rest) = rest.split_once("</h1><p>")?;
    Some((headline.to_owned(), rest.split_once(" orders")?.0.parse().ok()?))
}

#[test]
fn a_service_that_somebody_ends_stays_down_until_somebody_starts_it() {
    let practice = Practice::start(&[]);
    let (url, dir) = (practice.url().to_owned(), practice.dir());
    eventually("it answers", || shown(&url));
    let web = || {
        let dir = dir.display().to_string();
        let runs = |pid: &u32| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("run-web") && line.contains(&dir)
        };
        midwatch::backends::process_id::all().find(runs)
    };
    let first = web().unwrap();
    kill_process(Pid::from_raw(i32::try_from(first).unwrap()).unwrap(), Signal::TERM).unwrap();
    eventually("it is down", || web().is_none().then_some(()));
    // Several looks later it still is.
    let ended = std::time::Instant::now();
    eventually("a while", || (web().is_some() || ended.elapsed() > Duration::from_secs(1)).then_some(()));
    assert_eq!(web(), None);
    let start = || Command::new(env!("CARGO_BIN_EXE_midwatch")).args(["demo", "start"]).arg(&dir).arg("web").status();
    assert!(start().unwrap().success());
    let second = web().unwrap();
    assert_ne!(first, second);
    eventually("it answers again", || shown(&url));
    // Started once more it goes on.
    assert!(start().unwrap().success());
    assert_eq!(web(), Some(second));
    // Who starts it mends the fault by which it is gone.
    practice.fault("web-down");
    eventually("it is gone", || web().is_none().then_some(()));
    assert!(start().unwrap().success());
    eventually("it answers", || shown(&url));
    drop(practice);
    assert!(!start().unwrap().success(), "there is no site any more");
}

#[test]
fn it_has_backups_good_and_bad() {
    let practice = Practice::start(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
    command.args(["-c", practice.config(), "backups", "verify", "-o", "json"]);
    let output = command.output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = list["backups"].as_array().unwrap();
    let mut told: Vec<(&str, &str)> =
        all.iter().map(|b| (b["subject"].as_str().unwrap(), b["proof"].as_str().unwrap())).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [("database", "broken"), ("database", "complete"), ("database", "complete"), ("files", "complete")],
        "{list:#}"
    );
}

/// The processes whose command line has this word.
fn with_word(word: &str) -> Vec<u32> {
    let line = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    midwatch::backends::process_id::all().filter(|pid| line(pid).contains(word)).collect()
}

#[test]
#[ignore = "needs root: takes the locks of the machine"]
fn nothing_is_left_when_it_ends_in_the_middle_of_a_run_as_root() {
    let _turn = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut practice = Practice::start(&[]);
    let (dir, home) = (practice.dir(), tempfile::tempdir().unwrap());
    let word = crate::support::standins::unique("night");
    let runbooks = home.path().join("midwatch/runbooks");
    std::fs::create_dir_all(&runbooks).unwrap();
    let text = format!(
        "title = \"Long\"\nsummary = \"For a test.\"\nrisk = \"reversible\"\nway_back = \"there is none\"\n\
         [[steps]]\nname = \"long\"\nrun = [\"sh\", \"-c\", \"sleep 600; true\", \"{word}\"]\n"
    );
    std::fs::write(runbooks.join("long.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_midwatch"));
    command.args(["-c", practice.config(), "runbook", "run", "long", "--yes", "--detach"]);
    let output = command.env("XDG_CONFIG_HOME", home.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = String::from_utf8(output.stdout).unwrap();
    eventually("it works", || (!with_word(&word).is_empty()).then_some(()));
    kill_process(Pid::from_child(&practice.child), Signal::INT).unwrap();
    assert!(practice.child.wait().unwrap().success());
    assert_eq!(with_word(&word), [] as [u32; 0], "{run}");
    assert!(!dir.exists());
}

#[test]
fn nothing_is_left_when_it_ends() {
    let mut practice = Practice::start(&[]);
    let dir = std::path::Path::new(&practice.says["CONFIG"]).parent().unwrap().to_owned();
    assert!(dir.is_dir());
    kill_process(Pid::from_child(&practice.child), Signal::INT).unwrap();
    assert!(practice.child.wait().unwrap().success());
    assert!(!dir.exists());
    // Its parts end with it: nobody listens on its port any more.
    let port: u16 = practice.says["URL"].rsplit(':').next().unwrap().parse().unwrap();
    eventually("the port is free", || std::net::TcpListener::bind(("127.0.0.1", port)).ok());
}
