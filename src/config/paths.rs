//! Which files and directories are used, in which order.

use std::path::{Path, PathBuf};

use super::StateDir;
use crate::discovery::Surroundings;

/// The configuration of the machine.
pub const SYSTEM: &str = "/etc/midwatch/config.toml";
/// The state directory that all operators of the machine share, made by the package or the unit.
pub const SHARED_STATE: &str = "/var/lib/midwatch";

/// The configuration files that are read, in order; a later one wins, key by key. A file that was named is the only one.
pub fn files(around: &Surroundings, named: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = named {
        return vec![around.cwd.join(path)];
    }
    let mut out = vec![PathBuf::from(SYSTEM)];
    out.extend(user_dir(around).map(|dir| dir.join("config.toml")));
    out
}

/// The operator's own configuration directory.
pub fn user_dir(around: &Surroundings) -> Option<PathBuf> {
    let xdg = around.env.get("XDG_CONFIG_HOME").filter(|d| d.starts_with('/')).map(PathBuf::from);
    xdg.or_else(|| Some(around.home.as_ref()?.join(".config"))).map(|dir| dir.join("midwatch"))
}

/// Where the operator's own themes are looked for.
pub fn theme_dirs(around: &Surroundings) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = user_dir(around).map(|d| d.join("themes")).into_iter().collect();
    out.push(PathBuf::from("/etc/midwatch/themes"));
    out
}

/// Where the operator's own runbooks are looked for; a later one wins.
pub fn runbook_dirs(around: &Surroundings) -> Vec<PathBuf> {
    let mut out = vec![PathBuf::from("/etc/midwatch/runbooks")];
    out.extend(user_dir(around).map(|dir| dir.join("runbooks")));
    out
}

/// The state directory: the one that was named, the shared one where it can be written, or the operator's own.
pub fn state(around: &Surroundings, named: Option<&Path>) -> StateDir {
    if let Some(dir) = named {
        return made(&around.at(&around.cwd.join(dir)));
    }
    let shared = around.at(Path::new(SHARED_STATE));
    if shared.is_dir() && writable(&shared).is_ok() {
        return StateDir::Directory(shared);
    }
    let xdg = around.env.get("XDG_STATE_HOME").filter(|d| d.starts_with('/')).map(PathBuf::from);
    match xdg.or_else(|| Some(around.home.as_ref()?.join(".local/state"))) {
        Some(dir) => made(&around.at(&dir.join("midwatch"))),
        None => StateDir::Memory(
            "HOME is not set, and no /var/lib/midwatch can be written: history is kept in memory".to_owned(),
        ),
    }
}

/// The directory, made (for its owner alone) where it isn't there.
fn made(dir: &Path) -> StateDir {
    use std::os::unix::fs::DirBuilderExt;
    let built = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    match built.and_then(|()| writable(dir)) {
        Ok(()) => StateDir::Directory(dir.to_owned()),
        Err(error) => StateDir::Memory(format!("{}: {error}: history is kept in memory", dir.display())),
    }
}

/// Whether files can be made there, as the kernel says for this user.
fn writable(dir: &Path) -> std::io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(Into::into)
}
