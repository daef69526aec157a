use super::*;
use crate::app::event::Event;
use crate::app::model::Site;
use crate::app::update::update;
use crate::domain::database::DatabaseReading;
use crate::domain::health::{Certificate, HealthCheck, HealthState};
use crate::domain::host::{Clock, Depth, HostReading};
use crate::domain::id::{HostId, Scope, SiteId};
use crate::domain::observation::{Observation, Observed};
use crate::domain::reading::Seen;
use crate::domain::traffic::Traffic;

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn model(url: &str, sources: &[SourceKind]) -> Model {
    let id = SiteId("tickets".to_owned());
    let mut site = Site::new(id, "Tickets".to_owned(), "pretix 2026.8.0".to_owned(), url.to_owned(), false);
    site.sources = sources.to_vec();
    Model::new(T0, vec![site], HostId("web1".to_owned()))
}

fn see(model: &mut Model, what: Observation) {
    let scope = Scope::Site(SiteId("tickets".to_owned()));
    update(model, Event::Observed(Box::new(Observed { scope, at: model.now, took_ms: 20, what })));
}

fn later(model: &mut Model, secs: i64) {
    update(model, Event::Tick(model.now.plus_secs(secs)));
}

fn healthy() -> HealthCheck {
    HealthCheck {
        state: HealthState::Ok,
        status: Some(200),
        latency_ms: 3.0,
        detail: String::new(),
        url: "https://t.example.org/healthcheck/".to_owned(),
        tls: None,
        clock_offset_ms: None,
    }
}

/// The level, what is said, and whether the check would wait no longer.
fn told(model: &Model, name: &str) -> (Level, String, bool) {
    let (part, pace) = (Part::named(name).unwrap_or_else(|why| unreachable!("{why}")), PaceConfig::default());
    let view = view(model, &part, None, &pace);
    (view.level, view.summary, settled(model, &part, None, &pace))
}

#[test]
fn an_answer_older_than_its_source_s_pace_allows_is_not_fine() {
    let mut model = model("https://t.example.org", &[SourceKind::Traffic, SourceKind::Database]);
    see(&mut model, Observation::Traffic(Seen::Value(Traffic::default())));
    see(&mut model, Observation::Database(Box::new(Seen::Value(DatabaseReading::default()))));
    later(&mut model, 7);
    assert_eq!(told(&model, "metrics"), (Level::Ok, "fine".to_owned(), true));
    assert_eq!(told(&model, "database").0, Level::Ok);
    later(&mut model, 10);
    assert_eq!(told(&model, "metrics").0, Level::Ok, "asked every 15 s");
    let (level, says, settled) = told(&model, "database");
    assert_eq!((level, settled), (Level::Unknown, false), "asked every 5 s: a newer one is waited for");
    assert_eq!(says, "tickets: database: stale: the last answer is 17 s old, and it is asked every 5 s");
    later(&mut model, 10);
    assert_eq!(told(&model, "metrics").0, Level::Unknown);
    see(&mut model, Observation::Traffic(Seen::Value(Traffic::default())));
    assert_eq!(told(&model, "metrics"), (Level::Ok, "fine".to_owned(), true));
}

#[test]
fn a_page_that_takes_long_is_asked_seldom_and_good_for_longer() {
    assert!(good_for_ms(SourceKind::Traffic, 15_000, 3_000) > 60_000, "5 % of the time at most");
    assert!(good_for_ms(SourceKind::Traffic, 15_000, 100) < 25_000);
    assert!(good_for_ms(SourceKind::Database, 5_000, 100_000) > 120_000, "a slow look rests");
}

#[test]
fn a_healthcheck_under_way_is_waited_for() {
    let mut model = model("https://t.example.org", &[SourceKind::Health]);
    see(&mut model, Observation::Health(Seen::Value(healthy())));
    assert_eq!(told(&model, "health"), (Level::Ok, "fine".to_owned(), true));
    later(&mut model, 2);
    see(&mut model, Observation::Health(Seen::Asking));
    assert!(!told(&model, "health").2);
    later(&mut model, 4);
    assert_eq!(told(&model, "health").0, Level::Critical, "it hangs");
}

fn certificate(model: &Model) -> Certificate {
    Certificate {
        not_after: model.now.plus_secs(90 * 86_400),
        subject: "t.example.org".to_owned(),
        issuer: "R11".to_owned(),
        distrust: None,
        on_disk: None,
    }
}

#[test]
fn without_a_certificate_to_look_at_tls_is_unknown() {
    for name in ["tls", "certificate"] {
        let mut plain = model("http://t.example.org", &[SourceKind::Health]);
        see(&mut plain, Observation::Health(Seen::Value(healthy())));
        let (level, says, settled) = told(&plain, name);
        assert_eq!((level, says.as_str()), (Level::Unknown, "not applicable: no site with https"), "{name}");
        assert!(settled, "waiting would bring none");
        let mut https = model("https://t.example.org", &[SourceKind::Health]);
        let closed = HealthCheck { detail: "connection reset".to_owned(), ..healthy() };
        see(&mut https, Observation::Health(Seen::Value(closed)));
        assert_eq!(told(&https, name).1, "tickets: no certificate was seen: connection reset");
        let tls = Some(certificate(&https));
        see(&mut https, Observation::Health(Seen::Value(HealthCheck { tls, ..healthy() })));
        assert_eq!(told(&https, name), (Level::Ok, "fine".to_owned(), true), "{name}");
    }
}

#[test]
fn without_a_clock_to_compare_with_the_clock_is_unknown() {
    let mut model = model("https://t.example.org", &[SourceKind::Health]);
    see(&mut model, Observation::Health(Seen::Value(healthy())));
    let host = |model: &mut Model, clock: Clock| {
        let depth = Some(Depth { at: model.now, clock, ..Depth::default() });
        let reading = HostReading {
            cpu: Some(0.1),
            memory_total: 8 << 30,
            memory_available: 4 << 30,
            depth,
            ..HostReading::default()
        };
        let (scope, what) = (Scope::Host(HostId("web1".to_owned())), Observation::Host(Box::new(Seen::Value(reading))));
        update(model, Event::Observed(Box::new(Observed { scope, at: model.now, took_ms: 20, what })));
    };
    let unknown = Clock { by: "no time service runs here".to_owned(), ..Clock::default() };
    host(&mut model, unknown.clone());
    let says = "nothing to compare the clock with: no time service runs here; no server has told its time";
    assert_eq!(told(&model, "clock"), (Level::Unknown, says.to_owned(), false));
    assert_eq!(told(&model, "clock-wrong").0, Level::Unknown);
    host(&mut model, Clock { synchronised: Some(true), by: "chrony".to_owned(), ..unknown.clone() });
    assert_eq!(told(&model, "clock"), (Level::Ok, "fine".to_owned(), true));
    host(&mut model, unknown);
    see(&mut model, Observation::Health(Seen::Value(HealthCheck { clock_offset_ms: Some(0), ..healthy() })));
    assert_eq!(told(&model, "clock").0, Level::Ok, "the web server's says the same");
    see(&mut model, Observation::Health(Seen::Value(HealthCheck { clock_offset_ms: Some(90_000), ..healthy() })));
    let (level, says, _) = told(&model, "clock");
    assert_eq!(level, Level::Warning, "and here it does not: {says}");
}
