//! What a backup holds at its beginning, remembered, and how large a directory is.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::directory::head;
use super::meter::Control;
use super::survey::Candidate;
use super::{folder, moment};
use crate::domain::backup::header::{self, Header};
use crate::domain::backup::kind::{self, Kind};
use crate::domain::backup::{Contents, MOST};
use crate::domain::time::Timestamp;

/// How long the walk through a copied folder holds.
const WALK_HOLDS: Duration = Duration::from_mins(15);

/// What a file's first bytes told, and the state it was in then.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) bytes: u64,
    pub(super) changed_ns: i64,
    pub(super) kind: Kind,
    pub(super) header: Option<Header>,
    pub(super) contents: Option<Contents>,
    pub(super) touched: Option<Timestamp>,
    pub(super) at: Instant,
}

/// The beginnings of the files that were looked at.
#[derive(Debug, Default)]
pub(super) struct Heads(BTreeMap<PathBuf, Head>);

impl Heads {
    /// What its first bytes tell; each state of a file is looked at once.
    pub(super) fn get(&mut self, candidate: &Candidate) -> Head {
        let (bytes, changed_ns) = (candidate.meta.len(), moment::changed_ns(&candidate.meta));
        if let Some(known) = self.0.get(&candidate.path)
            && known.bytes == bytes
            && known.changed_ns == changed_ns
            && (candidate.expected != Kind::Folder || known.at.elapsed() < WALK_HOLDS)
        {
            return known.clone();
        }
        let mut out = Head {
            bytes,
            changed_ns,
            kind: candidate.expected,
            header: None,
            contents: None,
            touched: None,
            at: Instant::now(),
        };
        if candidate.meta.is_dir() {
            if candidate.expected == Kind::Folder {
                let (contents, touched) = folder::contents(&candidate.path, &Control::default());
                (out.contents, out.touched) = (Some(contents), touched);
            } else {
                out.header = head(&candidate.path.join("toc.dat")).and_then(|head| header::archive(&head));
            }
        } else if let Some(first) = head(&candidate.path).filter(|first| !first.is_empty()) {
            let inside = inside(&candidate.path, &first).unwrap_or(first);
            // Packed in a way that can't be looked into here: its name says what to expect.
            if kind::packing(&inside).is_none() {
                out.kind = kind::of_head(&inside);
            }
            if out.kind == Kind::PgCustom {
                out.header = header::archive(&inside);
            } else if matches!(out.kind, Kind::PgSql | Kind::PgAll | Kind::Mysql) {
                out.header = Some(header::sql(&inside));
            }
        }
        if self.0.len() > 4 * MOST {
            self.0.clear();
        }
        self.0.insert(candidate.path.clone(), out.clone());
        out
    }
}

/// The first bytes inside a gzip file.
fn inside(path: &Path, first: &[u8]) -> Option<Vec<u8>> {
    if kind::packing(first) != Some(kind::Packing::Gzip) {
        return None;
    }
    let file = crate::backends::plain::open(path).ok()?;
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
