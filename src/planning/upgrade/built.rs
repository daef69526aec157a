//! What is installed by an upgrade that builds one commit of a repository: nothing of it is run before, and nothing is stopped
//! meanwhile.

use std::path::Path;

use super::steps::{Places, step, word};
use super::{Draft, Upgrade};
use crate::backends::git;
use crate::domain::repository::{is_id, mark};
use crate::runbook::plan::{Act, UpgradeAct};

/// A commit of a repository.
pub(super) struct Built {
    /// The repository, as git and pip take it.
    pub(super) repository: String,
    /// The commit's id, whole.
    pub(super) commit: String,
}

/// What tells two installations apart besides their versions, which may be the same.
pub(super) struct Apart {
    /// What one of the two holds among its packages.
    mark: String,
    /// Whether that is the one that comes.
    comes: bool,
}

impl Apart {
    /// As `exchange` is told it; `forth`: not back.
    pub(super) fn told(&self, forth: bool) -> [String; 2] {
        let which = if self.comes == forth { "--with" } else { "--without" };
        [which.to_owned(), self.mark.clone()]
    }

    /// As `test` is told it, of what is in place afterwards.
    pub(super) fn test(&self, packages: &Path) -> Vec<String> {
        let mut out = vec!["-a".to_owned()];
        out.extend((!self.comes).then(|| "!".to_owned()));
        out.extend(["-e".to_owned(), word(&packages.join(&self.mark))]);
        out
    }
}

/// The commit that was put into use by the upgrade with this directory.
pub(super) fn built_from(own: &Path) -> Option<String> {
    let entries = std::fs::read_dir(own).ok()?;
    let id = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("commit-").filter(|id| is_id(id)).map(str::to_owned)
    };
    entries.flatten().find_map(id)
}

impl Upgrade {
    /// What tells the installation that comes from the one in use.
    pub(super) fn apart(&self) -> Option<Apart> {
        let of = &self.of;
        if let Some(built) = &self.built {
            return Some(Apart { mark: mark(of.name, &self.version, &built.commit), comes: true });
        }
        let mark = mark(of.name, &of.version, of.commit.as_deref()?);
        of.packages.join(&mark).is_dir().then_some(Apart { mark, comes: false })
    }
}

impl Draft<'_> {
    pub(super) fn build_beside(&mut self, upgrade: &Upgrade, built: &Built, places: &Places) {
        let (of, version) = (&upgrade.of, upgrade.version.as_str());
        let Built { repository, commit } = built;
        let words = |words: &[&str]| upgrade.command(words.iter().map(|word| (*word).to_owned()).collect());
        let packages = word(&places.packages);
        // It says for good which commit the upgrade with this directory was to.
        let says = word(&places.own.join(format!("commit-{commit}")));
        let mkdir = words(&["mkdir", "-p", "-m", "0700", "--", &packages, &says]);
        self.steps.push(step("a place beside it", Act::Command(mkdir), 1, 1));

        let source = format!("git+{repository}@{commit}");
        let mut build = upgrade.pip(&of.python(), &["wheel", "--no-deps", "--wheel-dir", &packages, &source]);
        build.env = git::environment();
        self.steps.push(step("build", Act::Command(build), 60, 120));

        let exact = format!("{}=={version}", of.name);
        let from = ["--no-index", "--no-deps", "--find-links", packages.as_str()];
        let check = [&["install", "--dry-run", "--ignore-installed"], &from[..], &[&exact]].concat();
        let name = format!("what was built is {version}");
        self.steps.push(step(name, Act::Command(upgrade.pip(&of.python(), &check)), 5, 3));

        let python = places.beside.join("bin/python");
        let inside = places.inside(of, &of.packages);
        let install = [&["install", "--force-reinstall"], &from[..], &[&exact]].concat();
        let spec = of.spec(version);
        let mut needed = upgrade.pip(&python, &["install", &spec]);
        needed.env = git::environment();
        let mut prepared = upgrade.copy(places);
        prepared.extend([
            upgrade.pip(&python, &install),
            needed,
            words(&["test", "-e", &word(&inside.join(upgrade.mark(version)).join("RECORD"))]),
            words(&["mkdir", "--", &word(&inside.join(mark(of.name, version, commit)))]),
        ]);
        let prepared = Act::Upgrade(UpgradeAct::InOrder(prepared));
        self.steps.push(step("install into a copy of the installation", prepared, 30, 60));

        let check = upgrade.pip(&python, &["check"]);
        self.steps.push(step("everything fits together", Act::Command(check), 5, 5));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Apart, built_from};

    #[test]
    fn what_comes_is_told_from_what_goes_and_back_again() {
        let of = |comes| Apart { mark: "m".to_owned(), comes };
        assert_eq!(
            (of(true).told(true), of(true).told(false)),
            (["--with", "m"].map(str::to_owned), ["--without", "m"].map(str::to_owned))
        );
        assert_eq!((of(false).told(true), of(false).told(false)), (of(true).told(false), of(true).told(true)));
        assert_eq!(of(true).test(Path::new("/p")), ["-a", "-e", "/p/m"]);
        assert_eq!(of(false).test(Path::new("/p")), ["-a", "!", "-e", "/p/m"]);
    }

    #[test]
    fn an_upgrade_says_which_commit_it_was_to() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(built_from(dir.path()), None);
        std::fs::create_dir(dir.path().join("commit-main")).unwrap();
        assert_eq!(built_from(dir.path()), None);
        let id = "a".repeat(40);
        std::fs::create_dir(dir.path().join(format!("commit-{id}"))).unwrap();
        assert_eq!(built_from(dir.path()), Some(id));
    }
}
