//! An installation as an upgrade needs it: its virtual environment, whose it is, and how the application is run.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{AppProbe, environments, find, package};
use crate::backends::roll;
use crate::backends::store::who;
use crate::config::SiteConfig;
use crate::discovery::{Runner, runners};
use crate::domain::app_state::AppMigrations;
use crate::domain::repository::{self, short};

/// Where and how an application is installed with pip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its package: `pretix`.
    pub name: &'static str,
    /// The version installed.
    pub version: String,
    /// The commit it was built from, where that was written down; `None`: that is not known, or it is a release.
    pub commit: Option<String>,
    /// The virtual environment: `/var/pretix/venv`.
    pub venv: PathBuf,
    /// The directory of its packages below that.
    pub packages: PathBuf,
    /// The user whose it is, and who runs it.
    pub user: String,
    /// The directory it is run in.
    pub cwd: PathBuf,
    /// What of its environment configures it.
    pub env: BTreeMap<String, String>,
    /// Whether its web server replaces workers by itself, which take in new code then.
    pub recycles: bool,
}

impl Installation {
    /// Its Python.
    pub fn python(&self) -> PathBuf {
        self.venv.join("bin/python")
    }

    /// The version, and the commit it was built from.
    pub fn told(&self) -> String {
        told(&self.version, self.commit.as_deref())
    }

    /// A version of it, as pip is told it, with the extras it seems to have been installed with.
    pub fn spec(&self, version: &str) -> String {
        let metadata = self.packages.join(format!("{}-{}.dist-info/METADATA", self.name, self.version));
        let extras = extras(&roll::text(&metadata).unwrap_or_default(), &self.installed());
        let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
        format!("{}{extras}=={version}", self.name)
    }

    /// Every package in it, by its normalised name, with its version.
    pub fn installed(&self) -> BTreeMap<String, String> {
        let entries = roll::list(&self.packages, 20_000).unwrap_or_default();
        let one = |path: &PathBuf| {
            let (name, version) = path.file_name()?.to_str()?.strip_suffix(".dist-info")?.split_once('-')?;
            Some((normal(name), version.to_owned()))
        };
        entries.iter().filter_map(one).collect()
    }
}

/// A version, and the commit it was built from.
pub fn told(version: &str, commit: Option<&str>) -> String {
    commit.map_or_else(|| version.to_owned(), |id| format!("{version} of commit {}", short(id)))
}

/// The commit that a version of a package was built from, as an upgrade has written it down among its packages. What was
/// installed there since was another.
pub fn commit(packages: &Path, name: &str, version: &str) -> Option<String> {
    let changed = |path: &Path| std::fs::symlink_metadata(path).ok()?.modified().ok();
    let installed = changed(&packages.join(format!("{name}-{version}.dist-info/RECORD")))?;
    let mut marks = marked(packages, name).into_iter().filter_map(|path| {
        let id = path.file_name()?.to_str()?.strip_prefix(&repository::marks(name, version))?.to_owned();
        (repository::is_id(&id) && changed(&path)? >= installed).then_some(id)
    });
    marks.next().filter(|_| marks.next().is_none())
}

/// Everything that says which commit a version of a package was built from.
pub fn marked(packages: &Path, name: &str) -> Vec<PathBuf> {
    let one = |path: &PathBuf| {
        let rest = path.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix('-')?;
        repository::is_id(rest.split_once(".commit-")?.1).then_some(())
    };
    let all = roll::list(packages, 20_000).unwrap_or_default();
    all.into_iter().filter(|path| one(path).is_some() && path.is_dir()).collect()
}

/// The commit that pip has installed something from by itself, as it has written that down; not one that is worked on.
fn by_commit(direct: &str) -> Option<String> {
    let direct: serde_json::Value = serde_json::from_str(direct).ok()?;
    let id = direct.get("vcs_info")?.get("commit_id")?.as_str()?;
    (repository::is_id(id) && direct.get("dir_info").is_none()).then(|| id.to_owned())
}

/// The home directory a process was given.
fn home(pid: u32) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let home = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"HOME="))?;
    let home = std::str::from_utf8(home).ok()?;
    Path::new(home).is_dir().then(|| home.to_owned())
}

