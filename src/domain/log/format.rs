//! What a line says of itself: when, how bad, and the rest. Line formats of the programs of such a stack, and a guess
//! for the others.

mod json;

use std::borrow::Cow;

use super::Severity;
use super::calendar::{Scan, Stamp};

/// When a line says it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Not at all.
    Unsaid,
    /// As date and time.
    Stamp(Stamp),
    /// As milliseconds since 1970-01-01 UTC.
    Millis(i64),
}

/// A line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// When it was written.
    pub when: When,
    /// How bad it says it is.
    pub level: Option<Severity>,
    /// What it says.
    pub text: Cow<'a, str>,
    /// Further rows that came within the same line (a JSON field with a traceback).
    pub more: Option<String>,
    /// It is a part of the line before although it has a time of its own (PostgreSQL's DETAIL, STATEMENT, …).
    pub part: bool,
}

impl<'a> Parsed<'a> {
    fn new(when: When, level: Option<Severity>, text: &'a str) -> Self {
        Self { when, level, text: Cow::Borrowed(text.trim()), more: None, part: false }
    }
}

/// Words of PostgreSQL for what belongs to the line before.
const PARTS: [&str; 6] = ["DETAIL:", "HINT:", "STATEMENT:", "CONTEXT:", "QUERY:", "LOCATION:"];

/// Takes a line apart. Never fails: what isn't understood is text without time and level.
pub fn parse(line: &str) -> Parsed<'_> {
    let line = line.trim_end();
    match line.bytes().next() {
        Some(b'{') => json::parse(line).unwrap_or_else(|| bare(line)),
        Some(b'[') => bracketed(line).unwrap_or_else(|| bare(line)),
        Some(b'0'..=b'9') => dated(line).or_else(|| redis(line)).unwrap_or_else(|| bare(line)),
        Some(b'A'..=b'Z') => {
            level_first(line).or_else(|| syslog(line)).or_else(|| logfmt(line)).unwrap_or_else(|| bare(line))
        }
        Some(b'a'..=b'z') => logfmt(line).unwrap_or_else(|| bare(line)),
        _ => bare(line),
    }
}

/// pretix, pretalx and Django: `ERROR 2026-11-21 03:28:44,123 logger module message`.
fn level_first(line: &str) -> Option<Parsed<'_>> {
    let (word, rest) = line.split_once(' ')?;
    let level = Severity::from_word(word)?;
    let mut scan = Scan::new(rest.trim_start().trim_start_matches('['));
    let stamp = scan.iso()?;
    Some(Parsed::new(When::Stamp(stamp), Some(level), scan.rest().trim_start_matches([']', ' ', ':'])))
}

/// gunicorn: `[2026-11-21 03:18:03 +0000] [20805] [INFO] message`; Celery: `[2026-11-21 03:47:09,421: INFO/MainProcess]
/// message`; `HAProxy`: `[ALERT] (12) : message`.
fn bracketed(line: &str) -> Option<Parsed<'_>> {
    let inner = line.get(1..)?;
    let mut scan = Scan::new(inner);
    let Some(stamp) = scan.iso() else {
        let (word, rest) = inner.split_once(']')?;
        return Severity::from_word(word).map(|level| Parsed::new(When::Unsaid, Some(level), rest));
    };
    if let Some(rest) = scan.rest().strip_prefix(": ") {
        let (head, text) = rest.split_once(']')?;
        let word = head.split('/').next()?;
        // Celery logs what is printed row by row: the rows of a traceback keep their indent.
        let part = text.starts_with("   ");
        let text = if part { text.strip_prefix(' ').unwrap_or(text).trim_end() } else { text.trim() };
        let (when, level) = (When::Stamp(stamp), Severity::from_word(word));
        return Some(Parsed { when, level, text: Cow::Borrowed(text), more: None, part });
    }
    let (level, text) = rest_of(scan.rest().strip_prefix(']')?);
    Some(Parsed { when: When::Stamp(stamp), ..Parsed::new(When::Unsaid, level, text) })
}

/// A date first: PostgreSQL, nginx, Python's default, loggers of many kinds.
fn dated(line: &str) -> Option<Parsed<'_>> {
    let mut scan = Scan::new(line);
    let stamp = scan.iso()?;
    let (level, text) = rest_of(scan.rest());
    let part = PARTS.iter().any(|part| text.starts_with(part));
    Some(Parsed { when: When::Stamp(stamp), part, ..Parsed::new(When::Unsaid, level, text) })
}

