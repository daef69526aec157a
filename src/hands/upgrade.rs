//! What an upgrade does by code of its own: programs in order as one step, a process that is renewed.

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::acts::{self, Sign};
use super::files::settled;
use super::work::Tools;
use super::work::wait::DOWN;
use super::{releases, retag};
use crate::backends::backups::likeness::content;
use crate::backends::look::process;
use crate::domain::app_state::pending;
use crate::domain::database::Engine;
use crate::runbook::plan::{Command, Probe, UpgradeAct, UpgradeProbe};

/// How long a process may take to end after TERM: gunicorn's own grace.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether what was started is up.
const LOOK: Duration = Duration::from_millis(500);

/// Does it.
pub(super) async fn act(
    tools: &Tools<'_>,
    (run, act): (&str, &UpgradeAct),
    at: (usize, u32),
    (deadline, stop): (Instant, watch::Receiver<bool>),
    signs: mpsc::Sender<Sign>,
) -> Result<String, String> {
    match act {
        UpgradeAct::InOrder(commands) => {
            for (index, command) in commands.iter().enumerate() {
                let done = acts::command(tools, (run, command), at, (deadline, stop.clone()), signs.clone()).await;
                done.map_err(|why| format!("`{}`: {why}", shown(command, index)))?;
            }
            Ok(format!("{} programs ended well", commands.len()))
        }
        UpgradeAct::MigrateOther { database, list, migrate, missing } => {
            in_sync(tools).await?;
            let said = acts::output(tools, (run, list)).await?;
            let missing = match lacks(tools, database).await? {
                Some(lacks) if lacks.is_empty() => return Ok(format!("nothing is missing in {database}")),
                Some(lacks) => lacks,
                None => missing.clone(),
            };
            let left = unapplied(&said, &missing)?;
            if left.is_empty() && is_file(tools) {
                return Err(format!(
                    "nothing was done: {database} lacks {}, and the application says that nothing is missing: it sees \
                     another database",
                    missing.join(", ")
                ));
            }
            if left.is_empty() {
                return Ok(format!("the application says that nothing is missing in {database}"));
            }
            acts::command(tools, (run, migrate), at, (deadline, stop), signs).await?;
            let mut still = unapplied(&acts::output(tools, (run, list)).await?, &missing)?;
            still.extend(lacks(tools, database).await?.unwrap_or_default());
            match still.first() {
                None => Ok(format!("{} migrations are applied to {database}", left.len())),
                Some(first) => Err(format!("{first} is not applied to {database}, though `migrate` ended well")),
            }
        }
        UpgradeAct::Again(command) => {
            let first = acts::command(tools, (run, command), at, (deadline, stop.clone()), signs.clone()).await;
            let Err(why) = first else { return first };
            if *stop.borrow() || Instant::now() >= deadline {
                return Err(why);
            }
            signs.send(Sign::Note(format!("step {}: {why}; it is run once more", at.0 + 1))).await.ok();
            acts::command(tools, (run, command), at, (deadline, stop), signs).await
        }
        UpgradeAct::Retag(retag) => retag::exchange(&tools.permit, retag),
        UpgradeAct::Releases(act) => releases::act(tools, (run, act), at, (deadline, stop), signs).await,
        UpgradeAct::Renew { service, start } => {
            let now = tools.looker.service(service).await?;
            if let Some(pid) = now.pid {
                let ended = acts::end(&tools.permit, (pid, &process(pid)), PATIENCE, true).await?;
                signs.send(Sign::Note(format!("{service}: {ended}"))).await.ok();
            }
            if let Some(start) = start {
                acts::command(tools, (run, start), at, (deadline, stop.clone()), signs).await?;
            }
            comes_up(tools, (service, start.is_some()), (deadline, stop)).await
        }
    }
}

