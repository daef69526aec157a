//! What was restored, held against what is in use.

use std::collections::BTreeMap;

use crate::backends::database::mysql::own::Link;
use crate::domain::app_state::by_app;
use crate::domain::database::Migrated;
use crate::domain::text::{plain, span};
use crate::hands::postgres::compare::{LARGEST, MOST_ROWS, fit};
use crate::hands::work::Tools;
use crate::runbook::plan::mysql::{MARK, literal, name};

/// A table's rows as they are estimated, and its engine.
type Tables = BTreeMap<String, (i64, String)>;

/// Compares them; sentences for the journal.
///
/// # Errors
/// A sentence, where the restored one must not be used.
pub(super) async fn compare(
    tools: &Tools<'_>,
    link: &mut Link,
    used: &str,
    beside: &str,
) -> Result<Vec<String>, String> {
    let (now, then) = (tables(link, used).await?, tables(link, beside).await?);
    if let Some((table, (_, engine))) = then.iter().find(|(_, (_, engine))| engine != "InnoDB") {
        let (table, engine) = (plain(table, 64), plain(engine, 30));
        return Err(format!(
            "the table {table} of the backup is {engine}: only InnoDB's are renamed whole or not at all"
        ));
    }
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
    let (seen, has) = (migrated(link, used, &now).await?, migrated(link, beside, &then).await?);
    let code = tools.looker.code().await?;
    fit(None, code.as_deref(), (&seen, &has), beside)?;
    let mut said = vec![format!("{} tables are restored, {} are in use", then.len(), now.len())];
    let estimated = |of: &Tables, table: &str| of.get(table).map_or(0, |(rows, _)| *rows);
    let mut largest: Vec<_> = now.keys().filter(|table| then.contains_key(*table)).collect();
    largest.sort_by_key(|table| std::cmp::Reverse(estimated(&now, table).max(estimated(&then, table))));
    largest.truncate(LARGEST);
    for table in largest {
        let mut counted = [0, 0];
        for (rows, (schema, of)) in counted.iter_mut().zip([(used, &now), (beside, &then)]) {
            let known = estimated(of, table);
            *rows = if known > MOST_ROWS { known } else { link.count(schema, table).await? };
        }
        let [there, here] = counted;
        if there != here {
            let (more, word) = if here < there { (there - here, "fewer") } else { (here - there, "more") };
            said.push(format!("{}: {here} rows, {more} {word} than in use", plain(table, 60)));
        }
    }
    if said.len() == 1 {
        said.push("the largest tables have as many rows as those in use".to_owned());
    }
    if now.contains_key(ORDERS) && then.contains_key(ORDERS) {
        said.extend(orders(link, used, beside).await?);
    }
    Ok(said)
}

async fn tables(link: &mut Link, schema: &str) -> Result<Tables, String> {
    let sql = format!(
        "SELECT table_name, CAST(COALESCE(table_rows, 0) AS CHAR), COALESCE(engine, '') FROM information_schema.tables \
         WHERE table_schema = {} AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_name <> {}",
        literal(schema),
        literal(MARK)
    );
    let table = |row: Vec<Option<String>>| {
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        Some((cells.next()?, (cells.next()?.parse().unwrap_or(0), cells.next()?)))
    };
    Ok(link.ask(&sql).await?.into_iter().filter_map(table).collect())
}

async fn migrated(link: &mut Link, schema: &str, tables: &Tables) -> Result<Vec<Migrated>, String> {
    if !tables.contains_key("django_migrations") {
        return Ok(Vec::new());
    }
    let rows = link.ask(&format!("SELECT app, name FROM {}.django_migrations", name(schema))).await?;
    Ok(by_app(rows.into_iter().filter_map(|row| {
        let mut cells = row.into_iter().flatten();
        Some((cells.next()?, cells.next()?))
    })))
}

const ORDERS: &str = "pretixbase_order";

/// What pretix' customers would ask about.
async fn orders(link: &mut Link, used: &str, beside: &str) -> Result<Option<String>, String> {
    let mut found = Vec::new();
    for schema in [used, beside] {
        let sql = format!(
            "SELECT DATE_FORMAT(MAX(datetime), '%Y-%m-%d %H:%i'), CAST(COUNT(*) AS CHAR), \
             CAST(TIMESTAMPDIFF(SECOND, '1970-01-01', MAX(datetime)) AS CHAR) FROM {}.{ORDERS}",
            name(schema)
        );
        let row = link.ask(&sql).await?.into_iter().next().unwrap_or_default();
        let mut cells = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || cells.next().unwrap_or_default();
        found.push((next(), next().parse::<i64>().ok(), next().parse::<i64>().ok()));
    }
    let [(_, Some(in_use), Some(last)), (newest, Some(restored), Some(at))] = found.as_slice() else { return Ok(None) };
    let older = span(u64::try_from((last - at).max(0)).unwrap_or_default() * 1000);
    Ok(Some(format!("newest order of {newest}, {older} before the newest in use; {} orders fewer", in_use - restored)))
}
