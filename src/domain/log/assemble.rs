//! Rows as they are read become entries: times made certain, tracebacks put under their first row, secrets taken out.

use std::collections::VecDeque;

use super::calendar::Stamp;
use super::format::{Parsed, When, parse};
use super::{Severity, TEXT_MAX};
use crate::domain::redact::redact;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Rows that are kept of the beginning of what stands below an entry's first row.
const HEAD_ROWS: usize = 40;
/// Rows that are kept of its end: there stands the exception.
const TAIL_ROWS: usize = 80;
/// Most characters of such a row.
const ROW_MAX: usize = 400;
/// Rows without a time belong to the entry before them only if they were read so soon after it, in milliseconds.
const TOGETHER_MS: u64 = 3_000;
/// A time so far ahead of the clock is no time, in milliseconds.
const AHEAD_MS: i64 = 60_000;

/// How a source's times without a zone are meant.
#[derive(Debug, Clone, Copy)]
pub enum Zone {
    /// As this host's own local time: from the date taken for UTC to the true time.
    Local(fn(Timestamp) -> Timestamp),
    /// So many seconds east of UTC.
    East(i64),
}

impl Zone {
    /// The time that a date and time without a zone means.
    fn resolve(self, taken_for_utc: Timestamp) -> Timestamp {
        match self {
            Self::Local(convert) => convert(taken_for_utc),
            Self::East(secs) => taken_for_utc.plus_secs(-secs),
        }
    }
}

/// An entry, before it has a number and a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was written, or read.
    pub at: Timestamp,
    /// Whether it said so itself.
    pub dated: bool,
    /// How bad.
    pub level: Severity,
    /// The first row.
    pub text: Box<str>,
    /// The rows below.
    pub more: Box<str>,
}

#[derive(Debug)]
struct Open {
    at: Timestamp,
    dated: bool,
    read: Timestamp,
    level: Severity,
    text: String,
    head: Vec<String>,
    tail: VecDeque<String>,
    left_out: usize,
}

/// Puts the rows of one source together.
#[derive(Debug)]
pub struct Assembler {
    zone: Zone,
    /// Whether the source writes times at all.
    dated: bool,
    /// Whether each row comes with a certain time of its carrier.
    carried: bool,
    open: Option<Open>,
}

impl Assembler {
    /// For a source whose times without a zone are meant so, as long as nothing speaks against it.
    pub const fn new(zone: Zone) -> Self {
        Self { zone, dated: false, carried: false, open: None }
    }

    /// For a source whose carrier (the journal, Docker) knows when each row was written, whatever the row says.
    pub const fn carried() -> Self {
        Self { zone: Zone::East(0), dated: false, carried: true, open: None }
    }

    /// Whether an entry waits for more rows.
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Learns from a row that was written at `written` how times without a zone are meant; `None`: the row says nothing
    /// about it, for it has no time, or a zone. Django sets the zone of its settings for the whole process, so a log
    /// need not be in this host's local time: the difference to the time of writing tells, when it is that of a zone.
    pub fn calibrate(&mut self, row: &str, written: Timestamp) -> Option<bool> {
        let When::Stamp(stamp @ Stamp { offset, year: Some(_), .. }) = parse(row).when else { return None };
        if offset.is_some() {
            return None;
        }
        let utc = stamp.as_utc(written);
        if self.zone.resolve(utc).as_millis().abs_diff(written.as_millis()) < 120_000 {
            return Some(true);
        }
        let ahead = utc.as_millis() - written.as_millis();
        // Zones are whole half hours from UTC, but for a few at 45 minutes.
        let quarters = (ahead + 450_000).div_euclid(900_000);
        let east = quarters * 900;
        let near = (ahead - east * 1000).unsigned_abs() < 60_000;
        let fits = near && (-48..=56).contains(&quarters) && quarters.rem_euclid(4) != 1;
        if fits {
            self.zone = Zone::East(east);
        }
        Some(fits)
    }

