//! `midwatch demo`: the practice site, watched, or alone.

use std::sync::Arc;

use color_eyre::eyre::WrapErr;
use tokio::signal::unix::{SignalKind, signal};

use super::args::Global;
use crate::demo::{Fault, METRICS_USER, site::PracticeSite};

/// Brings it up; opens the screens on it, or says where everything is and stays until interrupted.
pub fn demo(global: &Global, fault: Option<Fault>, headless: bool) -> color_eyre::Result<u8> {
    let runtime = super::run::runtime()?;
    let code = runtime.block_on(async {
        let mut site = PracticeSite::start(fault).await.wrap_err("the practice site could not be brought up")?;
        let ended = if headless { alone(&mut site).await } else { watched(global, &mut site).await };
        site.end().await;
        ended
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    code
}

async fn watched(global: &Global, site: &mut PracticeSite) -> color_eyre::Result<u8> {
    let mut global = global.clone();
    global.config = Some(site.ground().config());
    let config = super::load(&global).map_err(|report| color_eyre::eyre::eyre!(report))?;
    let flags = super::runbook::start::flags(&global);
    tokio::select! {
        end = super::screens::open(Arc::new(config), flags) => Ok(end?.code()),
        kept = site.keep() => kept.map(|()| 0),
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
