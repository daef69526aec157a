//! What processes hold open: files that were deleted (FIELD L-DEL), and sockets that listen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::processes;
use super::files;
use super::listen::Owner;
use super::mounts::{Mount, parse_mountinfo};
use super::targets::Targets;
use crate::backends::command_line;
use crate::domain::host::DeletedFile;
use crate::domain::redact::redact;
use crate::domain::text::plain;

/// Deleted files of a reading.
pub(super) const MOST: usize = 40;
/// One that takes less is told only if it is data.
const LARGE: u64 = 10 << 20;
/// Descriptors looked at in one look.
const DESCRIPTORS: usize = 200_000;
/// Characters of a command line.
const COMMAND: usize = 60;

/// What one look over all processes brought.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    /// Largest first.
    pub(super) deleted: Vec<DeletedFile>,
    pub(super) deleted_bytes: u64,
    /// Processes that may not be looked into.
    pub(super) hidden: u32,
    /// Who listens, by the inode of the socket.
    pub(super) owners: BTreeMap<u64, Owner>,
    /// The names of all processes.
    pub(super) names: BTreeSet<String>,
    /// Every deleted file, by device and inode.
    pub(super) seen: BTreeSet<(u64, u64)>,
}

/// Looks at every process. What is data is told only where it was among `before`: a file that is written, renamed over and
/// closed within seconds is how programs work.
pub(super) fn look(targets: &Targets, before: &BTreeSet<(u64, u64)>) -> OpenFiles {
    let mut out = OpenFiles::default();
    let listening: BTreeSet<u64> = super::listen::sockets().iter().map(|socket| socket.inode).collect();
    let mounts = files::bytes("/proc/self/mountinfo").map(|bytes| parse_mountinfo(&bytes).0).unwrap_or_default();
    let mut left = DESCRIPTORS;
    for pid in processes::pids() {
        let name = files::text(&format!("/proc/{pid}/comm")).map(|name| plain(&name, 32)).unwrap_or_default();
        let open = match processes::descriptors(pid) {
            Ok(open) => open,
            Err(error) => {
                out.hidden += u32::from(error.kind() == std::io::ErrorKind::PermissionDenied);
                out.names.insert(name);
                continue;
            }
        };
        left = left.saturating_sub(open.len());
        for (fd, target) in open {
            if let Some(inode) = processes::socket_inode(&target).filter(|inode| listening.contains(inode)) {
                let owner = Owner { pid, name: format!("{pid} {name}") };
                // Of several that share it the first is the one that opened it.
                out.owners.entry(inode).or_insert(owner);
            } else if let Some(path) = deleted_path(&target) {
                take(&mut out, pid, fd, &path, targets, before, &mounts);
            }
        }
        out.names.insert(name);
        if left == 0 {
            break;
        }
    }
    out.deleted.sort_by_key(|file| (std::cmp::Reverse(file.bytes), file.pid, file.fd));
    out
}

/// What a deleted file on a real file system was called; memory that only looks like a file is none.
fn deleted_path(target: &Path) -> Option<PathBuf> {
    let text = target.to_str()?.strip_suffix(" (deleted)")?;
    let memory = ["/memfd:", "/dev/", "/SYSV", "/[aio]", "/anon_", "/i915"].iter().any(|start| text.starts_with(start));
    (text.starts_with('/') && !memory).then(|| PathBuf::from(text))
}

fn take(
    out: &mut OpenFiles,
    pid: u32,
    fd: u32,
    path: &Path,
    targets: &Targets,
    before: &BTreeSet<(u64, u64)>,
    mounts: &[Mount],
) {
    let Ok(found) = fs::metadata(format!("/proc/{pid}/fd/{fd}")) else { return };
    let id = (found.dev(), found.ino());
    if !found.is_file() || found.nlink() > 0 || !out.seen.insert(id) {
        return;
    }
    let bytes = found.blocks().saturating_mul(512);
    out.deleted_bytes = out.deleted_bytes.saturating_add(bytes);
    let data = targets.data_of(path).filter(|_| before.contains(&id) && found.size() > 0);
    if bytes < LARGE && data.is_none() {
        return;
    }
    let number = format!("{}:{}", rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    let mount = mounts.iter().find(|mount| mount.id == number).map(|mount| mount.path.display().to_string());
    out.deleted.push(DeletedFile {
        pid,
        fd,
        command: plain(&command_line::shown(&processes::words(pid)), COMMAND),
        path: plain(&redact(&path.display().to_string()), 200),
        mount: plain(&mount.unwrap_or_default(), 200),
        bytes,
        data_of: data.map(|dir| plain(&dir.display().to_string(), 200)),
    });
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_real_files_count() {
        let path = |text: &str| deleted_path(Path::new(text));
        assert_eq!(path("/var/log/x.log (deleted)"), Some("/var/log/x.log".into()));
        for text in [
            "/memfd:doublemapper (deleted)",
            "/dev/zero (deleted)",
            "/var/log/x.log",
            "socket:[1]",
            "/SYSV0000 (deleted)",
        ] {
            assert_eq!(path(text), None, "{text}");
        }
    }

    #[test]
    fn a_deleted_file_of_this_process_is_found_with_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&vec![7; 12 << 20]).unwrap();
        let data = dir.path().join("media");
        fs::create_dir(&data).unwrap();
        let small = data.join("logo.png");
        fs::write(&small, "x").unwrap();
        let kept = fs::File::open(&small).unwrap();
        let targets = Targets { data: vec![data.clone()], names: Vec::new() };
        fs::remove_file(&path).unwrap();
        fs::remove_file(&small).unwrap();
        let first = look(&targets, &BTreeSet::new());
        let own = |files: &OpenFiles| -> Vec<String> {
            let ours = files
                .deleted
                .iter()
                .filter(|f| f.pid == std::process::id() && f.path.starts_with(dir.path().to_str().unwrap()));
            ours.map(|f| f.path.rsplit('/').next().unwrap().to_owned()).collect()
        };
        assert_eq!(own(&first), ["big"]);
        assert!(first.deleted[0].bytes >= 12 << 20 && first.deleted_bytes >= 12 << 20);
        let second = look(&targets, &first.seen);
        assert_eq!(own(&second), ["big", "logo.png"]);
        drop((file, kept));
        assert_eq!(own(&look(&targets, &second.seen)), [""; 0]);
    }
}
