//! The same lock on MySQL and MariaDB: one by name (`GET_LOCK`), the server's, whoever has it.
//!
//! It is taken as the site's own user, so that every midwatch of the site sees the session that has it.

use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use super::{LIMIT, No, PAUSE, ROUNDS};
use crate::backends::database::mysql::own::{Link, of_site, reader};
use crate::backends::database::mysql::reach::reach;
use crate::config::DatabaseConfig;
use crate::domain::text::plain;
use crate::runbook::plan::mysql::{RESTORE, literal};

/// How long the session may be silent before the server ends it, in seconds: as a step may take.
const SILENT_S: u32 = 86_400;

/// A session that holds the lock.
pub(super) async fn locked(config: &DatabaseConfig) -> Result<Link, No> {
    let mut link = of_site(config).await.map_err(No::Trouble)?;
    // Who may see most is asked who else works there.
    let mut eyes = match reach(config).await {
        Ok(server) => reader(&server, Some(&config.password)).await.ok(),
        Err(_) => None,
    };
    let lock = literal(&name(&config.name));
    asked(&mut link, &format!("SET SESSION wait_timeout = {SILENT_S}")).await?;
    let mut last = String::new();
    for round in 0..ROUNDS {
        if round > 0 {
            sleep(PAUSE).await;
        }
        let got = asked(&mut link, &format!("SELECT CAST(GET_LOCK({lock}, 0) AS CHAR)")).await?;
        if got.is_some_and(|got| got == "1") {
            let begin = format!("{}{RESTORE}", config.name);
            let of = format!("LEFT(db, {}) = {}", begin.chars().count(), literal(&begin));
            let eyes = eyes.as_mut().unwrap_or(&mut link);
            let Some(other) = who(eyes, &of).await? else { return Ok(link) };
            asked(&mut link, &format!("SELECT CAST(RELEASE_LOCK({lock}) AS CHAR)")).await?;
            last = format!("{other} still works there");
        } else {
            let by = asked(&mut link, &format!("SELECT CAST(IS_USED_LOCK({lock}) AS CHAR)")).await?;
            let by = by.and_then(|by| by.parse::<u64>().ok());
            let holder = match by {
                Some(by) => who(eyes.as_mut().unwrap_or(&mut link), &format!("id = {by}")).await?,
                None => None,
            };
            last = holder.unwrap_or_else(|| "by whom can't be seen by this user".to_owned());
        }
    }
    link.close().await;
    Err(No::Held(last))
}

/// One session of which this is so, as it is told; its own is none.
async fn who(link: &mut Link, so: &str) -> Result<Option<String>, No> {
    let sql = format!(
        "SELECT CONCAT('session ', id, ' (user ', user, ') from ', host, ', last heard of ', time, ' s ago') FROM \
         information_schema.processlist WHERE {so} AND id <> CONNECTION_ID() LIMIT 1"
    );
    Ok(asked(link, &sql).await?.map(|told| plain(&told, 160)))
}

async fn asked(link: &mut Link, sql: &str) -> Result<Option<String>, No> {
    match timeout(LIMIT, link.one(sql)).await {
        Ok(answer) => answer.map_err(No::Trouble),
        Err(_) => Err(No::Trouble(format!("the server has not answered within {} s", LIMIT.as_secs()))),
    }
}

/// What a database's lock is called, in any case that its name is written in: at most 64 characters.
fn name(database: &str) -> String {
    let digest = Sha256::digest(database.to_lowercase().as_bytes());
    let short = digest.iter().take(8).fold(0_u64, |short, byte| short << 8 | u64::from(*byte));
    format!("midwatch database {short:016x}")
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_database_has_one_name_for_ever() {
        assert_eq!(name("Pretix"), name("pretix"));
        assert_eq!(name(""), "midwatch database e3b0c44298fc1c14");
    }
}
