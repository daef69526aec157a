//! What happens when midwatch itself fails: the terminal is given back first, the report goes to the log, a sentence to
//! standard error, if that is still there, and the event loop ends.
//!
//! Any panic ends the program, on whichever thread it was: a screen or a recorder that lives on while one of its
//! pollers is silently dead would be worse.

use std::io::Write;
use std::panic::PanicHookInfo;

use color_eyre::config::{HookBuilder, Theme};
use tokio::sync::Notify;

use super::{log, terminal};

static FAILED: Notify = Notify::const_new();

/// Installs the hooks for panics and error reports.
///
/// # Errors
/// When another hook was installed before.
pub fn install() -> color_eyre::Result<()> {
    // Without colours, which color-eyre would write even into a file: the report goes to the log.
    let (panics, errors) = HookBuilder::new().theme(Theme::new()).display_env_section(false).into_hooks();
    errors.install()?;
    std::panic::set_hook(Box::new(move |info| report(&panics.panic_report(info).to_string(), info)));
    Ok(())
}

/// Waits for a panic; one waiter is told, also of a panic that was before.
pub async fn happened() {
    FAILED.notified().await;
}

fn report(full: &str, info: &PanicHookInfo<'_>) {
    // Writing to a terminal that is gone fails quietly here; a panic inside this hook would abort.
    terminal::give_back();
    tracing::error!("midwatch failed: {full}");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let whereto = log::path().map_or_else(String::new, |path| format!("; the report is in {}", path.display()));
    let why = info.payload_as_str().unwrap_or("no message");
    writeln!(std::io::stderr(), "midwatch failed at {place}: {why}{whereto}").ok();
    FAILED.notify_one();
}
