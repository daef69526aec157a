//! What was restored, held against what is in use: is it the same application's, can its code work with it, and what
//! does it lack?

use std::collections::{BTreeMap, BTreeSet};

use super::Hand;
use crate::backends::look::schema_is;
use crate::domain::app_state::{AppMigrations, by_app, pending, shortened, unknown};
use crate::domain::database::Migrated;
use crate::domain::text::plain;
use crate::runbook::plan::postgres::{Fit, Server, literal, name};

/// How many of the largest tables are counted.
pub(in crate::hands) const LARGEST: usize = 12;
/// One of more rows is not counted: its estimate is told.
pub(in crate::hands) const MOST_ROWS: i64 = 20_000_000;

type Tables = BTreeMap<(String, String), i64>;

/// Compares them; sentences for the journal.
///
/// # Errors
/// A sentence, where the restored one must not be used.
pub(super) async fn compare(
    hand: &Hand<'_, '_>,
    server: &Server,
    (used, beside): (&str, &str),
    wanted: Option<&Fit>,
) -> Result<Vec<String>, String> {
    let (now, then) = (tables(hand, server, used).await?, tables(hand, server, beside).await?);
    let common = now.keys().filter(|table| then.contains_key(*table)).count();
    if common * 2 < now.len() {
        return Err(format!(
            "only {common} of the {} tables of {used} are in the backup: it is another application's, or not all of it",
            now.len()
        ));
    }
    if then.is_empty() {
        return Err("there is no table in the backup".to_owned());
    }
    migrations(hand, server, (used, beside), wanted).await?;
    let mut said = vec![format!("{} tables are restored, {} are in use", then.len(), now.len())];
    let mut largest: Vec<_> = now.keys().filter(|table| then.contains_key(*table)).collect();
    largest.sort_by_key(|table| {
        std::cmp::Reverse(now.get(*table).copied().max(then.get(*table).copied()).unwrap_or_default())
    });
    largest.truncate(LARGEST);
    for table in largest {
        let (there, here) =
            (rows(hand, server, used, (table, &now)).await?, rows(hand, server, beside, (table, &then)).await?);
        if there != here {
            let (more, word) = if here < there { (there - here, "fewer") } else { (here - there, "more") };
            said.push(format!("{}: {here} rows, {more} {word} than in use", plain(&table.1, 60)));
        }
    }
    if said.len() == 1 {
        said.push("the largest tables have as many rows as those in use".to_owned());
    }
    said.extend(orders(hand, server, (used, beside), &then).await?);
    Ok(said)
}

/// Tables with the number of their rows as it is estimated.
async fn tables(hand: &Hand<'_, '_>, server: &Server, database: &str) -> Result<Tables, String> {
    let sql = "select n.nspname, c.relname, greatest(c.reltuples, 0)::bigint from pg_class c join pg_namespace n on \
               n.oid = c.relnamespace where c.relkind in ('r', 'p') and not c.relispartition and \
               n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'";
    let rows = hand.ask(server, database, sql).await?;
    let table = |row: &Vec<String>| {
        let [schema, table, rows] = row.as_slice() else { return None };
        Some(((schema.clone(), table.clone()), rows.parse().ok()?))
    };
    Ok(rows.iter().filter_map(table).collect())
}

async fn rows(
    hand: &Hand<'_, '_>,
    server: &Server,
    database: &str,
    (table, known): (&(String, String), &Tables),
) -> Result<i64, String> {
    let estimated = known.get(table).copied().unwrap_or_default();
    if estimated > MOST_ROWS {
        return Ok(estimated);
    }
    let sql = format!("select count(*) from {}.{}", name(&table.0), name(&table.1));
    let counted = hand.one(server, database, &sql).await?;
    counted.and_then(|n| n.parse().ok()).ok_or_else(|| format!("{} can't be counted", table.1))
}

/// Refuses a schema that the code does not know, or that lacks what the code needs; or that is not the one wanted.
async fn migrations(
    hand: &Hand<'_, '_>,
    server: &Server,
    (used, beside): (&str, &str),
    wanted: Option<&Fit>,
) -> Result<(), String> {
    let (now, then) = (migrated(hand, server, used).await?, migrated(hand, server, beside).await?);
    let (kept, code) = match wanted {
        Some(Fit::Schema(was)) => return schema_is("the backup", &then, was),
        Some(Fit::Code(packages, name)) => {
            (Some(packages.as_str()), Some(hand.tools.looker.code_in(packages, name).await?))
        }
        None => (None, hand.tools.looker.code().await?),
    };
    fit(kept, code.as_deref(), (&now, &then), beside)
}

