//! What is inside a packed backup, handed on piece by piece.

use std::io::{self, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::meter::Control;
use super::program::{self, Tools};
use crate::domain::backup::kind::{self, HEAD, Packing, packing};

/// Takes the pieces.
/// What hands on what is in a backup, unpacked; how many bytes.
pub type Unpacker = fn(&Path, &Tools, &Control, &mut dyn Write) -> Result<u64, String>;

type Taker<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// How a file is packed, by its first bytes; `None`: it is not.
///
/// # Errors
/// A sentence, where it can't be read.
pub fn packed(path: &Path) -> Result<Option<Packing>, String> {
    let mut head = vec![0; HEAD];
    let read = crate::backends::plain::open(path).and_then(|mut file| super::tar::fill(&mut file, &mut head));
    let n = read.map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    Ok(packing(head.get(..n).unwrap_or_default()))
}

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

/// Hands on all that is in a file, without its packing.
///
/// # Errors
/// A sentence: it can't be read or unpacked to its end, or `take` has failed.
pub fn each(path: &Path, tools: &Tools, control: &Control, take: Taker<'_>) -> Result<(), String> {
    inside(path, tools, control, |reader| pieces(reader, control, take))
}

fn pieces(reader: &mut dyn Read, control: &Control, take: Taker<'_>) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        if control.stopped() {
            return Err(io::Error::other("it was stopped"));
        }
        let n = super::tar::fill(reader, &mut buffer)?;
        take(buffer.get(..n).unwrap_or_default())?;
        if n < buffer.len() {
            return Ok(());
        }
    }
}

/// Whether SQL leaves the database it is put to: `\connect`, as `pg_dump --create` and `pg_dumpall` write it. In the
/// rows of a dump no line begins so, for there a backslash is doubled.
///
/// # Errors
/// As [`each`].
pub fn connects(path: &Path, tools: &Tools, control: &Control) -> Result<bool, String> {
    let mut found = false;
    let mut seam = b"\n".to_vec();
    each(path, tools, control, &mut |piece| {
        let text = [seam.as_slice(), piece].concat();
        found |= ["\n\\connect", "\n\\c "].iter().any(|word| memchr::memmem::find(&text, word.as_bytes()).is_some());
        seam = text.get(text.len().saturating_sub(16)..).unwrap_or_default().to_vec();
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{connects, each};
    use crate::backends::backups::meter::Control;
    use crate::backends::backups::program::Tools;

    #[test]
    fn what_is_inside_comes_out_and_a_cut_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sql.gz");
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&text).unwrap();
        let packed = packed.finish().unwrap();
        let unpack = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let mut out = Vec::new();
            each(&path, &Tools::default(), &Control::default(), &mut |piece| {
                out.extend_from_slice(piece);
                Ok(())
            })
            .map(|()| out)
        };
        assert_eq!(unpack(&packed), Ok(text));
        assert!(unpack(&packed[..packed.len() / 2]).is_err());
    }

    #[test]
    fn sql_that_goes_elsewhere_is_seen_across_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sql");
        let goes = |text: String| {
            std::fs::write(&path, text).unwrap();
            connects(&path, &Tools::default(), &Control::default()).unwrap()
        };
        assert!(goes("\\connect x\n".to_owned()));
        assert!(goes(format!("{}\n\\connect x\n", "-".repeat(65_531))));
        assert!(!goes("COPY t FROM stdin;\n\\\\connect\n\\.\nselect '\\connect';\n".to_owned()));
    }
}
