//! Room that is kept on the journal's disk, to be given to the journal when the disk is full: what is done then can still be
//! written down.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags, fallocate};

/// Its file, beside the journal.
const NAME: &str = "ballast";
/// Thousands of entries: more than any run writes.
const BYTES: u64 = 1024 * 1024;

/// Keeps the room, where it isn't kept yet.
///
/// # Errors
/// When there is none to be kept.
pub(super) fn keep(dir: &Path) -> io::Result<()> {
    let path = dir.join(NAME);
    // A block is 512 bytes here, whatever the file system's own are.
    if std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file() && meta.blocks() >= BYTES / 512) {
        return Ok(());
    }
    release(dir)?;
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&path)?;
    let kept = fill(&file);
    if kept.is_err() {
        release(dir)?;
    }
    kept
}

fn fill(mut file: &File) -> io::Result<()> {
    if fallocate(file, FallocateFlags::empty(), 0, BYTES).is_err() {
        // Where the file system can't: by writing.
        io::copy(&mut io::Read::take(io::repeat(0x6d), BYTES), &mut file)?;
    }
    file.sync_all()
}

/// Gives the room back; whether there was any.
///
/// # Errors
/// When it can't be removed.
pub(super) fn release(dir: &Path) -> io::Result<bool> {
    match std::fs::remove_file(dir.join(NAME)) {
        Ok(()) => File::open(dir)?.sync_all().map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, NAME, keep, release};

    #[test]
    fn room_is_kept_once_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path()).unwrap();
        keep(dir.path()).unwrap();
        let kept = std::fs::metadata(dir.path().join(NAME)).unwrap();
        assert!(std::os::unix::fs::MetadataExt::blocks(&kept) * 512 >= BYTES);
        assert!(release(dir.path()).unwrap() && !release(dir.path()).unwrap());
    }

    #[test]
    fn a_hole_keeps_no_room() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::File::create(dir.path().join(NAME)).unwrap().set_len(BYTES).unwrap();
        keep(dir.path()).unwrap();
        let kept = std::fs::metadata(dir.path().join(NAME)).unwrap();
        assert!(std::os::unix::fs::MetadataExt::blocks(&kept) * 512 >= BYTES);
    }
}
