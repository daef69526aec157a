//! Faults that are seen in the logs. Where the program that logs is here (nginx, PostgreSQL, the resolver) it logs for
//! itself; else a process writes its very words into a file that is read like its own. The window within which messages
//! say something about now is shortened in the configuration, so that a fault is also seen to go.
#![cfg(test)]

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use midwatch::domain::level::Level;
use midwatch::domain::log::LogReading;
use midwatch::triage::Finding;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::eyes::{Eyes, holds, top};
use crate::support::pty::{Home, code};
use crate::support::servers::{PostgresServer, eventually, free_port};

const SITE: &str = "shop";

/// A site that is well as far as its healthcheck knows, and its logs.
struct Logged {
    dir: tempfile::TempDir,
    eyes: Eyes,
}

/// Answers every request with 200 for as long as the runtime lives; its address.
async fn well() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _gone = stream.read(&mut head).await;
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
    }));
    format!("http://{address}/")
}

impl Logged {
    async fn open(logs: &[&Path], more: &str) -> Self {
        Self::with(logs, "log_window_s = 6", more).await
    }

    async fn with(logs: &[&Path], thresholds: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = well().await;
        let mut config = format!(
            "discover = false\n[pace]\nlogs = \"1s\"\n[thresholds]\n{thresholds}\n[sites.{SITE}]\nurl = \"{url}\"\n"
        );
        for log in logs {
            let path = dir.path().join(log);
            writeln!(config, "[[sites.{SITE}.logs]]\npath = \"{}\"", path.display()).unwrap();
            drop(OpenOptions::new().create(true).append(true).open(path).unwrap());
        }
        config.push_str(more);
        let mut eyes = Eyes::open(dir.path(), &config);
        eyes.until("the healthcheck and the logs are read", |m| {
            m.sites[0].health.fresh().is_some() && m.sites[0].logs.at().is_some()
        })
        .await;
        Self { dir, eyes }
    }

    fn path(&self, log: &str) -> PathBuf {
        self.dir.path().join(log)
    }

    /// Another process writes these rows at the end of a log.
    fn write(&self, log: &str, rows: &str) {
        write(&self.path(log), rows);
    }

    fn reading(&self) -> &LogReading {
        self.eyes.model.sites[0].logs.value().unwrap()
    }

    async fn line(&mut self, text: &str) {
        let has = |m: &midwatch::app::model::Model| {
            m.sites[0].logs.value().is_some_and(|l| l.window.lines().iter().any(|l| l.text.contains(text)))
        };
        self.eyes.until(text, has).await;
    }

    /// The rule is the top finding, with its beginning known, and goes when nothing more is written.
    async fn comes_and_goes(&mut self, rule: &str, level: Level) -> Finding {
        let finding = self.eyes.top(SITE, rule).await;
        assert_eq!(finding.level, level, "{finding:#?}");
        self.eyes.gone(SITE, rule).await;
        finding
    }
}

