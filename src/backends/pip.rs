//! What pip says of an installation: which versions there are, what a version would bring. It installs nothing here.

use std::path::Path;
use std::time::Duration;

use super::app_state::installation::{Installation, normal};
use super::services::command::{Ended, run};
use super::store::who;

/// How long an index may take to say which versions it has.
const INDEX: Duration = Duration::from_secs(20);
/// How long pip may take to find out what belongs together.
const RESOLVE: Duration = Duration::from_mins(3);
/// How long pip may take to look through an installation.
const CHECK: Duration = Duration::from_mins(1);

/// A package that would be installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Its normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Versions of the application, as pip lists them, the newest first.
///
/// # Errors
/// Why there is no list, in a sentence.
pub async fn offered(of: &Installation, wheels: Option<&str>) -> Result<Vec<String>, String> {
    if let Some(dir) = wheels {
        return lying_there(Path::new(dir), of.name);
    }
    let mut words = vec!["index", "versions", "--retries", "0", "--timeout", "10"];
    words.push(of.name);
    let said = pip(of, &words, INDEX).await?;
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Available versions:"));
    let versions = line.ok_or_else(|| format!("pip lists no versions of {}", of.name))?;
    Ok(versions.split(',').map(|version| version.trim().to_owned()).filter(|version| !version.is_empty()).collect())
}

fn lying_there(dir: &Path, name: &str) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let version = |file: &str| {
        let stem = file.strip_suffix(".whl").or_else(|| file.strip_suffix(".tar.gz"))?;
        let mut parts = stem.split('-');
        (normal(parts.next()?) == name).then(|| parts.next().map(str::to_owned))?
    };
    let mut out: Vec<String> =
        entries.flatten().take(5_000).filter_map(|entry| version(&entry.file_name().to_string_lossy())).collect();
    out.sort();
    out.dedup();
    Ok(out)
}

/// What has to be installed so that the application is there in this version and everything fits together.
///
/// # Errors
/// Why that can't be had, in pip's words.
pub async fn resolve(of: &Installation, version: &str, wheels: Option<&str>) -> Result<Vec<Wanted>, String> {
    let spec = of.spec(version);
    let mut words = vec!["install", "--dry-run", "--retries", "1", "--timeout", "20"];
    words.extend(wheels.iter().flat_map(|dir| ["--no-index", "--find-links", dir]));
    words.push(&spec);
    Ok(would_install(&pip(of, &words, RESOLVE).await?))
}

/// From the line `Would install Django-5.2 pretix-2026.8.0`; none where everything is there.
fn would_install(said: &str) -> Vec<Wanted> {
    let line = said.lines().rev().find_map(|line| line.trim().strip_prefix("Would install "));
    let one = |word: &str| {
        let (name, version) = word.rsplit_once('-')?;
        Some(Wanted { name: normal(name), version: version.to_owned() })
    };
    let mut out: Vec<Wanted> = line.unwrap_or_default().split_whitespace().filter_map(one).collect();
    out.sort();
    out
}

/// Bytes of an installation on the disk.
///
/// # Errors
/// Why they are not known.
pub async fn size(of: &Installation) -> Result<u64, String> {
    let words = ["-s", "--block-size=1", "--", &of.venv.display().to_string()].map(str::to_owned);
    match run("du", &words, &[("LC_ALL", "C".to_owned())], Duration::from_mins(1)).await {
        Ended::Well(said) => said
            .split_whitespace()
            .next()
            .and_then(|bytes| bytes.parse().ok())
            .ok_or_else(|| format!("du says nothing of {}", of.venv.display())),
        Ended::Badly(why) | Ended::Failed(why) => Err(why),
        Ended::Late => Err(format!("{} can't be measured within a minute", of.venv.display())),
        Ended::Absent => Err("there is no du here".to_owned()),
    }
}

/// Whether everything in an installation fits together.
///
/// # Errors
/// Why that is not known.
pub async fn fits(of: &Installation) -> Result<bool, String> {
    match ended(of, &["check"], CHECK).await {
        Ended::Well(_) => Ok(true),
        // It says what on its standard output; what it complains of is something else.
        Ended::Badly(why) if why.starts_with("exit status") => Ok(false),
        other @ (Ended::Badly(_) | Ended::Late | Ended::Absent | Ended::Failed(_)) => {
            told(other, CHECK).map(|_said| true)
        }
    }
}

/// The path that programs of an installation are looked for in, as a run does.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What stands before a program that `env` runs as the user of an installation, with nothing of this user's environment: as a
/// run does later.
pub(super) fn as_its_user(of: &Installation) -> Vec<String> {
    let home = who::home(&of.user).unwrap_or_else(|| "/".to_owned());
    let mut words = vec!["-i".to_owned(), format!("PATH={PATH}"), format!("HOME={home}"), "LC_ALL=C.UTF-8".to_owned()];
    let own = who::user();
    if own != of.user {
        let change: &[&str] =
            if own == "root" { &["runuser", "-u", &of.user, "--"] } else { &["sudo", "-n", "-u", &of.user, "--"] };
        words.extend(change.iter().map(|word| (*word).to_owned()));
    }
    words
}

/// What pip of the installation says, run as its user.
async fn pip(of: &Installation, arguments: &[&str], limit: Duration) -> Result<String, String> {
    told(ended(of, arguments, limit).await, limit)
}

async fn ended(of: &Installation, arguments: &[&str], limit: Duration) -> Ended {
    let mut words = as_its_user(of);
    words.extend([of.python().display().to_string(), "-m".to_owned(), "pip".to_owned()]);
    words.extend(["--disable-pip-version-check", "--no-input", "--no-cache-dir"].map(str::to_owned));
    words.extend(arguments.iter().map(|word| (*word).to_owned()));
    run("env", &words, &[], limit).await
}

fn told(ended: Ended, limit: Duration) -> Result<String, String> {
    match ended {
        Ended::Well(said) => Ok(said),
        Ended::Badly(why) => Err(format!("pip says: {why}")),
        Ended::Late => Err(format!("pip has not answered within {} s", limit.as_secs())),
        Ended::Absent => Err("there is no env here".to_owned()),
        Ended::Failed(why) => Err(format!("pip can't be run: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, lying_there, would_install};

    #[test]
    fn what_would_be_installed_is_read_from_what_pip_says() {
        let said = "Collecting x\nWould install Markdown-3.11 django_bootstrap3-26.2 pretix-2026.8.0\n";
        let wanted = |name: &str, version: &str| Wanted { name: name.to_owned(), version: version.to_owned() };
        let expected = [wanted("django-bootstrap3", "26.2"), wanted("markdown", "3.11"), wanted("pretix", "2026.8.0")];
        assert_eq!(would_install(said), expected);
        assert_eq!(would_install("Requirement already satisfied: x\n"), []);
    }

    #[test]
    fn versions_are_read_from_the_names_of_wheels() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "pretix-2026.8.0-py3-none-any.whl",
            "pretix-2026.7.0.tar.gz",
            "pretix_pages-1.0-py3-none-any.whl",
            "pretix-9.txt",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(lying_there(dir.path(), "pretix").unwrap(), ["2026.7.0", "2026.8.0"]);
    }
}
