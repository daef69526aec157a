use super::*;
use crate::domain::id::SiteId;

const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

fn scope() -> Scope {
    Scope::Site(SiteId("shop".to_owned()))
}

fn case(rule: &str, level: Level, since_s: i64) -> Case {
    Case {
        id: format!("shop/{rule}/"),
        rule: rule.to_owned(),
        title: format!("{rule} holds"),
        evidence: String::new(),
        details: Vec::new(),
        level,
        since: T0.plus_secs(since_s),
        since_seen: true,
        since_from: String::new(),
        source: SourceKind::Database,
        under: None,
    }
}

fn look(secs: i64, cases: &[Case], state: SourceState) -> Look {
    Look {
        at: T0.plus_secs(secs),
        cases: cases.to_vec(),
        watched: [SourceKind::Database].into(),
        sources: [(SourceKind::Database, (state, "why".to_owned()))].into(),
        severity: cases.iter().any(|c| c.level == Level::Critical).then_some(3),
        numbers: Numbers::default(),
    }
}

/// Looks every second from `from` to `to`, and tells what came of it.
fn watch(ledger: &mut Ledger, from: i64, to: i64, cases: &[Case], state: SourceState) -> Vec<String> {
    (from..=to).flat_map(|s| ledger.look(&look(s, cases, state), false)).map(|entry| told(&entry)).collect()
}

fn told(entry: &Entry) -> String {
    format!("{} {} {}", entry.at.as_secs() - T0.as_secs(), entry.what.kind(), entry.text())
}

fn fresh() -> Ledger {
    Ledger::new(scope(), Standing::default())
}

#[test]
fn a_finding_comes_once_and_goes_once() {
    let mut ledger = fresh();
    let lock = [case("lock", Level::Warning, 0)];
    assert_eq!(watch(&mut ledger, 0, 1, &lock, SourceState::Seen), [""; 0], "not before it has held");
    assert_eq!(watch(&mut ledger, 2, 90, &lock, SourceState::Seen), ["0 opened lock holds"]);
    assert_eq!(watch(&mut ledger, 91, 120, &[], SourceState::Seen), [""; 0]);
    assert_eq!(watch(&mut ledger, 121, 300, &[], SourceState::Seen), ["91 closed gone: lock holds (after 1m31s)"]);
}

#[test]
fn a_blip_is_nothing_and_a_flap_is_one() {
    let mut ledger = fresh();
    let lock = [case("lock", Level::Warning, 100)];
    assert_eq!(watch(&mut ledger, 100, 101, &lock, SourceState::Seen), [""; 0]);
    assert_eq!(watch(&mut ledger, 102, 102, &[], SourceState::Seen), [""; 0]);
    let mut all = Vec::new();
    for round in 0..10 {
        let from = 200 + round * 40;
        all.extend(watch(&mut ledger, from, from + 19, &lock, SourceState::Seen));
        all.extend(watch(&mut ledger, from + 20, from + 39, &[], SourceState::Seen));
    }
    assert_eq!(all, ["200 opened lock holds"]);
}

#[test]
fn it_gets_worse_at_once_and_better_when_it_stays_better() {
    let mut ledger = fresh();
    let (bad, worse) = ([case("lock", Level::Warning, 0)], [case("lock", Level::Critical, 0)]);
    assert_eq!(watch(&mut ledger, 0, 5, &bad, SourceState::Seen), ["0 opened lock holds"]);
    let worsened = watch(&mut ledger, 6, 7, &worse, SourceState::Seen);
    assert_eq!(worsened, ["6 changed lock holds: warning → critical", "6 severity suspected SEV-3: lock holds"]);
    for round in 0..5 {
        let from = 10 + round * 20;
        assert_eq!(watch(&mut ledger, from, from + 9, &bad, SourceState::Seen), [""; 0]);
        assert_eq!(watch(&mut ledger, from + 10, from + 19, &worse, SourceState::Seen), [""; 0]);
    }
    let eased = watch(&mut ledger, 200, 260, &bad, SourceState::Seen);
    assert_eq!(eased, ["200 changed lock holds: critical → warning"]);
}

