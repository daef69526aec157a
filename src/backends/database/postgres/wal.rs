//! The write-ahead log: who keeps it from being reused, whether it is archived, who replicates (FIELD Q-SLOT).

use sqlx::postgres::PgConnection;

use super::super::cells::{Asked, Cells};
use super::upkeep::Samples;
use crate::domain::database::{Archiver, Replica, Slot, Wal};
use crate::domain::time::Timestamp;

/// Where the log is now, on a primary and on a standby.
const HERE: &str = "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end";

const ARCHIVER: &str = "
select failed_count, coalesce(last_failed_wal, ''), (extract(epoch from last_failed_time) * 1000)::int8,
       (extract(epoch from last_archived_time) * 1000)::int8
from pg_stat_archiver where current_setting('archive_mode') <> 'off'";

/// 13 and later; before, there is no bound.
const SLOT_LIMIT: &str = "select pg_size_bytes(current_setting('max_slot_wal_keep_size', true))";

/// Looks at it; `waldir`: this role may list the directory.
pub(super) async fn look(
    connection: &mut PgConnection,
    waldir: bool,
    samples: &mut Samples,
    at: Timestamp,
) -> Result<Wal, sqlx::Error> {
    // `wal_status` exists since 13.
    let slots = format!(
        "select slot_name, slot_type, active, coalesce(to_jsonb(s) ->> 'wal_status', ''), \
         pg_wal_lsn_diff({HERE}, restart_lsn)::int8 from pg_replication_slots s order by 5 desc nulls last limit 20"
    );
    let mut slots: Vec<Slot> = connection.rows(slots).await?.iter().map(slot).collect();
    samples.slots(&mut slots, std::time::Instant::now());
    let replicas = format!(
        "select coalesce(application_name, ''), coalesce(host(client_addr), ''), coalesce(state, 'hidden'), \
         pg_wal_lsn_diff({HERE}, replay_lsn)::int8, extract(epoch from replay_lag) from pg_stat_replication limit 20"
    );
    let replicas = connection.rows(replicas).await?.iter().map(replica).collect();
    let archiver = connection.rows(ARCHIVER.to_owned()).await?.first().map(archiver);
    let limit = connection.row(SLOT_LIMIT).await?.number::<i64>(0);
    let size =
        if waldir { connection.row("select sum(size)::int8 from pg_ls_waldir()").await?.number(0) } else { None };
    let slot_limit = limit.and_then(|limit| u64::try_from(limit).ok());
    Ok(Wal { size, slots, archiver, replicas, slot_limit, room: None, at })
}

fn slot(row: &Cells) -> Slot {
    Slot {
        name: row.text(0, 64),
        kind: row.text(1, 20),
        active: row.yes(2),
        wal_status: row.text(3, 20),
        retained: row.number::<i64>(4).map(|bytes| u64::try_from(bytes).unwrap_or(0)),
        per_hour: None,
    }
}

fn replica(row: &Cells) -> Replica {
    Replica {
        name: row.text(0, 60),
        client: row.text(1, 60),
        state: row.text(2, 20),
        behind_bytes: row.number::<i64>(3).map(|bytes| u64::try_from(bytes).unwrap_or(0)),
        behind_s: row.seconds(4),
    }
}

fn archiver(row: &Cells) -> Archiver {
    Archiver {
        failed: row.number(0).unwrap_or(0),
        last_failed: row.text(1, 80),
        failed_at: row.time(2),
        archived_at: row.time(3),
    }
}
