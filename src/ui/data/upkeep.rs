//! What a database needs over days: the log and who holds it, transaction ids, key space, statistics, size.

use super::facts::{Fact, dotted, fact};
use crate::domain::database::{KeySpace, Upkeep, Wal};
use crate::ui::canvas::{Piece, piece};
use crate::ui::clock::Clock;
use crate::ui::format;
use crate::ui::theme::Role;

/// From this used share of a key's space on it is marked (`check_postgres`: 85 %).
const KEYS_BAD: f64 = 0.85;
/// From this age of the oldest transaction id on it is marked (netdata: 500 million).
const TXID_BAD: u64 = 500_000_000;
/// The age at which a server refuses to write.
const TXID_END: f64 = 2_147_483_648.0;
/// What was looked at longer ago than this says so.
const OLD_S: u64 = 60;

/// The write-ahead log.
pub(super) fn wal(wal: &Wal, clock: &Clock) -> Option<Fact> {
    let old = clock.now.secs_since(wal.at) >= OLD_S;
    let idle: Vec<_> = wal.slots.iter().filter(|slot| !slot.active).collect();
    let slot = idle.first().map(|slot| {
        let held = slot.retained.map(|bytes| [" holds ", &format::bytes(bytes)].concat()).unwrap_or_default();
        piece(Role::Warning, ["▲ slot ", &slot.name, " is inactive", &held].concat())
    });
    let archiver = wal.archiver.as_ref().filter(|archiver| archiver.is_failing());
    let archiver = archiver.map(|archiver| {
        let since = archiver.archived_at.map(|at| [", last done ", &clock.when(at)].concat()).unwrap_or_default();
        piece(Role::Warning, ["▲ archiving fails", &since].concat())
    });
    let bad = slot.is_some() || archiver.is_some();
    let active = wal.slots.len() - idle.len();
    let pieces = dotted([
        slot,
        archiver,
        wal.size.map(|bytes| piece(Role::Text, format::bytes(bytes))),
        (active > 0).then(|| piece(Role::Muted, format::plural(active, "active slot"))),
        wal.room.as_ref().map(|room| piece(Role::Muted, [&format::bytes(room.free), " free on its disk"].concat())),
        old.then(|| piece(Role::Muted, format::ago(wal.at, clock.now))),
    ]);
    (!pieces.is_empty()).then(|| fact(if bad { 0 } else { 2 }, "wal", pieces))
}

/// The rest.
pub(super) fn facts(kept: &Upkeep) -> Vec<Fact> {
    [keys(kept), txid(kept), statistics(kept), size(kept)].into_iter().flatten().collect()
}

/// The three keys with the least space left.
fn keys(kept: &Upkeep) -> Option<Fact> {
    let one = |key: &KeySpace| {
        let bad = key.used() >= KEYS_BAD;
        let left = key.days_left().filter(|days| *days < 3650.0).map(|days| format!(", {days:.0} d left"));
        let mark = if bad { "▲ " } else { "" };
        let text = [mark, &format::share(key.used()), " ", &key.column, &left.unwrap_or_default()].concat();
        Some(piece(if bad { Role::Warning } else { Role::Text }, text))
    };
    let bad = kept.keys.iter().any(|key| key.used() >= KEYS_BAD);
    let narrow = (!kept.key_types.is_empty()).then(|| {
        piece(
            Role::Warning,
            format!("▲ {} narrower than their key", format::plural(kept.key_types.len(), "foreign key")),
        )
    });
    let pieces = dotted(kept.keys.iter().take(3).map(one).chain([narrow]));
    (!pieces.is_empty()).then(|| fact(if bad { 0 } else { 2 }, "key space", pieces))
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn txid(kept: &Upkeep) -> Option<Fact> {
    let txid = kept.txid.as_ref()?;
    let bad = txid.age >= TXID_BAD;
    let mark = if bad { "▲ " } else { "" };
    let share = format::share(txid.age as f64 / TXID_END);
    let age = [mark, &format::count(txid.age as f64), " old, ", &share, " of what there is"].concat();
    let holder = txid.holders.first().filter(|_| bad).map(|holder| ["held by ", &holder.what].concat());
    let pieces = dotted([
        Some(piece(if bad { Role::Warning } else { Role::Text }, age)),
        holder.map(|holder| piece(Role::Text, holder)),
        (txid.vacuums > 0).then(|| piece(Role::Muted, format::plural(txid.vacuums as usize, "vacuum") + " at work")),
    ]);
    Some(fact(if bad { 0 } else { 3 }, "txid", pieces))
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn statistics(kept: &Upkeep) -> Option<Fact> {
    let never = kept.never_analyzed.first().map(|table| {
        let more = kept.never_analyzed.len() - 1;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        piece(Role::Warning, ["▲ never analyzed: ", &table.table, &more].concat())
    });
    let dead = kept.dead.first().map(|table| {
        let text = [&format::count(table.dead as f64), " dead rows in ", table.table.as_str()].concat();
        piece(Role::Muted, text)
    });
    let pieces: Vec<Piece> = dotted([never, dead]);
    (!pieces.is_empty()).then(|| fact(3, "tables", pieces))
}

fn size(kept: &Upkeep) -> Option<Fact> {
    Some(fact(3, "size", vec![piece(Role::Text, format::bytes(kept.size?))]))
}
