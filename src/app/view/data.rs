//! The rows of Data: the sessions that block others, roots first.

use crate::app::model::Model;
use crate::domain::database::Blocker;

/// What they can be sorted by.
pub const SORTS: &[&str] = &[];

/// Identity of a session's row.
pub fn id(session: &Blocker) -> String {
    session.pid.to_string()
}

/// The sessions of the shown site that block others, filtered; those that block most first.
pub fn blockers(model: &Model) -> Vec<&Blocker> {
    let Some(db) = model.site().and_then(|s| s.database.value()) else { return Vec::new() };
    let accept = |b: &&Blocker| model.data.accepts(&[&id(b), " ", &b.application, " ", &b.state].concat());
    let mut rows: Vec<&Blocker> = db.blockers.iter().filter(accept).collect();
    rows.sort_by(|a, b| b.blocks.cmp(&a.blocks).then_with(|| a.pid.cmp(&b.pid)));
    rows
}

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    blockers(model).into_iter().map(id).collect()
}