fn write(path: &Path, rows: &str) {
    let file = OpenOptions::new().append(true).open(path).unwrap();
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(file).spawn().unwrap();
    child.stdin.take().unwrap().write_all(rows.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The time now, as a program writes it.
fn stamp(pattern: &str) -> String {
    jiff::Zoned::now().strftime(pattern).to_string()
}

fn gunicorn(level: &str, text: &str) -> String {
    format!("[{}] [21015] [{level}] {text}\n", stamp("%Y-%m-%d %H:%M:%S %z"))
}

fn pretix(level: &str, text: &str) -> String {
    format!("{level} {},123 {text}\n", stamp("%Y-%m-%d %H:%M:%S"))
}

#[tokio::test]
async fn worker_timeouts_are_no_want_of_memory() {
    let mut site = Logged::open(&[Path::new("gunicorn.log")], "").await;
    let timeout = |pid| {
        [
            gunicorn("CRITICAL", &format!("WORKER TIMEOUT (pid:{pid})")),
            gunicorn("ERROR", &format!("Worker (pid:{pid}) was sent SIGKILL! Perhaps out of memory?")),
            gunicorn("INFO", &format!("Booting worker with pid: {}", pid + 1)),
        ]
        .concat()
    };
    site.write("gunicorn.log", &timeout(21020));
    site.line("Booting worker with pid: 21021").await;
    assert!(!site.eyes.model.findings.iter().any(|f| holds(f, "worker-timeouts")), "one is no finding");
    site.write("gunicorn.log", &timeout(21040));
    let finding = site.comes_and_goes("worker-timeouts", Level::Warning).await;
    assert!(finding.title.contains("2 workers") && finding.evidence.contains("is a guess"), "{finding:#?}");
    site.eyes.end().await;
}

/// A real nginx before a port on which nobody listens.
struct Nginx {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Nginx {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, dead) = (free_port(), free_port());
        let at = dir.path().display();
        let conf = format!(
            "daemon off; pid {at}/pid; error_log {at}/error.log; events {{}} http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c; uwsgi_temp_path {at}/d; scgi_temp_path {at}/e; server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{dead}; }} }} }}"
        );
        std::fs::write(dir.path().join("nginx.conf"), conf).unwrap();
        let child =
            Command::new("nginx").arg("-c").arg(dir.path().join("nginx.conf")).stderr(Stdio::null()).spawn().unwrap();
        let nginx = Self { child, port, dir };
        eventually("nginx", || TcpStream::connect(("127.0.0.1", port)).ok());
        nginx
    }

    fn ask(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /shop HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
#[ignore = "needs nginx: tests/run installs it"]
async fn a_proxy_without_its_application_is_named() {
    let nginx = Nginx::start();
    let mut site = Logged::open(&[&nginx.dir.path().join("error.log")], "").await;
    for _ in 0..6 {
        assert!(nginx.ask().contains("502 Bad Gateway"));
    }
    let finding = site.comes_and_goes("proxy-upstream-errors", Level::Warning).await;
    assert!(finding.evidence.contains("error.log"), "{finding:#?}");
    site.eyes.end().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: tests/run installs it"]
async fn code_that_is_newer_than_its_schema_is_suspected() {
    use sqlx::{ConnectOptions as _, Executor as _};
    let server = PostgresServer::start(&["log_line_prefix=%m [%p] %q%u@%d "]);
    let logs = [&server.path().join("server.log"), Path::new("pretix.log")];
    // Two things are seen one after the other within it, also on a machine that has much to do.
    let mut site = Logged::with(&logs, "log_window_s = 45", "").await;
    let options = sqlx::postgres::PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(server.port);
    let mut session = options.database("postgres").username("postgres").password("super-pw").connect().await.unwrap();
    session.execute("create table pretixbase_event (id int)").await.unwrap();
    for _ in 0..2 {
        let refused = session.execute("select pretixbase_event.new_in_this_release from pretixbase_event").await;
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("does not exist"), "{said}");
    }
    let finding = site.eyes.top(SITE, "schema-behind-code").await;
    assert!(
        finding.suspected && finding.title.contains("column pretixbase_event.new_in_this_release does not exist"),
        "{finding:#?}"
    );
    assert_eq!(finding.level, Level::Warning, "only the database says so: it may be a person's typo");
    // The application says so itself.
    let traceback = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    return g()\npsycopg2.errors.UndefinedColumn: column pretixbase_event.new_in_this_release does not exist\nLINE 1: SELECT\n\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"b.py\", line 1, in f\ndjango.db.utils.ProgrammingError: column pretixbase_event.new_in_this_release does not exist\nLINE 1: SELECT\n";
    for _ in 0..2 {
        site.write(
            "pretix.log",
            &[&pretix("ERROR", "django.request log Internal Server Error: /a/b/"), traceback].concat(),
        );
    }
    site.eyes
        .until("critical", |m| {
            top(m, SITE).is_some_and(|f| f.rule == "schema-behind-code" && f.level == Level::Critical)
        })
        .await;
    site.eyes.gone(SITE, "schema-behind-code").await;
    site.eyes.end().await;
}

#[tokio::test]
async fn buyers_waiting_for_each_other_are_told() {
    let mut site = Logged::open(&[Path::new("pretix.log")], "").await;
    for _ in 0..3 {
        let text = "pretix.base.services.locking locking Waiting for locks timed out: canceling statement due to lock timeout\n on SELECT pg_advisory_xact_lock(3472328296);";
        site.write("pretix.log", &pretix("WARNING", text));
    }
    site.comes_and_goes("locks-time-out", Level::Warning).await;
    site.eyes.end().await;
}

#[tokio::test]
async fn missing_built_files_are_named() {
    let mut site = Logged::open(&[Path::new("pretix.log")], "").await;
    let traceback = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\ncompressor.exceptions.OfflineGenerationError: You have offline compression enabled but key \"x\" is missing from offline manifest.\n";
    for _ in 0..2 {
        site.write(
            "pretix.log",
            &[&pretix("ERROR", "django.request log Internal Server Error: /a/b/"), traceback].concat(),
        );
    }
    site.comes_and_goes("static-missing", Level::Critical).await;
    site.eyes.end().await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let mut site = Logged::open(&[Path::new("worker.log")], "").await;
    for _ in 0..2 {
        // The resolver's own words, by a process that asks it.
        let file = OpenOptions::new().append(true).open(site.path("worker.log")).unwrap();
        let asked = Command::new("bash")
            .args(["-c", "exec 3<>/dev/tcp/db1.invalid/5432"])
            .env("LC_ALL", "C")
            .stderr(file)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(!asked.success());
    }
    let finding = site.comes_and_goes("name-resolution", Level::Warning).await;
    assert!(finding.details[0].contains("db1.invalid"), "{finding:#?}");
    site.eyes.end().await;
}

#[tokio::test]
async fn a_worker_with_older_code_and_a_changed_secret_are_two_findings() {
    let mut site = Logged::open(&[Path::new("worker.log"), Path::new("pretix.log")], "").await;
    let time = stamp("%Y-%m-%d %H:%M:%S");
    site.write("worker.log", &format!("[{time},123: ERROR/MainProcess] Received unregistered task of type 'pretix.new.task'.\nThe message has been ignored and discarded.\n"));
    for _ in 0..5 {
        site.write("pretix.log", &pretix("WARNING", "django.security.SuspiciousSession base Session data corrupted"));
    }
    site.eyes
        .until("both", |m| ["worker-older", "sessions-corrupt"].iter().all(|r| m.findings.iter().any(|f| f.rule == *r)))
        .await;
    let secret = site.eyes.model.findings.iter().find(|f| f.rule == "sessions-corrupt").unwrap();
    assert!(secret.suspected && secret.title.starts_with("Suspected: "), "{secret:#?}");
    site.eyes.gone(SITE, "worker-older").await;
    site.eyes.gone(SITE, "sessions-corrupt").await;
    site.eyes.end().await;
}

#[tokio::test]
async fn triggers_of_the_operators_fire_and_stop() {
    let triggers = "[[triggers]]\nname = \"logins fail\"\nmatch = \"login invalid\"\nrate = \"3 in 5s\"\nlevel = \"critical\"\n\
        [[triggers]]\nname = \"no orders\"\nmatch = \"order placed\"\nabsent_for = \"4s\"\n\
        [[triggers]]\nname = \"boots and ends\"\nmatch = \"Booting\"\nsequence = { then = \"Exiting\", within = \"30s\" }\n";
    let mut site = Logged::open(&[Path::new("pretix.log")], triggers).await;
    let fired = |name: &'static str| {
        move |m: &midwatch::app::model::Model| m.findings.iter().any(|f| f.rule == "trigger" && f.subject == name)
    };
    for _ in 0..3 {
        site.write("pretix.log", &pretix("INFO", "pretix.base.forms.auth auth Backend login invalid."));
    }
    site.eyes.until("logins fail", fired("logins fail")).await;
    assert_eq!(site.eyes.model.findings[0].level, Level::Critical);
    site.eyes.until("no orders", fired("no orders")).await;
    site.write("pretix.log", &pretix("INFO", "shop views order placed"));
    site.eyes.until("orders", |m| !fired("no orders")(m)).await;
    site.eyes.until("no more logins fail", |m| !fired("logins fail")(m)).await;
    site.write("pretix.log", &[pretix("INFO", "a b Booting"), pretix("INFO", "a b Exiting")].concat());
    site.eyes.until("boots and ends", fired("boots and ends")).await;
    site.eyes.end().await;
}

#[tokio::test]
async fn one_error_is_no_finding_and_what_is_in_two_logs_counts_once() {
    let mut site =
        Logged::with(&[Path::new("pretix.log"), Path::new("gunicorn.log")], "repeated_errors_count = 20", "").await;
    let row = pretix("ERROR", "django.request log Internal Server Error: /testorg/broken/");
    site.write("pretix.log", &row);
    site.write("gunicorn.log", &row);
    site.line("/testorg/broken/").await;
    site.write("gunicorn.log", &gunicorn("INFO", "and after"));
    site.line("and after").await;
    let group = &site.reading().groups[0];
    assert_eq!((group.tally.count, site.reading().groups.len()), (1, 1));
    assert!(top(&site.eyes.model, SITE).is_none(), "{:#?}", site.eyes.model.findings);
    site.eyes.end().await;
}

#[tokio::test]
async fn what_is_cold_begins_when_the_log_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gunicorn.log");
    let at =
        |ago: i64| (jiff::Zoned::now() - jiff::Span::new().seconds(ago)).strftime("%Y-%m-%d %H:%M:%S %z").to_string();
    let mut rows = format!("[{}] [1] [INFO] Listening\n", at(3_000));
    for ago in [400, 300, 200, 100, 50] {
        writeln!(rows, "[{}] [1] [CRITICAL] WORKER TIMEOUT (pid:{ago})", at(ago)).unwrap();
    }
    std::fs::write(&path, rows).unwrap();
    // The fault was there before midwatch.
    let mut site = Logged::with(&[&path], "log_window_s = 300", "").await;
    let finding = site.eyes.top(SITE, "worker-timeouts").await;
    let ago = site.eyes.model.now.secs_since(finding.since.at);
    assert!((395..=460).contains(&ago) && finding.since.seen, "{ago} {finding:#?}");
    site.eyes.end().await;
}

#[test]
fn a_flood_costs_neither_memory_nor_keys() {
    /// What is written: 50 MB in a second, for so many seconds.
    const SECONDS: u64 = 14;
    let home = Home::new();
    let log = home.path().join("flood.log");
    std::fs::write(&log, "begun\n").unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "discover = false\n[pace]\nlogs = \"1s\"\n[sites.shop]\nurl = \"http://{}/\"\n[[sites.shop.logs]]\npath = \"{}\"\n",
        silent.local_addr().unwrap(),
        log.display()
    );
    std::fs::write(home.path().join("midwatch.toml"), config).unwrap();
    let mut session = home.open(&[], 120, 40);
    session.wait_for("its screen", super::super::support::pty::Session::begun);
    session.keys("7");
    session.wait_for_text("begun");
    let writer = {
        let log = log.clone();
        std::thread::spawn(move || {
            let row = format!("[2026-11-21 03:28:44 +0000] [7] [ERROR] flood {}\n", "x".repeat(150));
            let piece = row.repeat(50_000_000 / 10 / row.len());
            let mut file = OpenOptions::new().append(true).open(log).unwrap();
            let begun = std::time::Instant::now();
            for n in 0..SECONDS * 10 {
                // No faster than that; a disk that is slower is its own limit.
                std::thread::sleep((Duration::from_millis(100 * n)).saturating_sub(begun.elapsed()));
                file.write_all(piece.as_bytes()).unwrap();
            }
        })
    };
    session.wait_for_text("passed over");
    let status = format!("/proc/{}/status", session.pid().as_raw_nonzero());
    let peak = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let row = text.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
        row.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap()
    };
    while !writer.is_finished() {
        for (key, shows) in [("4", "pressure"), ("7", "following")] {
            session.keys(key);
            session.wait_for_text(shows);
        }
    }
    writer.join().unwrap();
    assert!(peak() < 80 * 1024, "{} kB at most", peak());
    session.keys("1");
    session.wait_for_text("flood.log grows by");
    session.keys("\x03");
    assert_eq!(code(session.ended()), 0);
}