/// The extras it was installed with, as far as that can be told afterwards: those of which everything is there. A newer
/// version may want more for them.
fn extras(metadata: &str, installed: &BTreeMap<String, String>) -> Vec<String> {
    let field = |name: &str| {
        let name = format!("{name}: ");
        metadata
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(move |line| line.strip_prefix(name.as_str()).map(str::to_owned))
    };
    let wants = |extra: &str| {
        let marks = [format!("extra == \"{extra}\""), format!("extra == '{extra}'")];
        let of_it =
            |line: &String| line.split_once(';').is_some_and(|(_, mark)| marks.iter().any(|m| mark.contains(m)));
        let name = |line: String| {
            let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(line.len());
            normal(line.get(..end).unwrap_or_default())
        };
        field("Requires-Dist").filter(of_it).map(name).collect::<Vec<_>>()
    };
    field("Provides-Extra")
        .filter(|extra| {
            let wanted = wants(extra.as_str());
            !wanted.is_empty() && wanted.iter().all(|name| installed.contains_key(name))
        })
        .collect()
}

/// A package's name as pip compares it.
pub fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            _ => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// How an application was run while it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Its virtual environment.
    pub venv: PathBuf,
    /// The directory it was run in.
    pub cwd: PathBuf,
    /// What of its environment configured it.
    pub env: BTreeMap<String, String>,
}

/// The installation of a site's application.
///
/// # Errors
/// Why midwatch can't upgrade it, in a sentence.
pub fn installation(site: &SiteConfig) -> Result<Installation, String> {
    installation_as(site, None)
}

