//! Faults of the schedule, made for real: runs that pile up, and runs that don't come.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use midwatch::app::model::Model;
use midwatch::domain::level::Level;
use midwatch::triage::Finding;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

use crate::support::eyes::{Eyes, holds};
use crate::support::servers::RedisServer;
use crate::support::site::{StandsOn, serve};

/// A run of periodic tasks: `tail` follows the files whose names make its command line.
struct Run(Child);

impl Run {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new("tail");
        command.args(["-f", "manage.py", "runperiodic"]).current_dir(dir);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _collected = self.0.wait();
    }
}

/// The first finding of the host of a rule, past those of other tests that run beside this one.
fn of_host<'m>(model: &'m Model, word: &str) -> Option<&'m Finding> {
    let host = &model.hosts.first().unwrap().id.0;
    let others =
        |f: &&Finding| f.subject.contains(word) || !f.subject.contains("/tmp/") && !f.subject.contains("midwatch-");
    model.findings.iter().filter(|f| f.site == *host).find(others)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_pile_up_are_told_until_one_is_left() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["manage.py", "runperiodic"] {
        fs::write(dir.path().join(file), "").unwrap();
    }
    // What tells this job from others is where it runs.
    let word = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
    let first = Run::start(dir.path());
    let mut eyes = Eyes::open(dir.path(), "discover = false\n[pace]\nchanges = \"1s\"\n");
    eyes.until("the run is seen", |m| {
        let runs = m.hosts[0].schedule.fresh().map(|s| s.running.iter().filter(|r| r.group.contains(&word)).count());
        runs == Some(1)
    })
    .await;
    let mine = |f: &Finding| f.rule == "periodic-overlap" && f.subject.contains(&word);
    assert!(!eyes.model.findings.iter().any(mine), "one run is no overlap");
    let second = Run::start(dir.path());
    let at_least = |m: &Model, level: Level| of_host(m, &word).is_some_and(|f| mine(f) && f.level == level);
    eyes.until("two at once are the top finding of the host", |m| at_least(m, Level::Warning)).await;
    let third = Run::start(dir.path());
    eyes.until("three at once are critical", |m| at_least(m, Level::Critical)).await;
    let found = of_host(&eyes.model, &word).unwrap();
    assert!(found.title.starts_with("3 runs of the periodic tasks at once"), "{}", found.title);
    assert_eq!(found.details.len(), 3);
    drop((first, third));
    eyes.until("the overlap is over", |m| !m.findings.iter().any(mine)).await;
    drop(second);
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: tests/run installs it"]
async fn periodic_tasks_that_do_not_run_are_told_until_they_do() {
    let dir = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(&[]);
    let data = dir.path().join("data");
    fs::create_dir_all(&data).unwrap();
    let cfg = format!("[pretix]\ndatadir={}\n[redis]\nlocation={}\n", data.display(), redis.url(0));
    fs::write(dir.path().join("pretix.cfg"), cfg).unwrap();
    fs::write(data.join(".secret"), "x").unwrap();
    let database = SqliteConnectOptions::new().filename(data.join("db.sqlite3")).create_if_missing(true);
    let mut connection = database.connect().await.unwrap();
    connection.execute("create table thing (n int)").await.unwrap();
    connection.close().await.unwrap();
    // Installed long ago: that it has never run is no matter of a new installation.
    let info = dir.path().join("venv/lib/python3.11/site-packages/pretix-2026.8.0.dist-info");
    fs::create_dir_all(&info).unwrap();
    fs::write(info.join("RECORD"), "").unwrap();
    let record = fs::File::options().write(true).open(info.join("RECORD")).unwrap();
    record.set_modified(SystemTime::now() - Duration::from_hours(2500)).unwrap();
    // As pretix writes it at each run: a mark that lives for 12 hours. This one was set two hours ago.
    let mut client = redis::Client::open(redis.url(0)).unwrap().get_connection().unwrap();
    let mut mark = |seconds_left: u64| {
        let key = ":1:pretix_runperiodic_executed";
        redis::cmd("SET").arg(key).arg("1").arg("EX").arg(seconds_left).query::<()>(&mut client).unwrap();
    };
    mark(43_200 - 7200);
    let port = serve(StandsOn::default());
    let config = format!(
        "discover = false\n[pace]\nhealth = \"1s\"\nbackups = \"1s\"\nredis = \"1s\"\n\
         [thresholds]\nperiodic_silent_s = 3600\n[sites.shop]\napp_config = \"{}\"\napp = \"pretix\"\n\
         url = \"http://127.0.0.1:{port}\"\npractice = true\n",
        dir.path().join("pretix.cfg").display()
    );
    let mut eyes = Eyes::open(dir.path(), &config);
    let found = eyes.top("shop", "periodic-silent").await;
    assert!(found.title.contains("have not run for 2h0"), "{}", found.title);
    eyes.until("it is a warning once the application is seen", |m| {
        m.findings.iter().any(|f| holds(f, "periodic-silent") && f.level == Level::Warning)
    })
    .await;
    mark(43_200);
    eyes.gone("shop", "periodic-silent").await;
    eyes.end().await;
}
