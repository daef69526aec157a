//! Backups are taken: written beside their name, read to their end, named last.

use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::{At, aside, begin, name, room, whole};
use crate::backends::backups::remember_whole;
use crate::backends::look::files::inode;
use crate::domain::backup::kind::Kind;
use crate::domain::text::{bytes, plain};
use crate::hands::acts;
use crate::hands::child::Given;
use crate::hands::work::Tools;
use crate::runbook::plan::Command;
use crate::runbook::plan::files::partial;

/// How long a writer is waited for.
const BUSY: Duration = Duration::from_secs(30);

/// An SQLite database, as it is at one moment.
pub(super) async fn sqlite(tools: &Tools<'_>, (database, to): (&str, &str), mut at: At<'_>) -> Result<String, String> {
    taken(to)?;
    let size = |path: &str| std::fs::metadata(path).map_or(0, |meta| meta.len());
    room(to, (size(database) + size(&format!("{database}-wal"))) / 5 * 6)?;
    let unfinished = partial(to);
    drop(begin(&unfinished)?);
    let copy = async {
        let options = SqliteConnectOptions::new().filename(database).read_only(true).busy_timeout(BUSY);
        let mut db = options.disable_statement_logging().connect().await?;
        // The whole copy is one read: of a database that is written to meanwhile, it is the state of one moment.
        let copied = sqlx::query("vacuum into ?").bind(&unfinished).execute(&mut db).await;
        db.close().await?;
        copied
    };
    tokio::select! {
        copied = copy => {
            copied.map_err(|error| format!("SQLite can't copy {database}: {}", plain(&error.to_string(), 200)))?;
        }
        Ok(_) = at.stop.wait_for(|stop| *stop) => return Err("stopped by the operator".to_owned()),
        () = tokio::time::sleep_until(at.deadline) => return Err("it took too long and was ended".to_owned()),
    }
    finish(tools, (to, Some(Kind::Sqlite)), &mut at).await
}

/// What a program writes.
pub(super) async fn program(
    tools: &Tools<'_>,
    (argv, to): (&[String], &str),
    password: bool,
    mut at: At<'_>,
) -> Result<String, String> {
    taken(to)?;
    drop(begin(&partial(to))?);
    let site = tools.site.map(|site| &site.database).filter(|_| password);
    let password =
        site.map(|database| database.as_ref().map_err(Clone::clone)).transpose()?.map(|config| &config.password);
    let password = password.filter(|password| !password.expose_secret().is_empty());
    let command = Command { argv: argv.to_vec(), ..Command::default() };
    let stop = at.stop.clone();
    let heard = at.signs.clone();
    let given = Given { password, ..Given::default() };
    acts::supplied(tools, (at.run, &command, given), at.step, (at.deadline, stop), heard).await?;
    finish(tools, (to, None), &mut at).await
}

/// Reads it to its end and gives it its name. That it is whole is remembered, as if it had been verified under that name.
async fn finish(tools: &Tools<'_>, (to, kind): (&str, Option<Kind>), at: &mut At<'_>) -> Result<String, String> {
    let unfinished = partial(to);
    let (path, begun) = (unfinished.clone(), Instant::now());
    let verdict = aside(at, move |control| whole(&path, control)).await?;
    if kind.is_some() && verdict.kind != kind {
        return Err(format!("{unfinished} is no copy of the database"));
    }
    let size = std::fs::metadata(&unfinished).map_or(0, |meta| meta.len());
    let took = begun.elapsed();
    name(&unfinished, to)?;
    let told = format!("{to}: {}, read to its end", bytes(size));
    Ok(match remember_whole(&tools.memory, Path::new(to), verdict, took) {
        Ok(()) => told,
        Err(error) => format!("{told}; that can't be remembered, so it is read once more before it counts: {error}"),
    })
}

fn taken(to: &str) -> Result<(), String> {
    match inode(to) {
        Some(_) => Err(format!("{} is there already: nothing is written over it", Path::new(to).display())),
        None => Ok(()),
    }
}
