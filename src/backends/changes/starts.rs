//! Services that were started: the beginnings of the main processes of web servers, workers, databases and their like.

use std::collections::BTreeMap;
use std::path::Path;

use crate::backends::roll::{self, Proc, base, only_starts};
use crate::domain::change::{Change, ChangeKind, Known};
use crate::domain::service::Role;
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// Whatever starts so soon after the machine did, in seconds, started with it.
const WITH_BOOT_S: u64 = 180;
/// Beginnings that are told.
const MOST: usize = 60;

/// Main processes as they were at one look.
#[derive(Default)]
pub(super) struct Starts {
    known: Option<BTreeMap<String, (u32, Timestamp)>>,
    /// Services that were seen to end and have not come back.
    seen: Vec<Change>,
}

impl Starts {
    /// The starts of services, and what was seen to end.
    pub(super) fn look(&mut self, root: &Path, now: Timestamp) -> Vec<Change> {
        let proc = root.join("proc");
        let boot = roll::boot_time(&proc);
        let mains = mains(&proc);
        let mut out: Vec<Change> = mains
            .iter()
            .filter(|(_, (_, at))| boot.is_none_or(|boot| at.secs_since(boot) > WITH_BOOT_S))
            .map(|(name, (pid, at))| {
                let text = format!("{name} was started (pid {pid})");
                Change::new(*at, ChangeKind::Restart, text, Known::Logged)
            })
            .collect();
        if let Some(known) = &self.known {
            for (name, (pid, _)) in known.iter().filter(|(name, _)| !mains.contains_key(*name)) {
                let text = format!("{name} ended (pid {pid})");
                self.seen.push(Change::new(now, ChangeKind::Restart, text, Known::Seen));
            }
        }
        let surplus = self.seen.len().saturating_sub(MOST);
        self.seen.drain(..surplus);
        out.sort_by_key(|change| std::cmp::Reverse(change.at));
        out.truncate(MOST);
        out.extend(self.seen.iter().cloned());
        self.known = Some(mains);
        out
    }
}

/// The main processes with a role, by name: of several of one name the youngest.
fn mains(proc: &Path) -> BTreeMap<String, (u32, Timestamp)> {
    let role = |words: &[String]| Role::of_command(words).filter(|role| !matches!(role, Role::Periodic | Role::Other));
    let all = roll::processes(proc, |words| role(words).is_some());
    let of = |pid: u32| all.iter().find(|p| p.pid == pid);
    let mut out = BTreeMap::new();
    for process in all.iter().filter(|p| !only_starts(&p.words)) {
        let parent = of(process.parent).filter(|parent| !only_starts(&parent.words));
        if parent.is_some_and(|parent| role(&parent.words) == role(&process.words)) {
            continue;
        }
        let entry = out.entry(name(proc, process)).or_insert((process.pid, process.started));
        if process.started > entry.1 {
            *entry = (process.pid, process.started);
        }
    }
    out
}

/// Its unit, else its program and what that runs: `gunicorn pretix.wsgi`.
fn name(proc: &Path, process: &Proc) -> String {
    let group = std::fs::read_to_string(proc.join(process.pid.to_string()).join("cgroup")).unwrap_or_default();
    let unit = group.lines().find_map(|line| line.rsplit('/').next().filter(|unit| unit.ends_with(".service")));
    // What runs in a session, or below one of these, is nobody's unit.
    let starter = |unit: &&str| {
        ["user@", "ssh", "cron", "docker", "containerd", "supervisor"].iter().any(|s| unit.starts_with(s))
    };
    if let Some(unit) = unit.filter(|unit| !starter(unit)) {
        return plain(unit, 80);
    }
    let interpreter = |word: &str| {
        let name = base(word);
        let known = matches!(name, "sh" | "bash" | "dash") || name.starts_with("python") || name.starts_with("perl");
        known || word == "-m"
    };
    let words: Vec<&str> = process.words.iter().map(String::as_str).skip_while(|word| interpreter(word)).collect();
    let program = words.first().map_or("", |word| base(word));
    let app = words.iter().skip(1).find(|word| {
        ["pretix", "pretalx"].iter().any(|app| word.starts_with(app)) || word.contains(".wsgi") || word.contains("_app")
    });
    plain(&[program, app.copied().unwrap_or_default()].join(" "), 80)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Starts;
    use crate::domain::time::Timestamp;

    #[test]
    fn main_processes_that_began_after_the_machine_are_told_and_ends_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        let process = |pid: u32, parent: u32, secs: u32, line: &str, group: &str| {
            let dir = proc.join(pid.to_string());
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("cmdline"), line.replace('|', "\0")).unwrap();
            fs::write(dir.join("cgroup"), group).unwrap();
            let stat = format!("{pid} (x) S {parent} 1 1 0 -1 0 1 0 0 0 5 2 0 0 20 0 1 0 {} 1000 12 1", secs * 100);
            fs::write(dir.join("stat"), stat).unwrap();
        };
        fs::create_dir_all(&proc).unwrap();
        fs::write(proc.join("stat"), "btime 1000\n").unwrap();
        process(5, 1, 20, "/usr/bin/redis-server 127.0.0.1:6379|", "0::/system.slice/redis-server.service\n");
        process(7, 1, 500, "/v/bin/python3|/v/bin/gunicorn|pretix.wsgi|--bind|x|", "0::/user.slice/session-1.scope\n");
        process(8, 7, 900, "/v/bin/python3|/v/bin/gunicorn|pretix.wsgi|--bind|x|", "");
        process(
            9,
            1,
            700,
            "/v/bin/python3|-m|celery|-A|pretix.celery_app|worker|",
            "0::/system.slice/pretix-worker.service\n",
        );
        let now = Timestamp::from_millis(3_000_000);
        let mut starts = Starts::default();
        let told = |changes: Vec<crate::domain::change::Change>| {
            changes.into_iter().map(|c| (c.at.as_secs(), c.text)).collect::<Vec<_>>()
        };
        let (worker, web) = (
            (1700, "pretix-worker.service was started (pid 9)".to_owned()),
            (1500, "gunicorn pretix.wsgi was started (pid 7)".to_owned()),
        );
        assert_eq!(told(starts.look(root.path(), now)), [worker, web.clone()]);
        fs::remove_dir_all(proc.join("9")).unwrap();
        assert_eq!(
            told(starts.look(root.path(), now)),
            [web, (3000, "pretix-worker.service ended (pid 9)".to_owned())]
        );
    }
}
