//! Directories of static files that somebody serves from and that are not there: a Python upgrade moves them.

use std::path::{Path, PathBuf};

use super::install::Installed;
use crate::backends::{nginx, roll};
use crate::domain::app_state::MissingDir;

/// Directories told.
const MOST: usize = 10;

/// Those that nginx serves for this site, and the application's own.
pub(super) fn missing(
    root: &Path,
    installed: Option<&Installed>,
    host: &str,
    backend: Option<&str>,
    unseen: &mut Vec<String>,
) -> Vec<MissingDir> {
    let mut out = Vec::new();
    let usual = || vec![root.join("etc/nginx/nginx.conf")];
    let paths = if root == Path::new("/") { nginx::configurations() } else { usual() };
    for path in paths.iter().filter(|path| path.exists()) {
        match nginx::servers(path) {
            Ok(servers) => {
                let mine = servers.iter().filter(|s| s.serves(host, backend));
                let named = mine.flat_map(|server| &server.directories).filter(|dir| is_static(dir));
                out.extend(named.filter(|dir| absent(root, dir)).map(|dir| MissingDir {
                    path: roll::shown(root, dir),
                    named_by: "nginx".to_owned(),
                    instead: instead(root, dir),
                }));
            }
            Err(why) => unseen.push(format!("{why}: whether nginx serves static files that are there is not seen.")),
        }
    }
    // pretix' wheel carries them, `rebuild` makes them anew; pretalx serves its own by itself.
    if let Some(packages) = installed.map(|i| i.packages.join("pretix")).filter(|p| p.join("settings.py").exists()) {
        let dir = packages.join("static.dist");
        if absent(Path::new("/"), &dir) || !dir.join("staticfiles.json").exists() {
            let path = roll::shown(root, &dir);
            out.push(MissingDir { path, named_by: "pretix itself".to_owned(), instead: None });
        }
    }
    out.sort();
    out.dedup();
    out.truncate(MOST);
    out
}

fn is_static(dir: &Path) -> bool {
    dir.to_string_lossy().to_ascii_lowercase().contains("static")
}

/// Whether there is surely nothing: what may not be looked at is no news.
fn absent(root: &Path, dir: &Path) -> bool {
    let path = root.join(dir.strip_prefix("/").unwrap_or(dir));
    std::fs::metadata(path)
        .is_err_and(|error| matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory))
}

/// The same below another Python: `…/lib/python3.11/site-packages/…` where `…/lib/python3.12/…` has it.
fn instead(root: &Path, dir: &Path) -> Option<String> {
    let parts: Vec<_> = dir.components().collect();
    let at = parts.iter().position(|part| part.as_os_str().to_string_lossy().starts_with("python3"))?;
    let lib: PathBuf = parts.get(..at)?.iter().collect();
    let rest: PathBuf = parts.get(at + 1..)?.iter().collect();
    let lib = root.join(lib.strip_prefix("/").unwrap_or(&lib));
    let others = roll::list(&lib, 50).ok()?.into_iter().map(|python| python.join(&rest));
    others.filter(|path| path.is_dir()).map(|path| roll::shown(root, &path)).next_back()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::missing;
    use crate::backends::app_state::install::Installed;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_directory_that_nginx_serves_from_and_is_gone_is_told_with_the_one_that_is_there() {
        let root = tempfile::tempdir().unwrap();
        let conf = "events {} http { server { server_name tickets.example.org;
            location /static/ { alias /srv/v/lib/python3.11/site-packages/pretix/static.dist/; }
            location /media/ { alias /srv/data/media/; }
            location / { proxy_pass http://127.0.0.1:8345; } }
          server { server_name other.example.org; location /static/ { alias /srv/other/static/; } } }";
        fs::create_dir_all(root.path().join("etc/nginx")).unwrap();
        fs::write(root.path().join("etc/nginx/nginx.conf"), conf).unwrap();
        let there = root.path().join("srv/v/lib/python3.12/site-packages/pretix/static.dist");
        fs::create_dir_all(&there).unwrap();
        let look = || missing(root.path(), None, "tickets.example.org", None, &mut Vec::new());
        let found = look();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].path, "/srv/v/lib/python3.11/site-packages/pretix/static.dist/");
        assert_eq!(found[0].instead.as_deref(), Some("/srv/v/lib/python3.12/site-packages/pretix/static.dist"));
        fs::create_dir_all(root.path().join("srv/v/lib/python3.11/site-packages/pretix/static.dist")).unwrap();
        assert!(look().is_empty());
    }

    #[test]
    fn pretix_own_static_files_need_their_list() {
        let root = tempfile::tempdir().unwrap();
        let packages = root.path().to_owned();
        let installed = Installed { packages, version: "2026.8.0".to_owned(), at: Timestamp::from_millis(0) };
        let dist = root.path().join("pretix/static.dist");
        fs::create_dir_all(&dist).unwrap();
        fs::write(root.path().join("pretix/settings.py"), "").unwrap();
        let look = || missing(root.path(), Some(&installed), "x", None, &mut Vec::new()).len();
        assert_eq!(look(), 1);
        fs::write(dist.join("staticfiles.json"), "{}").unwrap();
        assert_eq!(look(), 0);
    }
}
