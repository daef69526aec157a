//! The layers of the crate's documentation hold: no module uses one it must not know, no crate shows up where it has no
//! business, no pure layer looks at the world.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs;
use std::path::{Path, PathBuf};

/// A layer, and the layers of this crate it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("triage", &["triage", "domain"]),
    ("app", &["app", "triage", "domain"]),
    ("ports", &["ports", "domain"]),
    ("config", &["config", "discovery", "triage", "domain"]),
    ("discovery", &["discovery", "config", "domain"]),
    ("backends", &["backends", "ports", "config", "triage", "domain"]),
    ("runtime", &["runtime", "app", "triage", "domain"]),
    ("ui", &["ui", "app", "triage", "domain"]),
    ("watch", &["watch", "runtime", "backends", "ports", "config", "discovery", "app", "triage", "domain"]),
    ("demo", &["demo"]),
];

/// A crate, and the files (by their beginning) that may name it.
const CRATES: &[(&str, &[&str])] = &[
    ("ratatui", &["ui", "runtime", "cli/screens"]),
    ("crossterm", &["runtime"]),
    ("termprofile", &["ui", "cli/screens", "cli/doctor"]),
    ("sqlx", &["backends", "demo"]),
    ("redis", &["backends/redis"]),
    ("reqwest", &["backends/http", "demo"]),
    ("sysinfo", &["backends/host"]),
    // Of hyper, the HTTP source only tells errors apart.
    ("hyper", &["demo", "backends/http/trouble"]),
    ("landlock", &["runtime/sandbox"]),
    ("tokio", &["backends", "runtime", "watch", "demo", "cli"]),
    ("clap", &["cli", "config", "demo"]),
];

/// Layers that take everything in as values, and what they must not name.
const PURE: &[&str] = &["domain", "triage", "app", "ui"];
const WORLD: &[&str] =
    &["std::fs", "std::env", "std::net", "std::process", "std::thread", "Instant::now", "SystemTime::now"];

/// Lines of a file that is not a test.
const LONGEST: usize = 500;

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The offences of one file: `name` is its path below `src` without `.rs`.
fn offences(name: &str, text: &str) -> Vec<String> {
    let layer = name.split('/').next().unwrap_or_default();
    // Tests may look at whatever they like.
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut out = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("//") {
            continue;
        }
        let mut offence = |what: String| out.push(format!("src/{name}.rs:{}: {what}", number + 1));
        if let Some((_, allowed)) = LAYERS.iter().find(|(l, _)| *l == layer) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if LAYERS.iter().any(|(l, _)| *l == used) && !allowed.contains(&used.as_str()) || used == "cli" {
                    offence(format!("{layer} must not know {used}"));
                }
            }
        }
        for (krate, allowed) in CRATES {
            let named = line.starts_with(&format!("use {krate}::")) || names(line, &format!("{krate}::"));
            if named && !allowed.iter().any(|beginning| name.starts_with(beginning)) {
                offence(format!("{krate} has no business in {layer}"));
            }
        }
        if PURE.contains(&layer) {
            for world in WORLD.iter().filter(|w| line.contains(**w)) {
                offence(format!("{layer} is pure and must not use {world}"));
            }
        }
    }
    if !name.ends_with("tests") && code.lines().count() > LONGEST {
        out.push(format!("src/{name}.rs: longer than {LONGEST} lines"));
    }
    if name.ends_with("/mod") {
        out.push(format!("src/{name}.rs: write foo.rs beside foo/, not foo/mod.rs"));
    }
    out
}

/// Whether `path` (as `tokio::`) stands in the line as a path of its own, not at the end of a longer one.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default().chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn the_layers_hold() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    assert!(all.len() > 100, "the tree was not found");
    let name = |path: &PathBuf| path.strip_prefix(&src).unwrap().with_extension("").display().to_string();
    let found: Vec<String> =
        all.iter().flat_map(|path| offences(&name(path), &fs::read_to_string(path).unwrap())).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_offence_is_told_with_its_place() {
    let bad =
        "use crate::runtime::clock;\nuse sqlx::Row;\n// use crate::ui::Look;\nlet t = std::time::Instant::now();\n";
    assert_eq!(
        offences("domain/health", bad),
        [
            "src/domain/health.rs:1: domain must not know runtime",
            "src/domain/health.rs:2: sqlx has no business in domain",
            "src/domain/health.rs:4: domain is pure and must not use Instant::now",
        ]
    );
    assert_eq!(offences("cli/run", "use crate::ui;\nuse tokio::time;\n"), [""; 0]);
    assert_eq!(offences("domain/x", "#[cfg(test)]\nuse crate::runtime::clock;\n"), [""; 0]);
    assert_eq!(offences("ui/now", "let x = crate::backends::store;\n"), ["src/ui/now.rs:1: ui must not know backends"]);
    assert_eq!(offences("domain/redis", "use super::redis::Broker;\n"), [""; 0]);
}
