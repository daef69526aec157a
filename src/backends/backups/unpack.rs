//! What is inside a backup once its packing is taken off.

use std::io::{self, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::meter::Control;
use super::program::{self, Tools};
use crate::domain::backup::kind::{self, Packing};

/// Hands what is inside a backup to `then`.
///
/// # Errors
/// A sentence, where it can't be opened or unpacked; what `then` read is worth nothing in that case.
pub fn inside<T>(
    path: &Path,
    tools: &Tools,
    control: &Control,
    then: impl FnOnce(&mut dyn Read) -> io::Result<T>,
) -> Result<T, String> {
    let failed = |error: io::Error| format!("{} can't be read: {error}", path.display());
    let head = super::directory::head(path).ok_or_else(|| format!("{} can't be read", path.display()))?;
    let mut file = crate::backends::plain::open(path).map_err(failed)?;
    let name = match kind::packing(&head) {
        None => return then(&mut file).map_err(failed),
        Some(Packing::Gzip) => {
            let mut reader = MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, file));
            return then(&mut reader).map_err(failed);
        }
        Some(Packing::Zstd) => "zstd",
        Some(Packing::Xz) => "xz",
        Some(Packing::Bzip2) => "bzip2",
        Some(Packing::Lz4) => "lz4",
        Some(Packing::Encrypted) => return Err(format!("{} is encrypted", path.display())),
    };
    let program =
        tools.get(name).ok_or_else(|| format!("{name} is not installed here, so {} can't be read", path.display()))?;
    let (value, ended) = program::unpack(program, &mut file, control, then).map_err(failed)?;
    if !ended.well() {
        return Err(format!("{name} can't unpack {}: {}", path.display(), ended.said));
    }
    value.map_err(failed)
}

/// Writes what is inside a backup; how many bytes that are.
///
/// # Errors
/// A sentence, where it can't be read to its end or written.
pub fn unpack(path: &Path, tools: &Tools, control: &Control, to: &mut dyn Write) -> Result<u64, String> {
    inside(path, tools, control, |reader| {
        let (mut buffer, mut written) = (vec![0; 1 << 17], 0_u64);
        loop {
            let count = super::tar::fill(reader, &mut buffer)?;
            if count == 0 {
                return Ok(written);
            }
            if control.stopped() {
                return Err(io::Error::other("stopped"));
            }
            to.write_all(buffer.get(..count).unwrap_or_default())?;
            written += u64::try_from(count).unwrap_or(0);
        }
    })
}
