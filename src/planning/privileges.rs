//! Whether a plan's programs may be run as their users. Asked while there is a terminal and nothing has begun: a runner has
//! none, and nobody could give it a password.

use std::process::Stdio;
use std::time::Duration;

use super::NoPlan;
use crate::backends::look::Looker;
use crate::backends::store::who;
use crate::runbook::plan::{Act, Command, PlannedStep, UpgradeAct};

/// How long sudo may take: it may ask a directory server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks sudo for every program that runs as somebody else; root needs nobody's leave.
///
/// # Errors
/// Which program may not be run, and what would allow it.
pub(super) async fn proven(steps: &[PlannedStep], looker: Looker<'_>) -> Result<(), NoPlan> {
    let uid = rustix::process::geteuid();
    if uid.is_root() {
        return Ok(());
    }
    for step in steps {
        let ends = if let Act::Halt(service) | Act::Upgrade(UpgradeAct::Renew { service, .. }) = &step.act {
            looker.service(service).await.map_err(NoPlan::Impossible)?.pid
        } else if let Act::End { pid, .. } = &step.act {
            Some(*pid)
        } else {
            None
        };
        if let Some((pid, owner)) = ends.and_then(|pid| foreign(pid, uid.as_raw())) {
            return Err(NoPlan::Impossible(format!(
                "process {pid} is {owner}'s: only {owner} and root may end it; run it as root: `sudo midwatch runbook …`"
            )));
        }
    }
    for (user, argv) in others(steps, who::named(uid.as_raw()).as_deref()) {
        allowed(&user, &argv).await?;
    }
    Ok(())
}

/// The process, where this user may not end it.
fn foreign(pid: u32, me: u32) -> Option<(u32, String)> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    (owner != me).then(|| (pid, who::name(owner)))
}

/// The programs that an act runs as a user it names.
fn programs(act: &Act) -> &[Command] {
    if let Act::Command(command) | Act::Upgrade(UpgradeAct::Renew { start: Some(command), .. }) = act {
        std::slice::from_ref(command)
    } else if let Act::Upgrade(UpgradeAct::InOrder(commands)) = act {
        commands
    } else {
        &[]
    }
}

/// The programs that run as somebody else than `me`, each once.
fn others(steps: &[PlannedStep], me: Option<&str>) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let acts = steps.iter().flat_map(|step| std::iter::once(&step.act).chain(&step.revert));
    for Command { argv, user, .. } in acts.flat_map(programs) {
        if let Some(user) = user
            && me != Some(user)
            && !found.contains(&(user.clone(), argv.clone()))
        {
            found.push((user.clone(), argv.clone()));
        }
    }
    found
}

async fn allowed(user: &str, argv: &[String]) -> Result<(), NoPlan> {
    let words = ["-n", "-l", "-u", user, "--"];
    let asking = tokio::process::Command::new("sudo")
        .args(words)
        .args(argv)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    let why = match tokio::time::timeout(PATIENCE, asking).await {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(_)) => "sudo does not allow that without a password, which a run could not be given".to_owned(),
        Ok(Err(error)) => format!("sudo can't be asked: {error}"),
        Err(_late) => "sudo does not answer".to_owned(),
    };
    Err(NoPlan::Impossible(format!(
        "`{}` has to run as {user}, and {why}; run it as root: `sudo midwatch runbook …`",
        argv.join(" ")
    )))
}

#[cfg(test)]
mod tests {
    use super::{foreign, others};
    use crate::runbook::plan::{Act, Command, OnFailure, PlannedStep, UpgradeAct};

    fn step(act: Act) -> PlannedStep {
        PlannedStep {
            name: "s".to_owned(),
            act,
            repeatable: false,
            verify: None,
            unless: None,
            revert: None,
            timeout_ms: 1,
            max_attempts: 1,
            on_failure: OnFailure::Stop,
            estimate_ms: None,
        }
    }

    fn command(user: Option<&str>, word: &str) -> Act {
        let (argv, user) = (vec![word.to_owned()], user.map(str::to_owned));
        Act::Command(Command { argv, user, ..Command::default() })
    }

    #[test]
    fn whoever_else_a_program_runs_as_is_asked_for_once_the_way_back_too() {
        let back = PlannedStep { revert: Some(command(Some("root"), "undo")), ..step(command(Some("root"), "do")) };
        let steps =
            [back, step(command(Some("rose"), "own")), step(command(None, "own")), step(command(Some("root"), "do"))];
        let asked: Vec<String> =
            others(&steps, Some("rose")).into_iter().map(|(u, argv)| format!("{u} {argv:?}")).collect();
        assert_eq!(asked, ["root [\"do\"]", "root [\"undo\"]"]);
        // What begins a service anew runs programs, too.
        let Act::Command(start) = command(Some("root"), "start") else { panic!("it is a command") };
        let renew = UpgradeAct::Renew { service: "web".to_owned(), start: Some(start.clone()) };
        for act in [renew, UpgradeAct::InOrder(vec![start])] {
            assert_eq!(others(&[step(Act::Upgrade(act))], Some("rose")).len(), 1);
        }
    }

    #[test]
    fn a_process_of_somebody_else_is_not_ones_own_to_end() {
        let me = rustix::process::geteuid().as_raw();
        assert_eq!(foreign(std::process::id(), me), None);
        assert_eq!(foreign(std::process::id(), me + 1).map(|(pid, _)| pid), Some(std::process::id()));
    }
}
