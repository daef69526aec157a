//! What an archive or a copied folder would put where: read before anything of it is unpacked, and refused where an
//! entry could reach out of its directory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use super::meter::Control;
use super::program::Tools;
use crate::domain::text::plain;

/// Most entries.
const MOST: usize = 1_000_000;
/// The bits that let a program run as its owner, or its group.
const SETS: u32 = 0o6000;

/// What there is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Files (and links), by name as it is written, with their bytes.
    pub files: Vec<(String, u64)>,
    /// Directories, by name as it is written.
    pub directories: BTreeSet<String>,
    /// Where its symbolic links lead, by their parts.
    links: BTreeMap<Vec<String>, String>,
}

/// More links than this in a row lead in a circle.
const HOPS: usize = 40;

impl Listing {
    /// Files and bytes below a directory of it; empty: all of it.
    pub fn below(&self, root: &str) -> (u64, u64) {
        let of = self.files.iter().filter(|(name, _)| root.is_empty() || inner(name, root).is_some());
        of.fold((0, 0), |(files, bytes), (_, size)| (files + 1, bytes + size))
    }

    /// Refuses a symbolic link below a directory of it that leads out of that directory, also by way of other links.
    ///
    /// # Errors
    /// A sentence that names the link.
    pub fn keeps_within(&self, root: &str) -> Result<(), String> {
        let root = parts(root);
        let leads_out = |(at, _): &(&Vec<String>, &String)| at.starts_with(&root) && !self.within(at, &root);
        match self.links.iter().find(leads_out) {
            None => Ok(()),
            Some((at, to)) => Err(format!("its link `{}` leads out, to {}", plain(&at.join("/"), 120), plain(to, 120))),
        }
    }

    /// Whether a path never leaves a directory while it is followed, link by link.
    fn within(&self, path: &[String], root: &[String]) -> bool {
        let (mut here, mut hops) = (Vec::new(), 0);
        let mut ahead: VecDeque<String> = path.iter().cloned().collect();
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                if here.len() <= root.len() {
                    return false;
                }
                here.pop();
                continue;
            }
            here.push(part);
            if let Some(to) = self.links.get(&here) {
                hops += 1;
                if to.starts_with('/') || hops > HOPS {
                    return false;
                }
                here.pop();
                for part in parts(to).into_iter().rev() {
                    ahead.push_front(part);
                }
            }
        }
        true
    }

    /// The names right below a directory of it; empty: all of it.
    pub fn top(&self, root: &str) -> BTreeSet<String> {
        let names = self.files.iter().map(|(name, _)| name).chain(&self.directories);
        let below = names.filter_map(|name| if root.is_empty() { Some(name.as_str()) } else { inner(name, root) });
        let first = |name: &str| name.trim_start_matches("./").split('/').next().map(str::to_owned);
        below.filter_map(first).filter(|name| !name.is_empty() && name != ".").collect()
    }

    /// Which directory of it stands for `directory`, whose own names are `known`: the one that is written with the most of
    /// its path, or else all of it, where that has a name in common.
    pub fn root_for(&self, directory: &Path, known: &BTreeSet<String>) -> Option<String> {
        let parts: Vec<String> = directory
            .components()
            .filter_map(|part| if let Component::Normal(name) = part { name.to_str().map(str::to_owned) } else { None })
            .collect();
        for from in 0..parts.len() {
            let wanted = parts.get(from..).unwrap_or_default().join("/");
            for written in [wanted.clone(), format!("./{wanted}")] {
                if self.below(&written).0 > 0 {
                    return Some(written);
                }
            }
        }
        self.top("").iter().any(|name| known.contains(name)).then(String::new)
    }
}

/// The parts of a path as they are followed.
fn parts(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}

/// What of a name comes after a directory.
fn inner<'n>(name: &'n str, root: &str) -> Option<&'n str> {
    name.strip_prefix(root)?.strip_prefix('/').filter(|rest| !rest.is_empty())
}

