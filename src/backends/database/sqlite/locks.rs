//! Who holds the locks of a SQLite file, from `/proc/locks` (FIELD INC-24): lines such as
//! `5: POSIX ADVISORY WRITE 3746 08:01:2621441 1073741825 1073741825`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::domain::database::Session;
use crate::domain::text::plain;

/// The byte that who is about to write locks (`os.h` of SQLite: `PENDING_BYTE`, `RESERVED_BYTE`, `SHARED_FIRST`).
const RESERVED: u64 = 0x4000_0001;
const SHARED: u64 = 0x4000_0002;
const LAST: u64 = 0x4000_01ff;
/// The byte of the `-shm` file that who writes into the log locks (`wal.c`: `WAL_WRITE_LOCK` at offset 120).
const WAL_WRITE: u64 = 120;
/// Most of the list that is read.
const MOST: usize = 256 * 1024;

/// Who writes into the file at `path`, or its log at `shm`: not this process itself.
pub(super) fn writers(proc: &Path, path: &Path, shm: &Path, own: u32) -> Vec<Session> {
    let Ok(list) = fs::read_to_string(proc.join("locks")) else { return Vec::new() };
    let end = list.char_indices().nth(MOST).map_or(list.len(), |(at, _)| at);
    let list = list.get(..end).unwrap_or_default();
    let file = fs::metadata(path).ok().map(|facts| (facts.dev(), facts.ino()));
    let shm = fs::metadata(shm).ok().map(|facts| (facts.dev(), facts.ino()));
    let mut out: Vec<Session> = Vec::new();
    for lock in list.lines().filter_map(lock) {
        let state = if file.is_some_and(|file| lock.is_on(file)) {
            if lock.first <= SHARED && lock.last >= LAST {
                "has locked it for others, even for reading"
            } else if lock.first <= RESERVED && lock.last >= RESERVED {
                "has a write transaction open"
            } else {
                continue;
            }
        } else if shm.is_some_and(|shm| lock.is_on(shm)) && lock.first <= WAL_WRITE && lock.last >= WAL_WRITE {
            "has a write transaction open"
        } else {
            continue;
        };
        if lock.pid == i64::from(own) || out.iter().any(|known| known.pid == lock.pid) {
            continue;
        }
        out.push(Session {
            pid: lock.pid,
            application: name(proc, lock.pid),
            state: state.to_owned(),
            ..Session::default()
        });
        if out.len() >= 10 {
            break;
        }
    }
    out
}

struct Lock {
    pid: i64,
    device: (u64, u64),
    inode: u64,
    first: u64,
    last: u64,
}

impl Lock {
    /// Devices are told as major and minor; a file system of several (btrfs) tells another one here than for a file.
    fn is_on(&self, (device, inode): (u64, u64)) -> bool {
        let device = (u64::from(rustix::fs::major(device)), u64::from(rustix::fs::minor(device)));
        self.inode == inode && (self.device == device || self.device.0 == 0)
    }
}

/// A granted lock for writing; waiting ones begin with `->`.
fn lock(line: &str) -> Option<Lock> {
    let mut words = line.split_whitespace().skip(1);
    if !matches!(words.next()?, "POSIX" | "OFDLCK") {
        return None;
    }
    let _how = words.next()?;
    if words.next()? != "WRITE" {
        return None;
    }
    let pid = words.next()?.parse().ok()?;
    let mut place = words.next()?.split(':');
    let device = (u64::from_str_radix(place.next()?, 16).ok()?, u64::from_str_radix(place.next()?, 16).ok()?);
    let inode = place.next()?.parse().ok()?;
    let first = words.next()?.parse().ok()?;
    let last = words.next()?;
    let last = if last == "EOF" { u64::MAX } else { last.parse().ok()? };
    Some(Lock { pid, device, inode, first, last })
}

/// What a process is, from its command line: the first words, without a path.
fn name(proc: &Path, pid: i64) -> String {
    let line = fs::read(proc.join(pid.to_string()).join("cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .take(3)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).rsplit('/').next().unwrap_or_default().to_owned())
        .collect();
    plain(&crate::domain::redact::redact(&words.join(" ")), 60)
}

#[cfg(test)]
mod tests {
    use super::{lock, writers};
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn writers_are_told_from_readers_and_from_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let (path, shm) = (dir.path().join("db"), dir.path().join("db-shm"));
        fs::write(&path, "x").unwrap();
        fs::write(&shm, "x").unwrap();
        let place = |path| {
            let facts = fs::metadata(path).unwrap();
            let (major, minor) = (rustix::fs::major(facts.dev()), rustix::fs::minor(facts.dev()));
            format!("{major:02x}:{minor:02x}:{}", facts.ino())
        };
        let (file, log) = (place(&path), place(&shm));
        let lines = format!(
            "1: POSIX  ADVISORY  READ  10 {file} 1073741826 1073742335\n\
             2: POSIX  ADVISORY  WRITE 11 {file} 1073741825 1073741825\n\
             2: -> POSIX  ADVISORY  WRITE 12 {file} 1073741825 1073741825\n\
             3: POSIX  ADVISORY  WRITE 13 {file} 1073741824 1073742335\n\
             4: FLOCK  ADVISORY  WRITE 14 {file} 0 EOF\n\
             5: POSIX  ADVISORY  WRITE 15 {log} 120 120\n\
             6: POSIX  ADVISORY  READ 16 {log} 123 123\n\
             7: POSIX  ADVISORY  WRITE 17 08:01:1 0 EOF\n\
             8: POSIX  ADVISORY  WRITE 99 {file} 1073741825 1073741825\n"
        );
        fs::write(dir.path().join("locks"), lines).unwrap();
        fs::create_dir(dir.path().join("13")).unwrap();
        fs::write(dir.path().join("13/cmdline"), "/usr/bin/python3\0/srv/manage.py\0migrate\0").unwrap();
        let found = writers(dir.path(), &path, &shm, 99);
        let told: Vec<_> = found.iter().map(|s| (s.pid, s.application.as_str(), s.state.as_str())).collect();
        assert_eq!(
            told,
            [
                (11, "", "has a write transaction open"),
                (13, "python3 manage.py migrate", "has locked it for others, even for reading"),
                (15, "", "has a write transaction open"),
            ]
        );
        assert!(lock("nonsense").is_none() && lock("").is_none());
    }
}
