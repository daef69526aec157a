//! Which processes hold the application's code and configuration, and since when.
//!
//! gunicorn's workers load the application after they are forked, so each holds what was on disk when it began, and a
//! graceful reload replaces them under the same master. With `--preload`, and for celery, the main process has loaded it
//! before it forks: all its children hold the same, however young they are.

use crate::backends::roll::{Proc, base, only_starts};
use crate::domain::app_state::AppProcess;
use crate::domain::service::Role;
use crate::domain::time::Timestamp;

/// A process that began so shortly before something was written can be the one that waited for it.
const MARGIN_S: i64 = 2;

/// What was written, and when.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// The code.
    pub(super) code: Option<Timestamp>,
    /// The configuration.
    pub(super) config: Option<Timestamp>,
    /// The secret.
    pub(super) secret: Option<Timestamp>,
}

/// The long-running processes of an application among `processes`, each with those that hold its code.
pub(super) fn holders(processes: &[Proc], written: Written) -> Vec<AppProcess> {
    let role = |p: &Proc| Role::of_command(&p.words).filter(|r| matches!(r, Role::Web | Role::Worker | Role::Beat));
    let working: Vec<(&Proc, Role)> =
        processes.iter().filter(|p| !only_starts(&p.words)).filter_map(|p| Some((p, role(p)?))).collect();
    let parent_of = |p: &Proc| working.iter().find(|(other, _)| other.pid == p.parent);
    let mains = working.iter().filter(|(p, role)| parent_of(p).is_none_or(|(_, of)| of != role));
    let mut out: Vec<AppProcess> = mains
        .map(|(main, role)| {
            let children: Vec<&Proc> = working.iter().filter(|(p, _)| p.parent == main.pid).map(|(p, _)| *p).collect();
            let holding = if loads_late(main) && !children.is_empty() { children } else { vec![*main] };
            let old = |since: Option<Timestamp>| {
                let before = |p: &&&Proc| since.is_some_and(|at| p.started.plus_secs(MARGIN_S) < at);
                u32::try_from(holding.iter().filter(before).count()).unwrap_or(u32::MAX)
            };
            AppProcess {
                pid: main.pid,
                role: *role,
                code_since: holding.iter().map(|p| p.started).min().unwrap_or(main.started),
                holders: u32::try_from(holding.len()).unwrap_or(u32::MAX),
                old_code: old(written.code),
                old_config: old(written.config),
                old_secret: old(written.secret),
            }
        })
        .collect();
    out.sort_by_key(|p| (p.role, p.pid));
    out.truncate(50);
    out
}

/// Whether the workers load the application after they are forked.
fn loads_late(main: &Proc) -> bool {
    let gunicorn = main.words.iter().take(3).any(|word| base(word) == "gunicorn");
    gunicorn && !main.words.iter().any(|word| word == "--preload" || word.starts_with("--preload="))
}

#[cfg(test)]
mod tests {
    use super::{Written, holders};
    use crate::backends::roll::Proc;
    use crate::domain::service::Role;
    use crate::domain::time::Timestamp;

    const T0: Timestamp = Timestamp::from_millis(1_795_230_000_000);

    fn process(pid: u32, parent: u32, ago: i64, line: &str) -> Proc {
        let words = line.split(' ').map(ToOwned::to_owned).collect();
        Proc { pid, parent, uid: 0, started: T0.plus_secs(-ago), words }
    }

    fn old(processes: &[Proc], installed_ago: i64) -> Vec<(Role, u32, u32)> {
        let written = Written { code: Some(T0.plus_secs(-installed_ago)), ..Written::default() };
        holders(processes, written).iter().map(|p| (p.role, p.old_code, p.holders)).collect()
    }

    #[test]
    fn a_graceful_reload_is_no_old_code_and_a_worker_with_its_old_master_is() {
        let web = "/v/bin/python3 /v/bin/gunicorn pretix.wsgi";
        let celery = "/v/bin/python3 -m celery -A pretix.celery_app worker";
        let stack = |workers: i64| {
            vec![
                process(10, 1, 9000, web),
                process(11, 10, workers, web),
                process(12, 10, workers, web),
                process(20, 1, 9000, celery),
                process(21, 20, 5, celery),
            ]
        };
        // Installed an hour ago; the workers of the web server were replaced since, celery was not.
        assert_eq!(old(&stack(60), 3600), [(Role::Web, 0, 2), (Role::Worker, 1, 1)]);
        assert_eq!(old(&stack(8000), 3600), [(Role::Web, 2, 2), (Role::Worker, 1, 1)]);
        assert_eq!(old(&stack(8000), 10_000), [(Role::Web, 0, 2), (Role::Worker, 0, 1)]);
    }

    #[test]
    fn with_preload_the_master_counts_and_what_only_starts_does_not() {
        let web = "/v/bin/gunicorn --preload pretix.wsgi";
        let stack = [
            process(9, 1, 9000, "sh -c exec_/v/bin/gunicorn pretix.wsgi"),
            process(10, 9, 9000, web),
            process(11, 10, 5, web),
        ];
        assert_eq!(old(&stack, 3600), [(Role::Web, 1, 1)]);
        let periodic = [process(30, 1, 9000, "/v/bin/python3 -m pretix runperiodic")];
        assert_eq!(old(&periodic, 3600), []);
    }
}
