//! Databases that midwatch has put away and holds.

use sqlx::{Connection as _, Row as _};

use super::mysql::own;
use super::session;
use crate::config::DatabaseConfig;
use crate::domain::database::Engine;
use crate::domain::time::Timestamp;
use crate::runbook::plan::mysql;
use crate::runbook::plan::postgres::HELD;

/// A database that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub name: String,
    /// Its number; 0 where the server gives none.
    pub oid: u32,
    /// Its comment, which says so.
    pub comment: String,
    /// Its size; `None`: it may not be asked.
    pub bytes: Option<u64>,
    /// Since when, by its name.
    pub since: Option<Timestamp>,
}

/// Those of this database, the newest first.
///
/// # Errors
/// A sentence, where they can't be seen.
pub async fn held(config: &DatabaseConfig) -> Result<Vec<Held>, String> {
    if config.engine == Engine::Mysql {
        return Box::pin(schemas(config)).await;
    }
    let sql = "select datname::text, oid::bigint, shobj_description(oid, 'pg_database'), \
               case when has_database_privilege(oid, 'connect') then pg_database_size(oid) end from pg_database \
               where starts_with(datname::text, $1) and starts_with(shobj_description(oid, 'pg_database'), $2) \
               order by datname desc";
    let begin = format!("{}_held_", config.name);
    let mut connection = session::connection(config).await?;
    let rows = sqlx::query(sql).bind(&begin).bind(HELD).fetch_all(&mut connection).await;
    connection.close().await.ok();
    let rows = rows.map_err(|error| session::sentence(config, &error))?;
    let one = |row: &sqlx::postgres::PgRow| -> Result<Held, sqlx::Error> {
        let (name, oid): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let bytes: Option<i64> = row.try_get(3)?;
        Ok(Held {
            since: name.strip_prefix(&begin).and_then(moment),
            oid: u32::try_from(oid).unwrap_or(0),
            comment: row.try_get(2)?,
            bytes: bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            name,
        })
    };
    rows.iter().map(|row| one(row).map_err(|error| session::sentence(config, &error))).collect()
}

/// Those of MySQL and MariaDB, which give their schemas no numbers.
async fn schemas(config: &DatabaseConfig) -> Result<Vec<Held>, String> {
    let begin = format!("{}{}", config.name, mysql::HELD);
    let one = |(name, comment, bytes): (String, String, Option<u64>)| {
        let stamp = name.strip_prefix(&begin).unwrap_or_default();
        let since = moment(stamp.strip_suffix(mysql::BACK).unwrap_or(stamp));
        Held { name, oid: 0, comment, bytes, since }
    };
    Ok(own::held(config).await?.into_iter().map(one).collect())
}

/// The moment in a name: `20261121180130`.
fn moment(stamp: &str) -> Option<Timestamp> {
    if stamp.len() != "YYYYMMDDhhmmss".len() {
        return None;
    }
    let at = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", stamp).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::moment;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_name_says_since_when() {
        assert_eq!(moment("20261121180130"), Some(Timestamp::from_millis(1_795_284_090_000)));
        assert_eq!((moment("2026112118013"), moment("x")), (None, None));
    }
}
