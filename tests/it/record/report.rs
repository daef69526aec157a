//! The report as people read it, and as programs do.

use jiff::tz::TimeZone;
use midwatch::cli::args::{ReportArgs, ReportForm};
use midwatch::cli::report::{Record, Setting, write};
use midwatch::domain::id::SourceKind;
use midwatch::domain::level::Level;
use midwatch::domain::record::ledger::Standing;
use midwatch::domain::record::{Entry, SourceState, What};

use super::{T0, case, numbers, observed, shop, typed, web1};

/// A disk that filled up at night, from the first sign to the next morning.
fn night() -> Record {
    let disk = "web1/disk-full//var/lib/postgresql";
    let closed = |id: &str, title: &str| What::Closed {
        id: id.to_owned(),
        title: title.to_owned(),
        since: T0,
        last_known: None,
    };
    let mut full = case(disk, "/var/lib/postgresql is full", "0 B of 40 GB free", Level::Critical, None);
    full.details = vec!["38 GB in pg_wal".to_owned(), "`du` says so".to_owned()];
    let web =
        case("shop/web-error/", "The site answers 500", "healthcheck 500 after 12 ms", Level::Critical, Some(disk));
    let late = case("shop/queue-late/", "312 tasks wait", "the oldest for 6m10s", Level::Warning, Some(disk));
    let failed = What::Source {
        source: SourceKind::Database,
        state: SourceState::Failed,
        why: "PANIC: could not write".to_owned(),
    };
    let back = What::Source { source: SourceKind::Database, state: SourceState::Seen, why: String::new() };
    let suspected = What::Severity { severity: Some(2), suspected: true, text: "The site answers 500".to_owned() };
    let entries = vec![
        observed(0, web1(), Level::Critical, What::Opened(full)),
        observed(9, shop(), Level::Critical, What::Opened(web)),
        observed(9, shop(), Level::Critical, suspected),
        numbers(9, 10_000.0, 12.0),
        observed(20, shop(), Level::Unknown, failed),
        observed(60, shop(), Level::Warning, What::Opened(late)),
        typed(120, "SEV-1 nobody can buy <b>anything</b>"),
        typed(150, "ACK 30m: freeing space"),
        typed(200, "deleted old dumps, DB_PASSWORD=hunter2 still in them"),
        typed(210, "TODO: alert at 80 %"),
        typed(215, "TODO: move dumps off the database's disk"),
        observed(400, shop(), Level::Unknown, What::Gap { from: T0.plus_secs(250) }),
        numbers(410, 10_400.0, 380.0),
        observed(420, web1(), Level::Ok, closed(disk, "/var/lib/postgresql is full")),
        observed(430, shop(), Level::Ok, back),
        observed(440, shop(), Level::Ok, closed("shop/web-error/", "The site answers 500")),
        observed(470, shop(), Level::Ok, closed("shop/queue-late/", "312 tasks wait")),
        numbers(475, 10_450.0, 382.0),
        typed(500, "resolved: 3 GB freed"),
        typed(900, "DONE 10 in the monitoring"),
    ];
    let entries: Vec<Entry> = entries.into_iter().zip(1..).map(|(e, id)| Entry { id, ..e }).collect();
    let standing = Standing { at: Some(T0.plus_secs(200)), ..Standing::default() };
    Record { path: "/var/lib/midwatch/record.db".into(), entries, standing: vec![(shop(), standing)] }
}

fn setting(secs: i64) -> Setting {
    Setting {
        now: T0.plus_secs(secs),
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        host: "web1".to_owned(),
        path: "/var/lib/midwatch/record.db".into(),
    }
}

fn written(record: &Record, args: &ReportArgs, secs: i64) -> String {
    let (text, code) = write(record, args, &setting(secs)).unwrap();
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn an_incident_as_a_post_mortem() {
    snapshot("report-incident", &written(&night(), &ReportArgs::default(), 40_000));
}

#[test]
fn an_incident_as_json() {
    let args = ReportArgs { output: ReportForm::Json, ..ReportArgs::default() };
    let text = written(&night(), &args, 40_000);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["impact"]["minutes_by_severity"]["1"], 6.3);
    assert_eq!(json["impact"]["counted"]["shop"]["request_errors"], 370.0);
    snapshot("report-incident-json", &text);
}

#[test]
fn where_nothing_was_counted_no_share_of_it_is_told() {
    let mut record = night();
    for entry in &mut record.entries {
        if let What::Numbers(numbers) = &mut entry.what {
            (numbers.requests, numbers.request_errors) = (Some(0.0), Some(0.0));
        }
    }
    let text = written(&record, &ReportArgs::default(), 40_000);
    assert!(!text.contains("requests answered 5xx"), "{text}");
    assert!(text.contains("- shop: at least 92 of 225 background tasks failed"), "{text}");
    for entry in &mut record.entries {
        if let What::Numbers(numbers) = &mut entry.what {
            (numbers.tasks, numbers.task_errors) = (Some(0.0), Some(0.0));
        }
    }
    let text = written(&record, &ReportArgs::default(), 40_000);
    assert!(!text.contains("0 of 0") && text.contains("no background task was counted"), "{text}");
}

#[test]
fn a_hand_over_in_the_middle_of_it() {
    let mut record = night();
    record.entries.truncate(11);
    let disk = case("web1/disk-full//var", "/var is full", "0 B of 40 GB free", Level::Critical, None);
    let web = case("shop/web-error/", "The site answers 500", "", Level::Critical, Some("web1/disk-full//var"));
    let of = |case: super::Case, secs| Standing {
        at: Some(T0.plus_secs(secs)),
        cases: [(case.id.clone(), case)].into(),
        ..Standing::default()
    };
    record.standing = vec![(web1(), of(disk, 240)), (shop(), of(web, 10))];
    let args = ReportArgs { handover: true, ..ReportArgs::default() };
    snapshot("report-handover", &written(&record, &args, 260));
}

#[test]
fn a_time_can_be_asked_for_and_a_site() {
    let args = ReportArgs { since: Some("2026-11-21T02:58:00Z".to_owned()), ..ReportArgs::default() };
    let text = written(&night(), &args, 1000);
    assert!(text.starts_with("# Record of web1 from 2026-11-21 02:58:00 UTC (03:58 local)"), "{text}");
    assert!(text.contains("/var/lib/postgresql is full"), "it stood at that time: {text}");
    let args = ReportArgs { site: Some("talks".to_owned()), ..ReportArgs::default() };
    let text = written(&night(), &args, 1000);
    assert!(!text.contains("312 tasks wait") && text.contains("is full"), "another site's: {text}");
    let bad = ReportArgs { since: Some("yesterday".to_owned()), ..ReportArgs::default() };
    let (complaint, code) = write(&night(), &bad, &setting(1000)).unwrap();
    assert_eq!((code, complaint.contains("`yesterday` is no time")), (64, true));
}
