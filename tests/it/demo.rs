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
    crate::support::servers::eventually("the port is free", || std::net::TcpListener::bind(("127.0.0.1", port)).ok());
}