#[test]
fn what_cannot_be_seen_is_not_gone() {
    let mut ledger = fresh();
    let lock = [case("lock", Level::Warning, 0)];
    assert_eq!(watch(&mut ledger, 0, 5, &lock, SourceState::Seen), ["0 opened lock holds"]);
    let blind = watch(&mut ledger, 6, 400, &[], SourceState::Failed);
    assert_eq!(blind, ["6 source database: failed: why"], "it may still hold");
    let again = watch(&mut ledger, 401, 500, &lock, SourceState::Seen);
    assert_eq!(again, ["401 source database: read again: why"], "and it does: that is no second one");
}

#[test]
fn who_takes_over_tells_nothing_twice() {
    let mut first = fresh();
    let lock = [case("lock", Level::Critical, 0)];
    assert_eq!(watch(&mut first, 0, 30, &lock, SourceState::Seen).len(), 2);
    let kept = serde_json::to_string(first.standing()).unwrap_or_default();
    let mut second = Ledger::new(scope(), serde_json::from_str(&kept).unwrap_or_default());
    // It has not looked at the database yet: what stands, stands.
    let blank = Look { at: T0.plus_secs(31), watched: [SourceKind::Database].into(), ..Look::default() };
    assert_eq!(second.look(&blank, false), []);
    assert_eq!(second.look(&Look { at: T0.plus_secs(80), ..blank }, false), []);
    assert_eq!(watch(&mut second, 81, 120, &lock, SourceState::Seen), [""; 0]);
    assert_eq!(watch(&mut second, 121, 160, &[], SourceState::Seen), ["121 closed gone: lock holds (after 2m01s)"]);
}

#[test]
fn a_gap_in_the_watch_is_told_while_something_was_wrong() {
    let mut first = fresh();
    let lock = [case("lock", Level::Warning, 0)];
    watch(&mut first, 0, 30, &lock, SourceState::Seen);
    let mut second = Ledger::new(scope(), first.standing().clone());
    let after = watch(&mut second, 3_630, 3_631, &[], SourceState::Seen);
    let gone = "3630 closed gone when next looked at: lock holds (at most 1h00m)";
    assert_eq!(after, ["3630 gap nobody watched for 1h00m", gone]);
    let mut third = Ledger::new(scope(), second.standing().clone());
    assert_eq!(watch(&mut third, 9_000, 9_001, &[], SourceState::Seen), [""; 0], "all was well: no news");
}

#[test]
fn the_last_look_tells_what_has_just_come() {
    let mut ledger = fresh();
    let entries = ledger.look(&look(0, &[case("lock", Level::Warning, 0)], SourceState::Seen), true);
    assert_eq!(entries.iter().map(told).collect::<Vec<_>>(), ["0 opened lock holds"]);
}

#[test]
fn sources_that_never_answered_are_told_and_those_that_need_not_are_not() {
    let mut ledger = fresh();
    assert_eq!(watch(&mut ledger, 0, 60, &[], SourceState::Unseen), [""; 0]);
    let mut ledger = fresh();
    assert_eq!(watch(&mut ledger, 0, 60, &[], SourceState::Failed), ["0 source database: failed: why"]);
}

#[test]
fn counters_are_noted_while_it_is_critical_and_once_after() {
    let mut ledger = fresh();
    let down = [case("down", Level::Critical, 0)];
    let at = |s: i64, cases: &[Case], n: f64| Look {
        numbers: Numbers { requests: Some(n), ..Numbers::default() },
        ..look(s, cases, SourceState::Seen)
    };
    let mut noted = Vec::new();
    for s in 0..700 {
        let n = f64::from(i32::try_from(s).unwrap_or(0));
        noted.extend(ledger.look(&at(s, &down, 100.0 + n), false));
    }
    for s in 700..800 {
        noted.extend(ledger.look(&at(s, &[], 900.0), false));
    }
    let numbers: Vec<f64> =
        noted.iter().filter_map(|e| if let What::Numbers(n) = e.what { n.requests } else { None }).collect();
    assert_eq!(numbers, [102.0, 402.0, 702.0, 900.0], "when it came, every five minutes, when it had gone");
}

#[test]
fn an_avalanche_is_bounded() {
    let mut ledger = fresh();
    let cases: Vec<Case> = (0..5_000).map(|n| case(&format!("r{n}"), Level::Warning, 0)).collect();
    assert_eq!(watch(&mut ledger, 0, 10, &cases, SourceState::Seen).len(), CASES_MAX);
    let gone = watch(&mut ledger, 11, 60, &[], SourceState::Seen);
    assert_eq!(gone.len(), CASES_MAX);
}
