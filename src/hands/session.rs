//! The end of what a session of the database does.

use sqlx::{Connection, Row};

use crate::backends::database::session;
use crate::config::DatabaseConfig;
use crate::runbook::approval::Permit;

/// Cancels what the session does, or ends it: only if it is still the one that was seen.
///
/// # Errors
/// A sentence, where it can't be done.
pub(super) async fn end(
    config: &DatabaseConfig,
    (pid, was): (i64, &str),
    terminate: bool,
    _permit: &Permit,
) -> Result<String, String> {
    match session::identity(config, pid).await? {
        None => return Ok(format!("session {pid} had ended by itself")),
        Some(now) if now != was => return Ok(format!("session {pid} had already done with it: {now}")),
        Some(_) => {}
    }
    let part = |head: &str| was.split(" · ").find_map(|part| part.strip_prefix(head)).unwrap_or_default();
    let (connected, transaction) = (part("connected "), part("transaction of "));
    let function = if terminate { "pg_terminate_backend" } else { "pg_cancel_backend" };
    // The number and the beginning in one statement: between two a number could be given anew.
    // So is the transaction: a session that has done with the one that blocked loses no other.
    let sql = format!(
        "select {function}(pid) from pg_stat_activity where pid = $1 and backend_start::text = $2 \
         and coalesce(xact_start::text, '') = $3"
    );
    let mut connection = session::connection(config).await?;
    let query =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(i32::try_from(pid).unwrap_or(-1)).bind(connected).bind(transaction);
    let row = query.fetch_optional(&mut connection).await;
    connection.close().await.ok();
    match row.map_err(|error| session::sentence(config, &error))? {
        Some(row) if row.try_get::<bool, _>(0).unwrap_or(false) => {
            Ok(format!("{function}({pid}) was answered with true"))
        }
        Some(_) => Err(format!("{function}({pid}) was answered with false: the server could not signal it")),
        None => Ok(format!("session {pid} had ended by itself")),
    }
}
