//! The incident record: kept by several processes at once, told once, and written as a report.
#![cfg(test)]

mod eyes;
mod file;
mod program;
mod report;

use midwatch::domain::id::{HostId, Scope, SiteId, SourceKind};
use midwatch::domain::level::Level;
use midwatch::domain::record::said::said;
use midwatch::domain::record::{About, By, Case, Entry, Numbers, What, Who};
use midwatch::domain::time::Timestamp;

/// 2026-11-21 02:57:00 UTC.
const T0: Timestamp = Timestamp::from_millis(1_795_229_820_000);

fn shop() -> Scope {
    Scope::Site(SiteId("shop".to_owned()))
}

fn web1() -> Scope {
    Scope::Host(HostId("web1".to_owned()))
}

fn rose() -> Who {
    let some = |text: &str| Some(text.to_owned());
    Who { user: "rose".to_owned(), acting_as: some("root"), from: some("192.0.2.7"), tty: some("pts/3") }
}

/// Something a person typed so many seconds after [`T0`].
fn typed(secs: i64, line: &str) -> Entry {
    let about = About { finding: "shop/web-error/".to_owned(), title: "The site answers 500".to_owned() };
    said(line, &rose(), Some(shop()), Some(&about), T0.plus_secs(secs)).unwrap()
}

fn observed(secs: i64, scope: Scope, level: Level, what: What) -> Entry {
    Entry { id: 0, at: T0.plus_secs(secs), scope: Some(scope), level, by: By::Midwatch, what }
}

fn case(id: &str, title: &str, evidence: &str, level: Level, under: Option<&str>) -> Case {
    Case {
        id: id.to_owned(),
        rule: id.split('/').nth(1).unwrap().to_owned(),
        title: title.to_owned(),
        evidence: evidence.to_owned(),
        details: Vec::new(),
        level,
        since: T0,
        since_seen: true,
        since_from: String::new(),
        source: SourceKind::Health,
        under: under.map(ToOwned::to_owned),
    }
}

fn numbers(secs: i64, requests: f64, errors: f64) -> Entry {
    let numbers = Numbers {
        requests: Some(requests),
        request_errors: Some(errors),
        tasks: Some(requests / 2.0),
        task_errors: Some(errors / 4.0),
        ..Numbers::default()
    };
    observed(secs, shop(), Level::Note, What::Numbers(numbers))
}
