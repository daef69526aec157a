//! The layers of the crate's documentation hold: no module uses one it must not know, no crate shows up where it has no
//! business, no pure layer looks at the world.

#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod paths;

use std::fs;
use std::path::{Path, PathBuf};

use paths::{Named, Names, names};

/// A layer, and the layers of this crate it may name besides itself. A module at the top that is missing here is an
/// offence; `*` is every layer.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("triage", &["domain"]),
    ("app", &["runbook", "triage", "domain"]),
    ("ports", &["domain"]),
    ("config", &["discovery", "triage", "domain"]),
    ("discovery", &["config", "triage", "domain"]),
    ("runbook", &["domain"]),
    ("planning", &["backends", "ports", "config", "runbook", "domain"]),
    ("backends", &["ports", "config", "discovery", "runbook", "triage", "domain"]),
    ("hands", &["backends", "config", "runbook", "domain"]),
    ("runtime", &["app", "triage", "domain"]),
    ("ui", &["app", "runbook", "triage", "domain"]),
    ("watch", &["runtime", "backends", "ports", "config", "discovery", "app", "triage", "domain"]),
    ("demo", &[]),
    ("cli", &["*"]),
    ("lib", &["*"]),
    ("main", &["*"]),
];

/// Of a layer, all that another may name.
const ONLY: &[(&str, &str, &[&str])] = &[
    ("backends", "triage", &["Memory"]),
    ("backends", "discovery", &["socket", "Runner", "Settings", "Surroundings", "runners"]),
    ("backends", "runbook", &["approval", "kept", "plan", "run"]),
];

/// A crate, and the modules that may name it, with those below them.
const CRATES: &[(&str, &[&str])] = &[
    ("ratatui", &["ui", "runtime/terminal", "runtime/screen", "runtime/driver", "cli/screens"]),
    ("crossterm", &["runtime"]),
    ("termprofile", &["ui", "cli/screens", "cli/doctor"]),
    ("sqlx", &["backends", "demo", "hands/advisory", "hands/session", "hands/files", "hands/mysql"]),
    ("redis", &["backends/redis", "hands/cache", "hands/tasks"]),
    ("regex", &["backends", "domain", "config"]),
    ("globset", &["backends", "discovery", "config"]),
    ("flate2", &["backends"]),
    ("tar", &["backends", "demo"]),
    ("sha2", &["backends", "hands", "runbook"]),
    ("croner", &["backends/schedule"]),
    ("reqwest", &["backends/http", "backends/services", "backends/logs", "discovery", "demo"]),
    ("sysinfo", &["backends/host"]),
    // Of hyper, the HTTP source only tells errors apart.
    ("hyper", &["demo", "backends/http/trouble"]),
    ("hyper_util", &["demo"]),
    ("http_body_util", &["demo"]),
    ("landlock", &["runtime/sandbox"]),
    ("tokio", &["backends", "discovery", "hands", "planning", "runtime", "watch", "demo", "cli"]),
    ("clap", &["cli", "config", "demo"]),
];

/// Layers that take everything in as values.
const PURE: &[&str] = &["domain", "triage", "runbook", "app", "ui"];
/// What those must not name: the end of a path, or what it goes through.
const WORLD: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
];
/// The layers that decide, and the crates they may name at all.
const DECIDING: &[&str] = &["domain", "triage", "app"];
const THEIR_CRATES: &[&str] = &["memchr", "regex", "schemars", "serde", "serde_json", "strsim", "thiserror"];

/// Lines of a file, its tests left out.
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

/// The crates that Cargo.toml lets the program name.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let listed = manifest.get("dependencies").and_then(toml::Value::as_table).unwrap();
    listed.keys().map(|name| name.replace('-', "_")).collect()
}

/// The offences of one file: `name` is its path below `src` without `.rs`.
fn offences(name: &str, text: &str, dependencies: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    if name.ends_with("/mod") {
        out.push(format!("src/{name}.rs: write foo.rs beside foo/, not foo/mod.rs"));
    }
    // Tests may look at whatever they like, and be as long as they like.
    if name.ends_with("/tests") {
        return out;
    }
    let layer = name.split('/').next().unwrap_or_default();
    let Some((_, allowed)) = LAYERS.iter().find(|(known, _)| *known == layer) else {
        out.push(format!("src/{name}.rs: {layer} is no layer: give it its place in the architecture test"));
        return out;
    };
    let file = names(text);
    if file.lines > LONGEST {
        out.push(format!("src/{name}.rs: longer than {LONGEST} lines"));
    }
    for named in &file.paths {
        let whats = [
            inside(name, named).and_then(|path| wrong_layer(layer, allowed, &path)),
            outside(&file, named, dependencies).and_then(|krate| wrong_crate(name, layer, krate)),
            world(layer, &file, named),
        ];
        out.extend(whats.into_iter().flatten().map(|what| format!("src/{name}.rs:{}: {what}", named.line)));
    }
    out
}

