//! Old backups go, one by one, each looked at again before it does.

use super::settle;
use crate::backends::look::files::{inode, openers, plain_file};
use crate::runbook::approval::Permit;
use crate::runbook::plan::files::Leaving;

/// Deletes one, if it is still what was seen.
pub(super) fn leave(_permit: &Permit, leaving: &Leaving) -> Result<String, String> {
    deleted(leaving)
}

fn deleted(leaving: &Leaving) -> Result<String, String> {
    let path = &leaving.path;
    if inode(path).is_none() {
        return Ok(format!("{path} is gone"));
    }
    for (path, was) in leaving.stay.iter().chain(std::iter::once(&(path.clone(), leaving.was.clone()))) {
        let now = plain_file(path).map_err(|why| format!("nothing is deleted: {why}"))?;
        if now != *was {
            return Err(format!("nothing is deleted: {path} was {was}, is {now}"));
        }
    }
    let openers = openers(std::slice::from_ref(path));
    if !openers.is_empty() {
        return Err(format!("{path} is open and is not deleted: {}", openers.join(", ")));
    }
    std::fs::remove_file(path).map_err(|error| format!("{path} can't be deleted: {error}"))?;
    settle(path)?;
    Ok(format!("{path} is deleted"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::deleted;
    use crate::backends::look::files::plain_file;
    use crate::runbook::plan::files::Leaving;

    #[test]
    fn only_the_very_file_that_was_seen_goes_and_only_while_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        write("old", "1");
        write("new", "22");
        let state = |name: &str| plain_file(&path(name)).unwrap();
        let leaving = || Leaving {
            path: path("old"),
            was: state("old"),
            told: String::new(),
            stay: vec![(path("new"), state("new"))],
        };
        let refused = |leaving: &Leaving, why: &str| {
            let said = deleted(leaving).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert!(std::fs::symlink_metadata(path("old")).is_ok(), "{said}");
        };
        // What it is about has changed.
        let before = leaving();
        write("old", "longer");
        refused(&before, "nothing is deleted: ");
        let before = leaving();
        std::fs::rename(path("new"), path("elsewhere")).unwrap();
        refused(&before, "No such file");
        std::fs::rename(path("elsewhere"), path("new")).unwrap();
        // It is another name of what stays, or leads elsewhere.
        let before = leaving();
        std::fs::hard_link(path("old"), path("also")).unwrap();
        refused(&before, "has other names");
        std::fs::remove_file(path("also")).unwrap();
        std::fs::rename(path("old"), path("away")).unwrap();
        std::os::unix::fs::symlink(path("away"), path("old")).unwrap();
        refused(&before, "is a link");
        std::fs::remove_file(path("old")).unwrap();
        std::fs::rename(path("away"), path("old")).unwrap();
        // Somebody reads it.
        let before = leaving();
        let reader = File::open(path("old")).unwrap();
        refused(&before, "is open and is not deleted");
        drop(reader);
        assert!(deleted(&before).unwrap().ends_with("old is deleted"));
        assert!(deleted(&before).unwrap().ends_with("old is gone"));
        assert_eq!(std::fs::read_to_string(path("new")).unwrap(), "22");
    }
}
