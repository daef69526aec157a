//! Whose turn it is to be read.

use std::collections::BTreeMap;

use super::surveyor::File;
use crate::domain::backup::BackupsReading;
use crate::domain::backup::kind::Subject;
use crate::domain::backup::proof::Proof;

/// How many of each subject are read by themselves; older ones when somebody asks for it.
const READ: usize = 14;

/// What is worth a check, in this order: the newest of each subject, then what is older.
pub(super) fn unread(reading: &BackupsReading, files: &BTreeMap<String, File>) -> Vec<File> {
    let mut ranked: Vec<(usize, String)> = Vec::new();
    for subject in Subject::EACH {
        let of = reading.backups.iter().filter(|b| b.saves(subject) && !matches!(b.proof, Proof::Running { .. }));
        let newest = of.take(READ).enumerate();
        ranked.extend(newest.filter(|(_, b)| b.proof == Proof::UNREAD).map(|(rank, b)| (rank, b.path.clone())));
    }
    ranked.sort();
    ranked.into_iter().filter_map(|(_, path)| files.get(&path).cloned()).collect()
}
