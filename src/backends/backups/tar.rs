//! Walks a tar archive to its end: nothing is unpacked, names are counted.

use std::io::{self, Read};

use crate::domain::backup::Contents;
use crate::domain::backup::kind;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

const BLOCK: usize = 512;
/// A long name or a pax header is no longer than this.
const LONGEST_EXTRA: u64 = 1 << 20;
/// Names kept as a sample.
const SAMPLE: usize = 12;

/// How an archive ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its mark: two blocks of zeros.
    Whole,
    /// Before it.
    Truncated(String),
    /// A header does not add up.
    Damaged(String),
}

/// Walks the archive; an error of reading ends it as truncated (the reader knows better why).
pub(super) fn walk(reader: &mut dyn Read) -> (Contents, End) {
    let mut contents = Contents::default();
    let end = entries(reader, &mut contents);
    (contents, end)
}

fn entries(reader: &mut dyn Read, contents: &mut Contents) -> End {
    let (mut name, mut size) = (None::<String>, None::<u64>);
    let mut zeros = 0;
    loop {
        let mut block = [0_u8; BLOCK];
        let cut = |contents: &Contents| {
            End::Truncated(format!("the archive ends without its mark, after {} files", contents.files))
        };
        match fill(reader, &mut block) {
            Ok(BLOCK) => {}
            Ok(_) | Err(_) => return cut(contents),
        }
        if block.iter().all(|b| *b == 0) {
            zeros += 1;
            if zeros == 2 {
                return End::Whole;
            }
            continue;
        }
        if zeros > 0 {
            return End::Damaged("a block of zeros stands in the middle of the archive".to_owned());
        }
        let Some(header) = Head::read(&block) else {
            return End::Damaged(format!("the header after {} files does not add up", contents.files));
        };
        let length = size.take().unwrap_or(header.size);
        match header.kind {
            // A long name, or values that don't fit: they belong to the next header.
            b'L' | b'x' => {
                let Some(bytes) = extra(reader, length) else { return cut(contents) };
                if header.kind == b'L' {
                    name = Some(text(&bytes));
                } else {
                    let values = pax(&bytes);
                    name = values.0.or(name);
                    size = values.1;
                }
                continue;
            }
            b'K' | b'g' => {
                if extra(reader, length).is_none() {
                    return cut(contents);
                }
                continue;
            }
            b'0' | 0 | b'7' | b'S' => {
                count(contents, &name.take().unwrap_or(header.name), length, header.changed);
            }
            _ => name = None,
        }
        // Links and directories have no data, whatever their size says.
        let data = if matches!(header.kind, b'1'..=b'6') { 0 } else { length };
        let padded = data.div_ceil(512).saturating_mul(512);
        if skip(reader, padded) < padded {
            return cut(contents);
        }
    }
}

fn count(contents: &mut Contents, name: &str, size: u64, changed: Timestamp) {
    let name = name.trim_start_matches("./");
    contents.files += 1;
    contents.bytes = contents.bytes.saturating_add(size);
    contents.newest = contents.newest.max(Some(changed));
    let mut parts = name.rsplit('/');
    let last = parts.next().unwrap_or(name);
    contents.secret |= last == ".secret";
    if parts.any(|part| part == "media") {
        contents.media += 1;
    }
    contents.database |=
        last == "toc.dat" || (kind::of_name(last).is_some_and(|k| k != kind::Kind::Tar) && !name.contains("media/"));
    if contents.sample.len() < SAMPLE {
        contents.sample.push(plain(name, 100));
    }
}

struct Head {
    name: String,
    size: u64,
    changed: Timestamp,
    kind: u8,
}

impl Head {
    /// A header whose checksum is right.
    fn read(block: &[u8; BLOCK]) -> Option<Self> {
        let sum: u64 =
            block.iter().enumerate().map(|(at, b)| if (148..156).contains(&at) { 32 } else { u64::from(*b) }).sum();
        if number(block.get(148..156)?)? != sum {
            return None;
        }
        let name = text(block.get(..100)?);
        let ustar = block.get(257..263)? == b"ustar\0";
        let prefix = if ustar { text(block.get(345..500)?) } else { String::new() };
        let changed = i64::try_from(number(block.get(136..148)?).unwrap_or(0)).unwrap_or(0);
        Some(Self {
            name: if prefix.is_empty() { name } else { [prefix.as_str(), "/", name.as_str()].concat() },
            size: number(block.get(124..136)?)?,
            changed: Timestamp::from_millis(changed.saturating_mul(1000)),
            kind: *block.get(156)?,
        })
    }
}

/// A field: octal digits, or binary where its first bit is set.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let rest = field.get(field.len().saturating_sub(8)..)?;
        return Some(rest.iter().fold(0, |sum, b| sum << 8 | u64::from(*b)));
    }
    let digits = text(field);
    let digits = digits.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// Up to the first zero.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}

/// `path` and `size` of a pax header: lines of `LENGTH KEY=VALUE`.
fn pax(bytes: &[u8]) -> (Option<String>, Option<u64>) {
    let (mut path, mut size) = (None, None);
    let mut rest = bytes;
    while let Some(space) = rest.iter().position(|b| *b == b' ') {
        let length = rest.get(..space).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse::<usize>().ok());
        let Some((record, after)) = length.filter(|l| *l > space).and_then(|l| rest.split_at_checked(l)) else { break };
        let record = String::from_utf8_lossy(record.get(space + 1..).unwrap_or_default()).into_owned();
        match record.trim_end_matches('\n').split_once('=') {
            Some(("path", value)) => path = Some(value.to_owned()),
            Some(("size", value)) => size = value.parse().ok(),
            Some(_) | None => {}
        }
        rest = after;
    }
    (path, size)
}

/// The data of a header that belongs to the next one.
fn extra(reader: &mut dyn Read, length: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length.min(LONGEST_EXTRA)).ok()?];
    if fill(reader, &mut bytes).ok()? < bytes.len() {
        return None;
    }
    let left = length.div_ceil(512).saturating_mul(512) - length.min(LONGEST_EXTRA);
    (skip(reader, left) == left).then_some(bytes)
}

/// Reads until the buffer is full or nothing more comes; the bytes read.
pub(super) fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while let Some(rest) = buffer.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

/// Reads past so many bytes; how many there were.
fn skip(reader: &mut dyn Read, length: u64) -> u64 {
    io::copy(&mut reader.take(length), &mut io::sink()).unwrap_or(0)
}
