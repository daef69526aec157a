//! The lock in the database server: it keeps midwatches on different hosts apart that act on one database.
//!
//! It belongs to a session of the runner's, in the server's maintenance database, so that the site's own can change names
//! meanwhile; it ends with the session, and so with the runner. What the runner has started may still work then, which
//! [`take`] sees by the name that is given to its sessions.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::backends::database::session;
use crate::config::{DatabaseConfig, SiteConfig};
use crate::domain::database::Engine;
use crate::domain::text::plain;
use crate::runbook::plan::{Act, Plan};

/// What midwatch's locks begin with: `midw`.
const CLASS: i32 = 0x6d69_6477;
/// What the names of a runner's sessions begin with.
const NAME: &str = "midwatch run ";
/// How often it is tried, and the pause between: the session of a runner that was killed may take a moment to end.
const ROUNDS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
/// How long an answer of the session may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What the sessions of a run are called on the server.
pub(super) fn name(run: &str) -> String {
    // The server cuts what is longer.
    plain(&format!("{NAME}{run}"), 60)
}

/// The lock, as long as its session lives.
pub(super) struct DatabaseLock {
    session: Mutex<PgConnection>,
    config: DatabaseConfig,
    run: String,
}

/// What came of wanting it.
pub(super) enum Taken {
    /// It is had.
    Held(Box<DatabaseLock>),
    /// There is none to be had, and none is needed; why, where that is worth telling.
    Without(Option<String>),
}

/// Takes the lock of the plan's database for a run, where it has a PostgreSQL server.
///
/// # Errors
/// Who has it, or why it can't be had by a plan that acts on the server.
pub(super) async fn take(site: Option<&SiteConfig>, plan: &Plan, run: &str) -> Result<Taken, String> {
    let database = site.filter(|_| plan.site.is_some()).and_then(|site| site.database.as_ref().ok());
    let Some(config) = database.filter(|config| config.engine == Engine::Postgresql && changes(plan)) else {
        return Ok(Taken::Without(None));
    };
    match locked(config, run).await {
        Ok(session) => {
            let lock = DatabaseLock { session: Mutex::new(session), config: config.clone(), run: run.to_owned() };
            Ok(Taken::Held(Box::new(lock)))
        }
        Err(No::Held(who)) => Err(format!("another midwatch acts on the database {}:\n  {who}", config.name)),
        Err(No::Trouble(why)) if acts_there(plan) => {
            Err(format!("nothing keeps midwatches on other hosts from the database {}: {why}", config.name))
        }
        Err(No::Trouble(why)) => Ok(Taken::Without(Some(format!(
            "midwatches on other hosts are not kept from the database {}: {why}",
            config.name
        )))),
    }
}

/// Whether a plan does anything to the site but look; a drill has a server of its own.
fn changes(plan: &Plan) -> bool {
    let looks = |act: &Act| {
        matches!(act, Act::Probe(_) | Act::Wait(_) | Act::Ask(_) | Act::Note(_) | Act::Unseen(_) | Act::Drill(_))
    };
    plan.steps.iter().any(|step| !looks(&step.act))
}

/// Whether a plan acts on the server as such.
fn acts_there(plan: &Plan) -> bool {
    fn is_there(act: &Act) -> bool {
        if let Act::Together(turns) = act {
            return turns.iter().any(|turn| is_there(&turn.act));
        }
        matches!(act, Act::Postgres(_))
    }
    plan.steps.iter().any(|step| is_there(&step.act))
}

enum No {
    Held(String),
    Trouble(String),
}

