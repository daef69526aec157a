//! The rows of Data: sessions that block others as a tree, the root first, then transactions that are open for long.

use std::collections::BTreeSet;

use crate::app::model::Model;
use crate::domain::database::Session;

/// What they can be sorted by.
pub const SORTS: &[&str] = &[];
/// Most rows.
const MOST: usize = 200;

/// A session, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'m> {
    /// 0: nobody blocks it; 1: it waits for such a one; …
    pub depth: usize,
    /// Whether it is in the tree of those that block each other; else it only has a transaction open.
    pub blocks: bool,
    /// The session.
    pub session: &'m Session,
}

/// Identity of a session's row: its process id; a prepared transaction has none.
pub fn id(session: &Session) -> String {
    if session.pid == 0 { ["prepared ", &session.query].concat() } else { session.pid.to_string() }
}

/// The sessions of the shown site, filtered: trees first, the one that blocks most first, each session once.
pub fn sessions(model: &Model) -> Vec<Row<'_>> {
    let Some(db) = model.site().and_then(|s| s.database.value()) else { return Vec::new() };
    let mut roots: Vec<&Session> = db.blockers.iter().collect();
    roots.sort_by(|a, b| b.blocks.cmp(&a.blocks).then_with(|| a.pid.cmp(&b.pid)));
    let tree = roots.into_iter().flat_map(Session::tree).map(|(depth, session)| Row { depth, blocks: true, session });
    let open = db.transactions.iter().map(|session| Row { depth: 0, blocks: false, session });
    let mut met = BTreeSet::new();
    let mut rows: Vec<Row<'_>> = tree.chain(open).filter(|row| met.insert(id(row.session))).collect();
    rows.retain(|row| {
        let s = row.session;
        let words = [s.application.as_str(), &s.state, &s.user, &s.client, &s.page, &s.query].join(" ");
        model.data.accepts(&[&id(s), " ", &words].concat())
    });
    rows.truncate(MOST);
    rows
}

/// Who stands in the way of the session at this row, the nearest first.
pub fn ahead<'m>(rows: &[Row<'m>], at: usize) -> Vec<&'m Session> {
    let mut depth = rows.get(at).map_or(0, |row| row.depth);
    let mut out = Vec::new();
    for row in rows.get(..at).unwrap_or_default().iter().rev() {
        if row.depth < depth && row.blocks {
            depth = row.depth;
            out.push(row.session);
        }
    }
    out
}

/// Identities of the rows, in display order.
pub fn rows(model: &Model) -> Vec<String> {
    sessions(model).into_iter().map(|row| id(row.session)).collect()
}
