//! Dumps that lie about in a code checkout, forgotten: exposed to whoever reads the code, and of no use.

use std::fs;
use std::path::{Path, PathBuf};

use super::access::Ways;
use super::moment;
use super::plan::Plan;
use crate::domain::backup::kind::{self, Kind};
use crate::domain::backup::{Backup, Stray};
use crate::domain::database::Engine;
use crate::domain::text::plain;

/// Most that are told.
const MOST: usize = 20;
/// Entries that are looked at in a checkout.
const MOST_ENTRIES: usize = 5_000;
const DEEPEST: usize = 2;
/// What is never looked into.
const SKIPPED: [&str; 8] = [".git", "node_modules", "venv", ".venv", "env", "__pycache__", "static", "locale"];

/// Dumps in the checkouts around the site's data and configuration that are no backup of a known place.
pub(super) fn look(plan: &Plan, ways: &mut Ways, backups: &[Backup]) -> Vec<Stray> {
    let mut roots: Vec<PathBuf> = Vec::new();
    let around = plan.data_dir.iter().chain(&plan.config.code);
    for dir in around {
        if let Some(root) = ways.checkout(dir)
            && !roots.contains(&root)
        {
            roots.push(root);
        }
    }
    let live =
        plan.database.as_ref().filter(|(engine, ..)| *engine == Engine::Sqlite).map(|(_, name, _)| name.as_str());
    let mut out = Vec::new();
    for root in roots {
        let (mut waiting, mut seen) = (vec![(root.clone(), 0)], 0);
        while let Some((dir, depth)) = waiting.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                seen += 1;
                if seen > MOST_ENTRIES || out.len() >= MOST {
                    return out;
                }
                let (path, name) = (entry.path(), entry.file_name());
                let name = name.to_string_lossy();
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    let skipped = SKIPPED.contains(&name.as_ref()) || plan.data_dir.as_deref() == Some(&path);
                    if depth < DEEPEST && !skipped {
                        waiting.push((path, depth + 1));
                    }
                } else if kind.is_file() && is_dump(&path, &name, live) {
                    let shown = plain(&path.to_string_lossy(), 300);
                    if let Ok(meta) = entry.metadata()
                        && !backups.iter().any(|b| b.path == shown)
                    {
                        out.push(Stray {
                            path: shown,
                            bytes: meta.len(),
                            changed: moment::changed(&meta),
                            checkout: plain(&root.to_string_lossy(), 200),
                        });
                    }
                }
            }
        }
    }
    out
}

/// A dump by its name and its first bytes: a migration or a fixture in SQL is none.
fn is_dump(path: &Path, name: &str, live: Option<&str>) -> bool {
    let Some(expected) = kind::of_name(name) else { return false };
    if expected == Kind::Tar || live.is_some_and(|live| Path::new(live) == path) {
        return false;
    }
    let Some(head) = super::directory::head(path) else { return expected == Kind::PgCustom };
    if kind::packing(&head).is_some() {
        return true;
    }
    !matches!(kind::of_head(&head), Kind::Sql | Kind::Unknown | Kind::Tar)
}
