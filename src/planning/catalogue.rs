//! The runbooks there are: those that ship with midwatch, and the operator's own beside the configuration.

use std::path::{Path, PathBuf};

use crate::config::report::{ConfigError, Mistake};
use crate::runbook::spec::{Runbook, parse};

/// Those that ship with midwatch.
const BUILT_IN: &[(&str, &str)] = &[
    ("restart-services", include_str!("../../assets/runbooks/restart-services.toml")),
    ("reset-crash-loop", include_str!("../../assets/runbooks/reset-crash-loop.toml")),
    ("unblock-locks", include_str!("../../assets/runbooks/unblock-locks.toml")),
    ("free-space", include_str!("../../assets/runbooks/free-space.toml")),
    ("restore-database", include_str!("../../assets/runbooks/restore-database.toml")),
    ("restore-in-place", include_str!("../../assets/runbooks/restore-in-place.toml")),
    ("swap-back", include_str!("../../assets/runbooks/swap-back.toml")),
    ("release-held", include_str!("../../assets/runbooks/release-held.toml")),
    ("upgrade", include_str!("../../assets/runbooks/upgrade.toml")),
    ("upgrade-from-git", include_str!("../../assets/runbooks/upgrade-from-git.toml")),
    ("undo-upgrade", include_str!("../../assets/runbooks/undo-upgrade.toml")),
    ("undo-upgrade-and-restore", include_str!("../../assets/runbooks/undo-upgrade-and-restore.toml")),
    ("evidence", include_str!("../../assets/runbooks/evidence.toml")),
    ("prove-backup", include_str!("../../assets/runbooks/prove-backup.toml")),
    ("take-backup", include_str!("../../assets/runbooks/take-backup.toml")),
    ("rotate-backups", include_str!("../../assets/runbooks/rotate-backups.toml")),
    ("restore-files", include_str!("../../assets/runbooks/restore-files.toml")),
    ("restore-point", include_str!("../../assets/runbooks/restore-point.toml")),
    ("swap-back-point", include_str!("../../assets/runbooks/swap-back-point.toml")),
    ("swap-back-file", include_str!("../../assets/runbooks/swap-back-file.toml")),
    ("release-held-file", include_str!("../../assets/runbooks/release-held-file.toml")),
    ("give-back-tasks", include_str!("../../assets/runbooks/give-back-tasks.toml")),
    ("drop-tasks", include_str!("../../assets/runbooks/drop-tasks.toml")),
];

/// Longest file that is read, in bytes.
const MOST: u64 = 256 * 1024;
/// Most files of the operator's own.
const FILES: usize = 200;

/// A file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub path: PathBuf,
    /// Why, with line and column.
    pub why: String,
}

/// Every runbook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// In the order of their ids.
    pub runbooks: Vec<Runbook>,
    /// Files that can't be used.
    pub broken: Vec<Broken>,
}

impl Catalogue {
    /// Reads all of them. A file of the operator's own stands for a built-in one of the same name.
    pub fn read(directories: &[PathBuf]) -> Self {
        let mut found = Self::default();
        for (id, text) in BUILT_IN {
            found.take(id, Path::new(id), text, true);
        }
        for directory in directories {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).take(FILES).collect();
            files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
            files.sort();
            for path in files {
                match own(directory, &path) {
                    Ok((id, text)) => found.take(&id, &path, &text, false),
                    Err(why) => found.broken.push(Broken { path, why }),
                }
            }
        }
        found.runbooks.sort_by(|a, b| a.id.cmp(&b.id));
        found
    }

    fn take(&mut self, id: &str, path: &Path, text: &str, built_in: bool) {
        match parse(id, text, built_in) {
            Ok(runbook) => {
                self.runbooks.retain(|known| known.id != id);
                self.runbooks.push(runbook);
            }
            Err(mistakes) => self.broken.push(Broken { path: path.to_owned(), why: told(path, text, mistakes) }),
        }
    }

    /// The one of this id.
    pub fn get(&self, id: &str) -> Option<&Runbook> {
        self.runbooks.iter().find(|runbook| runbook.id == id)
    }

    /// A runbook's file as it is written.
    pub fn source(directories: &[PathBuf], id: &str) -> Option<String> {
        let read = |dir: &PathBuf| own(dir, &dir.join(format!("{id}.toml"))).ok().filter(|(name, _)| name == id);
        let written = directories.iter().rev().find_map(read).map(|(_, text)| text);
        written.or_else(|| BUILT_IN.iter().find(|(name, _)| *name == id).map(|(_, text)| (*text).to_owned()))
    }

    /// Reads one file.
    ///
    /// # Errors
    /// Its mistakes, each with line and column; or why it can't be read.
    pub fn check(path: &Path) -> Result<Runbook, String> {
        let (id, text) = file(path)?;
        parse(&id, &text, false).map_err(|mistakes| told(path, &text, mistakes))
    }
}

