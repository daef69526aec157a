//! A tag in a file of a Compose project, exchanged by a rename: whoever reads the file finds the one text or the other.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::fs::OFlags;

use crate::backends::plain;
use crate::runbook::approval::Permit;
use crate::runbook::plan::image::{Retag, digest};

/// No file of a project is longer.
const MOST: u64 = 4 * 1024 * 1024;

/// Exchanges it, if the file is still what was seen. Exchanged already it stays so.
pub(super) fn exchange(_permit: &Permit, retag: &Retag) -> Result<String, String> {
    exchanged(retag)
}

fn exchanged(retag: &Retag) -> Result<String, String> {
    let path = Path::new(&retag.file);
    let fail = |what: &Path, error: std::io::Error| format!("{}: {error}; nothing was changed", what.display());
    let file = plain::open(path).map_err(|error| fail(path, error))?;
    let meta = file.metadata().map_err(|error| fail(path, error))?;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).map_err(|error| fail(path, error))?;
    let now = digest(&text);
    if now == retag.becomes {
        return Ok(format!("{} names {} already", retag.file, retag.to));
    }
    let new = (now == retag.was).then(|| retag.applied(&text)).flatten().ok_or_else(|| {
        format!("{} has been changed by somebody since this plan was made: nothing was changed", retag.file)
    })?;
    if let Some(keep) = &retag.keep {
        kept(Path::new(keep), &text, &meta).map_err(|error| fail(Path::new(keep), error))?;
    }
    let beside = path.with_added_extension("midwatch-new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(fail(&beside, error)),
        Ok(()) | Err(_) => {}
    }
    written(&beside, &new, &meta).map_err(|error| fail(&beside, error))?;
    let unchanged = std::fs::symlink_metadata(path).is_ok_and(|last| {
        let which = |meta: &std::fs::Metadata| (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
        which(&last) == which(&meta)
    });
    if !unchanged {
        std::fs::remove_file(&beside).ok();
        return Err(format!("{} was changed by somebody in this very moment: nothing was changed", retag.file));
    }
    std::fs::rename(&beside, path).map_err(|error| fail(path, error))?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| format!("{} is changed, but {} can't be synced: {error}", retag.file, dir.display()))?;
    Ok(format!("{} names {} instead of {}", retag.file, retag.to, retag.from))
}

/// The text from before, under a name of its own; nothing is written over.
fn kept(keep: &Path, text: &str, like: &std::fs::Metadata) -> std::io::Result<()> {
    match written(keep, text, like) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let same = std::fs::symlink_metadata(keep)?.is_file() && std::fs::read_to_string(keep)? == text;
            if same {
                return Ok(());
            }
            // Half written by a run that was cut off, or another's.
            let aside = keep.with_added_extension("cut-off");
            std::fs::rename(keep, aside)?;
            written(keep, text, like)
        }
        done => done,
    }
}

/// A new file, on the disk when this returns, with the mode and owner of another.
fn written(path: &Path, text: &str, like: &std::fs::Metadata) -> std::io::Result<()> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)?;
    file.write_all(text.as_bytes())?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::exchanged;
    use crate::runbook::plan::image::Retag;

    #[test]
    fn it_is_exchanged_once_back_again_and_never_over_what_somebody_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (env, keep) = (dir.path().join(".env"), dir.path().join(".env.kept"));
        fs::write(&env, "TAG=1\nPASSWORD=x\n").unwrap();
        fs::set_permissions(&env, fs::Permissions::from_mode(0o640)).unwrap();
        let text = |path: &std::path::Path| fs::read_to_string(path).unwrap();
        let keep_as = Some(keep.display().to_string());
        let retag = Retag::of(env.to_str().unwrap(), "TAG=1\nPASSWORD=x\n", vec![4], ("1", "2"), keep_as).unwrap();
        for said in ["instead of 1", "already"] {
            assert!(exchanged(&retag).unwrap().contains(said));
            assert_eq!((text(&env).as_str(), text(&keep).as_str()), ("TAG=2\nPASSWORD=x\n", "TAG=1\nPASSWORD=x\n"));
        }
        for path in [&env, &keep] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
        }
        exchanged(&retag.back()).unwrap();
        assert_eq!(text(&env), "TAG=1\nPASSWORD=x\n");
        fs::write(&env, "TAG=1\nPASSWORD=y\n").unwrap();
        assert!(exchanged(&retag).unwrap_err().contains("changed by somebody"));
        assert_eq!(text(&env), "TAG=1\nPASSWORD=y\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left there");
    }
}
