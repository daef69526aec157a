//! Where an application is installed, in which version, since when: from the metadata pip leaves beside the packages.

use std::path::{Path, PathBuf};

use crate::backends::roll::{self, base};
use crate::config::AppKind;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Entries of a `site-packages` that are looked at.
const PACKAGES: usize = 20_000;

/// An installed application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::backends) struct Installed {
    /// The directory of its packages: `/var/pretix/venv/lib/python3.11/site-packages`.
    pub(in crate::backends) packages: PathBuf,
    /// Its version.
    pub(in crate::backends) version: String,
    /// When that was installed.
    pub(in crate::backends) at: Timestamp,
}

/// The package of an application.
pub(in crate::backends) const fn package(app: AppKind) -> Option<&'static str> {
    match app {
        AppKind::Pretix => Some("pretix"),
        AppKind::Pretalx => Some("pretalx"),
        AppKind::Web => None,
    }
}

/// The virtual environments a command line speaks of: what lies above a `bin` in an absolute path.
pub(in crate::backends) fn environments(words: &[String]) -> Vec<PathBuf> {
    let above = |word: &String| {
        let path = Path::new(word).parent().filter(|p| p.is_absolute() && p.ends_with("bin"))?;
        path.parent().filter(|p| p.parent().is_some()).map(Path::to_owned)
    };
    let mut out: Vec<PathBuf> = words.iter().take(12).filter_map(above).collect();
    out.dedup();
    out
}

/// Where an application usually is installed: in the documentation's place, or beside its data or configuration.
pub(in crate::backends) fn usual(app: AppKind, beside: &[&Path]) -> Vec<PathBuf> {
    let Some(name) = package(app) else { return Vec::new() };
    let mut out = Vec::new();
    for dir in beside.iter().filter_map(|path| path.parent()) {
        out.extend(["venv", ".venv", "env"].map(|venv| dir.join(venv)));
    }
    out.extend(
        [format!("/var/{name}/venv"), format!("/opt/{name}/venv"), format!("/home/{name}/venv")].map(PathBuf::from),
    );
    out
}

/// The application in the first of these environments that has it.
pub(in crate::backends) fn find(root: &Path, app: AppKind, environments: &[PathBuf]) -> Option<Installed> {
    let name = package(app)?;
    environments.iter().find_map(|environment| {
        let lib = root.join(environment.strip_prefix("/").unwrap_or(environment)).join("lib");
        let pythons = roll::list(&lib, 64).ok()?;
        let pythons = pythons
            .into_iter()
            .filter(|p| p.file_name().is_some_and(|n| base(&n.to_string_lossy()).starts_with("python")));
        pythons.filter_map(|python| installed(&python.join("site-packages"), name)).max_by_key(|found| found.at)
    })
}

fn installed(packages: &Path, name: &str) -> Option<Installed> {
    let entries = roll::list(packages, PACKAGES).ok()?;
    let one = |path: PathBuf| {
        let file = path.file_name()?.to_str()?;
        let version = file.strip_prefix(name)?.strip_prefix('-')?.strip_suffix(".dist-info")?;
        // pip writes RECORD last, uv too: the other files may have come out of a cache with times of their own.
        let at = roll::written(&path.join("RECORD")).or_else(|| roll::written(&path))?;
        let digit = version.starts_with(|c: char| c.is_ascii_digit());
        digit.then(|| Installed { packages: packages.to_owned(), version: plain(version, 40), at })
    };
    entries.into_iter().filter_map(one).max_by_key(|found| found.at)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{environments, find, usual};
    use crate::config::AppKind;

    #[test]
    fn an_application_is_found_by_what_runs_it() {
        let root = tempfile::tempdir().unwrap();
        let packages = root.path().join("srv/v/lib/python3.11/site-packages");
        for name in ["pretix-2026.8.0.dist-info", "pretix_pages-1.0.dist-info", "pretixfoo-1.dist-info"] {
            fs::create_dir_all(packages.join(name)).unwrap();
            fs::write(packages.join(name).join("RECORD"), "").unwrap();
        }
        let words = ["/srv/v/bin/python3", "/srv/v/bin/gunicorn", "pretix.wsgi"].map(ToOwned::to_owned);
        let places = environments(&words);
        assert_eq!(places, [PathBuf::from("/srv/v")]);
        let found = find(root.path(), AppKind::Pretix, &places).unwrap();
        assert_eq!((found.version.as_str(), found.packages.as_path()), ("2026.8.0", packages.as_path()));
        assert_eq!(find(root.path(), AppKind::Pretalx, &places), None);
        assert_eq!(environments(&["bin/python".to_owned(), "/bin/sh".to_owned()]), [] as [PathBuf; 0]);
        assert!(usual(AppKind::Pretix, &[Path::new("/srv/pretix/data")]).contains(&PathBuf::from("/srv/pretix/venv")));
    }
}
