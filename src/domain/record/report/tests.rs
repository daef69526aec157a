use super::super::said::said;
use super::super::{Case, incident};
use super::*;
use crate::domain::id::{HostId, SiteId, SourceKind};

const T0: Timestamp = Timestamp::from_millis(1_795_229_820_000);

fn at(minutes: i64) -> Timestamp {
    T0.plus_secs(minutes * 60)
}

fn site(name: &str) -> Scope {
    Scope::Site(SiteId(name.to_owned()))
}

fn entry(minutes: i64, scope: Scope, level: Level, what: What) -> Entry {
    Entry { id: minutes, at: at(minutes), scope: Some(scope), level, by: By::Midwatch, what }
}

fn case(id: &str, minutes: i64) -> Case {
    Case {
        id: id.to_owned(),
        rule: id.to_owned(),
        title: format!("{id} is wrong"),
        evidence: String::new(),
        details: Vec::new(),
        level: Level::Critical,
        since: at(minutes),
        since_seen: true,
        since_from: String::new(),
        source: SourceKind::Health,
        under: None,
    }
}

fn opened(minutes: i64, scope: Scope, id: &str) -> Entry {
    entry(minutes, scope, Level::Critical, What::Opened(case(id, minutes)))
}

fn closed(minutes: i64, scope: Scope, id: &str) -> Entry {
    let (id, title) = (id.to_owned(), id.to_owned());
    entry(minutes, scope, Level::Ok, What::Closed { id, title, since: T0, last_known: None })
}

fn numbers(minutes: i64, requests: f64, errors: f64) -> Entry {
    let numbers = Numbers { requests: Some(requests), request_errors: Some(errors), ..Numbers::default() };
    entry(minutes, site("shop"), Level::Note, What::Numbers(numbers))
}

fn typed(minutes: i64, user: &str, line: &str) -> Entry {
    let who = Who { user: user.to_owned(), ..Who::default() };
    let said = said(line, &who, None, None, at(minutes));
    said.map_or_else(|| closed(minutes, site("shop"), "none"), |e| Entry { id: minutes, ..e })
}

fn all() -> Vec<Entry> {
    vec![
        opened(0, Scope::Host(HostId("web1".to_owned())), "disk"),
        opened(1, site("shop"), "down"),
        opened(1, site("talks"), "late"),
        numbers(1, 1000.0, 10.0),
        typed(2, "rose", "SEV-2"),
        typed(3, "rose", "freed 3 GB"),
        typed(4, "jack", "TODO: alert at 80 %"),
        numbers(6, 1100.0, 70.0),
        entry(7, site("shop"), Level::Unknown, What::Gap { from: at(5) }),
        numbers(8, 40.0, 4.0),
        closed(9, site("talks"), "late"),
        closed(10, site("shop"), "down"),
        closed(11, Scope::Host(HostId("web1".to_owned())), "disk"),
        typed(12, "jack", "resolved"),
        typed(13, "jack", "DONE 4"),
    ]
}

fn of_incident(site: Option<&str>) -> Report {
    let entries = all();
    let found = incident::incidents(&entries, at(600));
    let incident = found.first();
    let (from, to) = incident.map_or((T0, T0), |i| (i.from, i.until(at(600)).plus_secs(900)));
    report(&entries, at(600), Wanted { from, to, site, incident })
}

#[test]
fn the_numbers_are_added_up_over_a_reset() {
    let report = of_incident(None);
    let counted = report.impact.counted.get("shop").copied().unwrap_or_default();
    assert_eq!((counted.requests, counted.request_errors), (Some(140.0), Some(64.0)));
    assert_eq!(report.impact.lasted_ms, 12 * 60_000);
    assert_eq!(report.impact.critical_ms, 11 * 60_000);
    assert_eq!(report.impact.unwatched_ms, 2 * 60_000);
    assert_eq!(report.impact.at_severity, [(0, 2 * 60_000), (2, 10 * 60_000)].into());
    assert!(report.timeline.iter().all(|line| line.kind != "numbers"));
}

#[test]
fn observed_and_said_are_apart_and_responders_are_named_once() {
    let report = of_incident(None);
    assert_eq!(report.responders.iter().map(|w| w.user.as_str()).collect::<Vec<_>>(), ["rose", "jack"]);
    let said: Vec<&str> = report.timeline.iter().filter(|l| l.said_by.is_some()).map(|l| l.text.as_str()).collect();
    assert_eq!(said, ["SEV-2", "freed 3 GB", "TODO: alert at 80 %", "resolved", "done: #4"]);
    assert_eq!(report.todos.iter().map(|t| (t.id, t.done.is_some())).collect::<Vec<_>>(), [(4, true)]);
}

#[test]
fn one_site_has_its_own_report_with_the_host_and_what_people_said() {
    let report = of_incident(Some("shop"));
    assert_eq!(report.of, ["shop", "web1"]);
    assert_eq!(report.findings.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["disk", "down"]);
    assert!(report.timeline.iter().any(|line| line.text == "freed 3 GB"));
}

#[test]
fn a_hand_over_tells_what_stands_what_was_tried_and_what_is_open() {
    let entries: Vec<Entry> = all().into_iter().take(9).collect();
    let standing =
        Standing { at: Some(at(7)), cases: [("down".to_owned(), case("down", 1))].into(), ..Standing::default() };
    let other = Standing { at: Some(at(7)), ..Standing::default() };
    let over = hand_over(&entries, &[(site("shop"), standing), (site("talks"), other)], at(8), None);
    assert_eq!(over.incident.as_ref().map(|i| (i.to, i.current())), Some((None, (Some(2), false))));
    assert_eq!(over.standing.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["down"]);
    assert_eq!(over.tried.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), ["SEV-2", "freed 3 GB"]);
    assert_eq!(over.todos.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), ["alert at 80 %"]);
    assert_eq!(over.looked.len(), 2);
}

#[test]
fn time_that_is_covered_twice_counts_once() {
    let span = |a, b| (at(a), at(b));
    assert_eq!(covered(&mut [span(0, 10), span(5, 7), span(8, 12), span(20, 20)]), 12 * 60_000);
    assert_eq!(covered(&mut []), 0);
}
