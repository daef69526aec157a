//! Whether a plan's programs may be run as their users. Asked while there is a terminal and nothing has begun: a runner has
//! none, and nobody could give it a password.

use std::process::Stdio;
use std::time::Duration;

use super::NoPlan;
use crate::backends::store::who;
use crate::runbook::plan::{Act, Command, PlannedStep};

/// How long sudo may take: it may ask a directory server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks sudo for every program that runs as somebody else; root needs nobody's leave.
///
/// # Errors
/// Which program may not be run, and what would allow it.
pub(super) async fn proven(steps: &[PlannedStep]) -> Result<(), NoPlan> {
    let uid = rustix::process::geteuid();
    if uid.is_root() {
        return Ok(());
    }
    if let Some((pid, owner)) = steps.iter().find_map(|step| foreign(&step.act, uid.as_raw())) {
        return Err(NoPlan::Impossible(format!(
            "process {pid} is {owner}'s: only {owner} and root may end it; run it as root: `sudo midwatch runbook …`"
        )));
    }
    for (user, argv) in others(steps, who::named(uid.as_raw()).as_deref()) {
        allowed(&user, &argv).await?;
    }
    Ok(())
}

/// The process that an act ends and this user may not.
fn foreign(act: &Act, me: u32) -> Option<(u32, String)> {
    use std::os::unix::fs::MetadataExt as _;
    let Act::End { pid, .. } = act else { return None };
    let owner = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    (owner != me).then(|| (*pid, who::name(owner)))
}

/// The programs that run as somebody else than `me`, each once.
fn others(steps: &[PlannedStep], me: Option<&str>) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for act in steps.iter().flat_map(|step| std::iter::once(&step.act).chain(&step.revert)) {
        if let Act::Command(Command { argv, user: Some(user), .. }) = act
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
    use crate::runbook::plan::{Act, Command, OnFailure, PlannedStep};

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
    }

    #[test]
    fn a_process_of_somebody_else_is_not_ones_own_to_end() {
        let end = Act::End { pid: std::process::id(), patience_ms: 1, kill: false };
        let me = rustix::process::geteuid().as_raw();
        assert_eq!(foreign(&end, me), None);
        assert_eq!(foreign(&end, me + 1).map(|(pid, _)| pid), Some(std::process::id()));
    }
}
