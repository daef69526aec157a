//! `midwatch demo`: the practice site, watched, or alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::{WrapErr, eyre};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::args::Global;
use super::runbook::follow::{lives, speak};
use crate::backends::{journal, process_id};
use crate::config::{Config, StateDir};
use crate::demo::{Fault, METRICS_USER, site::PracticeSite};
use crate::runbook::run::Word;

/// How long a run that still goes on may take to stop.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// Brings it up; opens the screens on it, or says where everything is and stays until interrupted.
pub fn demo(global: &Global, fault: Option<Fault>, headless: bool) -> color_eyre::Result<u8> {
    let runtime = super::run::runtime()?;
    let code = runtime.block_on(async {
        let mut site = PracticeSite::start(fault).await.wrap_err("the practice site could not be brought up")?;
        let mut global = global.clone();
        global.config = Some(site.ground().config());
        let ended = match super::load(&global) {
            Ok(config) => {
                let config = Arc::new(config);
                let ended = if headless { alone(&mut site).await } else { watched(&global, &config, &mut site).await };
                stop_runs(&config, &mut site).await;
                ended
            }
            Err(report) => Err(eyre!(report)),
        };
        site.end().await;
        ended
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

async fn watched(global: &Global, config: &Arc<Config>, site: &mut PracticeSite) -> color_eyre::Result<u8> {
    let flags = super::runbook::start::flags(global);
    tokio::select! {
        end = super::screens::open(Arc::clone(config), flags) => Ok(end?.code()),
        kept = site.keep() => kept.map(|()| 0),
    }
}

/// Has the runs on it stop: nothing is acted on that goes away, and nothing is written into its directory afterwards.
async fn stop_runs(config: &Config, site: &mut PracticeSite) {
    let StateDir::Directory(state) = &config.state else { return };
    let stopped = timeout(PATIENCE, async {
        tokio::select! {
            () = stopped(config, state) => {}
            // What a run waits for may be a service that starts.
            _ = site.keep() => {}
        }
    });
    if stopped.await.is_err() {
        super::run::say_error("a run on the practice site goes on, though it was told to stop");
    }
}

async fn stopped(config: &Config, state: &Path) {
    let mut told = Vec::new();
    loop {
        let runs = journal::runs(state).await.runs;
        for run in &runs {
            let id = &run.record.id;
            if lives(run) && !told.contains(id) && speak(config, state, run, Word::StopNow).await.is_ok() {
                told.push(id.clone());
            }
        }
        // One that has said its last word may still be closing its journal.
        if !runs.iter().any(|run| lives(run) || run.runner().is_some_and(process_id::lives)) {
            return;
        }
        sleep(LOOK).await;
    }
}

async fn alone(site: &mut PracticeSite) -> color_eyre::Result<u8> {
    let ground = site.ground().clone();
    let lines = [
        format!("CONFIG={}", ground.config().display()),
        format!("URL=http://127.0.0.1:{}", ground.port()?),
        format!("METRICS_USER={METRICS_USER}"),
        format!("METRICS_PASSWORD_FILE={}", ground.password_file().display()),
        format!("DATABASE={}", ground.database().display()),
        format!("BACKUPS={}", ground.backups().display()),
        format!("STATE_DIR={}", ground.state().display()),
        format!("FAULT_FILE={}", ground.fault_file().display()),
        format!("PID={}", std::process::id()),
        String::new(),
    ];
    // Signals first: who has read where everything is may end it at once.
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hung_up = signal(SignalKind::hangup())?;
    super::run::say(lines.join("\n").as_bytes())?;
    tokio::select! {
        _ = interrupted.recv() => Ok(0),
        _ = terminated.recv() => Ok(0),
        _ = hung_up.recv() => Ok(0),
        kept = site.keep() => kept.map(|()| 0),
    }
}
