//! The reading position in a line: takes names, quoted texts, numbers and label blocks off its front.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Flaw, Labels};

/// What is left of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

/// A text between quotation marks or a bare name, not yet unescaped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// What it says: `\\`, `\"` and `\n` replaced; any other backslash stands for itself.
    pub(super) fn text(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut out = String::with_capacity(self.raw.len());
        let mut chars = self.raw.chars();
        while let Some(c) = chars.next() {
            match (c, if c == '\\' { chars.next() } else { None }) {
                ('\\', Some('n')) => out.push('\n'),
                ('\\', Some(escaped @ ('\\' | '"'))) => out.push(escaped),
                (c, after) => {
                    out.push(c);
                    out.extend(after);
                }
            }
        }
        Cow::Owned(out)
    }
}

/// One entry between braces.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// A quoted metric name.
    Name(Text<'a>),
    /// A label's name and value.
    Label(Text<'a>, Text<'a>),
    /// The closing brace.
    End,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(rest: &'a str) -> Self {
        Self { rest }
    }

    /// The next byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// Passes over spaces and tabs.
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            let _blank = self.take(1);
        }
    }

    /// Passes over `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        if next {
            let _byte = self.take(1);
        }
        next
    }

    /// A name of ASCII letters, digits, `_` and `:` that does not begin with a digit; empty if there is none.
    pub(super) fn bare_name(&mut self) -> &'a str {
        let starts_badly = self.peek().is_none_or(|byte| byte.is_ascii_digit());
        let bytes = self.rest.as_bytes();
        let end = bytes.iter().position(|byte| !in_bare_name(*byte)).unwrap_or(bytes.len());
        if starts_badly { "" } else { self.take(end) }
    }

    /// Everything up to and with the closing brace: the metric's name, if it stands there, and the labels.
    pub(super) fn block(&mut self) -> Result<(Option<Text<'a>>, Labels<'a>), Flaw> {
        let block = self.rest;
        let mut name = None;
        loop {
            match self.part()? {
                Part::Label(..) => {}
                Part::Name(text) if name.is_none() => name = Some(text),
                Part::Name(_) => return Err(Flaw::TwoNames),
                Part::End => break,
            }
        }
        let length = block.len() - self.rest.len();
        Ok((name, Labels { block: block.get(..length).unwrap_or_default() }))
    }

    /// The next entry between braces, with the comma after it.
    pub(super) fn part(&mut self) -> Result<Part<'a>, Flaw> {
        self.skip_blanks();
        if self.eat(b'}') {
            return Ok(Part::End);
        }
        let quoted = self.peek() == Some(b'"');
        let name = if quoted { self.quoted()? } else { Text { raw: self.bare_name(), escaped: false } };
        if name.raw.is_empty() || (!quoted && name.raw.contains(':')) {
            return Err(Flaw::LabelName);
        }
        self.skip_blanks();
        let part = if self.eat(b'=') {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(Flaw::LabelValue);
            }
            let value = self.quoted()?;
            self.skip_blanks();
            Part::Label(name, value)
        } else if quoted {
            Part::Name(name)
        } else {
            return Err(Flaw::LabelValue);
        };
        if self.eat(b',') || self.peek() == Some(b'}') { Ok(part) } else { Err(Flaw::Separator) }
    }

    /// A text between quotation marks; the opening one is next.
    fn quoted(&mut self) -> Result<Text<'a>, Flaw> {
        let _opening = self.take(1);
        let bytes = self.rest.as_bytes();
        let mut from = 0;
        let mut escaped = false;
        loop {
            let ahead = bytes.get(from..).unwrap_or_default();
            let at = from + memchr2(b'"', b'\\', ahead).ok_or(Flaw::Unclosed)?;
            if bytes.get(at) == Some(&b'"') {
                let raw = self.take(at);
                let _closing = self.take(1);
                return Ok(Text { raw, escaped });
            }
            escaped = true;
            from = at + 2;
        }
    }

    /// A number up to the next blank.
    pub(super) fn number(&mut self) -> Option<f64> {
        let bytes = self.rest.as_bytes();
        let end = bytes.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(bytes.len());
        self.take(end).parse().ok()
    }

    /// What follows the value: a timestamp or nothing, then an exemplar or nothing.
    pub(super) fn tail(&mut self) -> Result<Option<f64>, Flaw> {
        self.skip_blanks();
        let timestamp = match self.peek() {
            None | Some(b'#') => None,
            Some(_) => Some(self.number().filter(|at| at.is_finite()).ok_or(Flaw::Timestamp)?),
        };
        self.skip_blanks();
        if self.peek().is_some() && !(self.eat(b'#') && self.exemplar()) {
            return Err(Flaw::Trailing);
        }
        Ok(timestamp)
    }

    /// Whether the rest is `{labels} value [timestamp]`.
    fn exemplar(&mut self) -> bool {
        self.skip_blanks();
        if !self.eat(b'{') || !matches!(self.block(), Ok((None, _))) {
            return false;
        }
        self.skip_blanks();
        if self.number().is_none() {
            return false;
        }
        self.skip_blanks();
        if self.peek().is_some() && self.number().is_none() {
            return false;
        }
        self.skip_blanks();
        self.peek().is_none()
    }

    /// Takes `length` bytes, or all that is left.
    fn take(&mut self, length: usize) -> &'a str {
        if let Some((taken, rest)) = self.rest.split_at_checked(length) {
            self.rest = rest;
            taken
        } else {
            std::mem::take(&mut self.rest)
        }
    }
}

/// Whether a bare name may contain this byte.
pub(super) const fn in_bare_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')
}
