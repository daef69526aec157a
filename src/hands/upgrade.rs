//! What an upgrade does by code of its own: programs in order as one step, a process that is renewed.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::acts::{self, Sign};
use super::work::Tools;
use crate::backends::look::process;
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
        UpgradeAct::Renew { service, start } => {
            let now = tools.looker.service(service).await?;
            if let Some(pid) = now.pid {
                let ended = acts::end(&tools.permit, (pid, &process(pid)), PATIENCE, true).await?;
                signs.send(Sign::Note(format!("{service}: {ended}"))).await.ok();
            }
            if let Some(start) = start {
                acts::command(tools, (run, start), at, (deadline, stop), signs).await?;
            }
            loop {
                match tools.looker.holds(&Probe::Runs(service.clone())).await {
                    Ok(how) => return Ok(how),
                    Err(why) if Instant::now() >= deadline => return Err(format!("not within its time: {why}")),
                    Err(_) => sleep(LOOK).await,
                }
            }
        }
    }
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
        UpgradeProbe::SchemaIs { .. } | UpgradeProbe::Running { .. } => None,
    }
}
