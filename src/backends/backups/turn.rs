//! Whose turn it is to be read.

use std::collections::BTreeMap;

use super::surveyor::File;
use crate::domain::backup::kind::{Kind, Subject};
use crate::domain::backup::proof::Proof;
use crate::domain::backup::{Backup, BackupsReading};
use crate::domain::time::Timestamp;

/// How many of each subject are read by themselves; older ones when somebody asks for it.
const READ: usize = 14;
/// A comparison with the live folder is made anew after so long, in milliseconds.
const COMPARED_MS: u64 = 12 * 3_600_000;

/// What is worth a check, in this order: the newest of each subject, then what is older.
pub(super) fn unread(reading: &BackupsReading, files: &BTreeMap<String, File>, now: Timestamp) -> Vec<File> {
    // The live folder goes on; what lacked nothing then may lack something now.
    let stale =
        |b: &Backup| b.kind == Kind::Folder && b.proof.at().is_some_and(|at| now.millis_since(at) > COMPARED_MS);
    let mut ranked: Vec<(usize, String)> = Vec::new();
    for subject in Subject::EACH {
        let of = reading.backups.iter().filter(|b| b.saves(subject) && !matches!(b.proof, Proof::Running { .. }));
        let newest = of.take(READ).enumerate();
        let due = newest.filter(|(_, b)| b.proof == Proof::UNREAD || stale(b));
        ranked.extend(due.map(|(rank, b)| (rank, b.path.clone())));
    }
    ranked.sort();
    ranked.into_iter().filter_map(|(_, path)| files.get(&path).cloned()).collect()
}
