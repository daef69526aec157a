//! All tables of two schemas change places in one statement.
//!
//! `RENAME TABLE` waits for every transaction that has one of the tables open, and who comes later waits behind it. So it
//! waits for seconds only, and lets the others pass before it tries again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Hand, put};
use crate::backends::database::mysql::own::Link;
use crate::domain::text::plain;
use crate::runbook::plan::mysql::{Exchange, MARK, Server, literal, name};

/// How long the statement waits for others, in seconds.
const WAIT_S: u32 = 3;
/// How often it is tried.
const TRIES: u32 = 4;
/// How long others are let pass in between.
const PAUSE: Duration = Duration::from_secs(2);
/// How long whoever was at it before may take to be done, in seconds.
const BEFORE_S: u32 = 30;

/// The tables of the other schema come, those in use are held.
pub(super) async fn forth(hand: &Hand<'_, '_>, server: &Server, at: &Exchange) -> Result<String, String> {
    let mut link = alone(hand, server, at).await?;
    if link.mark(&at.held).await?.is_some() {
        return Ok(format!("{} had them already, the ones before are in {}", at.name, at.held));
    }
    let mark = link.mark(&at.other).await?;
    if !mark.is_some_and(|comment| comment.starts_with(&at.mark)) {
        return Err(format!("{} is not what it was: nothing is exchanged", at.other));
    }
    if !link.exists(&at.held).await? {
        put(&mut link, at.create()).await?;
    }
    let done = renamed(hand, &mut link, at).await;
    if done.is_err() {
        // Unless something has come into it.
        drop_empty(&mut link, &[&at.held]).await?;
    }
    if done.is_ok() {
        for sentence in broken(&mut link, &at.name).await {
            hand.note(sentence).await;
        }
    }
    link.close().await;
    done
}

/// Views, which stay where they are, that do not fit the tables that have come.
async fn broken(link: &mut Link, schema: &str) -> Vec<String> {
    let sql = format!("SELECT table_name FROM information_schema.views WHERE table_schema = {}", literal(schema));
    let mut out = Vec::new();
    for view in link.list(&sql).await.unwrap_or_default() {
        if let Err(why) = link.ask(&format!("SHOW COLUMNS FROM {}.{}", name(schema), name(&view))).await {
            out.push(format!("the view {} does not work with these tables: {}", plain(&view, 64), plain(&why, 200)));
        }
    }
    out
}

/// What was displaced comes back. What is in use by then is held: it may have been written to.
pub(super) async fn back(hand: &Hand<'_, '_>, server: &Server, at: &Exchange) -> Result<String, String> {
    let mut link = alone(hand, server, at).await?;
    let way_back = at.back();
    if link.mark(&way_back.held).await?.is_none() && link.mark(&at.held).await?.is_none() {
        // It may have been made, and nothing has come into it.
        drop_empty(&mut link, &[&at.held]).await?;
        return Ok(format!("the tables of {} are those it had", at.name));
    }
    link.close().await;
    let how = forth(hand, server, &way_back).await?;
    let mut link = hand.link(server).await?;
    // The ones that were changed with are empty now, also the one whose tables had come: only the step after would drop it.
    drop_empty(&mut link, &[&way_back.other, &at.other]).await?;
    link.close().await;
    Ok(how)
}

/// Drops those of these schemas that are there and have no table.
async fn drop_empty(link: &mut Link, schemas: &[&str]) -> Result<(), String> {
    for schema in schemas {
        if link.exists(schema).await? && link.tables(schema).await?.is_empty() {
            put(link, format!("drop database {}", name(schema))).await?;
        }
    }
    Ok(())
}

/// A session of whoever exchanges these, when nobody else is at it: a statement whose client was killed may still wait.
async fn alone(hand: &Hand<'_, '_>, server: &Server, at: &Exchange) -> Result<Link, String> {
    let mut link = hand.link(server).await?;
    let got = link.one(&format!("select get_lock({}, {BEFORE_S})", literal(&at.lock()))).await?;
    if got.as_deref() != Some("1") {
        return Err(format!("somebody is still exchanging the tables of {}", at.name));
    }
    Ok(link)
}

async fn renamed(hand: &Hand<'_, '_>, link: &mut Link, at: &Exchange) -> Result<String, String> {
    for setting in [
        format!("set session lock_wait_timeout = {WAIT_S}"),
        format!("set session innodb_lock_wait_timeout = {WAIT_S}"),
        // Half of the tables of a constraint are elsewhere in between.
        "set session foreign_key_checks = 0".to_owned(),
    ] {
        put(link, setting).await?;
    }
    let mut why = String::new();
    for tried in 1..=TRIES {
        // Anew each time: a table may have come meanwhile.
        let used = link.tables(&at.name).await?;
        let mut coming = link.tables(&at.other).await?;
        coming.retain(|table| table != MARK);
        if used.is_empty() || coming.is_empty() || used.iter().any(|table| table == MARK) {
            return Err(format!("{} and {} are not what they were: nothing is exchanged", at.name, at.other));
        }
        let begun = Instant::now();
        match put(link, at.rename(&used, &coming)).await {
            Ok(()) => {
                let (took, count) = (begun.elapsed().as_millis(), coming.len());
                return Ok(format!(
                    "{count} tables are in the place of {} after {took} ms; those are in {}",
                    used.len(),
                    at.held
                ));
            }
            Err(said) => why = said,
        }
        if *hand.at.stop.borrow() || Instant::now() + PAUSE > hand.at.deadline {
            return Err(format!("stopped: {why}"));
        }
        if tried < TRIES {
            hand.note(format!("try {tried} of {TRIES}: {why}")).await;
            sleep(PAUSE).await;
        }
    }
    let holders = holders(link).await;
    let holders =
        if holders.is_empty() { String::new() } else { format!(". Transactions are open: {}", holders.join(", ")) };
    Err(format!("{why}{holders}. Nothing was changed"))
}

/// Who has transactions open, the longest first.
async fn holders(link: &mut Link) -> Vec<String> {
    let sql = "SELECT CONCAT('session ', t.trx_mysql_thread_id, ' of ', COALESCE(p.user, '?'), ' since ', \
               TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), ' s') FROM information_schema.innodb_trx t LEFT JOIN \
               information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE t.trx_mysql_thread_id <> \
               CONNECTION_ID() AND t.trx_mysql_thread_id > 0 ORDER BY t.trx_started LIMIT 5";
    let all = link.list(sql).await.unwrap_or_default();
    all.iter().map(|one| plain(one, 80)).collect()
}
