//! What git says of a repository: which commit a name stands for, and what is written in that commit. Asked as the user whose
//! installation it is, without a prompt; nothing of the repository's own code is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::app_state::installation::Installation;
use super::pip::{PATH, as_its_user};
use super::roll;
use super::services::command::{Ended, run};
use crate::domain::repository::{references, version};
use crate::domain::text::plain;

/// How long a server may take to say what it has.
const LIST: Duration = Duration::from_secs(30);
/// How long it may take to hand over one commit.
const FETCH: Duration = Duration::from_mins(3);
/// How long git may take for what is on the disk.
const LOCAL: Duration = Duration::from_secs(30);
/// Of a list of a commit's files, more bytes are not looked at.
const MOST: usize = 1024 * 1024;

/// What of a source is looked at: what it says of itself, and its migrations.
const LOOKED_AT: [&str; 4] = ["pyproject.toml", "*/__init__.py", "*/apps.py", "*/migrations/*.py"];

/// The environment of a git that nobody is there to answer, and that fetches in no other way than this.
pub fn environment() -> BTreeMap<String, String> {
    let set = [
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
        ("GIT_ALLOW_PROTOCOL", "https:ssh:file"),
    ];
    set.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Whether there is a git.
///
/// # Errors
/// A sentence, where there is none.
pub fn there() -> Result<(), String> {
    if PATH.split(':').any(|dir| Path::new(dir).join("git").is_file()) {
        return Ok(());
    }
    Err(format!("git is not installed (looked for in {PATH}): pip needs it, too, to build from a repository"))
}

/// What a repository lists under a name now: a line each, `ID<tab>REFERENCE`.
///
/// # Errors
/// Why that is not known, in a sentence.
pub async fn listed(of: &Installation, url: &str, name: &str) -> Result<String, String> {
    let mut words = vec!["ls-remote".to_owned(), "--".to_owned(), url.to_owned()];
    for reference in references(name) {
        words.extend([format!("{reference}^{{}}"), reference]);
    }
    git(of, &words, LIST).await.map_err(|why| format!("{url} can't be asked: {why}"))
}

/// The source of one commit, in a place of its user's own, which goes with this.
#[derive(Debug)]
pub struct Source {
    dir: PathBuf,
    of: Installation,
}

impl Drop for Source {
    fn drop(&mut self) {
        // As its user, whose links lead nobody else astray.
        let mut words = as_its_user(&self.of);
        words.extend(["rm", "-rf", "--"].map(str::to_owned));
        let mut gone = std::process::Command::new("env");
        gone.args(words).arg(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    }
}

/// Fetches one commit, and writes what is looked at of it where it can be read.
///
/// # Errors
/// Why it can't be had, in a sentence.
pub async fn fetch(of: &Installation, url: &str, commit: &str) -> Result<Source, String> {
    let words = ["mktemp", "-d", "--tmpdir", "midwatch-source-XXXXXXXXXX"].map(str::to_owned);
    let made = ended(as_user(of, &words, LOCAL).await, "mktemp", LOCAL);
    let dir = made.map_err(|why| format!("there is no place to look at the source: {why}"))?;
    let dir = PathBuf::from(dir.trim_end_matches('\n'));
    if !dir.is_absolute() {
        return Err("there is no place to look at the source: mktemp names none".to_owned());
    }
    let source = Source { dir, of: of.clone() };
    source.git(&["init", "--quiet", "--template="], LOCAL).await?;
    let mut words =
        vec!["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance"];
    words.extend(["--", url, commit]);
    source.git(&words, FETCH).await.map_err(|why| {
        format!("commit {commit} of {url} can't be fetched by its id, which pip has to do, too: {why}")
    })?;
    let peeled = [commit, "^{commit}"].concat();
    if source.git(&["rev-parse", "--verify", "--quiet", &peeled], LOCAL).await.ok().is_none_or(|id| id.trim() != commit)
    {
        return Err(format!("{commit} of {url} is no commit"));
    }
    let listed = source.git(&["ls-tree", "-r", "-z", "--name-only", commit], LOCAL).await?;
    if listed.len() >= MOST {
        return Err(format!("commit {commit} of {url} has more files than are looked at"));
    }
    let wanted = |name: &&str| LOOKED_AT.iter().any(|pattern| fits(pattern, name));
    let wanted: Vec<String> = listed.split('\0').filter(wanted).map(|name| format!(":(literal){name}")).collect();
    for some in wanted.chunks(200) {
        // A link is written as what it says, and leads nowhere.
        let mut words = vec!["-c", "core.symlinks=false", "-c", "core.hooksPath=/dev/null", "checkout", "--quiet"];
        words.extend([commit, "--"]);
        words.extend(some.iter().map(String::as_str));
        source.git(&words, LOCAL).await.map_err(|why| format!("its source can't be read: {why}"))?;
    }
    Ok(source)
}

impl Source {
    async fn git(&self, words: &[&str], limit: Duration) -> Result<String, String> {
        let inside = ["-C".to_owned(), self.dir.display().to_string()];
        let words = inside.into_iter().chain(words.iter().map(|word| (*word).to_owned()));
        git(&self.of, &words.collect::<Vec<_>>(), limit).await
    }

    /// The directory in which the package lies, as an installation's packages do: `src`, or the top.
    pub fn packages(&self, package: &str) -> PathBuf {
        let below = self.dir.join("src");
        if below.join(package).is_dir() { below } else { self.dir.clone() }
    }

    /// The version it says it is.
    ///
    /// # Errors
    /// Why it does not say.
    pub fn version(&self, package: &str) -> Result<String, String> {
        let own = roll::text(&self.packages(package).join(package).join("__init__.py")).ok();
        version(roll::text(&self.dir.join("pyproject.toml")).ok().as_deref(), own.as_deref())
    }
}

/// Whether a path fits a pattern: `*` is anything, directories too.
fn fits(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((first, rest)) => path
            .strip_prefix(first)
            .is_some_and(|path| (0..=path.len()).filter_map(|at| path.get(at..)).any(|path| fits(rest, path))),
    }
}

async fn git(of: &Installation, words: &[String], limit: Duration) -> Result<String, String> {
    let mut all = vec!["env".to_owned()];
    all.extend(environment().iter().map(|(name, value)| format!("{name}={value}")));
    all.push("git".to_owned());
    all.extend_from_slice(words);
    ended(as_user(of, &all, limit).await, "git", limit)
}

async fn as_user(of: &Installation, words: &[String], limit: Duration) -> Ended {
    run("env", &[as_its_user(of), words.to_vec()].concat(), &[], limit).await
}

fn ended(ended: Ended, program: &str, limit: Duration) -> Result<String, String> {
    match ended {
        Ended::Well(said) => Ok(said),
        Ended::Badly(why) => Err(format!("{program} says: {}", plain(&why, 200))),
        Ended::Late => Err(format!("{program} has not ended within {} s", limit.as_secs())),
        Ended::Absent => Err("there is no env here".to_owned()),
        Ended::Failed(why) => Err(format!("{program} can't be run: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{LOOKED_AT, fits};

    #[test]
    fn only_what_tells_of_itself_is_looked_at() {
        let looked = |path: &str| LOOKED_AT.iter().any(|pattern| fits(pattern, path));
        for path in [
            "pyproject.toml",
            "src/pretix/__init__.py",
            "pretix/__init__.py",
            "src/pretix/base/apps.py",
            "src/pretix/plugins/badges/migrations/0001_initial.py",
        ] {
            assert!(looked(path), "{path}");
        }
        for path in ["setup.py", "src/pretix/base/models.py", "src/pretix/static/x/y.js", "doc/pyproject.toml"] {
            assert!(!looked(path), "{path}");
        }
    }
}
