//! Key space, transaction ids and statistics. Every question is bounded by the catalogues; no row of a table is read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use super::super::cells::{Asked, Cells};
use crate::domain::database::{Dead, Holder, KeyKind, KeySpace, KeyTypes, Slot, TableState, TxidAge};

/// For so long something is watched before its pace is told.
const WATCHED: Duration = Duration::from_mins(20);
/// Most things whose pace is watched.
const MOST: usize = 64;

/// FIELD Q-SEQ: what ends first, the sequence or the column. As `pg_sequences`, a sequence that this role may not read
/// has no value.
const KEYS: &str = "
with key as (
  select t.oid::regclass::text || '.' || quote_ident(a.attname) as col, s.oid::regclass::text as seq,
         case when has_sequence_privilege(s.oid, 'SELECT,USAGE') then pg_sequence_last_value(s.oid) end as last,
         q.seqmax, q.seqtypid::regtype::text as seq_type, a.atttypid::regtype::text as col_type,
         case a.atttypid when 'int2'::regtype then 32767 when 'int4'::regtype then 2147483647
           else 9223372036854775807 end as col_max
  from pg_sequence q join pg_class s on s.oid = q.seqrelid
  join pg_depend d on d.objid = s.oid and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
    and d.deptype in ('a', 'i') and d.refobjsubid > 0
  join pg_class t on t.oid = d.refobjid
  join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
  where q.seqincrement > 0 and not q.seqcycle and not pg_is_other_temp_schema(s.relnamespace))
select col, seq, last, least(seqmax, col_max), seq_type, col_type, seqmax < col_max from key
where last > 0 order by last::float8 / least(seqmax, col_max) desc, col limit 8";

/// FIELD Q-SEQ and T-12: foreign keys that are narrower than the key they refer to, with that key's last value.
const KEY_TYPES: &str = "
select c.conrelid::regclass::text || '.' || quote_ident(f.attname), f.atttypid::regtype::text,
       c.confrelid::regclass::text || '.' || quote_ident(p.attname), p.atttypid::regtype::text,
       (select case when has_sequence_privilege(s.oid, 'SELECT,USAGE') then pg_sequence_last_value(s.oid) end
        from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
        where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
          and d.refobjid = c.confrelid and d.refobjsubid = c.confkey[1]
          and not pg_is_other_temp_schema(s.relnamespace) limit 1) as last,
       case f.atttypid when 'int2'::regtype then 32767 else 2147483647 end
from pg_constraint c
join pg_attribute f on f.attrelid = c.conrelid and f.attnum = c.conkey[1]
join pg_attribute p on p.attrelid = c.confrelid and p.attnum = c.confkey[1]
where c.contype = 'f' and c.conparentid = 0 and array_length(c.conkey, 1) = 1
  and f.atttypid in ('int2'::regtype, 'int4'::regtype) and p.atttypid in ('int4'::regtype, 'int8'::regtype)
  and f.atttypid <> p.atttypid and p.attlen > f.attlen
order by last desc nulls last, 1 limit 20";

/// FIELD Q-XID: the oldest database of the cluster.
const TXID: &str = "
select datname, age(datfrozenxid), mxid_age(datminmxid) from pg_database
order by greatest(age(datfrozenxid), mxid_age(datminmxid)) desc limit 1";

/// FIELD Q-XID: what keeps the oldest id from moving on.
const HOLDERS: &str = "
select what, age from (
  select 'session ' || pid || coalesce(' (' || nullif(application_name, '') || ')', '') as what, age(backend_xmin) as age
  from pg_stat_activity where backend_xmin is not null and pid <> pg_backend_pid()
  union all
  select 'replication slot ' || slot_name, greatest(age(xmin), age(catalog_xmin)) from pg_replication_slots
  where xmin is not null or catalog_xmin is not null
  union all
  select 'prepared transaction ' || gid, age(transaction) from pg_prepared_xacts) holders
order by age desc limit 5";

const VACUUMS: &str = "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'";

/// FIELD INC-23. Counters are lost with a crash and set anew by an index' making, so only the planner's own statistics
/// say that there are none: those of a table this role may read are in `pg_stats`.
const NEVER_ANALYZED: &str = "
select schemaname || '.' || relname, n_live_tup from (
  select * from pg_stat_user_tables
  where last_analyze is null and last_autoanalyze is null and n_live_tup >= 1000
    and has_table_privilege(relid, 'select')
  order by n_live_tup desc limit 20) t
where not exists (select from pg_stats s where s.schemaname = t.schemaname and s.tablename = t.relname)
order by n_live_tup desc limit 10";

const DEAD: &str = "
select schemaname || '.' || relname, n_live_tup, n_dead_tup,
       (extract(epoch from greatest(last_vacuum, last_autovacuum)) * 1000)::int8
from pg_stat_user_tables where n_dead_tup > 10000 and n_dead_tup > 0.1 * n_live_tup
order by n_dead_tup desc limit 5";

/// What was, to tell a pace.
#[derive(Debug, Default)]
pub(super) struct Samples {
    keys: BTreeMap<String, (u64, Instant)>,
    slots: BTreeMap<String, (u64, Instant)>,
}