/// The path from the root of this crate, if it begins with `crate`, `self` or `super`.
fn inside(name: &str, named: &Named) -> Option<Vec<String>> {
    let mut module: Vec<String> = name.split('/').map(str::to_owned).collect();
    if matches!(name, "lib" | "main") {
        module.clear();
    }
    let mut rest = named.segments.as_slice();
    match rest.split_first()? {
        (first, tail) if first == "crate" => (module, rest) = (Vec::new(), tail),
        (first, tail) if first == "self" => rest = tail,
        (first, _) if first == "super" => {}
        _ => return None,
    }
    while let Some(("super", tail)) = rest.split_first().map(|(first, tail)| (first.as_str(), tail)) {
        module.pop();
        rest = tail;
    }
    module.extend_from_slice(rest);
    Some(module)
}

fn wrong_layer(layer: &str, allowed: &[&str], path: &[String]) -> Option<String> {
    let used = path.first().map_or("*", String::as_str);
    if used == layer || allowed.contains(&"*") {
        return None;
    }
    if !allowed.contains(&used) {
        return Some(format!("{layer} must not know {}", if used == "*" { "everything" } else { used }));
    }
    let (_, _, only) = ONLY.iter().find(|(from, to, _)| *from == layer && *to == used)?;
    let part = path.get(1).map_or("*", String::as_str);
    (!only.contains(&part)).then(|| format!("{layer} may use only {} of {used}", only.join(", ")))
}

/// The crate that a path begins with, unless that is a name of the file's own.
fn outside<'a>(file: &Names, named: &'a Named, dependencies: &[String]) -> Option<&'a str> {
    let first = named.segments.first()?;
    let own = file.local.get(first).is_some_and(|path| path.len() > 1);
    (dependencies.contains(first) && !own).then_some(first)
}

