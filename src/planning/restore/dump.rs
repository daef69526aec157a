//! What dumps of every kind of server have in common.

use std::path::Path;

use crate::backends::backups::check::{Outcome, Verdict, check};
use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::domain::backup::header::Header;

/// Reads a backup to its end; an error says why it is not whole. `shown`: its path, as people may see it.
pub(super) fn whole(path: &Path, shown: &str, tools: &Tools, control: &Control) -> Result<Verdict, String> {
    let verdict = check(path, tools, control);
    match &verdict.outcome {
        Outcome::Whole => Ok(verdict),
        Outcome::Broken(_, why) => Err(format!("{shown} is broken: {why}")),
        Outcome::Growing(why) => Err(format!("{shown} is not finished: {why}")),
        Outcome::Unproven(why) => Err(format!("{shown} can't be proven whole: {why}")),
        Outcome::Stopped => Err(format!("{shown} was not read to its end")),
    }
}

/// When it was begun, in the local time of whoever made it.
pub(super) fn begun(header: &Header) -> Option<String> {
    header
        .created
        .map(|at| format!("{}-{:02}-{:02} {:02}:{:02}:{:02}", at.year, at.month, at.day, at.hour, at.minute, at.second))
}
