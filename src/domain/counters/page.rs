//! A metrics page read in chunks, as they arrive.

use std::fmt::Display;

use memchr::memchr_iter;

use super::tally::Tally;
use super::{Counters, Limits};
use crate::domain::exposition;
use crate::domain::traffic::Page;

/// Whether more of the page is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Go on.
    More,
    /// A limit was met: further chunks would be dropped.
    Enough,
}

/// Reads one page. However it is cut into chunks, the outcome is the same.
#[derive(Debug)]
pub struct PageReader {
    limits: Limits,
    tally: Tally,
    page: Page,
    bytes: usize,
    lines: u64,
    /// A line that began in an earlier chunk.
    carry: Vec<u8>,
    /// Whether that line is too long already.
    too_long: bool,
}

impl PageReader {
    /// A reader that keeps within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            tally: Tally::new(limits),
            page: Page::default(),
            bytes: 0,
            lines: 0,
            carry: Vec::new(),
            too_long: false,
        }
    }

    /// Reads the next chunk, decompressed.
    pub fn feed(&mut self, chunk: &[u8]) -> Flow {
        if self.page.cut.is_some() {
            return Flow::Enough;
        }
        let room = self.limits.bytes - self.bytes;
        let taken = chunk.get(..room).unwrap_or(chunk);
        self.bytes += taken.len();
        let mut start = 0;
        for end in memchr_iter(b'\n', taken) {
            self.end_line(taken.get(start..end).unwrap_or_default());
            start = end + 1;
        }
        self.begin_line(taken.get(start..).unwrap_or_default());
        if taken.len() == chunk.len() {
            return Flow::More;
        }
        self.carry = Vec::new();
        self.too_long = false;
        self.page.cut = Some(format!("The page is longer than {}; the rest was not read.", size(self.limits.bytes)));
        Flow::Enough
    }

    /// What the page says; its last line needs no newline.
    pub fn finish(mut self) -> Counters {
        if self.too_long || !self.carry.is_empty() {
            self.end_line(&[]);
        }
        self.page.bytes = u64::try_from(self.bytes).unwrap_or(u64::MAX);
        self.tally.finish(self.page)
    }

    /// Keeps the beginning of a line until the rest comes.
    fn begin_line(&mut self, piece: &[u8]) {
        if self.too_long || self.carry.len() + piece.len() > self.limits.line_bytes {
            self.too_long = true;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(piece);
        }
    }

    /// Reads the line that ends with `piece`.
    fn end_line(&mut self, piece: &[u8]) {
        self.lines += 1;
        if self.too_long || self.carry.len() + piece.len() > self.limits.line_bytes {
            self.too_long = false;
            self.carry = Vec::new();
            self.bad(&format_args!("it is longer than {}", size(self.limits.line_bytes)));
        } else if self.carry.is_empty() {
            self.read(piece);
        } else {
            let mut line = std::mem::take(&mut self.carry);
            line.extend_from_slice(piece);
            self.read(&line);
            line.clear();
            self.carry = line;
        }
    }

    fn read(&mut self, line: &[u8]) {
        match exposition::sample(line) {
            Ok(None) => {}
            Ok(Some(sample)) => match self.tally.take(&sample) {
                Ok(()) => self.page.samples += 1,
                Err(objection) => self.bad(&objection),
            },
            Err(flaw) => self.bad(&flaw),
        }
    }

    fn bad(&mut self, why: &dyn Display) {
        self.page.bad_lines += 1;
        if self.page.first_bad.is_none() {
            self.page.first_bad = Some(format!("Line {}: {why}.", self.lines));
        }
    }
}

/// A limit as people say it.
fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

#[cfg(test)]
mod tests;