/// Waits until a service runs. One that was `started` and stays down does not come up by itself; one whose keeper is waited
/// for may.
async fn comes_up(
    tools: &Tools<'_>,
    (service, started): (&str, bool),
    (deadline, stop): (Instant, watch::Receiver<bool>),
) -> Result<String, String> {
    let (runs, mut down) = (Probe::Runs(service.to_owned()), None);
    loop {
        let why = match tools.looker.holds(&runs).await {
            Ok(how) => return Ok(how),
            Err(why) => why,
        };
        let since = (started && tools.looker.down(&runs).await).then(|| *down.get_or_insert_with(Instant::now));
        down = since;
        if since.is_some_and(|since| since.elapsed() >= DOWN) {
            return Err(format!(
                "it was started, and has not run for {} s: {why}; its own log says why it ended",
                DOWN.as_secs()
            ));
        }
        if *stop.borrow() {
            return Err(format!("stopped while it was waited for: {why}"));
        }
        if Instant::now() >= deadline {
            return Err(format!("not within its time: {why}"));
        }
        sleep(LOOK).await;
    }
}

/// The database in use must lack nothing: so what lacks something is the other one, and the application was really told
/// of it.
async fn in_sync(tools: &Tools<'_>) -> Result<(), String> {
    let code = tools.looker.code().await?.ok_or_else(|| "the application on disk is not seen any more".to_owned())?;
    match tools.looker.pending(&code).await?.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "nothing was done: the database in use lacks {first} itself by now, so it can't be told which of the two the \
             application would migrate"
        )),
    }
}

/// Whether the other database is a file, which can be looked into.
fn is_file(tools: &Tools<'_>) -> bool {
    let database = tools.site.and_then(|site| site.database.as_ref().ok());
    database.is_some_and(|database| database.engine == Engine::Sqlite)
}

/// What the other database lacks, where it is a file, seen in that itself; the application is done with it, and nothing is
/// left beside it. `None`: it is none.
async fn lacks(tools: &Tools<'_>, database: &str) -> Result<Option<Vec<String>>, String> {
    if !is_file(tools) {
        return Ok(None);
    }
    settled(database).await?;
    let code = tools.looker.code().await?.ok_or_else(|| "the application on disk is not seen any more".to_owned())?;
    let content = content(Path::new(database), true).await?;
    Ok(Some(pending(&code, &content.migrations)))
}

/// What the application says is not applied, of what is missing; an error where it does not list that at all.
fn unapplied(said: &str, missing: &[String]) -> Result<Vec<String>, String> {
    let line = |line: &str| {
        let (mark, name) = line.trim().split_once(']')?;
        Some((mark.strip_prefix('[')?.trim().is_empty(), name.split_whitespace().next()?.to_owned()))
    };
    let all: Vec<(bool, String)> = said.lines().filter_map(line).collect();
    if !all.iter().any(|(_, name)| missing.contains(name)) {
        return Err("the application does not list the migrations that come with it".to_owned());
    }
    Ok(all.into_iter().filter(|(open, _)| *open).map(|(_, name)| name).collect())
}

fn shown(command: &Command, index: usize) -> String {
    let words: Vec<&str> = command.argv.iter().take(4).map(String::as_str).collect();
    format!("{}. {}", index + 1, words.join(" "))
}

/// Whether it holds now; `None`: that is looked at without running anything.
pub(super) async fn holds(tools: &Tools<'_>, run: &str, probe: &UpgradeProbe) -> Option<Result<String, String>> {
    match probe {
        UpgradeProbe::Lacks { list, word } => Some(match acts::output(tools, (run, list)).await {
            Err(why) => Err(format!("what it has is not known: {why}")),
            Ok(said) if said.lines().any(|line| line.trim() == word) => Err(format!("it has `{word}`")),
            Ok(_) => Ok(format!("this version has no `{word}`")),
        }),
        UpgradeProbe::SchemaIs { .. }
        | UpgradeProbe::Running { .. }
        | UpgradeProbe::Image(_)
        | UpgradeProbe::Releases(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::unapplied;

    #[test]
    fn what_is_not_applied_is_read_from_what_the_application_lists() {
        let said = "System check ran\n[X]  base.0001_initial\n[ ]  base.0002_more ... (2 squashed)\n[ ]  own.0001_a\n";
        let missing = ["base.0002_more".to_owned()];
        assert_eq!(unapplied(said, &missing).unwrap(), ["base.0002_more", "own.0001_a"]);
        assert_eq!(unapplied("[X]  base.0002_more\n", &missing).unwrap(), [] as [String; 0]);
        assert!(unapplied("[ ]  base.0003_other\n", &missing).is_err());
        assert!(unapplied("", &missing).is_err());
    }
}
