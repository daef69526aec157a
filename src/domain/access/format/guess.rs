//! Lines whose format nobody told: the common log and its children, haproxy's HTTP log, JSON.

use std::borrow::Cow;

use serde_json::Value;

use super::super::entry::{Entry, Parts};
use super::super::stamp;

/// The request of one line, if it is one.
pub(super) fn parse(line: &str, local_offset_s: i64) -> Option<Entry<'_>> {
    let line = line.trim_end();
    if line.starts_with('{') {
        return json(line);
    }
    let (before, rest) = line.split_once('[')?;
    // `haproxy[1234]:` comes before the time.
    if before.ends_with("haproxy") {
        let (_, rest) = rest.split_once('[')?;
        return haproxy(rest, local_offset_s);
    }
    common(rest, local_offset_s).or_else(|| haproxy(rest, local_offset_s))
}

/// What follows `[` in `host - user [time] "request" status bytes "referer" "agent"` and whatever a site adds.
fn common(rest: &str, local_offset_s: i64) -> Option<Entry<'_>> {
    let (time, rest) = rest.split_once(']')?;
    let mut parts = Parts { at: stamp::common(time, local_offset_s), ..Parts::default() };
    let rest = rest.trim_start().strip_prefix('"')?;
    // A quote within the request is escaped by nginx; gunicorn writes it as it came, so the status decides.
    let (request, rest) = rest.match_indices("\" ").find_map(|(at, _)| {
        let (request, rest) = (rest.get(..at)?, rest.get(at + 2..)?);
        let status = rest.get(..3)?;
        let ends = rest.as_bytes().get(3).is_none_or(|b| *b == b' ');
        (ends && status.bytes().all(|b| b.is_ascii_digit())).then_some((request, rest))
    })?;
    parts.request(Cow::Borrowed(request));
    let mut words = rest.splitn(3, ' ');
    parts.status = words.next()?.parse().ok();
    let _bytes = words.next();
    parts.took_s = words.next().and_then(took);
    parts.entry()
}

/// The time a request took among what a site adds: `rt=0.123`, `request_time=0.123`, else the first decimal fraction that
/// stands alone, quoted or not. Referer and agent are no numbers.
fn took(rest: &str) -> Option<f64> {
    let named = rest.split([' ', ',', '"']).find_map(|word| {
        let value = word.strip_prefix("rt=").or_else(|| word.strip_prefix("request_time="))?;
        value.parse::<f64>().ok()
    });
    let fraction = |word: &str| {
        let decimal =
            word.bytes().all(|b| b.is_ascii_digit() || b == b'.') && word.bytes().filter(|b| *b == b'.').count() == 1;
        decimal.then(|| word.parse::<f64>().ok()).flatten()
    };
    // Even pieces stand outside quotes, odd ones inside.
    named.or_else(|| {
        rest.split('"').enumerate().find_map(|(at, piece)| {
            if at % 2 == 1 { fraction(piece.trim()) } else { piece.split(' ').find_map(fraction) }
        })
    })
}

/// What follows the first `[` of the time in haproxy's `option httplog`:
/// `time] frontend backend/server Tq/Tw/Tc/Tr/Ta status bytes - - ---- 1/1/1/1/0 0/0 "request"`.
fn haproxy(rest: &str, local_offset_s: i64) -> Option<Entry<'_>> {
    let (time, rest) = rest.split_once(']')?;
    let mut parts = Parts { at: stamp::common(time, local_offset_s), ..Parts::default() };
    let mut words = rest.split_ascii_whitespace();
    let (_frontend, _backend, timers) = (words.next()?, words.next()?, words.next()?);
    let total = timers.contains('/').then(|| timers.rsplit('/').next()).flatten()?;
    // With `option logasap` it is what had passed by then; -1: it was broken off.
    parts.took_s = total.trim_start_matches('+').parse::<f64>().ok().map(|ms| ms / 1000.0);
    parts.status = words.next()?.parse().ok();
    let (_, request) = rest.split_once('"')?;
    parts.request(Cow::Borrowed(request.trim_end_matches('"')));
    parts.entry()
}

/// Caddy's access log (`logger` `http.log.access`), and flat objects with nginx' names of fields.
fn json(line: &str) -> Option<Entry<'_>> {
    let value: Value = serde_json::from_str(line).ok()?;
    let object = value.as_object()?;
    let inner = object.get("request").and_then(Value::as_object);
    let text =
        |name: &str| object.get(name).or_else(|| inner?.get(name)).and_then(Value::as_str).map(ToOwned::to_owned);
    // A number may come as text: nginx quotes what it writes into JSON.
    let number = |name: &str| {
        let value = object.get(name)?;
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    };
    let mut parts = Parts {
        at: ["ts", "msec", "timestamp", "time"].iter().find_map(|name| stamp::unix(number(name)?)),
        status: number("status").map(|status| status.to_string()).and_then(|status| status.parse().ok()),
        took_s: ["duration", "request_time"].iter().find_map(|name| number(name)),
        host: ["host", "http_host"].iter().find_map(|name| text(name)).map(Cow::Owned),
        ..Parts::default()
    };
    let written = ["ts", "time_iso8601", "time", "timestamp", "time_local"].iter().find_map(|name| {
        let text = text(name)?;
        stamp::iso8601(&text).or_else(|| stamp::common(&text, 0))
    });
    parts.at = parts.at.or(written);
    if let Some(request) = text("request") {
        parts.request(Cow::Owned(request));
    } else {
        parts.method = ["method", "request_method"].iter().find_map(|name| text(name)).map(Cow::Owned);
        parts.path = ["uri", "request_uri", "path"].iter().find_map(|name| text(name)).map(Cow::Owned);
    }
    parts.entry()
}
