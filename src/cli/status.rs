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
use crate::triage::Finding;

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
        _ if model.no_entry => "an application runs here that this user may not look into".to_owned(),
        (_, Level::Unknown) => match model.sites.iter().find(|s| s.health.fresh().is_none()) {
            Some(site) => format!("{}: no answer yet", site.id),
            None => "not everything was seen yet".to_owned(),
        },
        _ if model.sites.is_empty() => "no application found; the host is fine".to_owned(),
        _ => "everything that is watched is fine".to_owned(),
    }
}

/// The name of a view of everything.
pub const WHOLE: &str = "MIDWATCH";

/// What is printed: everything, or one part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct View<'a> {
    /// The model it is taken from.
    pub model: &'a Model,
    /// What it is about: `MIDWATCH`, `DATABASE`.
    pub name: String,
    /// How bad it is.
    pub level: Level,
    /// In one line.
    pub summary: String,
    /// What is wrong.
    pub findings: Vec<&'a Finding>,
    /// Every number.
    pub rows: Vec<Row>,
}

impl<'a> View<'a> {
    /// Of everything.
    pub fn whole(model: &'a Model) -> Self {
        Self {
            model,
            name: WHOLE.to_owned(),
            level: level(model),
            summary: summary(model),
            findings: model.findings.iter().collect(),
            rows: readings::rows(model),
        }
    }

    /// In one of its forms, ending with a newline.
    pub fn print(&self, form: StatusForm) -> String {
        match form {
            StatusForm::Text => text::render(self),
            StatusForm::Json => json::render(self),
            StatusForm::Nagios => nagios::render(self),
            StatusForm::Prom => prom::render(self),
        }
    }
}

/// The report in one of its forms, ending with a newline.
pub fn render(model: &Model, form: StatusForm) -> String {
    View::whole(model).print(form)
}
