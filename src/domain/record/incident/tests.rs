use super::super::said::said;
use super::super::{Case, Who};
use super::*;
use crate::domain::id::{SiteId, SourceKind};

/// 2026-11-21 02:57:00 UTC.
const T0: Timestamp = Timestamp::from_millis(1_795_229_820_000);

fn entry(minutes: i64, level: Level, what: What) -> Entry {
    let scope = Some(Scope::Site(SiteId("shop".to_owned())));
    Entry { id: minutes, at: T0.plus_secs(minutes * 60), scope, level, by: By::Midwatch, what }
}

fn opened(minutes: i64, id: &str, level: Level) -> Entry {
    let case = Case {
        id: id.to_owned(),
        rule: id.to_owned(),
        title: id.to_owned(),
        evidence: String::new(),
        details: Vec::new(),
        level,
        since: T0.plus_secs(minutes * 60),
        since_seen: true,
        since_from: String::new(),
        source: SourceKind::Health,
        under: None,
    };
    entry(minutes, level, What::Opened(case))
}

fn closed(minutes: i64, id: &str) -> Entry {
    let (id, title) = (id.to_owned(), id.to_owned());
    entry(minutes, Level::Ok, What::Closed { id, title, since: T0, last_known: None })
}

fn suspected(minutes: i64, severity: u8) -> Entry {
    entry(minutes, Level::Critical, What::Severity { severity: Some(severity), suspected: true, text: String::new() })
}

fn typed(minutes: i64, line: &str) -> Entry {
    let who = Who { user: "rose".to_owned(), ..Who::default() };
    said(line, &who, None, None, T0.plus_secs(minutes * 60)).unwrap_or_else(|| opened(minutes, "none", Level::Note))
}

fn at(minutes: i64) -> Timestamp {
    T0.plus_secs(minutes * 60)
}

#[test]
fn a_warning_is_no_incident() {
    assert_eq!(incidents(&[opened(0, "slow", Level::Warning), closed(5, "slow")], at(60)), []);
}

#[test]
fn it_begins_with_the_first_critical_and_ends_with_the_last() {
    let entries = [
        opened(0, "disk", Level::Critical),
        suspected(0, 3),
        opened(2, "down", Level::Critical),
        suspected(2, 2),
        closed(10, "disk"),
        closed(12, "down"),
    ];
    let all = incidents(&entries, at(600));
    let [incident] = all.as_slice() else { return assert_eq!(all.len(), 1) };
    assert_eq!((incident.id.as_str(), incident.from, incident.to), ("20261121-0257", at(0), Some(at(12))));
    assert_eq!((incident.severity, incident.confirmed), (Some(2), false));
    assert_eq!(incident.at_severity(), [(2, 600_000), (3, 120_000)].into());
}

#[test]
fn what_comes_again_in_the_quiet_time_is_the_same_one() {
    let soon = [opened(0, "a", Level::Critical), closed(5, "a"), opened(15, "b", Level::Critical), closed(20, "b")];
    let all = incidents(&soon, at(600));
    assert_eq!(all.len(), 1);
    assert_eq!(all.first().map(|i| (i.to, i.at_severity())), Some((Some(at(20)), [(0, 600_000)].into())));
    let late = [opened(0, "a", Level::Critical), closed(5, "a"), opened(40, "b", Level::Critical)];
    let all = incidents(&late, at(50));
    assert_eq!(all.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["20261121-0257", "20261121-0337"]);
    assert_eq!(all.last().map(|i| (i.to, i.at_severity())), Some((None, [(0, 600_000)].into())), "it goes on");
}

#[test]
fn a_person_confirms_and_ends_it() {
    let entries =
        [opened(0, "a", Level::Critical), suspected(0, 3), typed(4, "SEV-1 nobody can pay"), typed(30, "resolved")];
    let all = incidents(&entries, at(600));
    let [incident] = all.as_slice() else { return assert_eq!(all.len(), 1) };
    assert_eq!((incident.severity, incident.confirmed, incident.to), (Some(1), true, Some(at(30))));
    assert_eq!(incident.at_severity(), [(1, 26 * 60_000), (3, 4 * 60_000)].into());
}

#[test]
fn a_person_can_declare_one_that_no_rule_sees_and_it_ends_when_it_is_forgotten() {
    let entries = [typed(0, "SEV-3 mails are late"), typed(10, "restarted the relay")];
    let all = incidents(&entries, at(60));
    assert_eq!(all.first().map(|i| (i.to, i.confirmed)), Some((None, true)));
    let all = incidents(&entries, at(60 * 24));
    assert_eq!(all.first().map(|i| i.to), Some(Some(at(10))), "with the last that anybody said of it");
}

#[test]
fn days_are_counted_as_the_calendar_does() {
    for (secs, name) in [
        (0, "19700101-0000"),
        (951_827_696, "20000229-1234"),
        (1_709_251_199, "20240229-2359"),
        (1_709_251_200, "20240301-0000"),
        (4_102_444_800, "21000101-0000"),
        (-1, "19691231-2359"),
    ] {
        assert_eq!(minute(Timestamp::from_millis(secs * 1000)), name);
    }
}
