//! What a program prints, cut into pieces that may be kept and shown.

use std::borrow::Cow;

use crate::domain::redact::{REDACTED, redact};
use crate::domain::text::plain;

/// The longest piece, in bytes.
pub(super) const PIECE: usize = 4096;
/// The longest line that is looked through for secrets as a whole, in bytes.
const LINE: usize = 64 * 1024;
/// The widest indentation that is kept.
const INDENT: usize = 40;

/// The end of an output, as far as its last line is not whole.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
    /// In the middle of a private key.
    in_key: bool,
}

impl Lines {
    /// Whether the beginning of a line waits for its end.
    pub(super) const fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes bytes in; the lines that are whole now, in pieces of at most [`PIECE`] bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.pending.extend_from_slice(bytes);
        let whole = memchr::memrchr2(b'\n', b'\r', &self.pending).map(|at| at + 1);
        let long = || {
            // A word is not torn: half a secret is not known for one.
            let gap = memchr::memrchr2(b' ', b'\t', &self.pending).filter(|at| *at > LINE / 2);
            (self.pending.len() >= LINE).then(|| gap.unwrap_or(self.pending.len()))
        };
        let Some(end) = whole.or_else(long) else { return Vec::new() };
        let rest = self.pending.split_off(end);
        let text = std::mem::replace(&mut self.pending, rest);
        self.pieces(&text)
    }

    /// What waits, though its line is not whole.
    pub(super) fn flush(&mut self) -> Vec<String> {
        let text = std::mem::take(&mut self.pending);
        if text.is_empty() { Vec::new() } else { self.pieces(&text) }
    }

    /// What waits, as it came: whoever takes it goes on with its line.
    pub(super) fn take_pending(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }

    fn pieces(&mut self, bytes: &[u8]) -> Vec<String> {
        let text = safe(bytes);
        let text = self.without_keys(&text);
        // Mostly there is nothing to take out: one look at all of it tells.
        let text = match redact(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(_) => Cow::Owned(text.split('\n').map(redact).collect::<Vec<_>>().join("\n")),
        };
        cut(text.trim_end_matches('\n'))
    }

    /// The text without private keys, of which each line alone looks like nothing.
    fn without_keys<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        const KEY: &str = "PRIVATE KEY-----";
        if !self.in_key && !text.contains(KEY) {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::new();
        for line in text.split('\n') {
            if line.contains("-----END") {
                self.in_key = false;
            }
            if self.in_key {
                continue;
            }
            out.push(line);
            if line.contains("-----BEGIN") && line.contains(KEY) && !line.contains("-----END") {
                self.in_key = true;
                out.push(REDACTED);
            }
        }
        Cow::Owned(out.join("\n"))
    }
}

/// Text without anything a terminal obeys but the ends of lines; what is written over itself (`\r`) is lines too.
fn safe(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
        return String::from_utf8_lossy(bytes);
    }
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let line = |line: &str| {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        format!("{}{}", " ".repeat(indent.min(INDENT)), plain(line, LINE))
    };
    Cow::Owned(text.split(['\n', '\r']).map(line).collect::<Vec<_>>().join("\n"))
}

/// Pieces of at most [`PIECE`] bytes, at the ends of lines where there are any.
fn cut(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text;
    while rest.len() > PIECE {
        let most = rest.floor_char_boundary(PIECE);
        let head = rest.get(..most).unwrap_or_default();
        let (piece, tail) = match head.rfind('\n').filter(|at| *at > 0) {
            Some(at) => (head.get(..at), rest.get(at + 1..)),
            None => (Some(head), rest.get(most..)),
        };
        out.extend(piece.map(str::to_owned));
        rest = tail.unwrap_or_default();
    }
    out.push(rest.to_owned());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LINE, Lines, PIECE};

    #[test]
    fn lines_come_whole_and_the_last_when_it_is_asked_for() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\ntw"), ["one"]);
        assert!(lines.waits());
        assert_eq!(lines.push(b"o\n  three  x\nfour"), ["two\n  three  x"]);
        assert_eq!(lines.flush(), ["four"]);
        assert_eq!(lines.flush(), [""; 0]);
        assert_eq!(lines.push(b"10 %\r20 %\r"), ["10 %\n20 %"]);
    }

    #[test]
    fn nothing_a_terminal_obeys_comes_through() {
        let mut lines = Lines::default();
        let shown = lines.push(b"\x1b[2J\x1b]0;title\x07 a\x9b31m\xff\r\n\tb\xe2\x80\xae\n").join("\n");
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
        assert!(shown.contains("\n b"), "{shown:?}");
    }

    #[test]
    fn secrets_are_taken_out_also_where_reads_tear_them() {
        let mut lines = Lines::default();
        let mut shown = Vec::new();
        for byte in b"fine\nDB_PASSWORD=hunter2secret rest\nmysql is up\nssh -p 22\n" {
            shown.extend(lines.push(&[*byte]));
        }
        let shown = shown.join("\n");
        assert!(shown.contains("[redacted]") && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("ssh -p 22"), "{shown}");
        let mut lines = Lines::default();
        let mut shown = lines.push(b"-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n");
        shown.extend(lines.push(b"qwertz\n-----END RSA PRIVATE KEY-----\nafter\n"));
        let shown = shown.join("\n");
        assert!(!shown.contains("MIIE") && !shown.contains("qwertz") && shown.contains("after"), "{shown}");
    }

    #[test]
    fn an_endless_line_is_cut_and_a_word_is_not_torn() {
        let mut lines = Lines::default();
        let mut line = vec![b'x'; LINE - 20];
        line.extend_from_slice(b" password=hunter2-and-more");
        let mut shown = lines.push(&line).concat();
        shown.push_str(&lines.push(b"-hunter3\n").concat());
        assert!(!shown.contains("hunter") && shown.contains("[redacted]"));
        for _ in 0..100 {
            let pieces = lines.push(&[b'y'; 10_000]);
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE) && lines.pending.len() < LINE);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000), at in 0_usize..2000) {
            let mut lines = Lines::default();
            let (a, b) = bytes.split_at(at.min(bytes.len()));
            let pieces: Vec<String> = [lines.push(a), lines.push(b), lines.flush()].concat();
            prop_assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
        }
    }
}
