//! Key space (INC-17), transaction ids (INC-18), log (INC-19), replicas (INC-22), statistics (INC-23).

use super::{Look, grouped, span};
use crate::domain::database::{KeyKind, KeySpace, KeyTypes, Slot};
use crate::domain::level::Level;
use crate::domain::text;
use crate::triage::Claim;

/// Rows that a table without statistics must have to be worth a warning (own).
const MANY_ROWS: u64 = 10_000;
/// Bytes of log that an idle slot may hold without a word: a consumer that reconnects needs some (own).
const SOME_LOG: u64 = 64 * 1024 * 1024;
/// The server refuses writes so many transactions before the ids meet (PostgreSQL's documentation).
const WRAPAROUND: u64 = 2_147_483_647;
/// Bytes by which a replica may be behind while its time says nothing (own).
const FAR_BEHIND: u64 = 1024 * 1024 * 1024;

impl Look<'_> {
    /// Keys whose values end.
    pub(super) fn keys(&self, out: &mut Vec<Claim>) {
        let Some(upkeep) = self.db.upkeep.as_deref() else { return };
        for key in &upkeep.keys {
            let soon = key.days_left().is_some_and(|days| days < self.limits.key_space_left_days && key.used() > 0.5);
            let level = if key.used() >= self.limits.key_space_critical {
                Level::Critical
            } else if key.used() >= self.limits.key_space_warning || soon {
                Level::Warning
            } else {
                continue;
            };
            out.push(self.claim("key-space", level, key_title(key), key_evidence(key)).of(key.column.clone()));
        }
        for key in &upkeep.key_types {
            let Some(used) = key.used().filter(|used| *used >= self.limits.key_space_warning) else { continue };
            let level = if used >= self.limits.key_space_critical { Level::Critical } else { Level::Warning };
            let title = format!(
                "{} is {} and used to {}: it refers to {}",
                key.column,
                key.type_name,
                text::percent(used),
                key.to
            );
            let evidence = format!(
                "{} is {} and at {}; the foreign key takes no more than {}",
                key.to,
                key.to_type,
                grouped(key.last.unwrap_or(0)),
                grouped(key.limit)
            );
            out.push(self.claim("key-space", level, title, evidence).of(key.column.clone()));
        }
        if let Some(first) =
            upkeep.key_types.iter().find(|key| key.used().is_none_or(|used| used < self.limits.key_space_warning))
        {
            let title = format!(
                "{} of narrower type than what it refers to",
                text::count(count(upkeep.key_types.len()), "foreign key")
            );
            let evidence = format!("{} is {}, {} is {}", first.column, first.type_name, first.to, first.to_type);
            let line = |key: &KeyTypes| format!("{} {} → {} {}", key.column, key.type_name, key.to, key.to_type);
            out.push(self.claim("key-types", Level::Note, title, evidence).with(upkeep.key_types.iter().map(line)));
        }
    }

    /// The age of transaction ids.
    pub(super) fn txid(&self, out: &mut Vec<Claim>) {
        let Some(txid) = self.db.upkeep.as_deref().and_then(|upkeep| upkeep.txid.as_ref()) else { return };
        let (what, age) = if txid.multixact_age > txid.age {
            ("multixact ids", txid.multixact_age)
        } else {
            ("transaction ids", txid.age)
        };
        let level = if age >= self.limits.txid_age_critical {
            Level::Critical
        } else if age >= self.limits.txid_age_warning {
            Level::Warning
        } else {
            return;
        };
        let title = format!("The {what} of database {} are {} old", txid.database, millions(age));
        let holder = txid.holders.iter().find(|holder| holder.age >= age / 4);
        let held = match (holder, txid.vacuums) {
            (Some(holder), _) => format!("held back by {}", holder.what),
            (None, 0) => "nobody holds them back, and no autovacuum works on it".to_owned(),
            (None, n) => format!("{} at work", text::count(n.into(), "autovacuum worker")),
        };
        let left = millions(WRAPAROUND.saturating_sub(age));
        let evidence = format!("{left} left until writes are refused; {held}");
        let lines = txid.holders.iter().map(|holder| format!("{}: {} old", holder.what, millions(holder.age)));
        out.push(self.claim("txid-wraparound", level, title, evidence).with(lines));
    }

    /// Replication slots that hold the log.
    pub(super) fn slots(&self, out: &mut Vec<Claim>) {
        let Some(wal) = self.db.wal.as_deref() else { return };
        for slot in wal.slots.iter().filter(|slot| !slot.active) {
            let retained = slot.retained.unwrap_or(0);
            let lost = slot.wal_status == "lost";
            // A logical slot that is not read for a moment holds little: its consumer reconnects.
            if retained < SOME_LOG && !lost {
                continue;
            }
            let hours = hours_left(slot, wal.room.as_ref().map(|room| room.free));
            let room = wal.room.as_ref();
            let part = room.filter(|room| room.free > 0).map_or(0.0, |room| share(retained, room.free));
            let unbounded = wal.slot_limit.is_none();
            let critical = unbounded
                && (hours.is_some_and(|hours| hours < self.limits.slot_full_hours)
                    || part >= self.limits.slot_retained_warning * 5.0);
            let level = if critical { Level::Critical } else { Level::Warning };
            let title = if lost {
                format!("Replication slot {} has lost the log it needs: its consumer must be built anew", slot.name)
            } else {
                format!("Replication slot {} is inactive and holds {} of the log", slot.name, text::bytes(retained))
            };
            let mut parts = vec![format!("{} slot", slot.kind)];
            if !slot.wal_status.is_empty() {
                parts.push(format!("wal_status {}", slot.wal_status));
            }
            parts.extend(
                slot.per_hour.filter(|pace| *pace >= 1.0).map(|pace| format!("growing {}/h", text::bytes(whole(pace)))),
            );
            parts.extend(hours.map(|hours| format!("disk full in {}", span(hours * 3600.0))));
            parts.extend(room.map(|room| format!("{} free in {}", text::bytes(room.free), room.directory)));
            parts.push(match wal.slot_limit {
                Some(limit) => format!("at most {} (max_slot_wal_keep_size)", text::bytes(limit)),
                None => "without a bound (max_slot_wal_keep_size is -1)".to_owned(),
            });
            out.push(self.claim("wal-slot", level, title, parts.join(" · ")).of(slot.name.clone()));
        }
    }

    /// Whether the log is archived.
    pub(super) fn archiver(&self, out: &mut Vec<Claim>) {
        let wal = self.db.wal.as_deref();
        let Some(archiver) = wal.and_then(|wal| wal.archiver.as_ref()).filter(|archiver| archiver.is_failing()) else {
            return;
        };
        let title = format!("The write-ahead log can't be archived: {} failed", archiver.last_failed);
        let last = archiver.archived_at.map_or_else(
            || "none was ever archived".to_owned(),
            |at| format!("the last success was {} ago", text::span(self.at.millis_since(at))),
        );
        let size = wal.and_then(|wal| wal.size).map(|size| format!("; pg_wal has {}", text::bytes(size)));
        let evidence =
            format!("{} failed; {last}{}", text::count(archiver.failed, "attempt"), size.unwrap_or_default());
        let mut claim = self.claim("wal-archive", Level::Warning, title, evidence);
        if let Some(since) = archiver.archived_at {
            claim = claim.since(since, false);
        }
        out.push(claim);
    }

    /// Replicas that are behind.
    pub(super) fn replicas(&self, out: &mut Vec<Claim>) {
        let Some(wal) = self.db.wal.as_deref() else { return };
        for replica in &wal.replicas {
            let late = replica.behind_s.filter(|s| *s >= self.limits.replica_lag_s);
            let far = replica.behind_bytes.filter(|bytes| *bytes >= FAR_BEHIND);
            let behind = match (late, far) {
                (Some(seconds), _) => span(seconds),
                (None, Some(bytes)) => text::bytes(bytes),
                (None, None) => continue,
            };
            let name = if replica.name.is_empty() { &replica.client } else { &replica.name };
            let title = format!("Replica {name} is {behind} behind");
            let bytes = replica.behind_bytes.map(|b| format!(", {} not replayed", text::bytes(b))).unwrap_or_default();
            let evidence = format!("{}{bytes}", replica.state);
            out.push(self.claim("replica-lag", Level::Warning, title, evidence).of(name.clone()));
        }
    }

    /// Whether the planner knows the tables.
    pub(super) fn statistics(&self, out: &mut Vec<Claim>) {
        let Some(upkeep) = self.db.upkeep.as_deref() else { return };
        if let Some(largest) = upkeep.never_analyzed.first() {
            let rows: u64 = upkeep.never_analyzed.iter().map(|table| table.rows).sum();
            let level = if rows >= MANY_ROWS { Level::Warning } else { Level::Note };
            let title = format!("{} never analyzed: queries are planned blindly", were(upkeep.never_analyzed.len()));
            let evidence = format!(
                "the largest is {} with {} rows; as after a restore: run ANALYZE",
                largest.table,
                grouped(largest.rows)
            );
            let lines =
                upkeep.never_analyzed.iter().map(|table| format!("{}: {} rows", table.table, grouped(table.rows)));
            out.push(self.claim("never-analyzed", level, title, evidence).with(lines));
        }
        if let Some(worst) = upkeep.dead.iter().find(|table| table.dead > table.live.max(100_000)) {
            let title = format!("{} has more dead rows than live ones", worst.table);
            let vacuumed = worst.vacuumed.map_or_else(
                || "never vacuumed".to_owned(),
                |at| format!("vacuumed {} ago", text::span(self.at.millis_since(at))),
            );
            let evidence = format!("{} dead, {} live; {vacuumed}", grouped(worst.dead), grouped(worst.live));
            let lines =
                upkeep.dead.iter().map(|t| format!("{}: {} dead, {} live", t.table, grouped(t.dead), grouped(t.live)));
            out.push(self.claim("dead-rows", Level::Note, title, evidence).of(worst.table.clone()).with(lines));
        }
    }
}

