//! Who can read a backup, on which disk it lies, and why it can't be looked at.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::domain::backup::Ownership;
use crate::domain::text::plain;

/// Directories web servers publish by default.
const WEB_ROOTS: [&str; 5] = ["/var/www", "/srv/www", "/srv/http", "/usr/share/nginx", "/usr/share/caddy"];

/// The sentence for a path that can't be looked at, with what would open it.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> String {
    let shown = plain(&path.to_string_lossy(), 160);
    if error.kind() == io::ErrorKind::PermissionDenied {
        return format!("this user may not read {shown}: run midwatch as root, or `setfacl -R -m u:$USER:rX {shown}`");
    }
    format!("{shown} can't be read: {error}")
}

/// Names of users and groups by their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    /// As `/etc/passwd` and `/etc/group` have them.
    pub(super) fn read() -> Self {
        let of = |path: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let entry = |line: &str| {
                let mut fields = line.split(':');
                let name = fields.next()?.to_owned();
                Some((fields.nth(1)?.parse().ok()?, name))
            };
            text.lines().filter_map(entry).collect()
        };
        Self { users: of("/etc/passwd"), groups: of("/etc/group") }
    }

    /// The permissions of a file.
    pub(super) fn ownership(&self, meta: &Metadata) -> Ownership {
        let name = |names: &BTreeMap<u32, String>, id: u32| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        Ownership {
            mode: meta.mode() & 0o7777,
            user: name(&self.users, meta.uid()),
            group: name(&self.groups, meta.gid()),
        }
    }
}

/// The ways to a file, each directory looked at once.
#[derive(Debug, Default)]
pub(super) struct Ways {
    open: BTreeMap<PathBuf, bool>,
    checkouts: BTreeMap<PathBuf, Option<PathBuf>>,
}

impl Ways {
    /// Who else can read the file, one sentence each. `published`: directories that the site's web server publishes.
    pub(super) fn exposure(&mut self, path: &Path, meta: &Metadata, published: &[PathBuf]) -> Vec<String> {
        let mut out = Vec::new();
        if meta.mode() & 0o004 != 0 && path.parent().is_some_and(|dir| self.is_open(dir)) {
            out.push(format!("every user of this host can read it (mode {:03o})", meta.mode() & 0o777));
        }
        let below = |root: &Path| path.starts_with(root);
        if let Some(root) = WEB_ROOTS.iter().map(Path::new).find(|root| below(root)) {
            out.push(format!("it lies below {}, which web servers publish", root.display()));
        }
        if let Some(root) = published.iter().find(|root| below(root)) {
            out.push(format!("it lies below {}, which this site publishes", plain(&root.to_string_lossy(), 120)));
        }
        out
    }

    /// Whether every user can go through all directories up to here.
    fn is_open(&mut self, dir: &Path) -> bool {
        if let Some(known) = self.open.get(dir) {
            return *known;
        }
        let own = fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o001 != 0);
        let open = own && dir.parent().is_none_or(|parent| self.is_open(parent));
        self.open.insert(dir.to_owned(), open);
        open
    }

    /// The code checkout a path lies in.
    pub(super) fn checkout(&mut self, dir: &Path) -> Option<PathBuf> {
        if let Some(known) = self.checkouts.get(dir) {
            return known.clone();
        }
        let found = if dir.join(".git").symlink_metadata().is_ok() {
            Some(dir.to_owned())
        } else {
            dir.parent().and_then(|parent| self.checkout(parent))
        };
        self.checkouts.insert(dir.to_owned(), found.clone());
        found
    }
}

/// The file system a path lies on.
pub(super) fn device(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|meta| meta.dev())
}
