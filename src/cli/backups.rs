//! `midwatch backups`: what there is and how far each is proven, of the sites or of a bare folder.

mod json;
mod progress;
mod text;

use std::path::{Path, PathBuf};

use color_eyre::eyre::{WrapErr, eyre};

use super::args::{BackupsArgs, Form, Global};
use super::run::{USAGE_OF_A_CHECK, say, with_config};
use crate::backends::backups::meter::Control;
use crate::backends::backups::verify::Inventory;
use crate::config::StateDir;
use crate::discovery::Surroundings;
use crate::domain::backup::BackupsReading;
use crate::domain::backup::proof::Proof;
use crate::domain::level::Level;
use crate::domain::time::Timestamp;
use crate::runtime::clock;
use crate::triage::{Claim, Thresholds, backup};

/// Ended by a signal, as shells say it.
const STOPPED: u8 = 130;

/// The backups of one site, or of a folder.
#[derive(Debug)]
struct Part {
    /// The site; `None`: a bare folder.
    site: Option<String>,
    reading: BackupsReading,
    claims: Vec<Claim>,
}

/// Lists or verifies; the exit code.
pub(super) fn backups(global: &Global, args: &BackupsArgs) -> color_eyre::Result<u8> {
    let verify = args.verify();
    let limits = Thresholds::default();
    if let Some(path) = args.folder() {
        let path = std::path::absolute(path).wrap_err("the path can't be understood")?;
        let meta = std::fs::metadata(&path);
        meta.map_err(|error| eyre!("{} can't be looked at: {error}", path.display()))?;
        let state = state(global);
        if global.read_only {
            crate::runtime::sandbox::restrict(state.as_deref());
        }
        let whole = vec![(None, Inventory::of_folder(&path, state.as_deref()))];
        return go(whole, verify, args.output, &limits);
    }
    with_config(global, USAGE_OF_A_CHECK, |config, _| {
        let state = directory(&config.state);
        if config.sites.is_empty() {
            return Err(eyre!("no site is known on this host: name a folder with --path, or see `midwatch doctor`"));
        }
        let of = |site| Inventory::of_site(site, state, config.read_only);
        let all = config.sites.iter().map(|site| (Some(site.id.0.clone()), of(site))).collect();
        go(all, verify, args.output, &config.thresholds)
    })
}

/// Where verdicts are remembered when no configuration is read.
fn state(global: &Global) -> Option<PathBuf> {
    let around = Surroundings::of_process();
    let named = global.state_dir.clone().or_else(|| around.env.get("MIDWATCH_STATE_DIR").map(PathBuf::from));
    directory(&crate::config::paths::state(&around, named.as_deref())).map(Path::to_owned)
}

fn directory(state: &StateDir) -> Option<&Path> {
    match state {
        StateDir::Directory(dir) => Some(dir),
        StateDir::Memory(_) => None,
    }
}

fn go(all: Vec<(Option<String>, Inventory)>, verify: bool, form: Form, limits: &Thresholds) -> color_eyre::Result<u8> {
    let control = Control::default();
    let _signals = verify.then(|| progress::stop_on_signal(&control)).transpose()?;
    let mut parts = Vec::new();
    for (site, mut inventory) in all {
        let now = clock::now();
        let reading = if verify {
            let mut progress = progress::Progress::begin(&control);
            inventory.verify(now, &control, &mut |path, at, of| progress.next(path, at, of))
        } else {
            inventory.list(now)
        };
        let claims = match site {
            Some(_) => backup::judged(&reading, now, clock::now(), limits),
            None => Vec::new(),
        };
        parts.push(Part { site, reading, claims });
    }
    let now = clock::now();
    let level =
        parts.iter().map(|part| level(part, verify)).max_by_key(|level| weight(*level)).unwrap_or(Level::Unknown);
    let code = if control.stopped() { STOPPED } else { code(level) };
    let text = match form {
        Form::Text => text::render(&parts, now),
        Form::Json => json::render(&parts, level, code, now),
    };
    say(text.as_bytes())?;
    Ok(code)
}

/// How bad it is: what the rules say, what is broken, and whether anything is known at all.
fn level(part: &Part, verified: bool) -> Level {
    let mut out = part.claims.iter().map(|claim| claim.level).max_by_key(|level| weight(*level)).unwrap_or(Level::Ok);
    let proofs = || part.reading.backups.iter().map(|b| &b.proof);
    // Among a site's backups an old broken one is no news unless somebody asks for it.
    let mut worse = |level: Level| {
        if weight(level) > weight(out) {
            out = level;
        }
    };
    if (verified || part.site.is_none()) && proofs().any(|proof| matches!(proof, Proof::Broken { .. })) {
        worse(Level::Critical);
    }
    if part.site.is_none() && part.reading.backups.iter().any(crate::domain::backup::Backup::rowless) {
        worse(Level::Warning);
    }
    let unproven = |proof: &Proof| matches!(proof, Proof::Listed { .. });
    if proofs().all(|proof| matches!(proof, Proof::Running { .. })) || (verified && proofs().any(unproven)) {
        worse(Level::Unknown);
    }
    out
}

/// The order in which the worst wins (Monitoring Plugins): critical, warning, unknown, ok.
const fn weight(level: Level) -> u8 {
    match level {
        Level::Ok | Level::Note => 0,
        Level::Unknown => 1,
        Level::Warning => 2,
        Level::Critical => 3,
    }
}

const fn code(level: Level) -> u8 {
    match level {
        Level::Ok | Level::Note => 0,
        Level::Warning => 1,
        Level::Critical => 2,
        Level::Unknown => 3,
    }
}

/// An age in seconds.
#[expect(clippy::cast_precision_loss, reason = "an age in seconds fits")]
fn seconds(now: Timestamp, then: Timestamp) -> f64 {
    now.millis_since(then) as f64 / 1000.0
}
