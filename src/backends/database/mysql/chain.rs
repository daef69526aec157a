//! Who blocks whom: row locks as the server tells them, locks of whole tables as far as they can be concluded.

use super::super::cells::Cells;
use super::super::life;
use super::super::{BLOCKERS, WAITERS};
use crate::domain::database::{Blocker, Engine, Session};
use crate::domain::text::plain;

/// A session of the server.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    /// Its id, as `KILL` takes it.
    pub(super) id: i64,
    /// Its user.
    pub(super) user: String,
    client: String,
    command: String,
    /// Seconds in the present state.
    pub(super) seconds: u64,
    doing: String,
    query: String,
    page: String,
    /// Seconds its transaction is open, where it has one and it may be seen.
    pub(super) transaction_s: Option<f64>,
}

/// A row of the list of processes.
pub(super) fn process(row: &Cells) -> Process {
    let (query, page) = life::told(Engine::Mysql, row.maybe(6));
    let client = row.text(2, 60);
    Process {
        id: row.number(0).unwrap_or(0),
        user: row.text(1, 60),
        client: if client == "localhost" { String::new() } else { client },
        command: row.text(3, 30),
        // Some servers say a huge number for a time that went below nothing.
        seconds: row.number(4).filter(|s| *s < 4_000_000_000).unwrap_or(0),
        doing: row.text(5, 80),
        query,
        page,
        transaction_s: None,
    }
}

impl Process {
    /// Whether it waits for a lock of a table, or of its definition.
    pub(super) fn waits_for_table(&self) -> bool {
        self.doing.starts_with("Waiting for") && self.doing.contains("lock")
    }

    /// Its state in the words that PostgreSQL has for it.
    pub(super) fn state(&self) -> &str {
        match self.command.as_str() {
            "Sleep" if self.transaction_s.is_some() => "idle in transaction",
            "Sleep" => "idle",
            "Query" | "Execute" => "active",
            other => other,
        }
    }

    fn idle(&self) -> bool {
        self.command == "Sleep"
    }

    /// As it is told.
    pub(super) fn session(&self) -> Session {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a session")]
        let since_s = self.seconds as f64;
        Session {
            pid: self.id,
            application: self.user.clone(),
            state: plain(self.state(), 40),
            transaction_s: self.transaction_s.unwrap_or(0.0),
            user: self.user.clone(),
            client: self.client.clone(),
            wait: if self.waits_for_table() { self.doing.clone() } else { String::new() },
            since_s,
            query: self.query.clone(),
            page: self.page.clone(),
            ..Session::default()
        }
    }
}

/// The sessions at the root, with those behind them, and the longest wait in seconds. `rows` is who waits for a row of
/// whom.
pub(super) fn roots(processes: &[Process], rows: &[(i64, i64)]) -> (Vec<Blocker>, f64) {
    let find = |id: i64| processes.iter().find(|process| process.id == id);
    let mut waiters: Vec<&Process> = processes.iter().filter(|p| p.waits_for_table()).collect();
    waiters.sort_by(|a, b| b.seconds.cmp(&a.seconds).then(a.id.cmp(&b.id)));
    waiters.truncate(WAITERS);
    let mut out: Vec<Blocker> = Vec::new();
    let is_waiter = |id: i64| rows.iter().any(|(waiter, _)| *waiter == id);
    let mut by_row: Vec<i64> = rows.iter().map(|(_, blocker)| *blocker).filter(|id| !is_waiter(*id)).collect();
    by_row.sort_unstable();
    by_row.dedup();
    for id in by_row {
        let mut root = find(id).map_or_else(|| Session { pid: id, ..Session::default() }, Process::session);
        root.behind = behind(id, rows, &find, 0);
        root.blocks = root.behind.iter().map(|s| s.blocks + 1).sum();
        out.push(root);
    }
    if let Some(first) = waiters.first() {
        // A definition is waited for by who changes it, for every transaction that has read it: the one that is open
        // the longest and does nothing is who won't end by itself. The rest of the queue is behind that change.
        let open = processes.iter().filter(|p| p.id != first.id && !p.waits_for_table() && p.transaction_s.is_some());
        #[expect(clippy::cast_precision_loss, reason = "seconds of a session")]
        let before = open.filter(|p| p.transaction_s.is_some_and(|s| s >= first.seconds as f64));
        let oldest = before.max_by(|a, b| {
            let age = |p: &Process| p.transaction_s.unwrap_or(0.0);
            a.idle().cmp(&b.idle()).then(age(a).total_cmp(&age(b)))
        });
        if let Some(root) = oldest {
            let mut root = root.session();
            let mut head = first.session();
            head.behind = waiters.iter().skip(1).map(|p| p.session()).collect();
            head.blocks = u32::try_from(head.behind.len()).unwrap_or(u32::MAX);
            root.blocks = head.blocks.saturating_add(1);
            root.behind = vec![head];
            root.concluded = true;
            match out.iter_mut().find(|known| known.pid == root.pid) {
                Some(known) => {
                    known.blocks = known.blocks.saturating_add(root.blocks);
                    known.behind.append(&mut root.behind);
                }
                None => out.push(root),
            }
        }
    }
    out.sort_by_key(|root| (std::cmp::Reverse(root.blocks), root.pid));
    out.truncate(BLOCKERS);
    let waits = waiters.iter().map(|p| p.session().since_s);
    let in_tree =
        out.iter().flat_map(|root| root.tree().into_iter().skip(1).map(|(_, s)| s.since_s).collect::<Vec<_>>());
    (out.clone(), waits.chain(in_tree).fold(0.0, f64::max))
}