impl Samples {
    /// Tells how fast each slot's share grows.
    pub(super) fn slots(&mut self, slots: &mut [Slot], now: Instant) {
        self.slots.retain(|name, _| slots.iter().any(|slot| slot.name == *name));
        for slot in slots.iter_mut() {
            let Some(retained) = slot.retained else { continue };
            slot.per_hour =
                pace(&mut self.slots, &slot.name, retained, now, Duration::from_mins(2)).map(|s| s * 3600.0);
        }
    }
}

/// How much more per second there is than when it was first seen, once it was watched for `watched`.
#[expect(clippy::cast_precision_loss, reason = "a pace")]
fn pace(
    known: &mut BTreeMap<String, (u64, Instant)>,
    name: &str,
    value: u64,
    now: Instant,
    watched: Duration,
) -> Option<f64> {
    let Some((first, since)) = known.get(name).copied() else {
        if known.len() < MOST {
            known.insert(name.to_owned(), (value, now));
        }
        return None;
    };
    let (span, Some(grown)) = (now.duration_since(since), value.checked_sub(first)) else {
        known.remove(name);
        return None;
    };
    (span >= watched).then(|| grown as f64 / span.as_secs_f64())
}

/// The fullest keys.
pub(super) async fn keys(
    connection: &mut PgConnection,
    samples: &mut Samples,
    now: Instant,
) -> Result<Vec<KeySpace>, sqlx::Error> {
    let mut keys: Vec<KeySpace> = connection.rows(KEYS.to_owned()).await?.iter().map(key).collect();
    for key in &mut keys {
        let per_second = pace(&mut samples.keys, &key.sequence, key.last, now, WATCHED);
        key.per_day = per_second.map(|pace| pace * 86_400.0);
    }
    Ok(keys)
}

fn key(row: &Cells) -> KeySpace {
    let by_sequence = row.yes(6);
    KeySpace {
        column: row.text(0, 120),
        sequence: row.text(1, 120),
        kind: if by_sequence { KeyKind::Sequence } else { KeyKind::Column },
        type_name: row.text(if by_sequence { 4 } else { 5 }, 20),
        column_type: row.text(5, 20),
        last: row.number(2).unwrap_or(0),
        limit: row.number(3).unwrap_or(0),
        per_day: None,
    }
}

/// Foreign keys narrower than what they refer to.
pub(super) async fn key_types(connection: &mut PgConnection) -> Result<Vec<KeyTypes>, sqlx::Error> {
    let types = |row: &Cells| KeyTypes {
        column: row.text(0, 120),
        type_name: row.text(1, 20),
        to: row.text(2, 120),
        to_type: row.text(3, 20),
        last: row.number(4),
        limit: row.number(5).unwrap_or(0),
    };
    Ok(connection.rows(KEY_TYPES.to_owned()).await?.iter().map(types).collect())
}

/// The oldest transaction id, and who holds it.
pub(super) async fn txid(connection: &mut PgConnection) -> Result<Option<TxidAge>, sqlx::Error> {
    let Some(row) = connection.rows(TXID.to_owned()).await?.into_iter().next() else { return Ok(None) };
    let positive = |column| row.number::<i64>(column).and_then(|age| u64::try_from(age).ok()).unwrap_or(0);
    let mut txid =
        TxidAge { database: row.text(0, 60), age: positive(1), multixact_age: positive(2), ..TxidAge::default() };
    let holder = |row: &Cells| Holder {
        what: row.text(0, 120),
        age: row.number::<i64>(1).and_then(|age| u64::try_from(age).ok()).unwrap_or(0),
    };
    txid.holders = connection.rows(HOLDERS.to_owned()).await?.iter().map(holder).collect();
    txid.vacuums = connection.row(VACUUMS).await?.number(0).unwrap_or(0);
    Ok(Some(txid))
}

/// Tables without statistics.
pub(super) async fn never_analyzed(connection: &mut PgConnection) -> Result<Vec<TableState>, sqlx::Error> {
    let table = |row: &Cells| TableState { table: row.text(0, 120), rows: row.number(1).unwrap_or(0) };
    Ok(connection.rows(NEVER_ANALYZED.to_owned()).await?.iter().map(table).collect())
}

/// Tables with many dead rows.
pub(super) async fn dead(connection: &mut PgConnection) -> Result<Vec<Dead>, sqlx::Error> {
    let table = |row: &Cells| Dead {
        table: row.text(0, 120),
        live: row.number(1).unwrap_or(0),
        dead: row.number(2).unwrap_or(0),
        vacuumed: row.time(3),
    };
    Ok(connection.rows(DEAD.to_owned()).await?.iter().map(table).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_told_once_it_was_watched_and_forgotten_when_it_goes_back() {
        let (start, mut known) = (Instant::now(), BTreeMap::new());
        let mut at = |value, secs| pace(&mut known, "s", value, start + Duration::from_secs(secs), WATCHED);
        assert_eq!(at(1_000, 0), None);
        assert_eq!(at(1_100, 60), None);
        assert_eq!(at(3_400, 2_400), Some(1.0));
        assert_eq!(at(10, 2_460), None, "set back");
        assert_eq!(at(20, 2_470), None, "watched anew");
    }
}
