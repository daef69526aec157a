//! Where a subject stands: its newest backup, the newest that could be restored, the newest that is proven, and sizes.

use super::kind::Subject;
use super::proof::{Flaw, Proof};
use super::{Backup, BackupsReading};

/// How many earlier backups the usual size is taken from.
pub const TREND: usize = 7;
/// With fewer there is no usual size.
pub const TREND_LEAST: usize = 3;

/// Where a subject stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing<'a> {
    /// Of what.
    pub subject: Subject,
    /// The newest that a job has ended, whatever it is worth.
    pub newest: Option<&'a Backup>,
    /// The newest that is not known to be broken.
    pub usable: Option<&'a Backup>,
    /// The newest that was read to its end or restored.
    pub proven: Option<&'a Backup>,
    /// One that is being written.
    pub running: Option<&'a Backup>,
    /// How many there are, those that are being written left out.
    pub count: usize,
}

/// Where `subject` stands.
pub fn standing(reading: &BackupsReading, subject: Subject) -> Standing<'_> {
    let all = || reading.backups.iter().filter(move |b| b.saves(subject));
    let ended = |b: &&Backup| !matches!(b.proof, Proof::Running { .. });
    let newest = |keep: &dyn Fn(&&Backup) -> bool| all().filter(keep).max_by_key(|b| b.made);
    Standing {
        subject,
        newest: newest(&|b| ended(b) && !matches!(b.proof, Proof::Broken { flaw: Flaw::Unfinished, .. }))
            .or_else(|| newest(&ended)),
        usable: newest(&|b| b.usable()),
        proven: newest(&|b| b.proven()),
        running: newest(&|b| !ended(b)),
        count: all().filter(ended).count(),
    }
}

/// The sizes of a backup's series (the same place, subject and kind), the oldest first, itself the last.
pub fn sizes(reading: &BackupsReading, backup: &Backup) -> Vec<u64> {
    let like = |b: &&Backup| {
        b.place == backup.place
            && b.subject == backup.subject
            && b.kind == backup.kind
            && b.made <= backup.made
            && (b.usable() || b.path == backup.path)
    };
    let mut series: Vec<&Backup> = reading.backups.iter().filter(like).collect();
    series.sort_by(|a, b| a.made.cmp(&b.made).then_with(|| (a.path == backup.path).cmp(&(b.path == backup.path))));
    series.into_iter().filter_map(|b| b.bytes).collect()
}

/// The median size of the last seven backups like this one before it; `None`: there are fewer than three.
pub fn usual_size(reading: &BackupsReading, backup: &Backup) -> Option<u64> {
    let mut sizes = sizes(reading, backup);
    sizes.pop();
    let mut last: Vec<u64> = sizes.into_iter().rev().take(TREND).collect();
    if last.len() < TREND_LEAST {
        return None;
    }
    last.sort_unstable();
    last.get(last.len() / 2).copied()
}