fn behind<'p>(id: i64, rows: &[(i64, i64)], find: &impl Fn(i64) -> Option<&'p Process>, depth: usize) -> Vec<Session> {
    if depth > 8 {
        return Vec::new();
    }
    // Behind the one it waits for alone; who waits for several is put behind the first.
    let first = |waiter: i64| rows.iter().find(|(w, _)| *w == waiter).map(|(_, blocker)| *blocker);
    let mut ids: Vec<i64> = rows.iter().filter(|(w, b)| *b == id && first(*w) == Some(id)).map(|(w, _)| *w).collect();
    ids.dedup();
    let mut out: Vec<Session> = Vec::new();
    for waiter in ids.into_iter().take(WAITERS) {
        let mut session = find(waiter).map_or_else(|| Session { pid: waiter, ..Session::default() }, Process::session);
        "Lock row".clone_into(&mut session.wait);
        session.behind = behind(waiter, rows, find, depth + 1);
        session.blocks = session.behind.iter().map(|s| s.blocks + 1).sum();
        out.push(session);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Process, roots};

    fn process(id: i64, command: &str, seconds: u64, doing: &str, transaction_s: Option<f64>) -> Process {
        let (command, doing) = (command.to_owned(), doing.to_owned());
        Process { id, command, seconds, doing, transaction_s, ..Process::default() }
    }

    #[test]
    fn a_sleeping_transaction_is_concluded_to_block_the_change_and_the_queue_behind_it() {
        let meta = "Waiting for table metadata lock";
        let processes = [
            process(7, "Sleep", 90, "", Some(90.0)),
            process(8, "Query", 60, meta, None),
            process(9, "Query", 30, meta, Some(30.0)),
            process(10, "Sleep", 500, "", None),
            process(11, "Query", 1, "", Some(1.0)),
        ];
        let (found, waited) = roots(&processes, &[]);
        let tree: Vec<_> = found.iter().flat_map(|root| root.tree()).map(|(depth, s)| (depth, s.pid)).collect();
        assert_eq!(tree, [(0, 7), (1, 8), (2, 9)]);
        assert!(found.iter().all(|root| root.concluded && root.blocks == 2 && root.state == "idle in transaction"));
        assert!((waited - 60.0).abs() < 1e-9);
        let (found, _) = roots(&processes[1..], &[]);
        assert!(found.is_empty(), "who began later can't be it: {found:?}");
    }

    #[test]
    fn row_locks_are_told_by_the_server() {
        let processes = [
            process(1, "Sleep", 40, "", Some(40.0)),
            process(2, "Query", 20, "", Some(25.0)),
            process(3, "Query", 10, "", Some(11.0)),
        ];
        let (found, waited) = roots(&processes, &[(2, 1), (3, 2), (3, 1)]);
        let tree: Vec<_> = found.iter().flat_map(|root| root.tree()).map(|(depth, s)| (depth, s.pid)).collect();
        assert_eq!(tree, [(0, 1), (1, 2), (2, 3)]);
        assert!(!found[0].concluded && (waited - 20.0).abs() < 1e-9);
        assert!(roots(&processes, &[(1, 2), (2, 1)]).0.is_empty(), "a ring has no root");
    }
}
