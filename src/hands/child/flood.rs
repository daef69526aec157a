//! The rest of an output that is too much to be kept: it is counted, and its end stays. Nothing else of it is looked at, so
//! that a program is not made slow by what nobody will read.

use super::lines::Lines;

/// Bytes of the end that are told.
const TOLD: usize = 32 * 1024;
/// Bytes of the end that stay: what stands before what is told says what that is, the rest of a private key for one.
const END: usize = 2 * TOLD;

/// What was printed once the beginning was told.
#[derive(Debug, Default)]
pub(super) struct Flood {
    bytes: u64,
    lines: u64,
    end: Vec<u8>,
}

/// What is left of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Bytes that nobody is told.
    pub(super) bytes: u64,
    /// Ends of lines among them.
    pub(super) lines: u64,
    /// The end, as [`Lines`] make it.
    pub(super) pieces: Vec<String>,
}

impl Flood {
    /// Takes bytes in.
    pub(super) fn take(&mut self, got: &[u8]) {
        self.bytes = self.bytes.saturating_add(long(got.len()));
        self.lines = self.lines.saturating_add(ends(got));
        let last = got.get(got.len().saturating_sub(END)..).unwrap_or_default();
        self.end.extend_from_slice(last);
        // Not at every turn: what stays is moved to the front then.
        if self.end.len() > 8 * END {
            self.end.drain(..self.end.len() - END);
        }
    }

    /// It is over. `lines` has told what came before.
    pub(super) fn end(mut self, mut lines: Lines) -> Rest {
        self.end.drain(..self.end.len().saturating_sub(END));
        let all = self.bytes <= long(self.end.len());
        if !all {
            // The first line may be the end of a secret whose beginning is gone.
            let first = memchr::memchr(b'\n', &self.end).or_else(|| memchr::memchr(b' ', &self.end));
            self.end.drain(..first.map_or(END / 2, |at| at + 1).min(self.end.len()));
            lines = Lines::default();
        }
        let mut pieces = lines.push(&self.end);
        pieces.extend(lines.flush());
        if all {
            return Rest { bytes: 0, lines: 0, pieces };
        }
        let mut told = 0;
        let fits = |piece: &&String| {
            told += piece.len() + 1;
            told <= TOLD
        };
        let kept = pieces.iter().rev().take_while(fits).count();
        pieces.drain(..pieces.len() - kept);
        let text = pieces.join("\n");
        Rest {
            bytes: self.bytes.saturating_sub(long(text.len())),
            lines: self.lines.saturating_sub(ends(text.as_bytes())),
            pieces,
        }
    }
}

fn ends(bytes: &[u8]) -> u64 {
    long(memchr::memchr_iter(b'\n', bytes).count())
}

fn long(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{END, Flood, Lines, TOLD};

    #[test]
    fn what_is_little_is_told_whole() {
        let mut flood = Flood::default();
        flood.take(b"rest\nDB_PASSWORD=hun");
        flood.take(b"ter2\nlast");
        let rest = flood.end(Lines::default());
        assert_eq!((rest.bytes, rest.lines), (0, 0));
        assert_eq!(rest.pieces.join("\n"), "rest\nDB_PASSWORD=[redacted]\nlast");
    }

    #[test]
    fn of_much_the_end_stays_and_the_rest_is_counted() {
        let mut flood = Flood::default();
        let line = b"all work and no play\n";
        for _ in 0..100_000 {
            flood.take(line);
        }
        flood.take(b"the end\n");
        assert!(flood.end.len() <= 9 * END);
        let rest = flood.end(Lines::default());
        let text = rest.pieces.join("\n");
        assert!(text.len() <= TOLD && text.len() > TOLD / 2 && text.ends_with("play\nthe end"), "{}", text.len());
        assert!(text.lines().rev().skip(1).all(|line| line == "all work and no play"));
        assert_eq!(rest.bytes + text.len() as u64, 2_100_008);
        assert_eq!(rest.lines + text.lines().count() as u64 - 1, 100_001);
    }

    #[test]
    fn no_part_of_a_secret_is_told_whose_beginning_is_gone() {
        // Without an end of a line, a blank, or the first line of a key in what stays of it.
        for (before, between) in [("password=", "hunter2"), ("token=x", "hunter2 "), ("password=x", "hunter2\n")] {
            let mut flood = Flood::default();
            flood.take(before.as_bytes());
            flood.take(between.repeat(END / between.len() + 100).as_bytes());
            let told = flood.end(Lines::default()).pieces.concat();
            assert!(!told.starts_with("unter2") && told.len() <= TOLD, "{}", told.len());
        }
        let mut flood = Flood::default();
        flood.take(&vec![b'-'; END]);
        flood.take(b"\n-----BEGIN PRIVATE KEY-----\n");
        flood.take("MIIEow\n".repeat(TOLD / 7).as_bytes());
        let told = flood.end(Lines::default()).pieces.join("\n");
        assert!(!told.contains("MIIE"), "{told}");
    }
}