/// A session that holds the lock.
async fn locked(config: &DatabaseConfig, run: &str) -> Result<PgConnection, No> {
    let name = name(run);
    let mut session = session::beside(config, &name).await.map_err(No::Trouble)?;
    let key = key(&config.name);
    let mut last = String::new();
    for round in 0..ROUNDS {
        if round > 0 {
            sleep(PAUSE).await;
        }
        // The session may be silent for hours, and a host that is gone must not hold it for long.
        let settings = "select set_config(name, value, false) from (values ('idle_session_timeout', '0'), \
                        ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')) \
                        v(name, value) where current_setting(name, true) is not null";
        asked(config, sqlx::query(settings).fetch_all(&mut session)).await?;
        let take = format!("select pg_try_advisory_lock({CLASS}, {key})");
        let row = asked(config, sqlx::query(AssertSqlSafe(take)).fetch_one(&mut session)).await?;
        if row.try_get::<bool, _>(0).map_err(|error| No::Trouble(session::sentence(config, &error)))? {
            let others = others(config, &mut session, &name, None).await?;
            let Some(other) = others else { return Ok(session) };
            asked(config, sqlx::query("select pg_advisory_unlock_all()").fetch_all(&mut session)).await?;
            last = format!("{other} still works there");
        } else {
            let holder = others(config, &mut session, &name, Some(key)).await?;
            last = holder.unwrap_or_else(|| "by whom can't be seen by this role".to_owned());
        }
    }
    session.close().await.ok();
    Err(No::Held(last))
}

/// The session that holds the lock; or, without a key, one that another run has on this database and its copies.
async fn others(
    config: &DatabaseConfig,
    session: &mut PgConnection,
    own: &str,
    key: Option<i32>,
) -> Result<Option<String>, No> {
    let of = match key {
        Some(key) => format!(
            "join pg_locks l on l.pid = a.pid and l.locktype = 'advisory' and l.granted and l.classid::int8 = {CLASS} \
             and l.objid::int8 = {} and l.database = (select oid from pg_database where datname = current_database())",
            i64::from(key).rem_euclid(1 << 32)
        ),
        None => "where starts_with(a.application_name, $1) and a.application_name <> $2 and (a.datname = $3 or \
                 starts_with(a.datname::text, $3 || '_mw_') or starts_with(a.datname::text, $3 || '_held_'))"
            .to_owned(),
    };
    let sql = format!(
        "select a.pid::int8, coalesce(host(a.client_addr), case when a.backend_start is null then 'where can''t be seen' \
         else 'a socket on the server' end), a.application_name, \
         coalesce(to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC'), 'when can''t be seen'), \
         coalesce(a.usename::text, '') from pg_stat_activity a {of} limit 1"
    );
    let query = sqlx::query(AssertSqlSafe(sql));
    let query = if key.is_none() { query.bind(NAME).bind(own).bind(&config.name) } else { query };
    let row = asked(config, query.fetch_optional(session)).await?;
    Ok(row.map(|row| told(&row)))
}

fn told(row: &PgRow) -> String {
    let text = |at: usize| plain(&row.try_get::<String, _>(at).unwrap_or_default(), 80);
    let pid: i64 = row.try_get(0).unwrap_or_default();
    format!("session {pid} (`{}`, role {}) from {}, since {}", text(2), text(4), text(1), text(3))
}

async fn asked<T>(config: &DatabaseConfig, question: impl Future<Output = sqlx::Result<T>>) -> Result<T, No> {
    match timeout(LIMIT, question).await {
        Ok(answer) => answer.map_err(|error| No::Trouble(session::sentence(config, &error))),
        Err(_) => Err(No::Trouble(format!("PostgreSQL has not answered within {} s", LIMIT.as_secs()))),
    }
}

/// The number of a database's lock.
fn key(database: &str) -> i32 {
    Sha256::digest(database.as_bytes()).iter().take(4).fold(0_i32, |key, byte| key << 8 | i32::from(*byte))
}

impl DatabaseLock {
    /// Whether it is still held; a session that has ended is made anew, if nobody has taken the lock meanwhile.
    ///
    /// # Errors
    /// A sentence: it is lost.
    pub(super) async fn kept(&self) -> Result<(), String> {
        let mut session = self.session.lock().await;
        if timeout(LIMIT, session.ping()).await.is_ok_and(|answer| answer.is_ok()) {
            return Ok(());
        }
        match locked(&self.config, &self.run).await {
            Ok(anew) => {
                *session = anew;
                Ok(())
            }
            Err(No::Held(who) | No::Trouble(who)) => {
                Err(format!("nothing was done: the lock on the database {} is lost: {who}", self.config.name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn a_database_has_one_number_for_ever() {
        assert_eq!(key("pretix"), key("pretix"));
        assert_eq!(key(""), i32::from_be_bytes([0xe3, 0xb0, 0xc4, 0x42]));
    }
}
