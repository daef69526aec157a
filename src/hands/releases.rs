//! Releases that lie side by side: the link comes to say another one, and a program is run as a service is.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::acts::{self, Sign};
use super::work::Tools;
use crate::backends::store::who;
use crate::runbook::plan::Command;
use crate::runbook::plan::releases::ReleasesAct;

/// What stands behind the link's name while it is made anew.
const NEW: &str = ".midwatch-new";
/// What a service finds in its environment that is about itself alone, or about where it was started.
const ITS_OWN: [&str; 12] = [
    "_",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MAINPID",
    "NOTIFY_SOCKET",
    "OLDPWD",
    "PWD",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Does it.
pub(super) async fn act(
    tools: &Tools<'_>,
    (run, act): (&str, &ReleasesAct),
    at: (usize, u32),
    until: (Instant, watch::Receiver<bool>),
    signs: mpsc::Sender<Sign>,
) -> Result<String, String> {
    match act {
        ReleasesAct::Point(pointing) => acts::command(tools, (run, &pointing.command()), at, until, signs).await,
        ReleasesAct::Alike { midwatch, service, command } => {
            let now = tools.looker.service(service).await?;
            let pid = now.pid.ok_or_else(|| {
                format!("nothing was done: {service} does not run, and its environment is needed: start it, then retry")
            })?;
            let mut argv = vec![midwatch.clone(), "alike".to_owned(), pid.to_string(), "--".to_owned()];
            argv.extend(command.argv.iter().cloned());
            acts::command(tools, (run, &Command { argv, ..command.clone() }), at, until, signs).await
        }
    }
}

/// Has a link say `to`, which it does in one step of the kernel. Says it so already, there is nothing to do: it may be asked
/// twice. What is no link, or says anything but `from`, is left alone.
///
/// # Errors
/// A sentence; nothing was changed then.
pub fn point(link: &Path, to: &Path, from: &Path) -> Result<&'static str, String> {
    let told = link.display();
    let fail = |what: &Path, error: std::io::Error| format!("{}: {error}; nothing was changed", what.display());
    let says = std::fs::read_link(link).map_err(|error| fail(link, error))?;
    if says == to {
        return Ok("it points there already");
    }
    let elsewhere =
        |says: &Path| format!("{told} says {}, not {}: nothing was changed", says.display(), from.display());
    if says != from {
        return Err(elsewhere(&says));
    }
    let dir = link.parent().unwrap_or(Path::new("/"));
    let target = dir.join(to);
    if !target.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        return Err(format!("{} is no directory: nothing was changed", target.display()));
    }
    let new = beside(link);
    remove(&new)?;
    std::os::unix::fs::symlink(to, &new).map_err(|error| fail(&new, error))?;
    if let Err(error) = renameat_with(CWD, &new, CWD, link, RenameFlags::EXCHANGE) {
        remove(&new)?;
        return Err(fail(link, error.into()));
    }
    // Somebody may have changed it between the look and the step.
    let was = std::fs::read_link(&new).unwrap_or_default();
    if was != from {
        renameat_with(CWD, &new, CWD, link, RenameFlags::EXCHANGE).map_err(|error| {
            format!("{told} said {} in that very moment, and can't be put back: {error}", was.display())
        })?;
        remove(&new)?;
        return Err(elsewhere(&was));
    }
    remove(&new)?;
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| format!("it is changed, but {} can't be synced: {error}", dir.display()))?;
    Ok("it points there now")
}

fn beside(link: &Path) -> PathBuf {
    let mut name = link.as_os_str().to_owned();
    name.push(NEW);
    name.into()
}

/// Removes a link that was made here and left when its maker was cut off; nothing else.
fn remove(new: &Path) -> Result<(), String> {
    match new.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(meta) if meta.is_symlink() => {
            std::fs::remove_file(new).map_err(|error| format!("{} can't be removed: {error}", new.display()))
        }
        Ok(_) => Err(format!("{} is in the way: move it elsewhere", new.display())),
        Err(error) => Err(format!("{}: {error}", new.display())),
    }
}

