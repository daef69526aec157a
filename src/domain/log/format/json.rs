//! Lines that are JSON objects, as structlog, bunyan, zap and the Python JSON loggers write them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Parsed, Scan, Severity, When};

const TIMES: [&str; 7] = ["time", "timestamp", "@timestamp", "ts", "asctime", "datetime", "date"];
const LEVELS: [&str; 5] = ["level", "levelname", "severity", "lvl", "log.level"];
const MESSAGES: [&str; 4] = ["message", "msg", "event", "text"];
const NAMES: [&str; 3] = ["logger", "name", "logger_name"];
const TRACES: [&str; 6] = ["exc_info", "exception", "traceback", "stack", "stack_trace", "exc_text"];

/// A line that is a JSON object with a message or a level; anything else is none of these.
pub(super) fn parse(line: &str) -> Option<Parsed<'static>> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let level = first(&object, &LEVELS).and_then(level);
    let message = first(&object, &MESSAGES).and_then(Value::as_str);
    if message.is_none() && level.is_none() {
        return None;
    }
    let message = message.map_or_else(|| line.to_owned(), ToOwned::to_owned);
    let name = first(&object, &NAMES).and_then(Value::as_str).map(|name| [name, ": "].concat());
    let (head, below) = message.split_once('\n').map_or((message.as_str(), ""), |(head, below)| (head, below));
    let mut more = below.to_owned();
    if let Some(trace) = first(&object, &TRACES).and_then(Value::as_str) {
        if !more.is_empty() {
            more.push('\n');
        }
        more.push_str(trace);
    }
    Some(Parsed {
        when: first(&object, &TIMES).map_or(When::Unsaid, when),
        level,
        text: Cow::Owned([name.as_deref().unwrap_or_default(), head].concat()),
        more: (!more.is_empty()).then_some(more),
        part: false,
    })
}

fn first<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| object.get(*name)).filter(|value| !value.is_null())
}

/// A word, or bunyan's and pino's number (10 trace … 60 fatal).
fn level(value: &Value) -> Option<Severity> {
    match value {
        Value::String(word) => Severity::from_word(word),
        Value::Number(number) => Some(match number.as_u64()? {
            0..=20 => Severity::Debug,
            21..=30 => Severity::Info,
            31..=40 => Severity::Warning,
            41..=50 => Severity::Error,
            _ => Severity::Critical,
        }),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text, or a number of seconds, milliseconds, microseconds or nanoseconds, told apart by its size.
fn when(value: &Value) -> When {
    match value {
        Value::String(text) => Scan::new(text).iso().map_or(When::Unsaid, When::Stamp),
        Value::Number(number) => {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be within a few thousand years")]
            let millis = number.as_f64().and_then(|n| match n {
                n if n < 1e8 => None,
                n if n < 1e11 => Some((n * 1e3) as i64),
                n if n < 1e14 => Some(n as i64),
                n if n < 1e17 => Some((n / 1e3) as i64),
                n if n < 1e20 => Some((n / 1e6) as i64),
                _ => None,
            });
            millis.map_or(When::Unsaid, When::Millis)
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => When::Unsaid,
    }
}