/// What is in an archive, or in a folder.
///
/// # Errors
/// A sentence, where it can't be read, or names the entry that must not be unpacked.
pub fn listing(path: &Path, tools: &Tools, control: &Control) -> Result<Listing, String> {
    if path.is_dir() {
        return folder(path);
    }
    super::unpack::inside(path, tools, control, |reader| {
        let mut listing = Listing::default();
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let entry = entry?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
            let kind = entry.header().entry_type();
            if kind.is_pax_global_extensions() {
                continue;
            }
            let what = if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                What::File
            } else if kind.is_dir() {
                What::Directory
            } else if kind.is_symlink() {
                What::Symlink(link.unwrap_or_default())
            } else if kind.is_hard_link() {
                What::Link(link.unwrap_or_default())
            } else {
                What::Other
            };
            if kind.is_file() && entry.header().mode()? & SETS != 0 {
                let name = plain(&name, 120);
                return Err(io::Error::other(format!(
                    "its file `{name}` would run as its owner or group (setuid, setgid)"
                )));
            }
            take(&mut listing, &name, &what, entry.size()).map_err(io::Error::other)?;
        }
        listing.keeps_within("").map_err(io::Error::other)?;
        Ok(listing)
    })
}

/// What an entry is.
enum What {
    File,
    Directory,
    Symlink(String),
    Link(String),
    Other,
}

/// Notes an entry, unless it could reach out of the directory it is unpacked into.
fn take(listing: &mut Listing, name: &str, what: &What, size: u64) -> Result<(), String> {
    let told = || plain(name, 120);
    if listing.files.len() + listing.directories.len() >= MOST {
        return Err(format!("it has more than {MOST} entries"));
    }
    let within = |path: &Path| {
        let mut depth = 0_i64;
        path.components().all(|part| {
            match part {
                Component::Normal(_) => depth += 1,
                Component::ParentDir => depth -= 1,
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => depth = i64::MIN / 2,
            }
            depth >= 0
        })
    };
    if Path::new(name).components().any(|part| matches!(part, Component::ParentDir)) || !within(Path::new(name)) {
        return Err(format!("its entry `{}` leads out of the directory it is unpacked into", told()));
    }
    match what {
        What::Other => return Err(format!("its entry `{}` is a device, a pipe or something unknown", told())),
        What::Symlink(to) => {
            let parent = Path::new(name).parent().map(Path::to_owned).unwrap_or_default();
            if !within(&parent.join(to)) {
                return Err(format!("its link `{}` leads out, to {}", told(), plain(to, 120)));
            }
            listing.links.insert(parts(name), to.clone());
        }
        What::Link(to) if !within(Path::new(to)) => {
            return Err(format!("its link `{}` leads out, to {}", told(), plain(to, 120)));
        }
        What::File | What::Directory | What::Link(_) => {}
    }
    if matches!(what, What::Directory) {
        listing.directories.insert(name.trim_end_matches('/').to_owned());
    } else {
        listing.files.push((name.to_owned(), size));
    }
    Ok(())
}

fn folder(root: &Path) -> Result<Listing, String> {
    let mut listing = Listing::default();
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(dir) = waiting.pop() {
        let unread = |error: io::Error| format!("{} can't be read: {error}", dir.display());
        for entry in std::fs::read_dir(&dir).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(unread)?);
            let relative = path.strip_prefix(root).unwrap_or(&path);
            let name =
                relative.to_str().ok_or_else(|| format!("{} is no name that can be handed on", path.display()))?;
            let what = if kind.is_dir() {
                waiting.push(path.clone());
                What::Directory
            } else if kind.is_symlink() {
                What::Symlink(std::fs::read_link(&path).map_err(unread)?.to_string_lossy().into_owned())
            } else if kind.is_file() {
                What::File
            } else {
                What::Other
            };
            let meta = entry.metadata().map_err(unread)?;
            if kind.is_file() && meta.mode() & SETS != 0 {
                let name = plain(name, 120);
                return Err(format!("its file `{name}` would run as its owner or group (setuid, setgid)"));
            }
            take(&mut listing, name, &what, meta.len())?;
        }
    }
    listing.keeps_within("")?;
    Ok(listing)
}

#[cfg(test)]
mod tests;
