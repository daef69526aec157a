//! A format as nginx (`log_format`) or gunicorn (`--access-logformat`) writes it: literal text between fields.

use std::borrow::Cow;

use super::super::entry::{Entry, Parts, is_method};
use super::super::stamp;

/// More fields than any format has; what follows them is not looked at.
const MOST: usize = 64;

/// A format taken apart once; then every line is read with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Each field with the text before it.
    fields: Vec<(String, Field)>,
    /// The text after the last one.
    end: String,
}

/// What a field means, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// The common log's time, with brackets or without.
    Time,
    /// ISO 8601.
    Iso,
    /// Seconds since 1970.
    Unix,
    /// `GET /path HTTP/1.1`.
    Request,
    Method,
    Path,
    Status,
    Host,
    Seconds,
    Millis,
    Micros,
    /// Anything else.
    Other,
}

impl Template {
    /// From nginx' `log_format`, its pieces joined: `$remote_addr - $remote_user [$time_local] "$request" …`. `None`
    /// where it has no time or no status.
    pub fn nginx(format: &str) -> Option<Self> {
        let (mut fields, mut literal, mut rest) = (Vec::new(), String::new(), format);
        while let Some(at) = rest.find('$').filter(|_| fields.len() < MOST) {
            let (before, after) = rest.split_at_checked(at)?;
            literal.push_str(before);
            let after = after.get(1..)?;
            let (name, tail) = if let Some(braced) = after.strip_prefix('{') {
                braced.split_once('}')?
            } else {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at_checked(end)?
            };
            fields.push((std::mem::take(&mut literal), nginx_field(name)));
            rest = tail;
        }
        literal.push_str(rest);
        Self { fields, end: literal }.if_usable()
    }

    /// From gunicorn's `--access-logformat`: `%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s …`. `None` where it has no time or
    /// no status.
    pub fn gunicorn(format: &str) -> Option<Self> {
        let (mut fields, mut literal, mut rest) = (Vec::new(), String::new(), format);
        while let Some(at) = rest.find("%(").filter(|_| fields.len() < MOST) {
            let (before, after) = rest.split_at_checked(at)?;
            literal.push_str(before);
            let (name, tail) = after.get(2..)?.split_once(')')?;
            fields.push((std::mem::take(&mut literal), gunicorn_field(name)));
            rest = tail.strip_prefix(['s', 'd', 'f']).unwrap_or(tail);
        }
        literal.push_str(rest);
        Self { fields, end: literal }.if_usable()
    }

    fn if_usable(self) -> Option<Self> {
        let has = |wanted: &[Field]| self.fields.iter().any(|(_, field)| wanted.contains(field));
        (has(&[Field::Time, Field::Iso, Field::Unix]) && has(&[Field::Status])).then_some(self)
    }

    /// Whether its lines name the host asked for.
    pub fn names_host(&self) -> bool {
        self.fields.iter().any(|(_, field)| *field == Field::Host)
    }

    /// The request of one line.
    pub(super) fn parse<'a>(&self, line: &'a str, local_offset_s: i64) -> Option<Entry<'a>> {
        let mut parts = Parts::default();
        let mut rest = line;
        for (at, (before, field)) in self.fields.iter().enumerate() {
            rest = rest.strip_prefix(before.as_str())?;
            let after = self.fields.get(at + 1).map_or(self.end.as_str(), |(before, _)| before.as_str());
            // Two fields without anything between them can't be told apart: the first takes all.
            let end = if after.is_empty() { rest.len() } else { rest.find(after)? };
            let (value, tail) = rest.split_at_checked(end)?;
            take(&mut parts, *field, value, local_offset_s);
            rest = tail;
        }
        parts.entry()
    }
}

fn take<'a>(parts: &mut Parts<'a>, field: Field, value: &'a str, local_offset_s: i64) {
    // nginx writes one time per upstream tried; the whole request has one only, so a list is not asked for here.
    let number = || value.trim().parse::<f64>().ok();
    match field {
        Field::Time => parts.at = parts.at.or_else(|| stamp::common(value, local_offset_s)),
        Field::Iso => parts.at = parts.at.or_else(|| stamp::iso8601(value)),
        Field::Unix => parts.at = parts.at.or_else(|| stamp::unix(number()?)),
        Field::Request => parts.request(Cow::Borrowed(value)),
        Field::Method => parts.method = Some(Cow::Borrowed(if is_method(value) { value } else { "" })),
        Field::Path => parts.path = parts.path.take().or(Some(Cow::Borrowed(value))),
        Field::Status => parts.status = value.trim().parse().ok(),
        Field::Host => parts.host = Some(Cow::Borrowed(value)).filter(|host| *host != "-" && !host.is_empty()),
        Field::Seconds => parts.took_s = number(),
        Field::Millis => parts.took_s = number().map(|ms| ms / 1e3),
        Field::Micros => parts.took_s = number().map(|us| us / 1e6),
        Field::Other => {}
    }
}

fn nginx_field(name: &str) -> Field {
    match name {
        "time_local" => Field::Time,
        "time_iso8601" => Field::Iso,
        "msec" => Field::Unix,
        "request" => Field::Request,
        "request_method" => Field::Method,
        "request_uri" | "uri" | "document_uri" => Field::Path,
        "status" => Field::Status,
        "host" | "http_host" => Field::Host,
        "request_time" => Field::Seconds,
        _ => Field::Other,
    }
}

fn gunicorn_field(name: &str) -> Field {
    match name {
        "t" => Field::Time,
        "r" => Field::Request,
        "m" => Field::Method,
        "U" => Field::Path,
        "s" => Field::Status,
        "{host}i" | "{Host}i" => Field::Host,
        "L" | "T" => Field::Seconds,
        "M" => Field::Millis,
        "D" => Field::Micros,
        _ => Field::Other,
    }
}
