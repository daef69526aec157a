//! `status` in its four forms, and its exit codes.

use midwatch::app::event::Event;
use midwatch::app::model::{Model, Site};
use midwatch::app::update::update;
use midwatch::cli::args::StatusForm;
use midwatch::cli::status::readings::rows;
use midwatch::cli::status::{exit_code, level, render, summary};
use midwatch::domain::access::AccessReading;
use midwatch::domain::health::{HealthCheck, HealthState};
use midwatch::domain::host::{Disk, DiskSpace, HostReading};
use midwatch::domain::id::{HostId, Scope, SiteId, SourceKind};
use midwatch::domain::level::Level;
use midwatch::domain::observation::{Observation, Observed};
use midwatch::domain::reading::Seen;
use midwatch::domain::time::Timestamp;

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn model() -> Model {
    let id = SiteId("tickets".to_owned());
    let site =
        Site::new(id, "Tickets".to_owned(), "pretix 2026.8.0".to_owned(), "https://t.example.org".to_owned(), false);
    Model::new(T0, vec![site], HostId("web1".to_owned()))
}

fn see(model: &mut Model, scope: Scope, what: Observation) {
    update(model, Event::Observed(Box::new(Observed { scope, at: T0, took_ms: 2, what })));
}

fn health(model: &mut Model, state: HealthState, status: Option<u16>) {
    let (detail, url) = ("what | the server = said".to_owned(), "https://t.example.org/healthcheck/".to_owned());
    let check = HealthCheck { state, status, latency_ms: 3.25, detail, url, tls: None, clock_offset_ms: None };
    see(model, Scope::Site(SiteId("tickets".to_owned())), Observation::Health(Seen::Value(check)));
    update(model, Event::Tick(T0.plus_secs(2)));
}

fn host(model: &mut Model, available: u64) {
    let space = DiskSpace {
        total: 100 << 30,
        available,
        reserved: 0,
        inodes: 100,
        inodes_available: 90,
        read_only: false,
        full_in_s: None,
        inodes_full_in_s: None,
    };
    let disk = Disk {
        mount: "/var".to_owned(),
        device: "/dev/vda1".to_owned(),
        kind: "ext4".to_owned(),
        turned_read_only: None,
        space: Ok(space),
    };
    let reading = HostReading {
        cpu: Some(0.25),
        memory_total: 8 << 30,
        memory_available: 4 << 30,
        disks: vec![disk],
        ..HostReading::default()
    };
    see(model, Scope::Host(HostId("web1".to_owned())), Observation::Host(Box::new(Seen::Value(reading))));
}

#[test]
fn the_exit_code_is_the_worst_level() {
    let mut m = model();
    assert_eq!(exit_code(level(&m)), 3, "nothing seen yet is unknown, not fine");
    health(&mut m, HealthState::Ok, Some(200));
    assert_eq!(exit_code(level(&m)), 3, "the host is still unknown");
    host(&mut m, 50 << 30);
    assert_eq!(exit_code(level(&m)), 0);
    host(&mut m, 5 << 30);
    assert_eq!(exit_code(level(&m)), 1);
    health(&mut m, HealthState::Unreachable, None);
    assert_eq!(exit_code(level(&m)), 2, "critical outranks a warning");
}

#[test]
fn an_unknown_outranks_ok_and_nothing_else() {
    let mut m = model();
    host(&mut m, 5 << 30);
    assert_eq!(level(&m), Level::Warning, "a warning that was seen outranks what was not seen");
}

#[test]
fn json_has_for_each_reading_its_value_unit_level_source_time_age_and_error() {
    let mut m = model();
    health(&mut m, HealthState::ServerError, Some(500));
    host(&mut m, 50 << 30);
    let text = render(&m, StatusForm::Json);
    assert_eq!(text.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["schema_version"], 1);
    assert_eq!((json["level"].as_str(), json["exit_code"].as_u64()), (Some("critical"), Some(2)));
    for reading in json["readings"].as_array().expect("an array") {
        for key in ["of", "name", "value", "unit", "level", "source", "observed_at", "age_s", "error"] {
            assert!(reading.get(key).is_some(), "{key} is missing in {reading}");
        }
    }
    let find = |of: &str, name: &str| {
        let all = json["readings"].as_array().expect("an array");
        all.iter().find(|r| r["source"] == of && r["name"] == name).cloned().expect("there")
    };
    assert_eq!(find("health", "latency")["value"], 3.25);
    assert_eq!(find("health", "latency")["level"], "critical");
    assert_eq!(find("health", "latency")["age_s"], 2.0);
    assert_eq!(find("host", "cpu")["level"], "ok");
    assert_eq!(
        (find("metrics", "request_rate")["level"].as_str(), find("metrics", "request_rate")["value"].is_null()),
        (Some("unknown"), true)
    );
    assert_eq!(json["findings"][0]["rule"], "web-error");
}

#[test]
fn nagios_has_one_bar_before_its_performance_data() {
    let mut m = model();
    health(&mut m, HealthState::ServerError, Some(500));
    host(&mut m, 50 << 30);
    let text = render(&m, StatusForm::Nagios);
    let first = text.lines().next().expect("a line");
    assert!(first.starts_with("MIDWATCH CRITICAL - tickets: "), "{first}");
    assert_eq!(text.matches('|').count(), 1, "{text}");
    assert!(first.contains("'tickets.health.latency'=3.25ms"), "{first}");
    assert!(first.contains("'web1.host.disk_available:/var'=53687091200B"), "{first}");
}

#[test]
fn no_reading_is_told_twice() {
    let mut m = model();
    m.sites[0].sources = SourceKind::ALL.to_vec();
    see(
        &mut m,
        Scope::Site(SiteId("tickets".to_owned())),
        Observation::Access(Box::new(Seen::Value(AccessReading::default()))),
    );
    host(&mut m, 50 << 30);
    let mut labels: Vec<String> =
        rows(&m).into_iter().map(|row| format!("{}.{}.{}", row.of, row.source.name(), row.name)).collect();
    assert!(labels.iter().any(|label| label == "tickets.access.request_rate"), "{labels:?}");
    let all = labels.len();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), all, "{labels:?}");
}

#[test]
fn prometheus_text_is_understood_by_our_own_parser() {
    let mut m = model();
    health(&mut m, HealthState::ServerError, Some(500));
    host(&mut m, 50 << 30);
    let text = render(&m, StatusForm::Prom);
    assert!(text.contains("midwatch_status 2\n"), "{text}");
    assert!(text.contains("midwatch_finding{of=\"tickets\",rule=\"web-error\",subject=\"\"} 2\n"), "{text}");
    assert!(text.contains("midwatch_reading_age_seconds{of=\"tickets\",source=\"health\"} 2\n"), "{text}");
    let bad = text.lines().filter(|l| !l.starts_with('#') && !l.contains(' ')).count();
    assert_eq!(bad, 0);
}

#[test]
fn text_says_the_verdict_first_and_every_age() {
    let mut m = model();
    health(&mut m, HealthState::Ok, Some(200));
    host(&mut m, 50 << 30);
    let text = render(&m, StatusForm::Text);
    assert!(text.starts_with("OK: everything that is watched is fine\n"), "{text}");
    assert!(text.contains("health    ok · 3.2 ms · ") && text.contains(" · 2 s ago"), "{text}");
    assert!(text.contains("metrics   no answer yet"), "{text}");
    assert_eq!(summary(&m), "everything that is watched is fine");
}
