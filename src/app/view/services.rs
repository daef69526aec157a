//! The rows of Services.

use crate::app::model::Model;
use crate::domain::service::Service;

/// What they can be sorted by.
pub const SORTS: &[&str] = &["role", "name"];

/// Services of the shown site, filtered and sorted.
pub fn services(model: &Model) -> Vec<&Service> {
    let Some(reading) = model.site().and_then(|s| s.services.value()) else { return Vec::new() };
    let table = &model.services;
    let mut rows: Vec<&Service> = reading.services.iter().filter(|s| table.accepts(&s.name)).collect();
    rows.sort_by(|a, b| {
        let order = if table.sort == 0 { a.role.cmp(&b.role) } else { std::cmp::Ordering::Equal };
        order.then_with(|| a.name.cmp(&b.name))
    });
    if table.reversed {
        rows.reverse();
    }
    rows
}

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    services(model).into_iter().map(|s| s.name.clone()).collect()
}
