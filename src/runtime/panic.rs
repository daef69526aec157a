//! What happens when midwatch itself fails: the terminal is given back first, the report goes to the log, and only a
//! sentence to standard error, if that is still there.

use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;

use color_eyre::config::{HookBuilder, Theme};

use super::{log, terminal};

/// Installs the hooks for panics and error reports.
///
/// # Errors
/// When another hook was installed before.
pub fn install() -> color_eyre::Result<()> {
    // color-eyre colours its reports even into a pipe.
    let theme = if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        Theme::dark()
    } else {
        Theme::new()
    };
    let (panics, errors) = HookBuilder::new().theme(theme).display_env_section(false).into_hooks();
    errors.install()?;
    std::panic::set_hook(Box::new(move |info| report(&panics.panic_report(info).to_string(), info)));
    Ok(())
}

fn report(full: &str, info: &PanicHookInfo<'_>) {
    // Writing to a terminal that is gone fails quietly here; a panic inside this hook would abort.
    terminal::give_back();
    tracing::error!(report = full, "midwatch failed");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let whereto = log::path().map_or_else(String::new, |path| format!("; the report is in {}", path.display()));
    writeln!(
        std::io::stderr(),
        "midwatch failed at {place}: {}{whereto}",
        info.payload_as_str().unwrap_or("no message")
    )
    .ok();
}