fn key_title(key: &KeySpace) -> String {
    let used = text::percent(key.used());
    match key.kind {
        KeyKind::Sequence => {
            format!(
                "Sequence {} is used to {used} of {}, although {} is {}",
                key.sequence, key.type_name, key.column, key.column_type
            )
        }
        KeyKind::Column => format!("{} is used to {used} of {}", key.column, key.type_name),
    }
}

fn key_evidence(key: &KeySpace) -> String {
    let left = key.days_left().map(|days| format!("; {days:.0} days left at the present pace")).unwrap_or_default();
    let mend = match key.kind {
        KeyKind::Sequence => "; ALTER SEQUENCE … AS bigint is instant",
        KeyKind::Column => "; widening the column rewrites the table",
    };
    format!("at {} of {}{left}{mend}", grouped(key.last), grouped(key.limit))
}

fn were(tables: usize) -> String {
    if tables == 1 { "1 table was".to_owned() } else { format!("{tables} tables were") }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn millions(n: u64) -> String {
    if n >= 10_000_000 { format!("{} million", grouped(n / 1_000_000)) } else { grouped(n) }
}

/// Hours until the slot has filled the disk at its present pace.
#[expect(clippy::cast_precision_loss, reason = "hours")]
fn hours_left(slot: &Slot, free: Option<u64>) -> Option<f64> {
    let pace = slot.per_hour.filter(|pace| *pace > 1024.0 * 1024.0)?;
    Some(free? as f64 / pace).filter(|hours| *hours < 24.0 * 90.0)
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn whole(n: f64) -> u64 {
    n.clamp(0.0, 1e18) as u64
}
