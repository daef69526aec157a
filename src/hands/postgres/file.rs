//! A backup unpacked into a file of the run's own, and that file removed.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::backups::unpack::each;
use crate::domain::text::bytes;

/// What it is called until it is whole.
fn unfinished(to: &Path) -> PathBuf {
    to.with_added_extension("partial")
}

/// Unpacks `from` into `to`, which is there only when it is whole.
pub(in crate::hands) async fn unpack(
    from: &Path,
    to: &Path,
    mut stop: watch::Receiver<bool>,
) -> Result<String, String> {
    let control = Control::default();
    let (told, from, to) = (control.clone(), from.to_owned(), to.to_owned());
    let mut work = tokio::task::spawn_blocking(move || written(&from, &to, &told));
    let done = tokio::select! {
        done = &mut work => done,
        _stopped = stop.wait_for(|stop| *stop) => {
            control.stop();
            work.await
        }
    };
    done.map_err(|error| format!("it was cut off: {error}"))?
}

fn written(from: &Path, to: &Path, control: &Control) -> Result<String, String> {
    let partial = unfinished(to);
    let wrong = |error: std::io::Error| format!("{} can't be written: {error}", partial.display());
    if let Some(dir) = to.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrong)?;
    }
    remove(to)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(wrong)?;
    let mut total = 0_usize;
    let unpacked = each(from, &Tools::find(), control, &mut |piece| {
        total += piece.len();
        file.write_all(piece)
    });
    let kept = unpacked.and_then(|()| finish(&file, &partial, to).map_err(wrong));
    if let Err(why) = kept {
        remove(to)?;
        return Err(why);
    }
    Ok(format!("{} in {}", bytes(u64::try_from(total).unwrap_or(u64::MAX)), to.display()))
}

fn finish(file: &File, partial: &Path, to: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    std::fs::rename(partial, to)
}

/// Removes what was unpacked, also half.
pub(in crate::hands) fn remove(to: &Path) -> Result<String, String> {
    for path in [to.to_owned(), unfinished(to)] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(format!("{} can't be removed: {error}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(format!("{} is gone", to.display()))
}
