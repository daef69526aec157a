//! The rows of Services: the site's services, and below them the machine's units that failed.

use std::cmp::Reverse;

use crate::app::model::Model;
use crate::domain::service::{FailedUnit, Service};

/// What they can be sorted by.
pub const SORTS: &[&str] = &["role", "state", "memory", "restarts", "name"];

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row<'a> {
    /// A service of the site.
    Service(&'a Service),
    /// A failed unit of the machine.
    Failed(&'a FailedUnit),
}

impl Row<'_> {
    /// Its identity.
    pub fn id(&self) -> String {
        match self {
            Self::Service(service) => service.name.clone(),
            Self::Failed(unit) => ["unit ", &unit.unit].concat(),
        }
    }
}

/// Services of the shown site, filtered and sorted.
pub fn services(model: &Model) -> Vec<&Service> {
    let Some(reading) = model.site().and_then(|s| s.services.value()) else { return Vec::new() };
    let table = &model.services;
    let accepts = |s: &&Service| {
        table.accepts(&[s.name.as_str(), " ", s.role.word(), " ", s.state.word(), " ", &s.place, " ", &s.said].concat())
    };
    let mut rows: Vec<&Service> = reading.services.iter().filter(accepts).collect();
    rows.sort_by(|a, b| {
        let order = match table.sort {
            0 => a.role.cmp(&b.role),
            1 => b.level().cmp(&a.level()).then(b.state.cmp(&a.state)),
            2 => Reverse(a.memory).cmp(&Reverse(b.memory)),
            3 => Reverse(a.restarts).cmp(&Reverse(b.restarts)),
            _ => std::cmp::Ordering::Equal,
        };
        order.then_with(|| a.name.cmp(&b.name))
    });
    if table.reversed {
        rows.reverse();
    }
    rows
}

/// Failed units of the machine, filtered.
pub fn failed(model: &Model) -> Vec<&FailedUnit> {
    let Some(reading) = model.host().and_then(|h| h.units.value()) else { return Vec::new() };
    let accepts = |u: &&FailedUnit| model.services.accepts(&[u.unit.as_str(), " failed ", &u.description].concat());
    reading.others.iter().filter(accepts).collect()
}

/// All rows, in display order.
pub fn all(model: &Model) -> Vec<Row<'_>> {
    let services = services(model).into_iter().map(Row::Service);
    services.chain(failed(model).into_iter().map(Row::Failed)).collect()
}

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    all(model).iter().map(Row::id).collect()
}
