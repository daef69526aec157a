//! Lock chains: who waits for whom, as trees with the one who waits for nobody at the root.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sqlx::postgres::PgConnection;

use super::super::cells::{Asked, Cells};
use super::super::{BLOCKERS, WAITERS};
use super::look::{SESSION, session};
use crate::domain::database::{Blocker, Session};

/// What the locks say.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// The roots, the one that blocks most first.
    pub(super) roots: Vec<Blocker>,
    /// The longest wait, in seconds.
    pub(super) longest_wait_s: f64,
}

/// FIELD Q-BLOCK, the waiting half: only asked when somebody waits. Since 14 the server knows since when; before, the
/// statement's own beginning is the best there is.
fn waiters(version_num: u32) -> String {
    let since = if version_num >= 140_000 { "min(waitstart)" } else { "null::timestamptz" };
    format!(
        "with w as (select pid, {since} as since from pg_locks where not granted group by pid
         order by 2 nulls last limit {WAITERS})
         select {SESSION}, array_to_string(pg_blocking_pids(a.pid), ','),
                extract(epoch from clock_timestamp() - coalesce(w.since, a.query_start))
         from w join pg_stat_activity a on a.pid = w.pid"
    )
}

/// FIELD Q-BLOCK, the blocking half. A prepared transaction has no process: its blocker's number is 0.
fn blocking(pids: &str) -> String {
    format!(
        "select {SESSION} from pg_stat_activity a where a.pid = any('{{{pids}}}'::int[])
         union all
         select 0, coalesce(min(gid), ''), 'prepared transaction',
                extract(epoch from clock_timestamp() - min(prepared)), (extract(epoch from min(prepared)) * 1000)::int8,
                coalesce(min(owner)::text, '')::name, '', '', extract(epoch from clock_timestamp() - min(prepared)), ''
         from pg_prepared_xacts where 0 = any('{{{pids}}}'::int[]) having count(*) > 0"
    )
}

/// Looks at the locks. `seen` remembers since when each root has been one: the age of a transaction that this role may
/// not see is at least that.
pub(super) async fn look(
    connection: &mut PgConnection,
    seen: &mut BTreeMap<i64, Instant>,
    version_num: u32,
) -> Result<Chains, sqlx::Error> {
    let rows = connection.rows(waiters(version_num)).await?;
    let mut waits = BTreeMap::new();
    let mut sessions = BTreeMap::new();
    let mut longest_wait_s = 0.0_f64;
    for row in &rows {
        let waiter = waiter(row);
        longest_wait_s = longest_wait_s.max(waiter.since_s);
        let blockers: Vec<i64> =
            row.maybe(10).unwrap_or_default().split(',').filter_map(|pid| pid.parse().ok()).collect();
        // One whose lock came between the two looks at it waits for nobody.
        if !blockers.is_empty() {
            waits.insert(waiter.pid, blockers);
            sessions.insert(waiter.pid, waiter);
        }
    }
    let blocked = blocked_by_root(&waits);
    seen.retain(|pid, _| blocked.contains_key(pid));
    let pids: Vec<String> = blocked.keys().map(i64::to_string).collect();
    let mut roots = Vec::new();
    for row in connection.rows(blocking(&pids.join(","))).await? {
        let mut root = session(&row);
        let since = *seen.entry(root.pid).or_insert_with(Instant::now);
        if row.seconds(3).is_none() {
            root.transaction_s = since.elapsed().as_secs_f64();
        }
        root.blocks = blocked.get(&root.pid).copied().unwrap_or(0);
        roots.push(root);
    }
    roots.sort_by_key(|root| (std::cmp::Reverse(root.blocks), root.pid));
    roots.truncate(BLOCKERS);
    for root in &mut roots {
        hang(root, &waits, &mut sessions);
    }
    Ok(Chains { roots, longest_wait_s })
}

fn waiter(row: &Cells) -> Session {
    Session { since_s: row.seconds(11).unwrap_or(0.0), ..session(row) }
}