/// What follows a date: perhaps a process, a name, a level, and then the message.
fn rest_of(rest: &str) -> (Option<Severity>, &str) {
    let rest = rest.trim_start_matches([' ', '\t', '-', '|', ':']);
    let mut after = rest;
    let mut start = rest;
    for at in 0..5 {
        after = after.trim_start_matches([' ', '\t', '-', '|']);
        let word = after.split([' ', '\t', '|']).next().unwrap_or_default();
        if word.is_empty() {
            break;
        }
        let tail = after.get(word.len()..).unwrap_or_default();
        if PARTS.contains(&word) {
            return (Some(Severity::Info), after);
        }
        let marked = word.ends_with([':', ']', ',']) || !word.chars().any(|c| c.is_ascii_lowercase());
        if let Some(level) = Severity::from_word(word).filter(|_| marked || at == 0) {
            let text = if marked { tail.trim_start_matches([' ', '\t', '-', '|', ':']) } else { after };
            return (Some(level), of_nginx(text));
        }
        // PostgreSQL's process and session, and other numbers in brackets, say nothing.
        let number = word.trim_matches(['[', ']', '(', ')', ':']);
        let dull = (word.starts_with(['[', '(']) && number.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
            || (word.contains('@') && !word.contains(':'));
        if dull && std::ptr::eq(start, after) {
            start = tail.trim_start();
        }
        after = tail;
    }
    (None, start)
}

/// nginx puts process, thread and connection before its message: `123#123: *1 connect() failed`.
fn of_nginx(text: &str) -> &str {
    let Some((ids, rest)) = text.split_once(": ") else { return text };
    let Some((process, thread)) = ids.split_once('#') else { return text };
    if process.is_empty() || !process.bytes().chain(thread.bytes()).all(|b| b.is_ascii_digit()) {
        return text;
    }
    let connection = rest.strip_prefix('*').and_then(|r| r.split_once(' '));
    connection.filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit())).map_or(rest, |(_, text)| text)
}

/// Redis: `123:M 21 Nov 2026 03:28:44.123 # message`.
fn redis(line: &str) -> Option<Parsed<'_>> {
    let (process, rest) = line.split_once(' ')?;
    let (pid, role) = process.split_once(':')?;
    if role.len() != 1 || !pid.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut scan = Scan::new(rest);
    let stamp = scan.redis()?;
    let rest = scan.rest().trim_start();
    let mut chars = rest.chars();
    let level = match chars.next()? {
        '.' | '-' => Severity::Debug,
        '*' => Severity::Info,
        '#' => Severity::Warning,
        _ => return None,
    };
    Some(Parsed::new(When::Stamp(stamp), Some(level), chars.as_str()))
}

/// syslog: `Nov 21 03:28:44 host program[123]: message`.
fn syslog(line: &str) -> Option<Parsed<'_>> {
    let mut scan = Scan::new(line);
    let stamp = scan.syslog()?;
    let rest = scan.rest().trim_start();
    let (_, message) = rest.split_once(' ')?;
    let inner = message.split_once(": ").map_or(message, |(_, text)| text);
    let (level, _) = rest_of(inner);
    Some(Parsed::new(When::Stamp(stamp), level, message))
}

/// `time="2026-…" level=error msg="…"`.
fn logfmt(line: &str) -> Option<Parsed<'_>> {
    let field = |name: &str| {
        let at = line.find(name).filter(|at| *at == 0 || line.as_bytes().get(at - 1) == Some(&b' '))?;
        let value = line.get(at + name.len()..)?;
        Some(match value.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next()?,
            None => value.split(' ').next()?,
        })
    };
    let level = ["level=", "lvl="].iter().find_map(|name| field(name)).and_then(Severity::from_word)?;
    let stamp = ["time=", "ts=", "t="].iter().find_map(|name| field(name)).and_then(|text| Scan::new(text).iso());
    Some(Parsed::new(stamp.map_or(When::Unsaid, When::Stamp), Some(level), line))
}

/// A line without a time: a level is believed where it stands first, with a colon or in brackets.
fn bare(line: &str) -> Parsed<'_> {
    let word = line.split([' ', '\t']).next().unwrap_or_default();
    let marked = word.ends_with([':', ']']);
    let level = Severity::from_word(word).filter(|_| marked);
    let text = if level.is_some() { line.get(word.len()..).unwrap_or(line) } else { line };
    let failed = line.starts_with("Traceback (most recent call last)") || line.starts_with("Exception in ");
    Parsed::new(When::Unsaid, level.or(failed.then_some(Severity::Error)), text)
}

#[cfg(test)]
mod tests;
