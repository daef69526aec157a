use std::sync::Arc;

use super::{claims, unresolved};
use crate::domain::history::History;
use crate::domain::level::Level;
use crate::domain::log::assemble::Entry;
use crate::domain::log::book::{Book, COVERED_MS};
use crate::domain::log::{LogReading, LogSource, Severity};
use crate::domain::reading::Reading;
use crate::domain::time::Timestamp;
use crate::triage::{Claim, SiteFacts, Thresholds};

const NOW: Timestamp = Timestamp::from_millis(1_795_231_800_000);

fn book() -> Book {
    let mut book = Book::new(Vec::new());
    book.add(LogSource::new("app.log".to_owned(), "/app.log".to_owned()));
    book
}

fn entry(ago_s: i64, level: Severity, text: &str, more: &str) -> Entry {
    Entry { at: NOW.plus_secs(-ago_s), dated: true, level, text: text.into(), more: more.into() }
}

fn judged(reading: LogReading) -> Vec<Claim> {
    let logs = Reading::Fresh { value: reading, at: NOW, took_ms: 1 };
    let history = History::new();
    let facts = SiteFacts {
        name: "site",
        logs: &logs,
        heard: Some(NOW),
        silent_after_ms: 45_000,
        ..SiteFacts::unseen("pretix", &history, NOW)
    };
    claims(&facts, &Thresholds::default())
}

/// What is claimed of lines that each came so often, the last ten seconds ago, one every five seconds.
fn of(lines: &[(&str, &str, i64)]) -> Vec<Claim> {
    let mut book = book();
    for (text, more, times) in lines {
        for n in 0..*times {
            book.push(0, entry(10 + (times - 1 - n) * 5, Severity::Error, text, more));
        }
    }
    judged(book.reading(NOW))
}

fn ids(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|c| c.rule).collect()
}

#[test]
fn well_known_messages_are_named() {
    let traced = |last: &str| format!("Traceback (most recent call last):\n  File \"a\", line 1, in f\n{last}");
    let missing = traced("django.db.utils.ProgrammingError: column pretixbase_event.x does not exist\nLINE 1: SELECT");
    for (text, more, times, rule, level) in [
        ("WORKER TIMEOUT (pid:7)", "", 2, "worker-timeouts", Level::Warning),
        (
            "connect() failed (111: Connection refused) while connecting to upstream, client: 1.2.3.4",
            "",
            5,
            "proxy-upstream-errors",
            Level::Warning,
        ),
        (
            "no live upstreams while connecting to upstream, client: 1.2.3.4",
            "",
            5,
            "proxy-upstream-errors",
            Level::Critical,
        ),
        ("Waiting for locks timed out: canceling statement", "", 3, "locks-time-out", Level::Warning),
        ("Internal Server Error: /x/", missing.as_str(), 2, "schema-behind-code", Level::Critical),
        ("relation \"pretixbase_x\" does not exist at character 15", "", 2, "schema-behind-code", Level::Warning),
        ("Received unregistered task of type 'a.b'.", "", 1, "worker-older", Level::Warning),
        ("OfflineGenerationError: You have offline compression enabled", "", 2, "static-missing", Level::Critical),
        (
            "could not translate host name \"db1\" to address: Name or service not known",
            "",
            2,
            "name-resolution",
            Level::Critical,
        ),
        ("Session data corrupted", "", 5, "sessions-corrupt", Level::Warning),
    ] {
        let claims = of(&[(text, more, times)]);
        assert_eq!(ids(&claims), [rule], "{text}");
        assert_eq!(claims[0].level, level, "{text}");
        assert_eq!(claims[0].since.map(|s| s.at), Some(NOW.plus_secs(-10 - (times - 1) * 5)), "{text}");
        assert!(of(&[(text, more, times - 1)]).is_empty(), "{text}: once less is no finding");
    }
}

#[test]
fn what_is_long_past_says_nothing_about_now() {
    let mut book = book();
    for n in 0..50 {
        book.push(0, entry(4_000 - n, Severity::Critical, "WORKER TIMEOUT (pid:7)", ""));
        book.push(0, entry(4_000 - n, Severity::Error, "something broke", ""));
    }
    assert!(judged(book.reading(NOW)).is_empty());
}

#[test]
fn a_single_error_is_no_finding_and_many_old_ones_are_a_note() {
    assert!(of(&[("Internal Server Error: /a/", "", 1)]).is_empty());
    assert!(of(&[("Internal Server Error: /a/", "", 19)]).is_empty());
    let claims = of(&[("Internal Server Error: /a/", "", 20)]);
    assert_eq!((ids(&claims), claims[0].level), (vec!["errors-repeat"], Level::Note));
}

#[test]
fn an_error_that_was_not_there_before_is_a_warning_when_it_repeats() {
    let mut book = book();
    let watched = i64::try_from(COVERED_MS / 1000).unwrap() + 600;
    book.push(0, entry(watched, Severity::Info, "hello", ""));
    for n in 0..20 {
        book.push(0, entry(200 - n, Severity::Error, "something broke", ""));
    }
    let claims = judged(book.reading(NOW));
    assert_eq!(ids(&claims), ["errors-new"]);
    assert_eq!(claims[0].since.map(|s| (s.at, s.seen)), Some((NOW.plus_secs(-200), true)));
    assert!(claims[0].title.contains("something broke") && claims[0].details[0].contains("something broke"));
}

#[test]
fn out_of_memory_is_believed_only_from_the_kernel() {
    let guess =
        of(&[("WORKER TIMEOUT (pid:7)", "", 2), ("Worker (pid:7) was sent SIGKILL! Perhaps out of memory?", "", 2)]);
    assert_eq!(ids(&guess), ["worker-timeouts"]);
    assert!(guess[0].evidence.contains("is a guess"));
    let kernel = of(&[("WORKER TIMEOUT (pid:7)", "", 2), ("Out of memory: Killed process 7 (gunicorn)", "", 1)]);
    assert!(kernel[0].evidence.contains("the kernel did kill"));
}

#[test]
fn a_flood_and_a_trigger_are_told() {
    let mut reading = book().reading(NOW);
    reading.sources[0].rate = Some(50.0 * 1_048_576.0);
    let line = Arc::new(crate::domain::log::Line {
        id: 1,
        at: NOW,
        dated: true,
        source: 0,
        level: Severity::Info,
        text: "x".into(),
        more: "".into(),
        group: None,
    });
    reading.fired.push(crate::domain::log::Fired {
        name: "no orders".to_owned(),
        what: "no match for 1h".to_owned(),
        since: NOW,
        seen: true,
        example: Some(line),
        level: Level::Critical,
    });
    let claims = judged(reading);
    assert_eq!(ids(&claims), ["log-flood", "trigger"]);
    assert_eq!((claims[0].title.as_str(), claims[1].level), ("app.log grows by 50.0 MB a second", Level::Critical));
}

#[test]
fn the_name_is_found() {
    for (text, name) in [
        ("could not translate host name \"db1\" to address", Some("db1")),
        ("Failed to resolve 'api.nbp.pl' ([Errno -2]", Some("api.nbp.pl")),
        ("Error -2 connecting to redis1:6379. Name or service not known.", Some("redis1")),
        ("Temporary failure in name resolution", None),
    ] {
        assert_eq!(unresolved(text), name);
    }
}
