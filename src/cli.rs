//! The command line: what can be typed, and what each command writes.

pub mod args;
pub mod backups;
pub mod check;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod report;
pub mod rules;
pub mod run;
pub mod runbook;
pub mod screens;
pub mod status;

pub use run::run;

use crate::config::Config;
use crate::config::load::{Request, load as load_config};
use crate::discovery::Surroundings;

/// What the command line asks of the configuration.
pub(crate) fn request(global: &args::Global) -> Request {
    Request {
        config: global.config.clone(),
        app_config: global.app_config.clone(),
        state_dir: global.state_dir.clone(),
        read_only: global.read_only,
        theme: global.theme.clone(),
        color: global.color,
        ascii: global.ascii,
    }
}

/// The configuration, with its keys and theme checked too.
///
/// # Errors
/// A report for people.
pub(crate) fn load(global: &args::Global) -> Result<Config, String> {
    let (request, around) = (request(global), Surroundings::of_process());
    let config = load_config(&request, &around).map_err(|error| error.to_string())?;
    let complaints = config::complaints(&config, &request, &around);
    if !complaints.is_empty() {
        return Err(complaints.join("\n\n"));
    }
    Ok(config)
}
