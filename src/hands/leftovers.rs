//! What a run that was cut off has left working. A program that inherited the lock is found by it; one that went through
//! `sudo`, which closes what it inherits, only by what was written down when it was started.

use std::path::Path;
use std::time::Duration;

use super::{shim, signal};
use crate::backends::{journal, process_id};
use crate::runbook::kept::RunView;
use crate::runbook::plan::{Act, Plan};
use crate::runbook::run::{ProcessId, What};

/// The processes that steps of this run have started: by its journal, and as they noted themselves below `own`.
pub(super) fn started(view: &RunView, own: &Path) -> Vec<ProcessId> {
    let noted = std::fs::read_dir(own.join(&view.record.id)).into_iter().flatten().flatten();
    let noted = noted.filter_map(|entry| shim::recorded(&entry.path()));
    noted.chain(told(view, |_| true)).collect()
}

/// Those that its journal names, of these steps.
fn told(view: &RunView, of: impl Fn(usize) -> bool) -> impl Iterator<Item = ProcessId> {
    view.entries.iter().filter_map(move |entry| {
        let What::Started { step, child, .. } = &entry.what else { return None };
        of(*step).then(|| child.clone())
    })
}

/// Whether a process is one of these, or of the process group of one, or of the session of a runner of this run that is
/// dead: what a program of a step has started in a group of its own.
pub(super) fn is_of(own: &[ProcessId], view: &RunView, process: &ProcessId) -> bool {
    let Ok(stat) = process_id::stat(process.pid) else { return own.contains(process) };
    let began = |what: &What| matches!(what, What::Began { runner, .. } if runner.pid == stat.session && runner.boot == process.boot);
    let leader = || process_id::stat(stat.session).is_ok_and(|leader| leader.lives());
    own.iter().any(|child| child == process || i32::try_from(child.pid) == Ok(stat.group))
        || (view.entries.iter().any(|entry| began(&entry.what)) && !leader())
}

/// The programs of a run's steps that still work, though nothing looks after them. What a step leaves on purpose (a daemon
/// that it started) is none of them.
fn working(view: &RunView, own: Option<&Path>) -> Vec<ProcessId> {
    let leaves = |plan: &Plan, step: usize| matches!(plan.steps.get(step).map(|step| &step.act), Some(Act::Command(command)) if command.leaves);
    let mut all: Vec<ProcessId> = told(view, |step| !leaves(&view.record.plan, step)).collect();
    let records = own.and_then(|own| std::fs::read_dir(own.join(&view.record.id)).ok()).into_iter().flatten().flatten();
    all.extend(records.filter_map(|entry| {
        let name = entry.file_name();
        let step = name.to_str()?.split('-').next()?.parse().ok()?;
        if leaves(&view.record.plan, step) { None } else { shim::recorded(&entry.path()) }
    }));
    all.retain(|child| process_id::lives(child) && process_id::stat(child.pid).is_ok_and(|stat| stat.lives()));
    all.dedup();
    all
}

/// Ends what the run that is taken up has left working; looks for what other runs of the target have.
///
/// # Errors
/// What still works, in a sentence, and may not or can't be ended: nothing may be done beside it.
pub(super) async fn clear(
    (state, own): (&Path, &Path),
    plan: &Plan,
    before: Option<&RunView>,
    grace: Duration,
) -> Result<Vec<String>, String> {
    let mut ended = Vec::new();
    if let Some(view) = before {
        ended = signal::end_all(|| working(view, Some(own)), grace).await;
        if let Some(left) = working(view, Some(own)).first() {
            let who = process_id::told(left.pid);
            return Err(format!(
                "{who} still works for the run that was cut off, and this user can't end it: wait until it has ended, \
                 or end it as its user"
            ));
        }
    }
    for view in journal::runs(state).await.runs {
        let other = before.is_none_or(|own| own.record.id != view.record.id);
        let over = view.ended().is_some() || view.runner().is_some_and(process_id::lives);
        if !other || over || !view.record.plan.shares(plan) {
            continue;
        }
        if let Some(left) = working(&view, None).first() {
            let who = process_id::told(left.pid);
            return Err(format!(
                "{who} still works for run {} of {}, which was cut off: wait until it has ended, or take that run up \
                 with `midwatch runbook resume {}`",
                view.record.id,
                view.record.by.whole(),
                view.record.id
            ));
        }
    }
    Ok(ended)
}