/// Becomes a program that finds in its environment what a process of the same user finds; comes back only where that
/// failed, with a sentence. Nothing of it is shown to anybody.
pub fn become_alike(pid: u32, argv: &[OsString]) -> String {
    let Some((program, arguments)) = argv.split_first() else { return "no program was given".to_owned() };
    match environment(pid) {
        Err(why) => format!("{why}; nothing was started"),
        Ok(environment) => {
            let error = std::process::Command::new(program).args(arguments).envs(environment).exec();
            format!("{} can't be started: {error}", program.to_string_lossy())
        }
    }
}

fn environment(pid: u32) -> Result<Vec<(OsString, OsString)>, String> {
    let own = rustix::process::geteuid().as_raw();
    let path = format!("/proc/{pid}/environ");
    let fail = |error: std::io::Error| format!("what process {pid} finds in its environment can't be read: {error}");
    let owner = std::fs::metadata(&path).map_err(fail)?.uid();
    // Somebody else's would have this user's programs do what somebody else likes.
    if owner != own {
        return Err(format!("process {pid} is {}'s, not {}'s", who::name(owner), who::name(own)));
    }
    let bytes = std::fs::read(&path).map_err(fail)?;
    let one = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (entry.get(..at)?, entry.get(at + 1..)?);
        let kept = !name.is_empty() && !ITS_OWN.iter().any(|own| own.as_bytes() == name);
        kept.then(|| (OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(value).to_owned()))
    };
    Ok(bytes.split(|byte| *byte == 0).filter_map(one).collect())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{environment, point};

    #[test]
    fn it_says_the_other_one_once_however_often_it_is_asked_and_the_first_again() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("current");
        for name in ["1.0", "1.1"] {
            fs::create_dir_all(dir.path().join("releases").join(name)).unwrap();
        }
        let (old, new) = (Path::new("releases/1.0"), Path::new("releases/1.1"));
        symlink(old, &link).unwrap();
        assert_eq!(point(&link, new, old), Ok("it points there now"));
        assert_eq!(point(&link, new, old), Ok("it points there already"));
        // What was left by one that was cut off is no hindrance.
        symlink("anything", dir.path().join("current.midwatch-new")).unwrap();
        assert_eq!(point(&link, old, new), Ok("it points there now"));
        assert_eq!(fs::read_link(&link).unwrap(), old);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn what_is_not_clear_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("current");
        fs::create_dir_all(dir.path().join("1.0")).unwrap();
        symlink("1.0", dir.path().join("1.2")).unwrap();
        let asked = |to: &str, from: &str| point(&link, Path::new(to), Path::new(from)).unwrap_err();
        assert!(asked("1.0", "0.9").contains("nothing was changed"), "there is none");
        symlink("0.9", &link).unwrap();
        assert!(asked("1.1", "0.9").contains("is no directory"));
        assert!(asked("1.2", "0.9").contains("is no directory"), "a link is not followed");
        assert!(asked("1.0", "0.8").contains("says 0.9, not 0.8"));
        fs::write(dir.path().join("current.midwatch-new"), "mine").unwrap();
        assert!(asked("1.0", "0.9").contains("in the way"));
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("0.9"));
        fs::remove_file(&link).unwrap();
        fs::create_dir(&link).unwrap();
        assert!(asked("1.0", "0.9").contains("nothing was changed"), "a directory is no link");
    }

    #[test]
    fn an_environment_is_read_but_for_what_is_about_the_process_alone() {
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .env_clear()
            .envs([("DATABASE_URL", "a=b c"), ("PWD", "/srv"), ("NOTIFY_SOCKET", "@x")])
            .spawn()
            .unwrap();
        let found = environment(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, [(OsString::from("DATABASE_URL"), OsString::from("a=b c"))]);
        assert!(environment(u32::MAX).unwrap_err().contains("can't be read"));
    }
}