/// Refuses a schema of which the code on disk, or where that is not known the database in use, does not know a migration,
/// or knows one that it lacks. `kept`: where that code lies, if not on disk as it is used; `now`: what the database in use has seen; `then`: what the restored one has.
pub(in crate::hands) fn fit(
    kept: Option<&str>,
    code: Option<&[AppMigrations]>,
    (now, then): (&[Migrated], &[Migrated]),
    beside: &str,
) -> Result<(), String> {
    if now.is_empty() {
        return Ok(());
    }
    if then.is_empty() {
        return Err("the backup has no table django_migrations, and the database in use has: it is another \
                    application's, or not all of it"
            .to_owned());
    }
    let (newer, older) = match &code {
        Some(code) => {
            let heads = shortened(then);
            let newer: Vec<_> =
                unknown(code, &heads).iter().map(|part| format!("{}.{}", part.app, part.head())).collect();
            (newer, pending(code, &heads))
        }
        None => (lacking(then, now), lacking(now, then)),
    };
    let what = match (kept, code) {
        (Some(packages), _) => format!("the code in {packages}"),
        (None, Some(_)) => "the code on disk".to_owned(),
        (None, None) => "the database in use".to_owned(),
    };
    let list = |all: &[String]| {
        let shown: Vec<_> = all.iter().take(5).map(|one| plain(one, 80)).collect();
        let more = all.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", shown.join(", "))
    };
    if !newer.is_empty() {
        return Err(format!(
            "the backup is of a newer release than {what}, which doesn't know {}: take an older backup, or upgrade first",
            list(&newer)
        ));
    }
    if !older.is_empty() && kept.is_some() {
        return Err(format!(
            "the backup is of an older release than {what}: {} are missing. Take a backup from just before the upgrade; \
             nothing was changed",
            list(&older)
        ));
    }
    if !older.is_empty() {
        return Err(format!(
            "the backup is of an older release than {what}: {} are missing. Nothing was changed. Run the application's \
             `migrate` on the database {beside}, then `midwatch runbook resume` this run and retry",
            list(&older)
        ));
    }
    Ok(())
}

async fn migrated(hand: &Hand<'_, '_>, server: &Server, database: &str) -> Result<Vec<Migrated>, String> {
    let there = format!("select to_regclass({}) is not null", literal("public.django_migrations"));
    if hand.one(server, database, &there).await?.as_deref() != Some("t") {
        return Ok(Vec::new());
    }
    let rows = hand.ask(server, database, "select app, name from public.django_migrations").await?;
    Ok(by_app(rows.into_iter().filter_map(|row| {
        let mut cells = row.into_iter();
        Some((cells.next()?, cells.next()?))
    })))
}

/// What `all` has seen and `other` has not.
fn lacking(all: &[Migrated], other: &[Migrated]) -> Vec<String> {
    let pairs = |of: &[Migrated]| -> BTreeSet<String> {
        of.iter().flat_map(|part| part.names.iter().map(|name| format!("{}.{name}", part.app))).collect()
    };
    pairs(all).difference(&pairs(other)).cloned().collect()
}

/// What pretix' customers would ask about.
async fn orders(
    hand: &Hand<'_, '_>,
    server: &Server,
    (used, beside): (&str, &str),
    tables: &Tables,
) -> Result<Option<String>, String> {
    if !tables.contains_key(&("public".to_owned(), "pretixbase_order".to_owned())) {
        return Ok(None);
    }
    let sql = "select to_char(max(datetime) at time zone 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"'), count(*), \
               extract(epoch from max(datetime))::bigint from public.pretixbase_order";
    let (now, then) = (hand.ask(server, used, sql).await?, hand.ask(server, beside, sql).await?);
    let parts = |rows: &[Vec<String>]| {
        let [newest, count, at] = rows.first()?.as_slice() else { return None };
        Some((newest.clone(), count.parse::<i64>().ok()?, at.parse::<i64>().ok()?))
    };
    let (Some((_, in_use, last)), Some((newest, restored, at))) = (parts(&now), parts(&then)) else { return Ok(None) };
    let older = crate::domain::text::span(u64::try_from((last - at).max(0)).unwrap_or_default() * 1000);
    Ok(Some(format!("newest order of {newest}, {older} before the newest in use; {} orders fewer", in_use - restored)))
}
