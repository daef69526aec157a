//! The rows of Backups.

use crate::app::model::Model;

/// What they can be sorted by.
pub const SORTS: &[&str] = &[];

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    let Some(reading) = model.site().and_then(|s| s.backups.value()) else { return Vec::new() };
    reading.backups.iter().map(|b| b.place.clone()).filter(|place| model.backups.accepts(place)).collect()
}
