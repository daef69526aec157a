//! Who may know whom: the layers of the crate documentation's code map, read from the source itself. A failure names
//! the edge, with file and line.
#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

/// A file has at most this many lines before its tests.
const LONGEST: usize = 500;

/// Each layer, and the layers it may know besides itself. `config` and `discovery` are one: what to watch, told or
/// found. Only `cli` (and the crate's root) knows everything.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("triage", &["domain"]),
    ("app", &["domain", "triage"]),
    ("ports", &["domain"]),
    ("config", &["domain", "triage", "discovery"]),
    ("discovery", &["domain", "config"]),
    ("backends", &["domain", "triage", "ports", "config"]),
    ("runtime", &["domain", "triage", "app"]),
    ("ui", &["domain", "triage", "app"]),
    ("watch", &["domain", "triage", "app", "ports", "config", "discovery", "backends", "runtime"]),
    ("demo", &[]),
];

/// Layers that are pure: they compute, and nothing else.
const PURE: &[&str] = &["domain", "triage", "app"];

/// The external crates of pure layers: they compute, or derive, and nothing else.
const PURE_CRATES: &[&str] = &["serde", "thiserror", "memchr", "schemars", "strsim"];

/// What pure layers must not touch: it arrives in events and leaves as effects.
const IMPURE: &[&str] =
    &["Instant", "SystemTime", "std::fs", "std::env", "std::io", "std::net", "std::process", "std::thread"];

/// External crates that have a place, and their places.
const PLACES: &[(&str, &[&str])] = &[
    ("ratatui", &["ui", "runtime::terminal"]),
    ("crossterm", &["runtime"]),
    ("landlock", &["runtime"]),
    ("sqlx", &["backends", "demo"]),
    ("redis", &["backends"]),
    ("reqwest", &["backends", "demo"]),
    ("sysinfo", &["backends"]),
    ("tokio", &["runtime", "backends", "watch", "demo", "cli"]),
    ("clap", &["cli", "demo", "config"]),
    ("color_eyre", &["cli", "demo", "runtime::panic"]),
];

/// Drawing looks at the model; it neither changes it nor asks for anything.
const NOT_FOR_DRAWING: &[&str] = &["app::update", "app::effect"];

#[test]
fn the_layers_know_only_those_below_them() {
    let crates = dependencies();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        wrong.extend(check(&path, &text, &crates));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The crate's source files, from its root, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut dirs, mut files) = (vec![root.join("src")], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    files.sort();
    files
}

/// The names of the external crates, as they are written in code.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

/// Everything that is wrong with one file.
fn check(path: &Path, text: &str, crates: &[String]) -> Vec<String> {
    let module: Vec<&str> = path.iter().skip(1).filter_map(|part| Path::new(part).file_stem()?.to_str()).collect();
    let mut wrong = Vec::new();
    if module.last() == Some(&"mod") {
        wrong.push(format!("{}: modules are `foo.rs` beside `foo/`, not `mod.rs`", path.display()));
    }
    if module.last() == Some(&"tests") {
        return wrong;
    }
    let code: Vec<String> = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").map(code_of).collect();
    if code.len() > LONGEST {
        wrong.push(format!("{}: {} lines, at most {LONGEST} are allowed: split it", path.display(), code.len()));
    }
    let own_names = own_names(&code);
    for (number, line) in code.iter().enumerate() {
        for edge in wrong_edges(&module, line, crates, &own_names) {
            wrong.push(format!("{}:{}: {edge}", path.display(), number + 1));
        }
    }
    wrong
}

/// What a line holds besides its comment and its strings.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for (index, c) in line.char_indices() {
        if !quoted && line.split_at(index).1.starts_with("//") {
            break;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        code.push(if quoted { ' ' } else { c });
    }
    code
}

/// Modules of our own that a file knows by their bare name, which may be that of an external crate too.
fn own_names(code: &[String]) -> Vec<String> {
    let declared = |line: &str| {
        let rest = line.trim().trim_end_matches(';').rsplit("mod ").next()?;
        line.contains("mod ").then(|| rest.to_owned())
    };
    let imported = |line: &str| {
        let path = line.trim().strip_prefix("use ").or_else(|| line.trim().strip_prefix("pub use "))?;
        let own = ["crate::", "super::", "self::"].iter().any(|root| path.starts_with(root));
        own.then(|| path.trim_end_matches(';').rsplit("::").next().unwrap_or_default().to_owned())
    };
    code.iter().flat_map(|line| declared(line).into_iter().chain(imported(line))).collect()
}

/// The forbidden edges of one line.
fn wrong_edges(module: &[&str], line: &str, crates: &[String], own_names: &[String]) -> Vec<String> {
    let layer = module.first().copied().unwrap_or_default();
    let place = module.join("::");
    let mut wrong = Vec::new();
    if line.contains("crate::{") {
        wrong.push("write one `use crate::…` for each module: a list can't be checked here".to_owned());
    }
    let known = LAYERS.iter().find(|(name, _)| *name == layer).map(|(_, known)| *known);
    for target in inner_targets(module, line) {
        let is_layer = target == "cli" || LAYERS.iter().any(|(name, _)| *name == target);
        if is_layer && target != layer && known.is_some_and(|known| !known.contains(&target)) {
            wrong.push(format!("`{layer}` must not know `{target}`"));
        }
    }
    for name in crates.iter().filter(|name| !own_names.contains(name) && roots(line, name)) {
        let places = PLACES.iter().find(|(known, _)| known == name).map(|(_, places)| *places);
        let inside = |home: &&str| place == **home || place.starts_with(&format!("{home}::"));
        if places.is_some_and(|places| !places.iter().any(inside)) {
            wrong.push(format!("`{name}` has no place in `{place}`"));
        } else if PURE.contains(&layer) && !PURE_CRATES.contains(&name.as_str()) {
            wrong.push(format!("`{layer}` is pure and must not know the crate `{name}`"));
        }
    }
    let forbidden = |words: &'static [&'static str]| words.iter().filter(|word| has_word(line, word));
    if PURE.contains(&layer) {
        wrong.extend(forbidden(IMPURE).map(|word| format!("`{layer}` is pure and must not touch `{word}`")));
    }
    if layer == "ui" {
        wrong.extend(forbidden(NOT_FOR_DRAWING).map(|word| format!("`ui` only draws and must not know `{word}`")));
    }
    wrong
}

