//! The migrations that come with an application's code: names of files, never run.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::backends::roll;
use crate::domain::app_state::{AppMigrations, MOST_NAMES};

/// Directories that are looked into.
const DIRECTORIES: usize = 4_000;
/// How deep below a package migrations are looked for: `pretix/plugins/badges/migrations`.
const DEPTH: usize = 4;
/// Entries of a directory.
const ENTRIES: usize = 2_000;
/// Applications told.
const APPLICATIONS: usize = 100;

/// `label = "…"` of an application's configuration.
static LABEL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?m)^\s+label(?:\s*:\s*str)?\s*=\s*['"](\w+)['"]"#).ok());

/// The migrations of an application and its plugins.
pub(super) fn migrations(packages: &Path, name: &str) -> Vec<AppMigrations> {
    let own = |path: &PathBuf| {
        let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        file == name
            || file.strip_prefix(name).is_some_and(|rest| rest.starts_with('_') && !rest.contains(".dist-info"))
    };
    let roots = roll::list(packages, 20_000).unwrap_or_default().into_iter().filter(own);
    let mut next: VecDeque<(PathBuf, usize)> = roots.map(|path| (path, 0)).collect();
    let (mut out, mut looked) = (Vec::new(), 0);
    while let Some((dir, depth)) = next.pop_front() {
        looked += 1;
        if looked > DIRECTORIES || out.len() >= APPLICATIONS {
            break;
        }
        if dir.file_name().is_some_and(|n| n == "migrations") {
            out.extend(of(&dir));
            continue;
        }
        let Ok(inside) = std::fs::read_dir(&dir) else { continue };
        let below =
            inside.take(ENTRIES).filter_map(Result::ok).filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
        // What the browser gets has no migrations, and most of the files.
        let skipped = |name: &str| {
            name.starts_with(['.', '_'])
                || name.starts_with("static")
                || matches!(name, "locale" | "templates" | "node_modules")
        };
        let mut below: Vec<PathBuf> =
            below.filter(|e| !skipped(&e.file_name().to_string_lossy())).map(|e| e.path()).collect();
        below.sort();
        if depth < DEPTH {
            next.extend(below.into_iter().map(|path| (path, depth + 1)));
        }
    }
    out.sort_by(|a, b| a.label.cmp(&b.label));
    out
}

fn of(dir: &Path) -> Option<AppMigrations> {
    let entries = roll::list(dir, ENTRIES).ok()?;
    let mut names: Vec<String> = entries
        .iter()
        .filter_map(|path| path.file_name()?.to_str()?.strip_suffix(".py").map(ToOwned::to_owned))
        .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()) && name.len() <= 200)
        .collect();
    names.drain(..names.len().saturating_sub(MOST_NAMES));
    (!names.is_empty()).then(|| AppMigrations { label: label(dir), names })
}

/// The label its configuration gives itself, else the name of its directory (Django's `AppConfig.label`).
fn label(dir: &Path) -> String {
    let Some(app) = dir.parent() else { return String::new() };
    let told = ["apps.py", "__init__.py"].iter().find_map(|file| {
        let text = roll::text(&app.join(file)).ok()?;
        Some(LABEL.as_ref()?.captures(&text)?.get(1)?.as_str().to_owned())
    });
    told.unwrap_or_else(|| app.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::migrations;

    #[test]
    fn labels_and_names_are_read_from_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("pretix/base/apps.py", "class C(AppConfig):\n    name = 'pretix.base'\n    label = 'pretixbase'\n");
        write("pretix/base/migrations/__init__.py", "");
        write("pretix/base/migrations/0001_initial.py", "");
        write("pretix/base/migrations/0002_more.py", "");
        write("pretix/plugins/badges/migrations/0001_initial.py", "");
        write("pretix_pages/migrations/0001_initial.py", "");
        write("pretix/static/npm/migrations/0001_no.py", "");
        write("pretix_pages-1.0.dist-info/migrations/0001_no.py", "");
        write("other/migrations/0001_no.py", "");
        let found = migrations(root.path(), "pretix");
        let labels: Vec<(&str, usize)> = found.iter().map(|a| (a.label.as_str(), a.names.len())).collect();
        assert_eq!(labels, [("badges", 1), ("pretix_pages", 1), ("pretixbase", 2)]);
        assert_eq!(found[2].names, ["0001_initial", "0002_more"]);
    }
}
