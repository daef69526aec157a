//! Lock chains: who waits for whom, and who is at the root.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::super::{BLOCKERS, WAITERS};
use crate::domain::database::Blocker;
use crate::domain::text::plain;

/// FIELD Q-BLOCK, the waiting half: only asked when somebody waits.
const WAITING: &str = "
select pid, pg_blocking_pids(pid) as blockers from pg_stat_activity
where wait_event_type = 'Lock' order by query_start nulls last limit $1";

/// FIELD Q-BLOCK, the blocking half. A prepared transaction has no process: its blocker's number is 0.
const BLOCKING: &str = "
select pid, coalesce(application_name, '') as application, state,
       extract(epoch from clock_timestamp() - xact_start)::float8 as age
from pg_stat_activity where pid = any($1)
union all
select 0, coalesce(min(gid), ''), 'prepared transaction',
       extract(epoch from clock_timestamp() - min(prepared))::float8
from pg_prepared_xacts where 0 = any($1) having count(*) > 0";

/// The sessions at the root of all lock chains, the one that blocks most first. `seen` remembers since when each has
/// been one: the age of a transaction that this role may not see is at least that.
pub(super) async fn roots(
    connection: &mut PgConnection,
    seen: &mut BTreeMap<i32, Instant>,
) -> Result<Vec<Blocker>, sqlx::Error> {
    let limit = i64::try_from(WAITERS).unwrap_or(i64::MAX);
    let rows = sqlx::query(WAITING).bind(limit).fetch_all(&mut *connection).await?;
    let mut waits = BTreeMap::new();
    for row in rows {
        waits.insert(row.try_get::<i32, _>("pid")?, row.try_get::<Vec<i32>, _>("blockers")?);
    }
    let blocked = blocked_by_root(&waits);
    seen.retain(|pid, _| blocked.contains_key(pid));
    let pids: Vec<i32> = blocked.keys().copied().collect();
    let mut blockers = Vec::new();
    for row in sqlx::query(BLOCKING).bind(&pids).fetch_all(connection).await? {
        let pid: i32 = row.try_get("pid")?;
        let since = *seen.entry(pid).or_insert_with(Instant::now);
        let age: Option<f64> = row.try_get("age")?;
        let state: Option<String> = row.try_get("state")?;
        blockers.push(Blocker {
            pid: i64::from(pid),
            application: plain(&row.try_get::<String, _>("application")?, 60),
            state: state.map_or_else(|| "state hidden without pg_monitor".to_owned(), |state| plain(&state, 40)),
            transaction_s: age.unwrap_or_else(|| since.elapsed().as_secs_f64()).max(0.0),
            blocks: blocked.get(&pid).copied().unwrap_or(0),
        });
    }
    blockers.sort_by_key(|blocker| (std::cmp::Reverse(blocker.blocks), blocker.pid));
    blockers.truncate(BLOCKERS);
    Ok(blockers)
}

/// For each process that blocks others and waits for nobody: how many wait for it, directly or behind others.
fn blocked_by_root(waits: &BTreeMap<i32, Vec<i32>>) -> BTreeMap<i32, u32> {
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

#[cfg(test)]
mod tests {
    use super::blocked_by_root;
    use std::collections::BTreeMap;

    fn waits(pairs: &[(i32, &[i32])]) -> BTreeMap<i32, Vec<i32>> {
        pairs.iter().map(|(pid, by)| (*pid, by.to_vec())).collect()
    }

    #[test]
    fn a_chain_has_its_root_and_counts_all_behind_it() {
        let waits = waits(&[(20, &[10]), (31, &[20]), (32, &[20, 31]), (40, &[11])]);
        assert_eq!(blocked_by_root(&waits), BTreeMap::from([(10, 3), (11, 1)]));
    }

    #[test]
    fn a_waiter_behind_two_roots_counts_for_both() {
        assert_eq!(blocked_by_root(&waits(&[(20, &[10, 11, 11])])), BTreeMap::from([(10, 1), (11, 1)]));
    }

    #[test]
    fn a_ring_has_no_root_and_ends() {
        assert_eq!(blocked_by_root(&waits(&[(1, &[2]), (2, &[1])])), BTreeMap::new());
    }
}
