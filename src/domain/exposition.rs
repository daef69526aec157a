//! Prometheus text 0.0.4 and `OpenMetrics` 1.0, parsed borrowed; bad lines are reported, never fatal.
//!
//! Invariant: nothing here panics or allocates per sample, whatever the bytes are, and a sample that was accepted
//! prints (with [`fmt::Display`](std::fmt::Display)) as a line that parses to an equal one. Names may be quoted UTF-8
//! (`{"my.name",label="x"}`), numbers may be written any way Rust or Prometheus writes decimals, blanks may be spaces
//! or tabs, lines may end in CRLF and the last one in nothing. Comments (`# HELP`, `# TYPE`, `# UNIT`, `# EOF`) are
//! passed over; exemplars are checked and passed over.

mod cursor;
mod print;

use std::borrow::Cow;

use cursor::{Cursor, Part};
use memchr::memchr;

/// One sample of a page.
#[derive(Debug, Clone)]
pub struct Sample<'a> {
    /// The metric's name; borrowed unless it was quoted with escapes in it.
    pub name: Cow<'a, str>,
    /// Its labels, in the page's order.
    pub labels: Labels<'a>,
    /// Its value; may be NaN or infinite.
    pub value: f64,
    /// When it was taken, as written: milliseconds in Prometheus text, seconds in `OpenMetrics`, since 1970.
    pub timestamp: Option<f64>,
}

impl PartialEq for Sample<'_> {
    /// Equal in everything; NaN equals NaN.
    fn eq(&self, other: &Self) -> bool {
        let same_value = self.value.to_bits() == other.value.to_bits() || (self.value.is_nan() && other.value.is_nan());
        same_value && self.name == other.name && self.labels == other.labels && self.timestamp == other.timestamp
    }
}

/// The labels of a sample: checked when the line was parsed, taken apart when they are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'a> {
    /// What stands after `{`, the closing brace included; empty without braces.
    block: &'a str,
}

impl<'a> Labels<'a> {
    /// Names and values in the page's order. A value is borrowed unless it was written with escapes.
    pub fn iter(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let mut cursor = Cursor::new(self.block);
        std::iter::from_fn(move || {
            loop {
                match cursor.part() {
                    Ok(Part::Label(name, value)) => return Some((name.text(), value.text())),
                    Ok(Part::Name(_)) => {}
                    Ok(Part::End) | Err(_) => return None,
                }
            }
        })
    }

    /// The value of the first label of this name.
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.iter().find(|(label, _)| label == name).map(|(_, value)| value)
    }
}

impl PartialEq for Labels<'_> {
    /// Equal if they say the same, however it was written.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// A line that is no sample, comment or blank line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Line {line}: {flaw}.")]
pub struct Bad {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Bytes that are no UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
    /// No name in front of the braces or, quoted, in them.
    #[error("it does not begin with a metric's name")]
    NoName,
    /// A name in front of the braces and one in them, or two in them.
    #[error("it names two metrics")]
    TwoNames,
    /// Something else than a label's name where one belongs.
    #[error("a label's name is missing or malformed")]
    LabelName,
    /// No `=` and quoted text after a label's name.
    #[error("a label has no quoted value")]
    LabelValue,
    /// A quotation mark that is never closed.
    #[error("a quoted text is not closed")]
    Unclosed,
    /// Something else than `,` or `}` after a label.
    #[error("labels are not separated by commas or the closing brace is missing")]
    Separator,
    /// No number after name and labels.
    #[error("the value is missing or not a number")]
    Value,
    /// Something after the value that is no number.
    #[error("the timestamp is not a number")]
    Timestamp,
    /// More after the timestamp, or an exemplar that is none.
    #[error("there is unreadable text after the value")]
    Trailing,
}

/// The samples and bad lines of a whole page.
pub fn samples(page: &[u8]) -> impl Iterator<Item = Result<Sample<'_>, Bad>> {
    let mut rest = Some(page);
    let mut number = 0;
    std::iter::from_fn(move || {
        loop {
            let text = rest?;
            let end = memchr(b'\n', text);
            let (line, after) = match end {
                Some(end) => (text.get(..end).unwrap_or_default(), text.get(end + 1..)),
                None => (text, None),
            };
            rest = after;
            number += 1;
            match sample(line) {
                Ok(None) => {}
                Ok(Some(sample)) => return Some(Ok(sample)),
                Err(flaw) => return Some(Err(Bad { line: number, flaw })),
            }
        }
    })
}

/// The sample on one line (without its newline); `None` for a comment or a blank line.
pub fn sample(line: &[u8]) -> Result<Option<Sample<'_>>, Flaw> {
    let Ok(line) = str::from_utf8(line) else { return Err(Flaw::NotText) };
    let mut cursor = Cursor::new(line.strip_suffix('\r').unwrap_or(line));
    cursor.skip_blanks();
    if matches!(cursor.peek(), None | Some(b'#')) {
        return Ok(None);
    }
    let outside = cursor.bare_name();
    cursor.skip_blanks();
    let (inside, labels) = if cursor.eat(b'{') { cursor.block()? } else { (None, Labels::default()) };
    let name = match (outside, inside) {
        ("", None) => return Err(Flaw::NoName),
        (name, None) => Cow::Borrowed(name),
        ("", Some(name)) => name.text(),
        (_, Some(_)) => return Err(Flaw::TwoNames),
    };
    cursor.skip_blanks();
    let value = cursor.number().ok_or(Flaw::Value)?;
    let timestamp = cursor.tail()?;
    Ok(Some(Sample { name, labels, value, timestamp }))
}

#[cfg(test)]
mod tests;
