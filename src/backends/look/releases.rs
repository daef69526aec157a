//! Releases that lie side by side: what the link says, and from which of them processes run.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Looker, NOT_THERE, running};
use crate::backends::process_id;
use crate::backends::store::who;
use crate::config::SiteConfig;
use crate::domain::service::Service;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;
use crate::runbook::plan::releases::ReleasesProbe;

/// A process that began so shortly before the link was made can be the one that waited for it.
const MARGIN_MS: i64 = 1000;

/// What a link says, or that there is none.
pub(super) fn link(path: &str) -> String {
    match std::fs::read_link(path) {
        Ok(to) => format!("says {}", plain(&to.display().to_string(), 400)),
        Err(_) if std::fs::symlink_metadata(path).is_ok() => "is no link".to_owned(),
        Err(_) => NOT_THERE.to_owned(),
    }
}

pub(super) async fn holds(site: &SiteConfig, probe: &ReleasesProbe) -> Result<String, String> {
    match probe {
        ReleasesProbe::Points { current, to } => {
            let now = std::fs::read_link(current).map_err(|error| format!("{current}: {error}"))?;
            if now == Path::new(to) {
                return Ok(format!("{current} points to {to}"));
            }
            Err(format!("{current} points to {}", plain(&now.display().to_string(), 400)))
        }
        ReleasesProbe::Run { services, current, release, user } => {
            let mut all = Vec::new();
            for name in services {
                let service = Looker::of(Some(site)).service(name).await?;
                running(&service)?;
                all.push(runs_from(&service, &[Path::new(release)], Path::new(current))?);
                let own = who::name(runs_as(&service)?);
                if !user.is_empty() && own != *user {
                    return Err(format!("{name} runs as {own}, and the application is {user}'s"));
                }
            }
            Ok(all.join("; "))
        }
    }
}

/// Whether every process of a service runs from a release, or from one of several that lie side by side: by its working
/// directory, its program or an argument. What is named through the link counts where the process began after that was
/// made; with several, also what it was before is one of them.
///
/// # Errors
/// A sentence that says which does not, or that it can't be told.
pub fn runs_from(service: &Service, releases: &[&Path], current: &Path) -> Result<String, String> {
    let name = &service.name;
    let Some(main) = service.pid else { return Err(format!("which process {name} is can't be seen")) };
    if service.alike > 0 {
        return Err(format!("{} processes are taken for {name}: end those that are too many", service.alike + 1));
    }
    let made = std::fs::symlink_metadata(current).map_err(|error| format!("{}: {error}", current.display()))?;
    let made = Timestamp::from_millis(made.mtime() * 1000 + made.mtime_nsec() / 1_000_000);
    let anew = service.started.is_some_and(|began| began.plus_millis(MARGIN_MS) >= made);
    let (mut from, family) = (None, family(main));
    for pid in &family {
        match shown(*pid, releases, current, anew) {
            Sign::From(how) => from = from.or(Some(how)),
            Sign::Elsewhere(place) => return Err(format!("process {pid} of {name} still runs from {place}")),
            Sign::None => {}
        }
    }
    let count = match family.len() {
        1 => String::new(),
        n => format!(", and so do those of its {} children that show it", n - 1),
    };
    let names: Vec<String> = releases.iter().map(|release| release.display().to_string()).collect();
    let release = names.join(" or ");
    match from {
        Some(how) => Ok(format!("{name} {main} runs from {release} ({how}){count}")),
        None => Err(format!(
            "from which release {name} runs can't be told: neither its working directory nor its program nor an argument \
             lies in {release}; have it started in {}",
            current.display()
        )),
    }
}

/// As whom every process of a service runs. The owner of what `/proc` shows of a process would be root's for one that has
/// changed its user by itself.
///
/// # Errors
/// A sentence, where they run as several, or that can't be seen.
pub fn runs_as(service: &Service) -> Result<u32, String> {
    let name = &service.name;
    let Some(main) = service.pid else { return Err(format!("which process {name} is can't be seen")) };
    let uid = |pid: u32| -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.parse().ok()
    };
    let own = uid(main).ok_or_else(|| format!("as whom {name} runs can't be seen"))?;
    match family(main).into_iter().find_map(|pid| uid(pid).filter(|other| *other != own)) {
        None => Ok(own),
        Some(other) => Err(format!(
            "{name} runs as {}, and a process below it as {}: whose application it is can't be told",
            who::name(own),
            who::name(other)
        )),
    }
}

enum Sign {
    /// It runs from there, by this.
    From(String),
    /// It runs from somewhere else.
    Elsewhere(String),
    /// Nothing of it says so.
    None,
}

