//! One JSON document: `schema_version`, RFC 3339 UTC, seconds and bytes as numbers.

use serde_json::{Value, json};

use super::{Number, Row, SCHEMA_VERSION, View, exit_code};
use crate::app::event::Storage;
use crate::app::sight::{self, Sight};
use crate::domain::record::SourceState;
use crate::domain::time::Timestamp;
use crate::triage::Finding;
use crate::triage::rule::rule;

/// The report on one line.
pub fn render(view: &View<'_>) -> String {
    let (model, level) = (view.model, view.level);
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "generated_at": rfc3339(model.now),
        "level": level.word(),
        "exit_code": exit_code(level),
        "about": view.name.to_lowercase(),
        "summary": view.summary,
        "read_only": model.read_only,
        "incident": incident(view),
        "sites": model.sites.iter().map(|s| json!({
            "name": s.id, "title": s.title, "app": s.app, "url": s.url, "practice": s.practice, "storage": storage(&s.storage),
        })).collect::<Vec<_>>(),
        "hosts": model.hosts.iter().map(|h| json!({ "name": h.id, "storage": storage(&h.storage) })).collect::<Vec<_>>(),
        "findings": view.findings.iter().map(|f| finding(f, model.now)).collect::<Vec<_>>(),
        "sources": sources(view),
        "readings": view.rows.iter().map(|r| reading(r, model.now)).collect::<Vec<_>>(),
    });
    let mut text = document.to_string();
    text.push('\n');
    text
}

/// `2026-11-21T03:04:12.345Z`.
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map(|t| t.to_string()).unwrap_or_default()
}

/// Every source: what it sees in short, and what it can't see, with the grant that would open it.
fn sources(view: &View<'_>) -> Vec<Value> {
    let model = view.model;
    let sites = model.sites.iter().map(|site| (&site.id.0, sight::of_site(site)));
    let all = sites.chain(model.hosts.iter().map(|host| (&host.id.0, sight::of_host(host))));
    let one = |of: &String, s: &Sight| {
        let state = match s.state {
            None => "waiting",
            Some(SourceState::Seen) => "seen",
            Some(SourceState::Failed) => "failed",
            Some(SourceState::Unseen) => "unseen",
        };
        json!({
            "of": of, "source": s.kind.name(), "state": state, "says": s.says, "unseen": s.blind,
            "observed_at": s.at.map(rfc3339), "age_s": s.at.map(|at| seconds(model.now.millis_since(at))),
        })
    };
    all.flat_map(|(of, sights)| sights.iter().map(|s| one(of, s)).collect::<Vec<_>>()).collect()
}

/// The incident that goes on, as the record tells it.
fn incident(view: &View<'_>) -> Value {
    let Some(incident) = view.model.timeline.incident.as_ref().filter(|i| i.to.is_none()) else { return Value::Null };
    let (severity, suspected) = incident.current();
    json!({ "id": incident.id, "since": rfc3339(incident.from), "severity": severity, "suspected": suspected })
}

fn storage(storage: &Storage) -> Value {
    match storage {
        Storage::Starting => json!({ "kind": "starting" }),
        Storage::Poller => json!({ "kind": "poller" }),
        Storage::Reader { pid, trouble } => json!({ "kind": "reader", "poller_pid": pid, "why": trouble }),
        Storage::Memory(why) => json!({ "kind": "memory", "why": why }),
    }
}

fn finding(f: &Finding, now: Timestamp) -> Value {
    json!({
        "rule": f.rule,
        "of": f.site,
        "subject": f.subject,
        "level": f.level.word(),
        "title": f.title,
        "evidence": f.evidence,
        "details": f.details,
        "suspected": f.suspected,
        "runbook": rule(&f.rule).and_then(|rule| rule.runbook),
        "source": f.source.name(),
        "since": rfc3339(f.since.at),
        "since_seen": f.since.seen,
        "since_from": if f.since.word().is_empty() { "seen" } else { f.since.word() },
        "age_s": seconds(now.millis_since(f.since.at)),
        "symptoms": f.symptoms.iter().map(|s| finding(s, now)).collect::<Vec<_>>(),
    })
}

fn reading(row: &Row, now: Timestamp) -> Value {
    let value = match &row.value {
        Number::Value(v) => json!(v),
        Number::Word(w) => json!(w),
        Number::None => Value::Null,
    };
    json!({
        "of": row.of,
        "name": row.name,
        "value": value,
        "unit": row.unit,
        "level": row.level.word(),
        "source": row.source.name(),
        "observed_at": row.observed_at.map(rfc3339),
        "age_s": row.observed_at.map(|at| seconds(now.millis_since(at))),
        "error": row.error,
    })
}

#[expect(clippy::cast_precision_loss, reason = "an age in seconds fits")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