/// The same. Where nothing of the application runs that would show it, it is where, and as, it is remembered.
///
/// # Errors
/// Why midwatch can't upgrade it, in a sentence.
pub fn installation_as(site: &SiteConfig, remembered: Option<Remembered>) -> Result<Installation, String> {
    let plan = AppProbe::new(site).plan;
    let Some(name) = package(plan.app) else {
        return Err("midwatch upgrades pretix and pretalx: this site is neither (app = \"…\" in its table)".to_owned());
    };
    let mut unseen = Vec::new();
    let (mut processes, env) = plan.processes(&mut unseen);
    let files: Vec<PathBuf> = site.source.iter().cloned().collect();
    let ours: Vec<u32> = runners(&plan.around, plan.app, &files).0.iter().map(Runner::pid).collect();
    // A second installation on the host may have processes that look alike: those that read this site's file are its own.
    if processes.iter().any(|process| ours.contains(&process.pid)) {
        processes.retain(|process| ours.contains(&process.pid));
    }
    let venvs: BTreeSet<PathBuf> = processes.iter().filter_map(|p| environments(&p.words).into_iter().next()).collect();
    if venvs.len() > 1 {
        let venvs: Vec<String> = venvs.iter().map(|venv| venv.display().to_string()).collect();
        return Err(format!(
            "its processes run from several places ({}): which is meant can't be told",
            venvs.join(", ")
        ));
    }
    let remembered = remembered.filter(|_| processes.is_empty());
    let found = match &remembered {
        Some(was) => find(&plan.around.root, plan.app, std::slice::from_ref(&was.venv)),
        None => plan.installed(&processes),
    };
    let Some(found) = found else {
        return Err(format!(
            "where {name} is installed was not found, neither by its processes nor at its usual places; of an application in \
             a container the image's tag is changed, where midwatch knows its services. {}",
            unseen.join(" ")
        ));
    };
    let venv = found.packages.ancestors().nth(3).map(Path::to_owned).unwrap_or_default();
    if !venv.join("pyvenv.cfg").is_file() || !venv.join("bin/python").exists() {
        let at = found.packages.display();
        return Err(format!(
            "{name} lies in {at}, which belongs to no virtual environment: midwatch does not touch it"
        ));
    }
    let info = found.packages.join(format!("{name}-{}.dist-info", found.version));
    let direct = info.join("direct_url.json");
    let by_hand = direct.exists().then(|| roll::text(&direct).ok().and_then(|text| by_commit(&text)));
    if by_hand == Some(None) {
        return Err(format!(
            "{name} was installed from a directory or a file ({}), not as a release or from a repository: midwatch upgrades \
             no other",
            direct.display()
        ));
    }
    let owner = std::fs::metadata(&found.packages).map_err(|error| format!("{}: {error}", found.packages.display()))?;
    if let Some(other) = processes.iter().find(|process| process.uid != owner.uid()) {
        return Err(format!(
            "{} belongs to {}, but process {} of the application runs as {}: midwatch installs as the application's own \
             user only; chown the virtual environment to it, or upgrade it as it was installed",
            venv.display(),
            who::name(owner.uid()),
            other.pid,
            who::name(other.uid)
        ));
    }
    for dir in [&venv, &found.packages.parent().unwrap_or(&venv).to_owned(), &found.packages] {
        let meta = std::fs::symlink_metadata(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        if !meta.is_dir() || meta.uid() != owner.uid() || meta.mode() & 0o200 == 0 {
            return Err(format!("{} can't be written by {}, as whom it runs", dir.display(), who::name(owner.uid())));
        }
    }
    let cwd = processes.first().and_then(|process| std::fs::read_link(format!("/proc/{}/cwd", process.pid)).ok());
    let (mut env, cwd) = match remembered {
        Some(was) => (was.env, Some(was.cwd)),
        None => (env, cwd),
    };
    // Its commands look for files of their own there, as its processes do.
    env.extend(processes.first().and_then(|process| home(process.pid)).map(|home| ("HOME".to_owned(), home)));
    let recycles = |word: &String| word.starts_with("--max-requests") && !word.ends_with("=0");
    Ok(Installation {
        name,
        commit: by_hand.flatten().or_else(|| commit(&found.packages, name, &found.version)),
        version: found.version,
        packages: found.packages,
        user: who::name(owner.uid()),
        cwd: cwd.filter(|dir| dir.is_dir()).unwrap_or_else(|| PathBuf::from("/")),
        env,
        recycles: processes.iter().any(|process| process.words.iter().any(recycles)),
        venv,
    })
}

/// The migrations that come with an application's code in these packages.
pub(in crate::backends) fn migrations(packages: &Path, name: &str) -> Vec<AppMigrations> {
    super::migrations::migrations(packages, name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::{by_commit, commit, extras, marked, normal};

    #[test]
    fn a_commit_that_pip_was_told_by_hand_is_known_and_a_checkout_is_not_taken() {
        let id = "1".repeat(40);
        let direct = |info: &str| format!("{{\"url\": \"https://example.org/a\", {info}}}");
        let vcs = format!("\"vcs_info\": {{\"vcs\": \"git\", \"commit_id\": \"{id}\"}}");
        assert_eq!(by_commit(&direct(&vcs)), Some(id));
        for other in
            ["\"dir_info\": {\"editable\": true}", "\"archive_info\": {}", "\"vcs_info\": {\"commit_id\": \"x\"}"]
        {
            assert_eq!(by_commit(&direct(other)), None);
        }
        assert_eq!(by_commit(""), None);
    }

    #[test]
    fn the_commit_is_that_of_what_is_installed_now() {
        let dir = tempfile::tempdir().unwrap();
        let (id, other) = ("1".repeat(40), "2".repeat(40));
        let record = dir.path().join("a-1.0.dist-info/RECORD");
        fs::create_dir(record.parent().unwrap()).unwrap();
        fs::write(&record, "").unwrap();
        let name = |version: &str, id: &str| dir.path().join(format!("a-{version}.commit-{id}"));
        let of = |version: &str| commit(dir.path(), "a", version);
        assert_eq!(of("1.0"), None);
        fs::create_dir(name("1.0", &id)).unwrap();
        fs::create_dir(name("0.9", &other)).unwrap();
        fs::create_dir(name("1.0", "123")).unwrap();
        assert_eq!((of("1.0"), of("0.9")), (Some(id.clone()), None));
        assert_eq!(marked(dir.path(), "a"), [name("0.9", &other), name("1.0", &id)]);
        // By hand, the same version.
        let file = fs::File::options().append(true).open(&record).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_mins(1)).unwrap();
        assert_eq!(of("1.0"), None);
    }

    #[test]
    fn an_extra_is_meant_where_all_of_it_is_there() {
        let metadata = "Name: pretalx\nProvides-Extra: dev\nProvides-Extra: postgres\nProvides-Extra: redis\n\
            Requires-Dist: django[argon2]~=5.1\nRequires-Dist: pytest>8; extra == 'dev'\n\
            Requires-Dist: redis~=5.0 ; extra == 'dev'\nRequires-Dist: psycopg2-binary ; extra == \"postgres\"\n\
            Requires-Dist: Redis~=5.0; extra == \"redis\"\n\nProvides-Extra: words\n";
        let installed = ["django", "psycopg2-binary", "redis"].map(|name| (name.to_owned(), "1".to_owned())).into();
        assert_eq!(extras(metadata, &installed), ["postgres", "redis"]);
    }

    #[test]
    fn names_are_compared_as_pip_does() {
        assert_eq!(normal("Django_Bootstrap3.x"), "django-bootstrap3-x");
        assert_eq!(normal("a-_b"), "a-b");
    }
}
