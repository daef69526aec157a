//! Deleted files that are held open, emptied.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;

use crate::backends::look::files::deleted;
use crate::domain::text::bytes;
use crate::runbook::approval::Permit;
use crate::runbook::plan::OpenFile;

/// Empties the very file that was seen. It is found before anything of it is opened, and opened by what was found: no name
/// is followed in between.
pub(super) fn empty(_permit: &Permit, file: &OpenFile) -> Result<String, String> {
    emptied(file)
}

fn emptied(file: &OpenFile) -> Result<String, String> {
    let OpenFile { pid, fd, inode } = file;
    let flags = |flags: OFlags| i32::try_from(flags.bits()).unwrap_or(0);
    let link = format!("/proc/{pid}/fd/{fd}");
    // Neither waits nor starts anything, whatever it leads to.
    let found = match File::options().read(true).custom_flags(flags(OFlags::PATH)).open(&link) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(format!("process {pid} holds it no longer: its space is free"));
        }
        found => found.map_err(|error| format!("{link} can't be looked at: {error}"))?,
    };
    let fail = |error: std::io::Error| format!("what {link} leads to can't be emptied: {error}");
    let now = deleted(&found.metadata().map_err(fail)?).map_err(|why| format!("nothing was emptied: {why}"))?;
    if now != *inode {
        return Err(format!("nothing was emptied: {link} led to the file {inode}, and leads to {now}"));
    }
    let own = format!("/proc/self/fd/{}", found.as_raw_fd());
    let opened = File::options().write(true).custom_flags(flags(OFlags::NONBLOCK)).open(own).map_err(fail)?;
    let had = opened.metadata().map_err(fail)?.len();
    opened.set_len(0).map_err(fail)?;
    Ok(format!("{} are free", bytes(had)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::emptied;
    use crate::backends::look::files::opened;
    use crate::runbook::plan::OpenFile;

    fn file(of: &File, inode: String) -> OpenFile {
        OpenFile { pid: std::process::id(), fd: u32::try_from(of.as_raw_fd()).unwrap(), inode }
    }

    #[test]
    fn only_the_file_that_was_seen_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.log");
        let mut log = File::create(&path).unwrap();
        log.write_all(&[b'x'; 5000]).unwrap();
        let fd = u32::try_from(log.as_raw_fd()).unwrap();
        assert!(opened(std::process::id(), fd).unwrap_err().contains("it has a name"));
        std::fs::remove_file(&path).unwrap();
        let inode = opened(std::process::id(), fd).unwrap();
        let other = emptied(&file(&log, "1:2".to_owned())).unwrap_err();
        assert!(other.contains("led to the file 1:2, and leads to"), "{other}");
        assert_eq!(log.metadata().unwrap().len(), 5000);
        // What has come to stand there since: a file with a name, a directory, a pipe.
        let named = File::create(&path).unwrap();
        assert!(emptied(&file(&named, inode.clone())).unwrap_err().contains("it has a name"));
        let directory = File::open(dir.path()).unwrap();
        assert!(emptied(&file(&directory, inode.clone())).unwrap_err().contains("no plain file"));
        assert!(emptied(&file(&log, inode.clone())).unwrap().contains("4.88 kB are free"));
        assert_eq!(log.metadata().unwrap().len(), 0);
        let gone = OpenFile { fd: 1_000_000, ..file(&log, inode) };
        assert!(emptied(&gone).unwrap().contains("holds it no longer"));
    }
}
