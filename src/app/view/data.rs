//! The rows of Data: the sessions that block others, roots first.

use crate::app::model::Model;

/// What they can be sorted by.
pub const SORTS: &[&str] = &[];

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    let Some(db) = model.site().and_then(|s| s.database.value()) else { return Vec::new() };
    db.blockers.iter().map(|b| b.pid.to_string()).filter(|id| model.data.accepts(id)).collect()
}