fn wrong_crate(name: &str, layer: &str, krate: &str) -> Option<String> {
    let below = |module: &&str| name.strip_prefix(*module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let listed = CRATES.iter().find(|(known, _)| *known == krate);
    let misplaced = listed.is_some_and(|(_, modules)| !modules.iter().any(below));
    let unwanted = DECIDING.contains(&layer) && !THEIR_CRATES.contains(&krate);
    (misplaced || unwanted).then(|| format!("{krate} has no business in {}", name.replace('/', "::")))
}

/// What a pure layer names of the world, its imports seen through.
fn world(layer: &str, file: &Names, named: &Named) -> Option<String> {
    let imported = named.segments.first().filter(|_| !named.import).and_then(|first| file.local.get(first));
    let path = match imported {
        Some(path) => path.iter().chain(named.segments.iter().skip(1)).cloned().collect::<Vec<_>>().join("::"),
        None => named.segments.join("::"),
    };
    let path = format!("::{path}::");
    let world = WORLD.iter().find(|world| path.contains(&format!("::{world}::")))?;
    PURE.contains(&layer).then(|| format!("{layer} is pure and must not use {world}"))
}

#[test]
fn the_layers_hold() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut all, dependencies) = (Vec::new(), dependencies());
    files(&src, &mut all);
    assert!(all.len() > 100, "the tree was not found");
    let name = |path: &PathBuf| path.strip_prefix(&src).unwrap().with_extension("").display().to_string();
    let found: Vec<String> =
        all.iter().flat_map(|path| offences(&name(path), &fs::read_to_string(path).unwrap(), &dependencies)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_rule_is_about_a_crate_there_is() {
    let known = dependencies();
    let named = CRATES.iter().map(|(krate, _)| *krate).chain(THEIR_CRATES.iter().copied());
    let gone: Vec<&str> = named.filter(|krate| !known.iter().any(|name| name == krate)).collect();
    assert_eq!(gone, [""; 0], "not in Cargo.toml");
}

#[test]
fn nothing_but_the_commands_reaches_the_hands() {
    let known: Vec<&str> = LAYERS.iter().filter(|(_, uses)| uses.contains(&"hands")).map(|(layer, _)| *layer).collect();
    assert_eq!(known, [""; 0]);
    let all: Vec<&str> = LAYERS.iter().filter(|(_, uses)| uses.contains(&"*")).map(|(layer, _)| *layer).collect();
    assert_eq!(all, ["cli", "lib", "main"]);
    for name in ["watch/x", "ui/x", "app/x", "backends/x", "runbook/x", "config/x", "runtime/x", "demo/x"] {
        assert!(!offences(name, "use crate::hands::lock;", &dependencies()).is_empty(), "not found in {name}");
    }
}

#[test]
fn an_offence_is_told_with_its_place() {
    let told = |name: &str, text: &str| offences(name, text, &dependencies());
    let bad =
        "use crate::runtime::clock;\nuse sqlx::Row;\n// use crate::ui::Look;\nlet t = std::time::Instant::now();\n";
    assert_eq!(
        told("domain/health", bad),
        [
            "src/domain/health.rs:1: domain must not know runtime",
            "src/domain/health.rs:2: sqlx has no business in domain::health",
            "src/domain/health.rs:4: domain is pure and must not use Instant::now",
        ]
    );
    assert_eq!(told("watch/site", "\nuse crate::cli::run;\n"), ["src/watch/site.rs:2: watch must not know cli"]);
    assert_eq!(told("domain/mod", ""), ["src/domain/mod.rs: write foo.rs beside foo/, not foo/mod.rs"]);
    assert_eq!(told("ui/long", &"\n".repeat(501)), ["src/ui/long.rs: longer than 500 lines"]);
    let unknown = "src/runner/pace.rs: runner is no layer: give it its place in the architecture test";
    assert_eq!(told("runner/pace", ""), [unknown]);
}

#[test]
fn an_offence_is_found_however_it_is_written() {
    for (name, text) in [
        ("domain/x", "use crate::{runtime::clock};"),
        ("ui/x", "use crate::{\n    app::Model,\n    backends::{self, store},\n};"),
        ("domain/x", "use crate::*;"),
        ("ui", "use super::backends::store;"),
        ("ui/x", "use super::super::backends::store;"),
        ("ui/x", "fn f(x: &[crate::backends::store::Row]) {}"),
        ("demo/x", "use crate::domain::text;"),
        ("backends/x", "use crate::triage::{Memory, Finding};"),
        ("domain/x", "#[cfg(test)]\nmod tests;\nuse crate::ui::Look;"),
        ("domain/x", "use std::{fmt, fs};"),
        ("app/x", "use std::time::Instant as Watch;\nlet t = Watch::now();"),
        ("app/x", "let t = jiff::Timestamp::now;"),
        ("app/x", "use rustix::fs::stat;"),
        ("ui/x", "use tokio;"),
        ("ui/x", "#[tokio::test]\nasync fn f() {}"),
        ("runtime/log", "use ratatui::Frame;"),
        ("runtime/screenshot", "use ratatui::Frame;"),
        ("cli/x", "use ::hyper_util::rt::TokioIo;"),
    ] {
        assert!(!offences(name, text, &dependencies()).is_empty(), "not found in {name}: {text}");
    }
}

#[test]
fn what_is_allowed_is_no_offence() {
    for (name, text) in [
        ("cli/run", "use crate::ui;\nuse tokio::time;"),
        ("domain/x", "#[cfg(test)]\nmod tests {\n    use crate::runtime::clock;\n}"),
        ("domain/counters/tests", "use crate::runtime::clock;"),
        ("domain/x", "let s = \"crate::ui\"; // crate::ui\n/* crate::ui */"),
        ("domain/x", "use super::redis::Broker;"),
        ("triage/x", "use crate::domain::redis;\nfn f(b: redis::Broker) {}"),
        ("app/x", "use std::time::Duration;\nuse serde::Serialize;"),
        ("backends/x", "use crate::triage::Memory;\nuse super::super::ports::Probe;"),
        ("lib", "pub mod app;\npub use cli::run;"),
    ] {
        assert_eq!(offences(name, text, &dependencies()), [""; 0], "in {name}: {text}");
    }
}
