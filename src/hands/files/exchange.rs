//! Two files or directories change places. Found half done, it is finished; done, it stays so.

use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::settle;
use crate::backends::look::files::{SIDECARS, inode, openers};
use crate::domain::text::plain;
use crate::runbook::approval::Permit;
use crate::runbook::plan::files::Exchange;

/// How long those who have a database open may take to let go of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Puts what was made ready in the place of what is in use, which is held then.
pub(super) async fn exchange(_permit: &Permit, x: &Exchange) -> Result<String, String> {
    forth(x).await
}

/// Puts what was in use before in its place again, wherever the exchange has got to.
pub(super) async fn put_back(_permit: &Permit, x: &Exchange) -> Result<String, String> {
    back(x).await
}

async fn forth(x: &Exchange) -> Result<String, String> {
    let at = |path: &str| inode(path).as_deref() == Some(&x.was);
    let there = |path: &str| inode(path).is_some();
    if at(&x.held) && there(&x.live) {
        return Ok(format!("{} had been exchanged", x.live));
    }
    if at(&x.live) && there(&x.ready) && !there(&x.held) {
        if x.database {
            alone(&x.live).await?;
            beside(&x.ready)?;
            lay_aside(&x.live, &x.held).await?;
            // SQLite has opened it once more; nobody else may have.
            alone(&x.live).await?;
        }
        swap(&x.live, &x.ready)?;
    }
    if at(&x.ready) && there(&x.live) {
        rename(&x.ready, &x.held)?;
        settle(&x.live)?;
        return Ok(format!("{} is exchanged; what was in use is held as {}", x.live, x.held));
    }
    Err(format!("{} is not what was seen, or {} is not there: nothing is exchanged", x.live, x.ready))
}

async fn back(x: &Exchange) -> Result<String, String> {
    let at = |path: &str| inode(path).as_deref() == Some(&x.was);
    let mut told = format!("{} is what it was", x.live);
    if at(&x.ready) {
        // Between the two steps of the exchange: nobody has used the new one.
        swap(&x.live, &x.ready)?;
    } else if at(&x.held) {
        if x.database {
            alone(&x.live).await?;
            // What belongs to the one that comes back waits under a name that is nobody's.
            carry(&x.held, &x.ready)?;
            lay_aside(&x.live, &format!("{}.undone", x.held)).await?;
        }
        swap(&x.live, &x.held)?;
        told = format!("{told}; what had been put in its place is held as {}", x.held);
    } else if !at(&x.live) {
        return Err(format!("what {} was is neither there nor held as {}: nothing is put back", x.live, x.held));
    }
    if x.database {
        for base in [&x.ready, &x.held] {
            if inode(base).is_none() {
                carry(base, &x.live)?;
            }
        }
    }
    settle(&x.live)?;
    Ok(told)
}

fn swap(one: &str, other: &str) -> Result<(), String> {
    let swapped = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
    swapped.map_err(|error| format!("{one} and {other} can't be exchanged: {}", std::io::Error::from(error)))?;
    settle(one)
}

fn rename(from: &str, to: &str) -> Result<(), String> {
    let renamed = renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE);
    renamed.map_err(|error| format!("{from} can't become {to}: {}", std::io::Error::from(error)))
}

/// Gives what SQLite keeps beside one database to another name.
fn carry(from: &str, to: &str) -> Result<(), String> {
    for sidecar in SIDECARS {
        let (from, to) = (format!("{from}{sidecar}"), format!("{to}{sidecar}"));
        if inode(&from).is_some() {
            rename(&from, &to)?;
        }
    }
    settle(to)
}

/// What was made ready has nothing beside it that would be taken for its own.
fn beside(path: &str) -> Result<(), String> {
    match SIDECARS.iter().map(|sidecar| format!("{path}{sidecar}")).find(|path| inode(path).is_some()) {
        Some(sidecar) => Err(format!("{sidecar} lies beside what was made ready: nothing is exchanged")),
        None => Ok(()),
    }
}

/// Takes what is in a database's `-wal` into the database, and takes back what a writer that was ended has left half done
/// (its `-journal`); what is left beside it goes along with it. Never lies the
/// `-wal` of one database beside another: SQLite would take it for its own and destroy it.
async fn lay_aside(database: &str, to: &str) -> Result<(), String> {
    // Laid aside before, when this was cut off: opened without it, the database would not be whole.
    if SIDECARS.iter().any(|sidecar| inode(&format!("{to}{sidecar}")).is_some()) {
        return carry(database, to);
    }
    if let Err(why) = settle_in(database).await {
        // A damaged one is set aside as it is, with all that lies beside it.
        tracing::warn!("{why}");
    }
    carry(database, to)
}

/// Has SQLite put everything into the database's own file that belongs there, where nobody has it open: nothing is left
/// beside it.
pub(in crate::hands) async fn settled(database: &str) -> Result<(), String> {
    alone(database).await?;
    if beside(database).is_ok() {
        return Ok(());
    }
    settle_in(database).await?;
    beside(database)
}

/// Opens a database for no more than that.
async fn settle_in(database: &str) -> Result<(), String> {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(5));
    let settled = async {
        let mut db = options.disable_statement_logging().connect().await?;
        let settled = settle_open(&mut db).await;
        db.close().await?;
        settled
    };
    settled.await.map_err(|error| format!("{database} can't be settled: {}", plain(&error.to_string(), 200)))
}

/// Has SQLite put everything into the database's own file that belongs there.
async fn settle_open(db: &mut SqliteConnection) -> sqlx::Result<()> {
    // Only who reads takes a `-journal` back.
    sqlx::query("select count(*) from sqlite_master").fetch_one(&mut *db).await?;
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&mut *db).await?;
    if mode == "wal" {
        return sqlx::query("pragma wal_checkpoint(truncate)").fetch_all(db).await.map(drop);
    }
    // One that says nothing, of a writer that was ended before it wrote, stays: this has SQLite remove it.
    for sql in ["pragma journal_mode = persist", "pragma journal_mode = delete"] {
        sqlx::query(sql).fetch_all(&mut *db).await?;
    }
    Ok(())
}

/// Waits until nobody has the database open.
async fn alone(database: &str) -> Result<(), String> {
    let files: Vec<String> =
        std::iter::once(String::new()).chain(SIDECARS.map(str::to_owned)).map(|s| format!("{database}{s}")).collect();
    let until = Instant::now() + PATIENCE;
    loop {
        let open = openers(&files);
        if open.is_empty() {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(format!("{database} is still open in {}: end that, then retry", open.join(", ")));
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests;