/// A file of the operator's own: its id and its text, where nobody else can have written it.
fn own(directory: &Path, path: &Path) -> Result<(String, String), String> {
    trusted(directory)?;
    trusted(path)?;
    file(path)
}

/// Whether only this user and root can have written it: what is in it is carried out.
fn trusted(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let own = [0, rustix::process::geteuid().as_raw()].contains(&meta.uid());
    let told = |why: &str| Err(format!("{} is not used: {why}", path.display()));
    match (meta.is_symlink(), own, meta.mode() & 0o022) {
        (true, _, _) => told("it is a link"),
        (false, false, _) => told("it belongs to another user, who could write anything into it"),
        (false, true, 0) => Ok(()),
        (false, true, _) => told("others can write it; chmod go-w, and look whether it is still what it was"),
    }
}

fn file(path: &Path) -> Result<(String, String), String> {
    let unreadable = |why: String| format!("{}: {why}", path.display());
    let meta = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !meta.is_file() || meta.len() > MOST {
        return Err(unreadable(format!("is no file of at most {} kB", MOST / 1024)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if id.is_empty() || !id.chars().all(good) {
        return Err(unreadable(
            "its name has more than letters, digits, `-` and `_`: it is the runbook's id".to_owned(),
        ));
    }
    Ok((id, text))
}

fn told(path: &Path, text: &str, mistakes: Vec<crate::runbook::spec::Mistake>) -> String {
    let mistakes = mistakes.into_iter().map(|m| Mistake { span: m.span, what: m.what, help: None }).collect();
    ConfigError::Mistakes { path: path.to_owned(), text: text.to_owned(), mistakes }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_is_right_and_treats_rules_there_are() {
        let catalogue = Catalogue::read(&[]);
        assert_eq!(catalogue.broken, []);
        assert_eq!(catalogue.runbooks.len(), BUILT_IN.len());
        let rules: Vec<&str> = crate::triage::rules().map(|rule| rule.id).collect();
        for runbook in &catalogue.runbooks {
            let unknown: Vec<_> = runbook.treats.iter().filter(|id| !rules.contains(&id.as_str())).collect();
            assert!(unknown.is_empty(), "{}: {unknown:?}", runbook.id);
        }
    }

    #[test]
    fn what_others_can_write_is_not_carried_out() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.toml");
        let text = "title = \"x\"\nsummary = \"y\"\nrisk = \"observe\"\n[[steps]]\nname = \"a\"\nnote = \"b\"\n";
        std::fs::write(&path, text).unwrap();
        let directories = [dir.path().to_owned()];
        for (mode, used) in [(0o644, true), (0o664, false), (0o646, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let catalogue = Catalogue::read(&directories);
            assert_eq!(catalogue.get("own").is_some(), used, "{mode:o}: {:?}", catalogue.broken);
            assert_eq!(Catalogue::source(&directories, "own").is_some(), used, "{mode:o}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(Catalogue::read(&directories).get("own").is_none());
    }

    #[test]
    fn mistakes_have_line_and_column() {
        let text = "title = \"x\"\nsummary = \"y\"\nrisk = \"reversible\"\nway_back = \"z\"\n[[steps]]\nname = \"a\"\nrun = [\"echo\", \"{{ nope }}\"]\n";
        let why = told(Path::new("x.toml"), text, parse("x", text, false).unwrap_err());
        assert!(why.contains("x.toml:7:") && why.contains("nothing is called `nope`"), "{why}");
    }
}
