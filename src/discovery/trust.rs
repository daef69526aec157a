//! What a process may see of the file system: as root, midwatch could read for any user's process a file that user must
//! not read, and send it where that process says.
//!
//! Invariant: nothing a process names (its configuration, a secret's file) is read on its word unless it could read that
//! itself.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Surroundings;

/// Whom a process acts as when it opens a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    groups: Vec<u32>,
}

impl Identity {
    /// Of the process whose directory under `/proc` this is; without a status the owner of the directory, who is the same.
    pub(super) fn of(process: &Path) -> Option<Self> {
        let status = bytes(&process.join("status"), 64 * 1024).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&status)).or_else(|| {
            let meta = std::fs::metadata(process).ok()?;
            Some(Self { uid: meta.uid(), groups: vec![meta.gid()] })
        })
    }

    /// From `/proc/PID/status`: the last of four user ids is the one files are opened with (proc(5)).
    fn parse(status: &str) -> Option<Self> {
        let numbers = |key: &str| -> Option<Vec<u32>> {
            let line = status.lines().find_map(|l| l.strip_prefix(key))?;
            line.split_ascii_whitespace().map(|n| n.parse().ok()).collect()
        };
        let uid = *numbers("Uid:")?.get(3)?;
        let mut groups = numbers("Groups:").unwrap_or_default();
        groups.push(*numbers("Gid:")?.get(3)?);
        Some(Self { uid, groups })
    }

    /// Whether it may read this file, by owner, group and mode of the file and of every directory on the way. Access
    /// lists are not asked: what only they allow is refused.
    pub(super) fn may_read(&self, around: &Surroundings, path: &Path) -> bool {
        const READ: u32 = 0o4;
        const ENTER: u32 = 0o1;
        if self.uid == 0 {
            return true;
        }
        let Ok(real) = around.at(path).canonicalize() else { return false };
        let root = around.root.canonicalize().unwrap_or_else(|_| around.root.clone());
        let allowed = |path: &Path, bit: u32| std::fs::metadata(path).is_ok_and(|meta| self.has(&meta, bit));
        allowed(&real, READ)
            && real
                .ancestors()
                .skip(1)
                .take_while(|dir| dir.starts_with(&root) && *dir != root)
                .all(|d| allowed(d, ENTER))
    }

    fn has(&self, meta: &Metadata, bit: u32) -> bool {
        let shift = if meta.uid() == self.uid {
            6
        } else if self.groups.contains(&meta.gid()) {
            3
        } else {
            0
        };
        meta.mode() >> shift & bit != 0
    }
}

/// Whether the process whose directory under `/proc` this is lives in a file system of its own: its paths mean nothing
/// here. (A mount namespace alone says nothing: systemd gives one to every unit with `PrivateTmp=`.)
pub(super) fn contained(around: &Surroundings, process: &Path) -> bool {
    let place = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    match (place(&process.join("root")), place(&around.at(Path::new("/")))) {
        (Some(theirs), Some(ours)) => theirs != ours,
        _ => false,
    }
}

/// The first `most` bytes of a file of `/proc`.
pub(super) fn bytes(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    std::fs::File::open(path)?.take(most).read_to_end(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{Identity, contained};
    use crate::discovery::Surroundings;

    const STATUS: &str =
        "Name:\tgunicorn\nUid:\t4242\t4242\t4242\t4242\nGid:\t4243\t4243\t4243\t4243\nGroups:\t7 4244\n";

    #[test]
    fn an_identity_is_read_from_the_status() {
        let identity = Identity::parse(STATUS).unwrap();
        assert_eq!(identity, Identity { uid: 4242, groups: vec![7, 4244, 4243] });
        assert_eq!(Identity::parse("Name:\tx\n"), None);
        assert_eq!(Identity::parse("Uid:\tx\ty\nGid:\t1\t1\t1\t1\n"), None);
    }

    #[test]
    fn another_user_reads_only_what_mode_and_way_allow() {
        let tree = tempfile::tempdir().unwrap();
        let around = Surroundings { root: tree.path().to_owned(), ..Surroundings::default() };
        let write = |path: &str, mode: u32| {
            let real = around.at(Path::new(path));
            fs::create_dir_all(real.parent().unwrap()).unwrap();
            fs::write(&real, "x").unwrap();
            fs::set_permissions(&real, fs::Permissions::from_mode(mode)).unwrap();
        };
        write("/etc/open", 0o644);
        write("/etc/closed", 0o600);
        write("/root/open", 0o644);
        fs::set_permissions(around.at(Path::new("/root")), fs::Permissions::from_mode(0o700)).unwrap();
        symlink(around.at(Path::new("/etc/closed")), around.at(Path::new("/etc/link"))).unwrap();
        let other = Identity::parse(STATUS).unwrap();
        let may = |path: &str| other.may_read(&around, Path::new(path));
        assert!(may("/etc/open"));
        assert!(!may("/etc/closed"));
        assert!(!may("/etc/link"), "a link opens nothing");
        assert!(!may("/root/open"), "a closed directory stands in the way");
        assert!(!may("/etc/absent"));
        let root = Identity { uid: 0, groups: Vec::new() };
        assert!(root.may_read(&around, Path::new("/etc/closed")));
    }

    #[test]
    fn the_owner_and_the_group_have_their_own_bits() {
        use std::os::unix::fs::MetadataExt;
        let tree = tempfile::tempdir().unwrap();
        let around = Surroundings { root: tree.path().to_owned(), ..Surroundings::default() };
        let file = tree.path().join("file");
        fs::write(&file, "x").unwrap();
        let (uid, gid) = (fs::metadata(&file).unwrap().uid(), fs::metadata(&file).unwrap().gid());
        let mode = |mode: u32| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let may = |identity: &Identity| identity.may_read(&around, Path::new("/file"));
        let member = Identity { uid: 4242, groups: vec![gid] };
        mode(0o640);
        assert!(may(&member));
        assert!(may(&Identity { uid, groups: Vec::new() }));
        mode(0o604);
        assert!(!may(&member), "the group's bits hold for its members, not the others'");
    }

    #[test]
    fn another_root_is_a_container() {
        let tree = tempfile::tempdir().unwrap();
        let around = Surroundings { root: tree.path().to_owned(), ..Surroundings::default() };
        let process = tree.path().join("proc/7");
        fs::create_dir_all(&process).unwrap();
        assert!(!contained(&around, &process), "unknown counts as here");
        symlink(tree.path(), process.join("root")).unwrap();
        assert!(!contained(&around, &process));
        fs::remove_file(process.join("root")).unwrap();
        let image = tempfile::tempdir().unwrap();
        symlink(image.path(), process.join("root")).unwrap();
        assert!(contained(&around, &process));
    }
}