    /// Takes in one row, read at `read`; an entry that it ends comes out. `undated` is the time given to what says none;
    /// `priority` is how bad its carrier (journald) says it is.
    pub fn row(&mut self, row: &str, undated: Timestamp, read: Timestamp, priority: Option<Severity>) -> Option<Entry> {
        let row = strip_escapes(row);
        let row = row.trim_end_matches(['\r', '\n', '\0']);
        if self.continues(row, read) {
            self.add(row);
            return None;
        }
        if row.trim().is_empty() {
            return None;
        }
        let Parsed { when, level, text, more, part } = parse(row);
        let dated = when != When::Unsaid;
        let part = part || self.ends_printed_traceback(&text, level);
        if self.open.is_some() && ((self.dated && !dated && self.near(read)) || part) {
            self.add(if part { &text } else { row });
            return None;
        }
        self.dated |= dated;
        let before = self.flush();
        let (at, dated) = match self.time(when, undated) {
            _ if self.carried => (undated, true),
            Some(at) if at.as_millis() <= read.as_millis() + AHEAD_MS => (at.min(read), true),
            Some(_) | None => (undated, false),
        };
        // A carrier knows only of one severity for all that a process writes; what the row says itself is worth more.
        let level = level.or(priority).unwrap_or_default();
        let text = plain(&redact(&text), TEXT_MAX);
        let (head, tail) = (Vec::new(), VecDeque::new());
        self.open = Some(Open { at, dated, read, level, text, head, tail, left_out: 0 });
        for row in more.iter().flat_map(|more| more.lines()) {
            self.add(row);
        }
        before
    }

    /// The entry that waits for more rows, as it is.
    pub fn flush(&mut self) -> Option<Entry> {
        let open = self.open.take()?;
        let mut rows = open.head;
        if open.left_out > 0 {
            rows.push(format!("… {} rows are left out …", open.left_out));
        }
        rows.extend(open.tail);
        while rows.last().is_some_and(|row| row.trim().is_empty()) {
            rows.pop();
        }
        Some(Entry {
            at: open.at,
            dated: open.dated,
            level: open.level,
            text: open.text.into(),
            more: redact(&rows.join("\n")).into(),
        })
    }

    /// Whether a row can be told to belong to the entry before without being taken apart.
    fn continues(&self, row: &str, read: Timestamp) -> bool {
        let Some(open) = &self.open else { return false };
        let below = row.starts_with([' ', '\t']) || row.is_empty();
        let traced = row.starts_with("Traceback (most recent call last)");
        // The exception itself, and those that led to it, stand at the left again.
        let within = open.head.iter().chain(&open.tail).next_back().is_some_and(|last| last.starts_with(' '));
        let raised = within && !open.text.is_empty() && !row.starts_with('[') && parse(row).when == When::Unsaid;
        let chained = row.starts_with("During handling of the above") || row.starts_with("The above exception was");
        (below || traced || raised || chained) && self.near(read)
    }

    /// Whether a row is the exception at the end of a traceback that was printed and logged row by row.
    fn ends_printed_traceback(&self, text: &str, level: Option<Severity>) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let last = open.head.iter().chain(&open.tail).next_back();
            open.text.starts_with("Traceback (most recent call last)")
                && last.is_some_and(|last| last.starts_with(' '))
                && level == Some(open.level)
                && super::exception(&open.text, text).is_some()
        })
    }

    fn near(&self, read: Timestamp) -> bool {
        self.open.as_ref().is_some_and(|open| read.millis_since(open.read) <= TOGETHER_MS)
    }

    fn add(&mut self, row: &str) {
        let Some(open) = &mut self.open else { return };
        let indent = row.len() - row.trim_start_matches([' ', '\t']).len();
        let blanks = " ".repeat(indent.min(24));
        let row = [blanks.as_str(), &plain(row, ROW_MAX)].concat();
        if open.head.len() < HEAD_ROWS {
            open.head.push(row);
            return;
        }
        if open.tail.len() >= TAIL_ROWS {
            open.tail.pop_front();
            open.left_out += 1;
        }
        open.tail.push_back(row);
    }

    fn time(&self, when: When, near: Timestamp) -> Option<Timestamp> {
        match when {
            When::Unsaid => None,
            When::Millis(millis) => Some(Timestamp::from_millis(millis)),
            When::Stamp(stamp) => {
                let utc = stamp.as_utc(near);
                Some(match stamp.offset {
                    Some(east) => utc.plus_secs(-east),
                    None => self.zone.resolve(utc),
                })
            }
        }
    }
}

/// The text without terminal escape sequences (colours, titles), as far as they are complete.
fn strip_escapes(text: &str) -> std::borrow::Cow<'_, str> {
    if memchr::memchr(0x1b, text.as_bytes()).is_none() {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            out.push(c);
            continue;
        }
        match chars.next() {
            // CSI: parameters, then one final character.
            Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            // OSC and its like: up to BEL or ST.
            Some(']' | 'P' | '_' | '^' | 'X') => {
                while let Some(c) = chars.next() {
                    if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            Some(_) | None => {}
        }
    }
    out.into()
}

#[cfg(test)]
mod tests;
