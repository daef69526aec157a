//! What the application itself keeps in its tables, asked the same of every kind of server: what the site is for, mail
//! that waits, migrations.
//!
//! Invariant: only the newest rows by primary key are read, so that a table's size does not matter.

use super::cells::{Asked, Cells, ROWS};
use crate::domain::database::{Engine, MOST_MIGRATIONS, MailQueue, MailState, Migrated, Pulse, statement};
use crate::domain::redact::redact;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Newest rows that are looked at for the pulse.
const PULSE_ROWS: u32 = 500;
/// Newest mails that are looked at.
const MAIL_ROWS: u32 = 5_000;

const PAYMENTS: &str = "pretixbase_orderpayment";
const SUBMISSIONS: &str = "submission_submission";
const MAIL: &str = "pretixbase_outgoingmail";
const MIGRATIONS: &str = "django_migrations";
const TABLES: [&str; 4] = [PAYMENTS, SUBMISSIONS, MAIL, MIGRATIONS];

/// Which of the tables there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables(Vec<String>);

impl Tables {
    /// Looks which there are. Their absence is no error: another application has other tables.
    pub(super) async fn look<S: Asked>(session: &mut S) -> Result<Self, sqlx::Error> {
        let names = TABLES.map(|name| format!("'{name}'")).join(", ");
        let sql = match S::ENGINE {
            Engine::Postgresql => {
                format!("select name from unnest(array[{names}]) as name where to_regclass(name) is not null")
            }
            Engine::Mysql => format!(
                "select table_name from information_schema.tables \
                 where table_schema = database() and table_name in ({names})"
            ),
            Engine::Sqlite => format!("select name from sqlite_master where type = 'table' and name in ({names})"),
        };
        let rows = session.rows(sql).await?;
        Ok(Self(rows.iter().map(|row| row.text(0, 60)).collect()))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

/// Milliseconds since 1970 of a column with a time in UTC.
fn millis(engine: Engine, column: &str) -> String {
    match engine {
        Engine::Postgresql => format!("(extract(epoch from {column}) * 1000)::int8"),
        Engine::Mysql => format!("timestampdiff(microsecond, '1970-01-01', {column}) div 1000"),
        Engine::Sqlite => format!("cast(strftime('%s', {column}) as integer) * 1000"),
    }
}

/// The pulse (pretix: newest confirmed payment; pretalx: newest submission that is no draft), `None` for others.
pub(super) async fn pulse<S: Asked>(
    session: &mut S,
    tables: &Tables,
    now: Timestamp,
) -> Result<Option<Pulse>, sqlx::Error> {
    let (what, table, column, filter) = if tables.has(PAYMENTS) {
        ("paid order", PAYMENTS, "payment_date", "state = 'confirmed'")
    } else if tables.has(SUBMISSIONS) {
        ("submission", SUBMISSIONS, "created", "state <> 'draft'")
    } else {
        return Ok(None);
    };
    let time = millis(S::ENGINE, column);
    let sql = format!(
        "select {time} from (select {column}, state from {table} order by id desc limit {PULSE_ROWS}) newest \
         where {filter} and {column} is not null"
    );
    let rows = session.rows(sql).await?;
    let times: Vec<Timestamp> = rows.iter().filter_map(|row| row.time(0)).collect();
    Ok(Some(beat(what, &times, now)))
}

#[expect(clippy::cast_precision_loss, reason = "at most a day of milliseconds")]
fn beat(what: &str, times: &[Timestamp], now: Timestamp) -> Pulse {
    let since = |hours: i64| {
        let from = now.plus_secs(-hours * 3600);
        u32::try_from(times.iter().filter(|at| **at > from).count()).unwrap_or(u32::MAX)
    };
    let newest = times.iter().max().copied();
    let day = since(24);
    // Where the rows that were read reach back for less than a day, that is what the pace is taken over.
    let reach = times.iter().min().map_or(0, |oldest| now.millis_since(*oldest)).min(86_400_000);
    let whole = times.len() < usize::try_from(PULSE_ROWS / 2).unwrap_or(usize::MAX);
    let span = if whole { 86_400_000 } else { reach };
    let usual = (day > 0 && span > 0).then(|| f64::from(day) / (span as f64 / 60_000.0));
    Pulse { what: what.to_owned(), newest, last_hour: since(1), usual_per_minute: usual, at: now }
}

/// Mail that waits in the database (FIELD INC-11; pretix from 2026 on), `None` where there is no such table.
pub(super) async fn mail<S: Asked>(
    session: &mut S,
    tables: &Tables,
    now: Timestamp,
) -> Result<Option<MailQueue>, sqlx::Error> {
    if !tables.has(MAIL) {
        return Ok(None);
    }
    let time = millis(S::ENGINE, "coalesce(inflight_since, created)");
    let newest =
        format!("(select status, created, inflight_since, error, id from {MAIL} order by id desc limit {MAIL_ROWS})");
    let waiting = "status in ('queued', 'inflight', 'awaiting_retry', 'failed')";
    let sql =
        format!("select status, count(*), min({time}) from {newest} newest where {waiting} group by status limit 10");
    let state =
        |row: &Cells| MailState { state: row.text(0, 30), count: row.number(1).unwrap_or(0), oldest: row.time(2) };
    let states: Vec<MailState> = session.rows(sql).await?.iter().map(state).collect();
    let mut queue = MailQueue { states, error: None, at: now };
    if !queue.states.is_empty() {
        let sql = format!(
            "select error from {newest} newest where {waiting} and error is not null and error <> '' \
             order by id desc limit 1"
        );
        queue.error = session.row(sql).await?.maybe(0).map(|error| plain(&redact(error), 160));
    }
    Ok(Some(queue))
}

/// The migrations applied, `None` where there is no such table or it is too large to be one.
pub(super) async fn migrations<S: Asked>(
    session: &mut S,
    tables: &Tables,
) -> Result<Option<Vec<Migrated>>, sqlx::Error> {
    if !tables.has(MIGRATIONS) {
        return Ok(None);
    }
    let time = millis(S::ENGINE, "applied");
    let sql = format!("select app, name, {time} from {MIGRATIONS} order by app, name desc limit {ROWS}");
    let rows = session.rows(sql).await?;
    // What was left out would look as if it had never been applied.
    if rows.len() >= ROWS {
        return Ok(None);
    }
    let mut parts: Vec<Migrated> = Vec::new();
    for row in rows {
        let app = row.text(0, 60);
        if parts.last().is_none_or(|part| part.app != app) {
            parts.push(Migrated { app, ..Migrated::default() });
        }
        let Some(part) = parts.last_mut() else { continue };
        if part.names.len() < MOST_MIGRATIONS {
            part.names.push(row.text(1, 120));
        }
        part.at = part.at.max(row.time(2));
        part.count += 1;
    }
    Ok(Some(parts))
}

/// A statement of somebody else and the page it serves, fit to be shown.
pub(super) fn told(engine: Engine, sql: Option<&str>) -> (String, String) {
    let sql = sql.unwrap_or_default();
    (statement::shown(engine, sql), statement::page(sql))
}

#[cfg(test)]
mod tests {
    use super::beat;
    use crate::domain::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    #[test]
    fn the_pace_is_over_a_day_or_over_what_was_read() {
        let times: Vec<_> = (0..24).map(|hour| NOW.plus_secs(-1800 - hour * 3600)).collect();
        let pulse = beat("paid order", &times, NOW);
        assert_eq!((pulse.newest, pulse.last_hour), (Some(NOW.plus_secs(-1800)), 1));
        assert!((pulse.usual_per_minute.unwrap() - 1.0 / 60.0).abs() < 1e-9);
        let rush: Vec<_> = (0..500).map(|second| NOW.plus_secs(-second)).collect();
        let pulse = beat("paid order", &rush, NOW);
        assert!((pulse.usual_per_minute.unwrap() - 60.0).abs() < 0.5, "{pulse:?}");
        let none = beat("paid order", &[], NOW);
        assert_eq!((none.newest, none.last_hour, none.usual_per_minute), (None, 0, None));
    }
}
