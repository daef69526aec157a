//! What access logs show: a real nginx before an application that is gone, static files that are gone, an application
//! without metrics.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use midwatch::app::model::Model;
use midwatch::domain::id::SourceKind;
use tempfile::TempDir;

use crate::support::eyes::Eyes;
use crate::support::nginx::Nginx;
use crate::support::web::Answering;

fn config(url: &str, more: &str) -> String {
    format!("discover = false\n[pace]\nhealth = \"1s\"\nlogs = \"1s\"\n[sites.shop]\nurl = \"{url}\"\n{more}\n")
}

/// The rules of the site's findings, whatever the shared host has.
fn rules(model: &Model) -> Vec<String> {
    model.findings.iter().filter(|f| f.site == "shop").map(|f| f.rule.clone()).collect()
}

/// One line as gunicorn writes it, `secs` ago.
fn line(secs: i64, path: &str, status: u16) -> String {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(secs);
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S +0000");
    format!("127.0.0.1 - - [{at}] \"GET {path} HTTP/1.1\" {status} 10 \"-\" \"curl\" 0.012345\n")
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_fail_are_seen_in_the_log_where_there_are_no_metrics() {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("access.log");
    let mut text = String::new();
    for secs in (0..1_200).rev() {
        // Well until seven minutes ago, then two in five fail.
        text.push_str(&line(secs, "/democon/schedule/", if secs < 420 && secs % 5 < 2 { 500 } else { 200 }));
        text.push_str(&line(secs, "/healthcheck/", 200));
    }
    fs::write(&log, text).unwrap();
    let web = Answering::ok();
    let more = format!("app = \"pretalx\"\naccess_logs = [\"{}\"]", log.display());
    let mut eyes = Eyes::open(dir.path(), &config(&web.url(), &more));
    let finding = eyes.top("shop", "requests-fail").await;
    assert_eq!(finding.source, SourceKind::Access);
    assert!(finding.evidence.contains("GET /{event}/schedule/"), "{finding:?}");
    // The log knows since when, before anybody watched.
    let ago = midwatch::runtime::clock::now().secs_since(finding.since.at);
    assert!(finding.since.seen && (400..450).contains(&ago), "{ago} s: {finding:?}");
    let site = eyes.model.sites.first().unwrap();
    let strip = site.history.iter().find(|(key, _)| key.0 == "logged").unwrap().1;
    assert!(strip.points().len() >= 115, "the strip is filled back: {}", strip.points().len());
    assert_eq!(site.requests().0, SourceKind::Access);
    let routes: Vec<&str> = site.requests().1.unwrap().routes.iter().map(|r| r.url_name.as_str()).collect();
    assert_eq!(routes, ["/{event}/schedule/"], "a monitor's own requests are no visitors");
    // It goes on being answered well, and the share falls.
    for _ in 0..400 {
        append(&log, &line(0, "/democon/schedule/", 200));
    }
    eyes.gone("shop", "requests-fail").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_requests_are_seen_in_the_log() {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("access.log");
    let slow: String = (0..60).map(|secs| line(secs, "/org/ev/", 200).replace("0.012345", "12.5")).collect();
    fs::write(&log, slow).unwrap();
    let web = Answering::ok();
    let mut eyes = Eyes::open(
        dir.path(),
        &config(&web.url(), &format!("app = \"pretix\"\naccess_logs = [\"{}\"]", log.display())),
    );
    let finding = eyes.top("shop", "requests-slow").await;
    assert!(finding.evidence.contains("/{organizer}/{event}/"), "{finding:?}");
    let mut quick = String::new();
    for _ in 0..2_000 {
        write!(quick, "{}", line(0, "/org/ev/", 200)).unwrap();
    }
    append(&log, &quick);
    eyes.gone("shop", "requests-slow").await;
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx"]
async fn a_proxy_without_an_answer_is_told_from_its_own_log() {
    let dir = TempDir::new().unwrap();
    let nginx = Nginx::start();
    let up = nginx.application();
    for _ in 0..40 {
        nginx.ask("/org/ev/");
    }
    // The healthcheck still answers: only the pages behind it don't.
    let mut eyes = Eyes::open(dir.path(), &config(&nginx.url(), ""));
    eyes.until("the log is found through nginx' own configuration", |m| {
        m.sites.first().and_then(|s| s.access.fresh()).is_some_and(|a| a.logs.iter().any(|l| l.by == "nginx"))
    })
    .await;
    assert_eq!(rules(&eyes.model), [""; 0]);
    drop(up);
    for _ in 0..20 {
        nginx.ask("/org/ev/");
    }
    let finding = eyes.top("shop", "gateway-errors").await;
    assert!(finding.evidence.contains("20 of 60"), "{finding:?}");
    assert!(!rules(&eyes.model).contains(&"requests-fail".to_owned()), "it is a symptom below the cause");
    let up = nginx.application();
    // A few seconds of what is well again, and the errors are of a minute ago.
    eyes.gone("shop", "gateway-errors").await;
    drop(up);
    eyes.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx"]
async fn static_files_that_are_gone_are_told() {
    let dir = TempDir::new().unwrap();
    let nginx = Nginx::start();
    let up = nginx.application();
    let mut eyes = Eyes::open(dir.path(), &config(&nginx.url(), ""));
    for _ in 0..30 {
        nginx.ask("/static/app.css");
    }
    let counted = |m: &Model, all: u64| {
        m.sites.first().and_then(|s| s.access.fresh()).is_some_and(|access| access.statics.all >= all)
    };
    eyes.until("the files are there", |m| counted(m, 30)).await;
    assert_eq!(rules(&eyes.model), [""; 0]);
    // The upgrade of Python took the directory along that nginx serves them from.
    fs::rename(nginx.path().join("static"), nginx.path().join("old")).unwrap();
    for _ in 0..10 {
        nginx.ask("/static/app.css");
    }
    let finding = eyes.top("shop", "static-not-found").await;
    assert!(finding.evidence.starts_with("10 of 40 "), "{finding:?}");
    fs::rename(nginx.path().join("old"), nginx.path().join("static")).unwrap();
    for _ in 0..200 {
        nginx.ask("/static/app.css");
    }
    eyes.gone("shop", "static-not-found").await;
    drop(up);
    eyes.end().await;
}
