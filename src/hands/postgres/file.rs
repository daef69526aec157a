//! A backup unpacked into a file of the run's own, and that file removed.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::backends::backups::meter::Control;
use crate::backends::backups::program::Tools;
use crate::backends::backups::unpack::{Unpacker, unpack as all};
use crate::domain::text::bytes;

/// What it is called until it is whole.
fn unfinished(to: &Path) -> PathBuf {
    to.with_added_extension("partial")
}

/// Unpacks `from` into `to`, which is there only when it is whole.
pub(in crate::hands) async fn unpack(from: &Path, to: &Path, stop: watch::Receiver<bool>) -> Result<String, String> {
    unpack_by(all, from, to, stop).await
}

/// The same, of as much as this hands on.
pub(in crate::hands) async fn unpack_by(
    unpacker: Unpacker,
    from: &Path,
    to: &Path,
    mut stop: watch::Receiver<bool>,
) -> Result<String, String> {
    let control = Control::default();
    let (told, from, to) = (control.clone(), from.to_owned(), to.to_owned());
    let mut work = tokio::task::spawn_blocking(move || written(unpacker, &from, &to, &told));
    let done = tokio::select! {
        done = &mut work => done,
        _stopped = stop.wait_for(|stop| *stop) => {
            control.stop();
            work.await
        }
    };
    done.map_err(|error| format!("it was cut off: {error}"))?
}

fn written(unpacker: Unpacker, from: &Path, to: &Path, control: &Control) -> Result<String, String> {
    let partial = unfinished(to);
    let wrong = |error: std::io::Error| format!("{} can't be written: {error}", partial.display());
    if let Some(dir) = to.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(wrong)?;
    }
    remove(to)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(wrong)?;
    let unpacked = unpacker(from, &Tools::find(), control, &mut file);
    match unpacked.and_then(|total| finish(&file, &partial, to).map(|()| total).map_err(wrong)) {
        Ok(total) => Ok(format!("{} in {}", bytes(total), to.display())),
        Err(why) => {
            remove(to)?;
            Err(why)
        }
    }
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