/// By what a process shows from where it runs. `anew`: it began after the link was made.
fn shown(pid: u32, releases: &[&Path], current: &Path, anew: bool) -> Sign {
    let anew = anew || releases.len() > 1;
    let place = |name: &str| std::fs::read_link(format!("/proc/{pid}/{name}")).ok();
    for (path, what) in [(place("cwd"), "working directory"), (place("exe"), "program")] {
        match path.and_then(|path| beside(&path, releases)) {
            Some(found) if releases.contains(&found.as_path()) => return Sign::From(what.to_owned()),
            Some(other) => return Sign::Elsewhere(other.display().to_string()),
            None => {}
        }
    }
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    for word in line.split(|byte| *byte == 0) {
        let word = String::from_utf8_lossy(word);
        // `--chdir=/srv/shop/current` names it, too.
        let path = Path::new(word.split_once('=').map_or(&*word, |(_, value)| value));
        match beside(path, releases) {
            Some(found) if releases.contains(&found.as_path()) => return Sign::From("an argument".to_owned()),
            Some(other) => return Sign::Elsewhere(other.display().to_string()),
            None if path.starts_with(current) && anew => return Sign::From("an argument".to_owned()),
            None if path.starts_with(current) => {
                return Sign::Elsewhere(format!("what {} was before", current.display()));
            }
            None => {}
        }
    }
    Sign::None
}

/// The release that a path lies in, of those beside these. What lies beside them and has no version for a name is none.
fn beside(path: &Path, releases: &[&Path]) -> Option<PathBuf> {
    let dir = releases.first()?.parent()?;
    let first = path.strip_prefix(dir).ok()?.components().next()?.as_os_str();
    let begins = |name: &OsStr| {
        name.to_str().is_some_and(|name| name.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()))
    };
    let found = dir.join(first);
    (releases.contains(&found.as_path()) || begins(first)).then_some(found)
}

/// A process and all below it.
fn family(main: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pid in process_id::all() {
        if let Ok(stat) = process_id::stat(pid)
            && stat.lives()
        {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let (mut out, mut next) = (Vec::new(), vec![main]);
    while let Some(pid) = next.pop() {
        if !out.contains(&pid) {
            out.push(pid);
            next.extend(children.get(&pid).into_iter().flatten());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    use super::{beside, link, runs_as, runs_from};
    use crate::domain::service::{Manager, Role, Service};
    use crate::domain::time::Timestamp;

    #[test]
    fn only_what_has_a_version_for_a_name_is_another_release() {
        let release = Path::new("/srv/shop/2026.2");
        let found = |path: &str| beside(Path::new(path), &[release]);
        assert_eq!(found("/srv/shop/2026.2/app.py"), Some(PathBuf::from("/srv/shop/2026.2")));
        assert_eq!(found("/srv/shop/2026.1 (deleted)"), Some(PathBuf::from("/srv/shop/2026.1 (deleted)")));
        assert_eq!(
            (found("/srv/shop/venv/bin/python"), found("/srv/other/2026.1"), found("/srv/shop")),
            (None, None, None)
        );
    }

    #[test]
    fn a_process_is_of_the_release_it_was_started_in_whatever_the_link_says_since() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["releases/1.0", "releases/1.1", "elsewhere"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let (old, new, current) = (root.join("releases/1.0"), root.join("releases/1.1"), root.join("current"));
        let point = |to: &str| {
            std::fs::remove_file(&current).ok();
            std::os::unix::fs::symlink(to, &current).unwrap();
        };
        point("releases/1.0");
        assert_eq!(link(current.to_str().unwrap()), "says releases/1.0");
        // It ends with its standard input.
        let start = |place: &Path, words: &[&str]| {
            let mut command = Command::new("sh");
            command.args(["-c", "read line"]).args(words).current_dir(place).stdin(Stdio::piped()).spawn().unwrap()
        };
        let seen = |pid: u32, began: i64| {
            let mut service = Service::new("web", Role::Web, Manager::Process, "sleep");
            (service.pid, service.started) = (Some(pid), Some(Timestamp::from_millis(began)));
            service
        };
        let now = jiff::Timestamp::now().as_millisecond();
        let mut inside = start(&current, &[]);
        let of = seen(inside.id(), now);
        assert!(runs_from(&of, &[&old], &current).unwrap().contains("working directory"));
        assert_eq!(runs_as(&of), Ok(rustix::process::geteuid().as_raw()));
        point("releases/1.1");
        assert!(runs_from(&of, &[&old], &current).is_ok());
        assert!(runs_from(&of, &[&new], &current).unwrap_err().contains("still runs from"));
        // On the way back either is right, and no third.
        assert!(runs_from(&of, &[&new, &old], &current).is_ok());
        let third = root.join("releases/0.9");
        assert!(runs_from(&of, &[&new, &third], &current).unwrap_err().contains("still runs from"));
        inside.kill().unwrap();
        inside.wait().unwrap();

        // One that shows nothing can't be told; one that names the link is as old as it is.
        let mut silent = start(&root.join("elsewhere"), &[]);
        assert!(runs_from(&seen(silent.id(), now), &[&new, &old], &current).unwrap_err().contains("can't be told"));
        silent.kill().unwrap();
        silent.wait().unwrap();
        let script = format!("--chdir={}", current.display());
        let mut named = start(&root.join("elsewhere"), &[&script]);
        assert!(runs_from(&seen(named.id(), now + 5000), &[&new], &current).unwrap().contains("an argument"));
        let earlier = seen(named.id(), now - 60_000);
        let before = runs_from(&earlier, &[&new], &current).unwrap_err();
        assert!(runs_from(&earlier, &[&new, &old], &current).is_ok());
        assert!(before.contains("what ") && before.contains(" was before"), "{before}");
        named.kill().unwrap();
        named.wait().unwrap();
    }
}
