//! Where the locks are, who made them, and who may lock them.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::process::geteuid;
use sha2::{Digest as _, Sha256};

use crate::backends::store::who;
use crate::config::paths::SHARED_STATE;

/// Where the locks are that hold for everybody on the machine.
pub const DIR: &str = "/run/midwatch";
/// Lock files. They are there beforehand, for who may lock them may not make them; names share them, which costs nothing
/// but a wait.
const SLOTS: u16 = 1024;
/// The file of a name's lock.
pub(super) fn slot(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let number = digest.iter().take(2).fold(0_u16, |number, byte| number << 8 | u16::from(*byte));
    format!("lock-{:03x}", number % SLOTS)
}

fn flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or(0)
}

/// The group whose members may lock: that of the state directory which all operators share, where it is one.
fn operators() -> Option<u32> {
    let shared = std::fs::symlink_metadata(SHARED_STATE).ok()?;
    (shared.is_dir() && shared.uid() == 0 && shared.mode() & 0o020 != 0).then(|| shared.gid())
}

/// Makes the directory and the files, as far as they are missing and this user may.
///
/// # Errors
/// A sentence.
pub fn prepare(dir: &Path) -> Result<(), String> {
    prepare_for(dir, operators().filter(|_| dir == Path::new(DIR)))
}

/// The same, where only this group (and root) may lock.
///
/// # Errors
/// A sentence.
pub fn prepare_for(dir: &Path, group: Option<u32>) -> Result<(), String> {
    let fail = |error: io::Error| format!("{} can't be made: {error}; root makes it with its first run", dir.display());
    match DirBuilder::new().mode(0o755).create(dir) {
        Ok(()) => std::fs::set_permissions(dir, Permissions::from_mode(0o755)).map_err(fail)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fail(error)),
    }
    let found = std::fs::symlink_metadata(dir).map_err(fail)?;
    fit(dir, &found, dir)?;
    if found.uid() != geteuid().as_raw() {
        return Ok(());
    }
    for slot in 0..SLOTS {
        let path = dir.join(format!("lock-{slot:03x}"));
        file(&path, group).map_err(|error| format!("{} can't be made: {error}", path.display()))?;
    }
    Ok(())
}

/// What has systemd-tmpfiles make all of it at every boot, so that others can act before root has: its lines.
pub fn tmpfiles() -> String {
    tmpfiles_for(operators())
}

fn tmpfiles_for(group: Option<u32>) -> String {
    let (mode, group) = group.map_or((0o644, "root".to_owned()), |gid| (0o640, who::group(gid)));
    let head =
        format!("# The locks of midwatch's runs. Into /etc/tmpfiles.d/midwatch.conf.\nd {DIR} 0755 root root -\n");
    let file = |slot| format!("f {DIR}/lock-{slot:03x} {mode:04o} root {group} -\n");
    head + &(0..SLOTS).map(file).collect::<String>()
}

/// Whether this user may lock there.
///
/// # Errors
/// A sentence.
pub fn may(dir: &Path) -> Result<(), String> {
    open(dir, "lock-000").map(|_| ())
}

/// Makes a lock's file, or lets those and no others lock it who may.
fn file(path: &Path, group: Option<u32>) -> io::Result<()> {
    let mode = if group.is_some() { 0o640 } else { 0o644 };
    let how = |options: &mut OpenOptions| options.custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(path);
    let file = match how(OpenOptions::new().write(true).create_new(true).mode(0o600)) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = std::fs::symlink_metadata(path)?;
            let fits = found.mode() & 0o777 == mode && group.is_none_or(|gid| gid == found.gid());
            // What is no plain file, or could be changed by others, is left for who wants to lock it to complain of.
            if fits || !found.is_file() || found.mode() & 0o022 != 0 {
                return Ok(());
            }
            how(OpenOptions::new().read(true))?
        }
        made => made?,
    };
    fchown(&file, None, group)?;
    file.set_permissions(Permissions::from_mode(mode))
}

/// Whether nobody but root can change it: the directory, or a file in it.
fn fit(dir: &Path, found: &Metadata, path: &Path) -> Result<(), String> {
    let (path, owner, mode) = (path.display(), found.uid(), found.mode() & 0o7777);
    // A directory that was named for a test is its owner's.
    let own = dir != Path::new(DIR) && owner == geteuid().as_raw();
    if !found.is_dir() && !found.is_file() {
        return Err(format!("{path} is a link or something else; move it away"));
    }
    if owner != 0 && !own {
        return Err(format!(
            "{path} belongs to uid {owner}, who could make others think they have the lock; remove it"
        ));
    }
    if mode & 0o022 != 0 {
        return Err(format!("{path} can be written by others (mode {mode:04o}); `chmod go-w {path}`"));
    }
    Ok(())
}

pub(super) fn open(dir: &Path, name: &str) -> Result<File, String> {
    let fail = |error: io::Error| {
        let path = dir.join(name);
        let group = std::fs::symlink_metadata(&path).ok().filter(|_| error.kind() == ErrorKind::PermissionDenied);
        let help = match group {
            Some(found) => format!("only root and the group {} act here", who::group(found.gid())),
            None => "root makes it with its first run".to_owned(),
        };
        format!("{} can't be opened: {error}; {help}", path.display())
    };
    let directory = OpenOptions::new().read(true).custom_flags(flags(OFlags::DIRECTORY | OFlags::NOFOLLOW)).open(dir);
    let directory = directory.map_err(fail)?;
    fit(dir, &directory.metadata().map_err(fail)?, dir)?;
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&directory, name, how, Mode::empty()).map_err(|error| fail(error.into()))?);
    let found = file.metadata().map_err(fail)?;
    fit(dir, &found, &dir.join(name))?;
    if found.is_file() { Ok(file) } else { Err(format!("{} is no plain file; remove it", dir.join(name).display())) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{DIR, prepare_for, slot, tmpfiles_for};

    #[test]
    fn what_is_made_at_boot_is_what_root_would_make() {
        let dir = tempfile::tempdir().unwrap();
        prepare_for(dir.path(), None).unwrap();
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let mut made = vec![format!("d {DIR} {:04o} root root -", mode(dir.path()))];
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            made.push(format!("f {DIR}/{name} {:04o} root root -", mode(&path)));
        }
        made.sort();
        let lines = tmpfiles_for(None);
        assert_eq!(lines.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(), made);
        assert!(tmpfiles_for(Some(0)).contains("/lock-3ff 0640 root root -\n"));
    }

    #[test]
    fn a_name_has_one_slot_for_ever() {
        assert_eq!(slot("site:shop"), slot("site:shop"));
        assert_eq!(slot(""), "lock-3b0");
    }
}