/// The top modules a line names: by `crate::`, or by as many `super::` as lead to the root.
fn inner_targets<'a>(module: &[&str], line: &'a str) -> Vec<&'a str> {
    let climb = "super::".repeat(module.len());
    ["crate::", climb.as_str()]
        .into_iter()
        .filter(|root| !root.is_empty())
        .flat_map(|root| around(line, root))
        .map(|(_, rest)| rest.split(|c: char| !is_word(c)).next().unwrap_or_default())
        .collect()
}

/// Whether a path in this line begins with this crate.
fn roots(line: &str, name: &str) -> bool {
    around(line, name).any(|(before, after)| {
        let begins = !before.ends_with(|c: char| is_word(c) || c == ':');
        let imported = before.trim_end().ends_with("use") && after.starts_with([';', ' ']);
        begins && (after.starts_with("::") || imported)
    })
}

fn has_word(line: &str, word: &str) -> bool {
    around(line, word).any(|(before, after)| !before.ends_with(is_word) && !after.starts_with(is_word))
}

/// What comes before and after each place where `text` is in the line.
fn around<'a>(line: &'a str, text: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let ends: Vec<_> = line.match_indices(text).map(|(at, text)| (at, at + text.len())).collect();
    ends.into_iter().map(move |(begin, end)| (line.split_at(begin).0, line.split_at(end).1))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn found(path: &str, text: &str) -> Vec<String> {
    let crates = ["serde", "tokio", "ratatui", "redis", "sqlx", "jiff"].map(str::to_owned);
    check(Path::new(path), text, &crates)
}

#[test]
fn each_kind_of_wrong_edge_is_named_with_its_line() {
    for (path, text, expected) in [
        ("src/domain/id.rs", "use crate::app::model::Model;", "src/domain/id.rs:1: `domain` must not know `app`"),
        ("src/domain/id.rs", "\nuse super::super::ui;", "src/domain/id.rs:2: `domain` must not know `ui`"),
        (
            "src/app.rs",
            "use crate::{domain, runtime};",
            "src/app.rs:1: write one `use crate::…` for each module: a list can't be checked here",
        ),
        (
            "src/app/update.rs",
            "let t = std::time::Instant::now();",
            "src/app/update.rs:1: `app` is pure and must not touch `Instant`",
        ),
        ("src/triage.rs", "use std::fs;", "src/triage.rs:1: `triage` is pure and must not touch `std::fs`"),
        ("src/triage.rs", "use jiff::Zoned;", "src/triage.rs:1: `triage` is pure and must not know the crate `jiff`"),
        (
            "src/domain/redis.rs",
            "fn f(c: redis::Client) {}",
            "src/domain/redis.rs:1: `redis` has no place in `domain::redis`",
        ),
        ("src/ui/now.rs", "    tokio::spawn(x);", "src/ui/now.rs:1: `tokio` has no place in `ui::now`"),
        (
            "src/runtime/driver.rs",
            "use ratatui::Frame;",
            "src/runtime/driver.rs:1: `ratatui` has no place in `runtime::driver`",
        ),
        (
            "src/ui/now.rs",
            "use crate::app::update::update;",
            "src/ui/now.rs:1: `ui` only draws and must not know `app::update`",
        ),
        ("src/demo/web.rs", "use crate::domain::id;", "src/demo/web.rs:1: `demo` must not know `domain`"),
        ("src/backends.rs", "use crate::cli;", "src/backends.rs:1: `backends` must not know `cli`"),
        ("src/ui/mod.rs", "", "src/ui/mod.rs: modules are `foo.rs` beside `foo/`, not `mod.rs`"),
    ] {
        assert_eq!(found(path, text), [expected], "{text}");
    }
    let long = "\n".repeat(LONGEST + 1);
    assert_eq!(found("src/ui/now.rs", &long), ["src/ui/now.rs: 501 lines, at most 500 are allowed: split it"]);
}

#[test]
fn what_is_allowed_is_not_complained_about() {
    for (path, text) in [
        ("src/app/model.rs", "use crate::domain::redis::RedisReading;\nuse serde::Serialize;"),
        ("src/app/model.rs", "use crate::domain::redis;\nfn f(r: redis::RedisReading) {}"),
        ("src/domain.rs", "pub mod redis;\nuse redis::Broker;"),
        (
            "src/domain/id.rs",
            "//! See [`crate::app`] and tokio::spawn.\nlet s = \"std::fs \\\" crate::ui\"; // crate::ui",
        ),
        ("src/domain/id.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }"),
        ("src/domain/id/tests.rs", "use std::fs;"),
        ("src/ui/now.rs", "use super::super::domain::id::Scope;\nuse ratatui::Frame;"),
        ("src/cli/run.rs", "use crate::backends::http;\nuse crate::ui;"),
        ("src/lib.rs", "pub use cli::run;"),
    ] {
        assert_eq!(found(path, text), Vec::<String>::new(), "{text}");
    }
}
