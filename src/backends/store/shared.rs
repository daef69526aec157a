//! Files that several users of a machine write in turn: made readable and writable for the directory's group, where the
//! directory is the group's.

use std::fs::{OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::StoreError;

/// Makes an empty file where there is none. SQLite gives its journal the mode of the database, so this is enough; under
/// the usual umask it would make files that the next operator may only read.
///
/// # Errors
/// When it can't be made, or is no plain file: a link is not followed.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let fail = |error| StoreError::File { path: path.to_owned(), error };
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => return Err(fail(std::io::Error::new(ErrorKind::InvalidInput, "is no plain file; move it away"))),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    let groups = path.parent().and_then(|dir| std::fs::metadata(dir).ok()).is_some_and(|dir| dir.mode() & 0o020 != 0);
    let mode = if groups { 0o660 } else { 0o644 };
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(flags).open(path);
    match opened {
        // The umask may have taken the group's right away.
        Ok(file) if groups => file.set_permissions(Permissions::from_mode(mode)).map_err(fail),
        Ok(_) => Ok(()),
        // Somebody else was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(fail(error)),
    }
}
