//! Small files of the kernel, read with a bound.

use std::fs::File;
use std::io::{self, Read as _};

/// More than any of them has on the largest of machines.
const MOST: u64 = 1 << 20;

/// At most 1 MiB of the file at `path`.
pub(super) fn bytes(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same as text; what isn't UTF-8 is replaced.
pub(super) fn text(path: &str) -> io::Result<String> {
    bytes(path).map(|bytes| {
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    })
}
