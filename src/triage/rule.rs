//! The catalogue of rules: what each reads, means, and what mends it. `midwatch rules` prints it.

use serde::Serialize;

use super::{access, app_state, backup, database, host, logs, redis, schedule, service, traffic, web};
use crate::domain::id::SourceKind;

/// What is written down of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rule {
    /// Its stable id.
    pub id: &'static str,
    /// The classes of incidents it stands for (FIELD §6): `INC-03`.
    pub incidents: &'static [&'static str],
    /// The sources it reads.
    pub reads: &'static [SourceKind],
    /// The thresholds it goes by: names in `[thresholds]`.
    pub thresholds: &'static [&'static str],
    /// What it means when it holds.
    pub meaning: &'static str,
    /// What mends it, safest first.
    pub mend: &'static str,
    /// What makes it worse at three in the morning; may be empty.
    pub danger: &'static str,
    /// The runbook that treats it.
    pub runbook: Option<&'static str>,
}

/// Every rule, in the order of the modules.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        web::RULES,
        traffic::RULES,
        access::RULES,
        service::RULES,
        database::RULES,
        redis::RULES,
        logs::RULES,
        app_state::RULES,
        backup::RULES,
        host::RULES,
        host::depth::RULES,
        host::network::RULES,
        schedule::RULES,
    ]
    .into_iter()
    .flatten()
}

/// The rule with this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    rules().find(|rule| rule.id == id)
}
