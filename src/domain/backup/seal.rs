//! What in a backup would show that a bit of it has changed since it was made.

use serde::{Deserialize, Serialize};

use super::header;
use super::kind::{self, Kind, Packing};

/// What its checksums are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seal {
    /// All of it.
    Whole,
    /// Its rows, not the definitions of its tables.
    Rows,
    /// It has none: it was read to its end, and what stands there is taken as it is.
    Nothing,
}

impl Seal {
    /// That of the file that begins with `head`.
    pub fn of(head: &[u8]) -> Self {
        let flagged = |at: usize, mask: u8| {
            if head.get(at).is_some_and(|byte| byte & mask != 0) { Self::Whole } else { Self::Nothing }
        };
        match kind::packing(head) {
            Some(Packing::Gzip | Packing::Bzip2) => Self::Whole,
            // Whether there is a checksum of the content stands in the first byte after the magic number.
            Some(Packing::Zstd | Packing::Lz4) => flagged(4, 0x04),
            Some(Packing::Xz) => flagged(7, 0x0f),
            None if kind::of_head(head) == Kind::PgCustom && header::checks_rows(head) => Self::Rows,
            Some(Packing::Encrypted) | None => Self::Nothing,
        }
    }

    /// The words for what is not checked; `None`: all of it is.
    pub const fn unchecked(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Rows => Some("definitions unchecked"),
            Self::Nothing => Some("content unchecked"),
        }
    }

    /// The same in a sentence.
    pub fn told(self) -> Option<String> {
        let why = match self {
            Self::Whole => return None,
            Self::Rows => "its rows have checksums, the definitions of its tables have none",
            Self::Nothing => "it was read to its end, but nothing in it would show a changed bit",
        };
        self.unchecked().map(|word| format!("{word}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Seal;

    #[test]
    fn checksums_are_known_by_the_first_bytes() {
        for (head, seal) in [
            (&b"\x1f\x8b\x08"[..], Seal::Whole),
            (b"BZh9", Seal::Whole),
            (b"\x28\xb5\x2f\xfd\x04", Seal::Whole),
            (b"\x28\xb5\x2f\xfd\x00", Seal::Nothing),
            (b"\xfd7zXZ\0\0\x04", Seal::Whole),
            (b"\xfd7zXZ\0\0\0", Seal::Nothing),
            // Format 1.14: the level of the compression, -1 and 0. Format 1.16: its method, gzip and zstd.
            (b"PGDMP\x01\x0e\0\x04\x08\x01\x01\x01\0\0\0", Seal::Rows),
            (b"PGDMP\x01\x0e\0\x04\x08\x01\0\0\0\0\0", Seal::Nothing),
            (b"PGDMP\x01\x10\0\x04\x08\x01\x01", Seal::Rows),
            (b"PGDMP\x01\x10\0\x04\x08\x01\x03", Seal::Nothing),
            (b"-- PostgreSQL database dump", Seal::Nothing),
        ] {
            assert_eq!(Seal::of(head), seal, "{head:?}");
        }
        assert_eq!(Seal::Whole.told(), None);
        assert!(Seal::Nothing.told().is_some_and(|told| told.starts_with("content unchecked: ")));
    }
}