/// For each process that blocks others and waits for nobody: how many wait for it, directly or behind others.
fn blocked_by_root(waits: &BTreeMap<i64, Vec<i64>>) -> BTreeMap<i64, u32> {
    let mut blocked = BTreeMap::new();
    for &waiter in waits.keys() {
        let mut met = BTreeSet::new();
        let mut ahead = vec![waiter];
        while let Some(pid) = ahead.pop() {
            if !met.insert(pid) {
                continue;
            }
            match waits.get(&pid) {
                Some(blockers) => ahead.extend(blockers),
                None => *blocked.entry(pid).or_insert(0) += 1,
            }
        }
    }
    blocked
}

/// Puts those who wait for a session behind it, and those behind them, the longest waiting first. Each is put in one
/// place only: behind the last waiter that it waits for, so that a queue is seen as one, else behind the root.
fn hang(above: &mut Session, waits: &BTreeMap<i64, Vec<i64>>, sessions: &mut BTreeMap<i64, Session>) {
    let directly = |pid: &i64| {
        let by = waits.get(pid).map(Vec::as_slice).unwrap_or_default();
        let before = by.iter().rev().find(|blocker| waits.contains_key(blocker));
        before.or(by.first()) == Some(&above.pid) || (by.contains(&above.pid) && before.is_none())
    };
    let pids: Vec<i64> = sessions.keys().filter(|pid| directly(pid)).copied().collect();
    let mut behind: Vec<Session> = pids.iter().filter_map(|pid| sessions.remove(pid)).collect();
    behind.sort_by(|a, b| b.since_s.total_cmp(&a.since_s).then(a.pid.cmp(&b.pid)));
    for session in &mut behind {
        hang(session, waits, sessions);
        session.blocks = session.behind.iter().map(|s| s.blocks.saturating_add(1)).sum();
    }
    above.behind = behind;
}

#[cfg(test)]
mod tests {
    use super::{Session, blocked_by_root, hang};
    use std::collections::BTreeMap;

    fn waits(pairs: &[(i64, &[i64])]) -> BTreeMap<i64, Vec<i64>> {
        pairs.iter().map(|(pid, by)| (*pid, by.to_vec())).collect()
    }

    fn tree(root: i64, waits: &BTreeMap<i64, Vec<i64>>) -> Vec<(usize, i64)> {
        let session = |pid: &i64| (*pid, Session { pid: *pid, ..Session::default() });
        let mut sessions = waits.keys().map(session).collect();
        let mut root = Session { pid: root, ..Session::default() };
        hang(&mut root, waits, &mut sessions);
        root.tree().into_iter().map(|(depth, session)| (depth, session.pid)).collect()
    }

    #[test]
    fn a_chain_has_its_root_and_counts_all_behind_it() {
        let waits = waits(&[(20, &[10]), (31, &[20]), (32, &[20, 31]), (40, &[11])]);
        assert_eq!(blocked_by_root(&waits), BTreeMap::from([(10, 3), (11, 1)]));
        assert_eq!(tree(10, &waits), [(0, 10), (1, 20), (2, 31), (3, 32)]);
        assert_eq!(tree(11, &waits), [(0, 11), (1, 40)]);
    }

    #[test]
    fn a_waiter_behind_two_roots_counts_for_both() {
        let waits = waits(&[(20, &[10, 11, 11])]);
        assert_eq!(blocked_by_root(&waits), BTreeMap::from([(10, 1), (11, 1)]));
        assert_eq!(tree(10, &waits), [(0, 10), (1, 20)]);
    }

    #[test]
    fn a_ring_has_no_root_and_ends() {
        let waits = waits(&[(1, &[2]), (2, &[1]), (3, &[9])]);
        assert_eq!(blocked_by_root(&waits), BTreeMap::from([(9, 1)]));
        assert_eq!(tree(9, &waits), [(0, 9), (1, 3)]);
    }
}
