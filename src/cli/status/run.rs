//! Gathers a model for `status`: from the poller's readings, or by looking itself, within three seconds.

use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::WrapErr;
use tokio::time::Instant;

use super::{exit_code, level, render};
use crate::app::event::Storage;
use crate::app::model::{Model, Site};
use crate::app::record::sources;
use crate::cli::args::StatusArgs;
use crate::cli::run::say;
use crate::config::Config;
use crate::domain::id::SourceKind;
use crate::runtime::driver::{End, headless};
use crate::triage::web::{CONFIRMED_MS, STATES};
use crate::watch::{self, Watch};

/// An answer that has not come by then is "no answer yet".
const LIMIT: Duration = Duration::from_secs(3);

/// Says how things are, once or again and again; the exit code is that of the last thing said.
pub async fn run(config: Arc<Config>, args: &StatusArgs) -> color_eyre::Result<u8> {
    let (watch, wires) = Watch::begin(&config);
    let begun = Instant::now();
    let mut said = String::new();
    let mut last_said: Option<Instant> = None;
    let mut failed = None;
    let each = |model: &Model| {
        let ready = settled(model) || begun.elapsed() >= LIMIT;
        let Some(every) = args.watch else { return !ready };
        let due = last_said.is_none_or(|at| at.elapsed() >= Duration::from_secs(every));
        let key = fingerprint(model);
        if ready && due && key != said {
            (said, last_said) = (key, Some(Instant::now()));
            match say(render(model, args.output).as_bytes()) {
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.is_none()
    };
    let ended = headless(watch::model(&config), wires, each).await.wrap_err("signals can't be received");
    watch.end().await;
    let (end, model) = ended?;
    if let Some(error) = failed {
        return Err(error);
    }
    if args.watch.is_none() {
        say(render(&model, args.output).as_bytes())?;
        if let End::Signal(_) | End::HungUp = end {
            return Ok(3);
        }
    }
    Ok(exit_code(level(&model)))
}

/// Whether everything that can be known by now is: every source has answered or said why not.
fn settled(model: &Model) -> bool {
    let known = |storage: &Storage| *storage != Storage::Starting;
    // These take their time, and a status must not.
    let slow = [SourceKind::Services, SourceKind::Logs, SourceKind::Access, SourceKind::Backups, SourceKind::App];
    let answered = |s: &Site, kind: &SourceKind| slow.contains(kind) || sources::of_site(s).contains_key(kind);
    let sites = model.sites.iter().all(|s| known(&s.storage) && s.sources.iter().all(|kind| answered(s, kind)));
    // A bad answer is asked about again after two seconds: until then it is a warning, and that would be the exit code.
    let unconfirmed =
        model.findings.iter().any(|f| f.is_any(&STATES) && model.now.millis_since(f.since.at) < CONFIRMED_MS);
    let heard =
        model.sites.iter().all(|s| s.heard.is_some_and(|at| model.now.millis_since(at) <= model.silent_after_ms));
    !unconfirmed
        && heard
        && sites
        && model.hosts.iter().all(|h| known(&h.storage) && h.reading.value().is_some_and(|v| v.cpu.is_some()))
}

/// What must change for `--watch` to say something again: levels and findings, not every number's last digit.
fn fingerprint(model: &Model) -> String {
    let mut out = String::from(level(model).word());
    for finding in &model.findings {
        out.push_str(&[" ", &finding.id(), "=", finding.level.word()].concat());
        for symptom in &finding.symptoms {
            out.push_str(&[" ", &symptom.id(), "=", symptom.level.word()].concat());
        }
    }
    out
}
