//! `midwatch status`: the model as a report, in four forms, with the Monitoring Plugins' exit codes.

pub mod json;
pub mod nagios;
pub mod prom;
pub mod readings;
pub mod run;
pub mod text;

use crate::app::model::Model;
use crate::cli::args::StatusForm;
use crate::domain::level::Level;

pub use readings::{Number, Row};
pub use run::run;

/// Version of the JSON: fields are added, never renamed.
pub const SCHEMA_VERSION: u32 = 1;

/// The worst level of everything that is watched; unknown where something was not seen.
pub fn level(model: &Model) -> Level {
    let worst = model.findings.iter().map(|f| f.level).max().unwrap_or(Level::Ok);
    let unseen = if model.seen_enough() { Level::Ok } else { Level::Unknown };
    let worst = worst.max(unseen);
    if worst == Level::Note { Level::Ok } else { worst }
}

/// 0 ok, 1 warning, 2 critical, 3 unknown (Monitoring Plugins).
pub const fn exit_code(level: Level) -> u8 {
    match level {
        Level::Ok | Level::Note => 0,
        Level::Warning => 1,
        Level::Critical => 2,
        Level::Unknown => 3,
    }
}

/// One line that says how things are.
pub fn summary(model: &Model) -> String {
    match (model.findings.first(), level(model)) {
        (Some(worst), _) if worst.level > Level::Note => match model.findings.len() {
            1 => format!("{}: {}", worst.site, worst.title),
            n => format!("{}: {} (and {} more)", worst.site, worst.title, n - 1),
        },
        (_, Level::Unknown) => match model.sites.iter().find(|s| s.health.fresh().is_none()) {
            Some(site) => format!("{}: no answer yet", site.id),
            None => "not everything was seen yet".to_owned(),
        },
        _ if model.sites.is_empty() => "no application found; the host is fine".to_owned(),
        _ => "everything that is watched is fine".to_owned(),
    }
}

/// The report in one of its forms, ending with a newline.
pub fn render(model: &Model, form: StatusForm) -> String {
    match form {
        StatusForm::Text => text::render(model),
        StatusForm::Json => json::render(model),
        StatusForm::Nagios => nagios::render(model),
        StatusForm::Prom => prom::render(model),
    }
}
