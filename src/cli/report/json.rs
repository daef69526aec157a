//! The report as one JSON document: `schema_version`, RFC 3339 UTC, seconds as numbers.

use serde_json::{Value, json};

use super::Setting;
use crate::cli::status::SCHEMA_VERSION;
use crate::cli::status::json::rfc3339;
use crate::domain::record::Who;
use crate::domain::record::incident::Incident;
use crate::domain::record::report::{Counted, HandOver, Line, Report, Stood, Todo, name};

/// The report.
///
/// # Errors
/// When it can't be written as text.
pub fn report(report: &Report, setting: &Setting) -> color_eyre::Result<String> {
    let impact = &report.impact;
    let severities: serde_json::Map<String, Value> = impact
        .at_severity
        .iter()
        .map(|(n, ms)| (if *n == 0 { "none".to_owned() } else { n.to_string() }, json!(minutes(*ms))))
        .collect();
    let counted: serde_json::Map<String, Value> = impact.counted.iter().map(|(of, c)| (of.clone(), count(c))).collect();
    document(
        "report",
        setting,
        json!({
            "from": rfc3339(report.from),
            "to": rfc3339(report.to),
            "incident": report.incident.as_ref().map(|i| incident(i, setting)),
            "of": report.of,
            "impact": {
                "lasted_s": seconds(impact.lasted_ms),
                "critical_s": seconds(impact.critical_ms),
                "unwatched_s": seconds(impact.unwatched_ms),
                "minutes_by_severity": severities,
                "counted": counted,
            },
            "findings": report.findings.iter().map(stood).collect::<Vec<_>>(),
            "responders": report.responders.iter().map(who).collect::<Vec<_>>(),
            "timeline": report.timeline.iter().map(line).collect::<Vec<_>>(),
            "action_items": report.todos.iter().map(todo).collect::<Vec<_>>(),
            "for_people": ["overview", "what_happened", "contributing_factors", "resolution", "what_went_well", "what_went_badly"],
        }),
    )
}

/// The hand-over.
///
/// # Errors
/// When it can't be written as text.
pub fn hand_over(over: &HandOver, setting: &Setting) -> color_eyre::Result<String> {
    let looked: serde_json::Map<String, Value> =
        over.looked.iter().map(|(of, at)| (of.clone(), json!(at.map(rfc3339)))).collect();
    document(
        "handover",
        setting,
        json!({
            "incident": over.incident.as_ref().map(|i| incident(i, setting)),
            "standing": over.standing.iter().map(stood).collect::<Vec<_>>(),
            "looked_at": looked,
            "said": over.tried.iter().map(line).collect::<Vec<_>>(),
            "acknowledged": over.acknowledged.iter().map(line).collect::<Vec<_>>(),
            "todos": over.todos.iter().map(todo).collect::<Vec<_>>(),
            "held": [],
        }),
    )
}

/// Every incident, the last first.
///
/// # Errors
/// When it can't be written as text.
pub fn list(all: &[Incident], setting: &Setting) -> color_eyre::Result<String> {
    let incidents: Vec<Value> = all.iter().rev().map(|i| incident(i, setting)).collect();
    document("incidents", setting, json!({ "incidents": incidents }))
}

fn document(kind: &str, setting: &Setting, body: Value) -> color_eyre::Result<String> {
    let mut out = json!({
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "generated_at": rfc3339(setting.now),
        "host": setting.host,
        "record": setting.path,
    });
    if let (Value::Object(out), Value::Object(body)) = (&mut out, body) {
        out.extend(body);
    }
    Ok(serde_json::to_string_pretty(&out)? + "\n")
}

fn incident(i: &Incident, setting: &Setting) -> Value {
    let (severity, suspected) = i.current();
    json!({
        "id": i.id,
        "from": rfc3339(i.from),
        "to": i.to.map(rfc3339),
        "lasted_s": seconds(i.until(setting.now).millis_since(i.from)),
        "worst_severity": i.severity,
        "severity": severity,
        "suspected": suspected,
        "confirmed": i.confirmed,
        "of": i.scopes.iter().map(|scope| name(Some(scope))).collect::<Vec<_>>(),
    })
}

fn stood(s: &Stood) -> Value {
    json!({
        "id": s.id, "title": s.title, "evidence": s.evidence, "level": s.level.word(), "caused_by": s.under,
        "from": rfc3339(s.from), "from_seen": s.from_seen, "from_by": s.from_by, "to": s.to.map(rfc3339),
    })
}

fn line(l: &Line) -> Value {
    json!({
        "id": l.id, "at": rfc3339(l.at), "level": l.level.word(), "kind": l.kind, "of": l.of, "text": l.text,
        "observed": l.said_by.is_none(), "said_by": l.said_by.as_ref().map(who), "details": l.details,
    })
}

fn todo(t: &Todo) -> Value {
    let done = t.done.as_ref().map(|(by, at)| json!({ "by": by, "at": rfc3339(*at) }));
    json!({ "id": t.id, "at": rfc3339(t.at), "text": t.text, "said_by": t.by, "done": done })
}

fn who(w: &Who) -> Value {
    json!({ "user": w.user, "acting_as": w.acting_as, "from": w.from, "tty": w.tty })
}

fn count(c: &Counted) -> Value {
    json!({
        "requests": c.requests, "request_errors": c.request_errors, "tasks": c.tasks, "task_errors": c.task_errors,
        "pulse_pause_s": c.pulse_pause_ms.map(seconds), "pulse_lost": c.pulse_lost,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a span in seconds fits")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// Minutes with one digit.
fn minutes(ms: u64) -> f64 {
    (seconds(ms) / 6.0).round() / 10.0
}
