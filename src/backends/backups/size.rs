//! What a backup holds at its beginning, and how large a directory is.

use std::fs::Metadata;
use std::path::Path;

use crate::domain::backup::kind;

/// The first bytes inside a gzip file.
pub(super) fn inside(path: &Path, first: &[u8]) -> Option<Vec<u8>> {
    if kind::packing(first) != Some(kind::Packing::Gzip) {
        return None;
    }
    let file = super::meter::open_regular(path).ok()?;
    let mut reader = flate2::read::MultiGzDecoder::new(std::io::BufReader::new(file));
    let mut out = vec![0; kind::HEAD];
    let n = super::tar::fill(&mut reader, &mut out).ok()?;
    out.truncate(n);
    Some(out).filter(|out| !out.is_empty())
}

pub(super) fn directory_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().take(20_000);
    entries.filter_map(|entry| entry.metadata().ok()).filter(Metadata::is_file).map(|meta| meta.len()).sum()
}
