//! One request as a line of an access log tells it.

use std::borrow::Cow;

use crate::domain::time::Timestamp;

/// One request. Borrowed from its line where that needs no unescaping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    /// When it was logged: at its end.
    pub at: Timestamp,
    /// `GET`, `POST`, …
    pub method: Cow<'a, str>,
    /// Its path as asked for, with the query.
    pub path: Cow<'a, str>,
    /// The status answered; 499 is nginx' own for a visitor who went away.
    pub status: u16,
    /// How long it took in seconds, where the log has that.
    pub took_s: Option<f64>,
    /// The host asked for, where the log has that.
    pub host: Option<Cow<'a, str>>,
}

/// The parts of an entry as they are found in a line, before it is known whether they are enough.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) at: Option<Timestamp>,
    pub(super) method: Option<Cow<'a, str>>,
    pub(super) path: Option<Cow<'a, str>>,
    pub(super) status: Option<u16>,
    pub(super) took_s: Option<f64>,
    pub(super) host: Option<Cow<'a, str>>,
}

impl<'a> Parts<'a> {
    /// Takes `GET /path HTTP/1.1` apart. What is no request (a port scan's bytes, an empty line) is kept as one without
    /// a method, so that its status counts.
    pub(super) fn request(&mut self, line: Cow<'a, str>) {
        let (method, path) = match line {
            Cow::Borrowed(line) => {
                let (method, path) = split(line);
                (Cow::Borrowed(method), Cow::Borrowed(path))
            }
            Cow::Owned(line) => {
                let (method, path) = split(&line);
                (Cow::Owned(method.to_owned()), Cow::Owned(path.to_owned()))
            }
        };
        self.method = Some(method);
        self.path = Some(path);
    }

    /// The entry, where time and status are there: without them the line is none.
    pub(super) fn entry(self) -> Option<Entry<'a>> {
        Some(Entry {
            at: self.at?,
            method: self.method.unwrap_or(Cow::Borrowed("")),
            path: self.path.unwrap_or(Cow::Borrowed("")),
            status: self.status.filter(|s| (100..=599).contains(s))?,
            took_s: self.took_s.filter(|s| s.is_finite() && (0.0..=86_400.0).contains(s)),
            host: self.host,
        })
    }
}

fn split(line: &str) -> (&str, &str) {
    let mut words = line.split(' ');
    match (words.next(), words.next()) {
        (Some(method), Some(path)) if is_method(method) => (method, path),
        _ => ("", ""),
    }
}

/// Capital letters, as many as any method has.
pub(super) fn is_method(text: &str) -> bool {
    (3..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase())
}
