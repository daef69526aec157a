//! The processes that use most CPU and most memory, through sysinfo.
//!
//! Listing them is the dearest thing a host probe does, so it is done every 5 s at most; and it can hang (the command
//! line of a process that is stuck in the kernel), so it is an errand of its own and the list before is kept.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use super::super::command_line;
use super::super::errand::{Answer, Errand};
use super::files;
use crate::domain::host::Process;
use crate::domain::text::plain;

/// How many of each: by CPU, by memory.
const TOP: usize = 15;
/// Between two lists.
const SPACING: Duration = Duration::from_secs(5);
/// Between the first list, which can't know any CPU share, and the second.
const FIRST_SPACING: Duration = Duration::from_secs(1);
/// Names of users are read anew after this.
const NAMES_FOR: Duration = Duration::from_mins(5);
/// A list that takes longer than this is told of.
const SLOW: Duration = Duration::from_secs(5);

/// Lists processes now and then, and remembers the last list.
#[derive(Default)]
pub(super) struct Processes {
    errand: Errand<(ProcessTable, Result<ProcessList, String>)>,
    table: Option<ProcessTable>,
    begun: Option<Instant>,
    lists: u32,
    last: ProcessList,
    failed: Option<String>,
}

/// One list.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ProcessList {
    /// The top ones, most CPU first.
    pub(super) top: Vec<Process>,
    /// How many there are.
    pub(super) count: u32,
    /// What it can't show, and why.
    pub(super) unseen: Option<String>,
}

impl Processes {
    /// Starts a list if one is due and none is under way.
    pub(super) fn begin(&mut self, now: Instant) {
        let spacing = if self.lists < 2 { FIRST_SPACING } else { SPACING };
        let due = self.begun.is_none_or(|begun| now.duration_since(begun) >= spacing);
        if !due || self.errand.is_under_way() {
            return;
        }
        let mut table = self.table.take().unwrap_or_default();
        let begun = self.errand.begin(move || {
            let list = table.list(TOP);
            (table, list)
        });
        self.begun = Some(now);
        self.failed = begun.err().map(|error| format!("Processes can't be listed: no thread to be had ({error})."));
    }

    /// The last list, a new one waited for until `deadline`; and what is to be said of it.
    pub(super) async fn list(&mut self, deadline: Instant) -> (&ProcessList, Vec<String>) {
        let mut slow = None;
        if self.errand.is_under_way() {
            match self.errand.answer(deadline).await {
                Answer::Came((table, list)) => {
                    self.table = Some(table);
                    match list {
                        Ok(list) => {
                            self.last = list;
                            self.lists = self.lists.saturating_add(1);
                        }
                        Err(why) => self.failed = Some(why),
                    }
                }
                Answer::Waiting(since) if since >= SLOW => {
                    slow = Some(format!(
                        "The process list has not come back for {} s (one stuck in the kernel can hold it up); the last \
                         one is shown.",
                        since.as_secs()
                    ));
                }
                Answer::Waiting(_) => {}
                Answer::Lost => self.failed = Some("The process list ended without an answer.".to_owned()),
            }
        }
        let unseen = [slow, self.failed.clone(), self.last.unseen.clone()].into_iter().flatten().collect();
        (&self.last, unseen)
    }
}

/// What is remembered from list to list: CPU times, names of users.
#[derive(Default)]
struct ProcessTable {
    /// Its own, apart from any that refreshes CPUs: sysinfo divides a process's time by the time since *its* last look
    /// at the CPUs.
    system: Option<System>,
    users: HashMap<u32, String>,
    users_read: Option<Instant>,
}

impl ProcessTable {
    /// All processes counted, the `top` ones by CPU and the `top` ones by memory told in full.
    fn list(&mut self, top: usize) -> Result<ProcessList, String> {
        self.read_users();
        let system = match &mut self.system {
            Some(system) => system,
            none @ None => none.insert(System::new().map_err(|error| format!("Processes can't be listed: {error}."))?),
        };
        let figures =
            ProcessRefreshKind::nothing().with_cpu().with_memory().with_user(UpdateKind::Always).without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, figures);
        let pids = chosen(system, top);
        let commands = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), false, commands);

        let processes = system.processes();
        let count = u32::try_from(processes.len()).unwrap_or(u32::MAX);
        if count == 0 {
            return Err("Processes can't be listed: /proc shows none.".to_owned());
        }
        let unseen = (!processes.contains_key(&Pid::from_u32(1))).then(|| {
            "Processes of other users are hidden (/proc is mounted with hidepid, or the unit has ProtectProc=): run as \
             root, or as a member of the group that this mount names."
                .to_owned()
        });
        let top = pids.iter().filter_map(|pid| processes.get(pid)).map(|process| told(process, &self.users)).collect();
        Ok(ProcessList { top, count, unseen })
    }

    /// From `/etc/passwd` itself: sysinfo leaves out every user whose shell is `/bin/false`, which database servers'
    /// often is. Users of a directory service stay numbers: asking it could hang.
    fn read_users(&mut self) {
        if self.users_read.is_some_and(|read| read.elapsed() < NAMES_FOR) {
            return;
        }
        self.users_read = Some(Instant::now());
        if let Ok(text) = files::text("/etc/passwd") {
            self.users = parse_passwd(&text);
        }
    }
}

fn told(process: &sysinfo::Process, users: &HashMap<u32, String>) -> Process {
    let arguments: Vec<_> = process.cmd().iter().map(|argument| argument.to_string_lossy()).collect();
    let command = command_line::shown(&arguments);
    let user = process.effective_user_id().map(|id| users.get(id).cloned().unwrap_or_else(|| id.to_string()));
    Process {
        pid: process.pid().as_u32(),
        user: user.unwrap_or_else(|| "?".to_owned()),
        // a kernel thread or a zombie has none
        command: if command.is_empty() {
            format!("[{}]", plain(&process.name().to_string_lossy(), 64))
        } else {
            command
        },
        cpu: f64::from(process.cpu_usage()) / 100.0,
        memory: process.memory(),
        state: word(process.status()).to_owned(),
    }
}

/// The `top` by CPU share, as far as they have any, and the `top` by memory: most CPU first, then most memory.
fn chosen(system: &System, top: usize) -> Vec<Pid> {
    let mut all: Vec<_> = system.processes().values().map(|p| (p.pid(), p.cpu_usage(), p.memory())).collect();
    all.sort_by_key(|(.., memory)| Reverse(*memory));
    let mut kept: HashSet<Pid> = all.iter().take(top).map(|(pid, ..)| *pid).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.cmp(&a.2)).then(a.0.cmp(&b.0)));
    kept.extend(all.iter().take(top).filter(|(_, cpu, _)| *cpu > 0.0).map(|(pid, ..)| *pid));
    all.into_iter().map(|(pid, ..)| pid).filter(|pid| kept.contains(pid)).collect()
}

/// Names by user id; the first of several for one id.
fn parse_passwd(text: &str) -> HashMap<u32, String> {
    let mut users = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(id))) = (fields.next(), fields.nth(1).map(str::parse)) {
            users.entry(id).or_insert_with(|| plain(name, 32));
        }
    }
    users
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the rest are states of other systems and numbers no kernel has")]
const fn word(status: ProcessStatus) -> &'static str {
    match status {
        ProcessStatus::Run => "running",
        ProcessStatus::Sleep => "sleeping",
        ProcessStatus::UninterruptibleDiskSleep => "disk sleep",
        ProcessStatus::Idle => "idle",
        ProcessStatus::Stop => "stopped",
        ProcessStatus::Tracing => "traced",
        ProcessStatus::Zombie => "zombie",
        ProcessStatus::Dead => "dead",
        ProcessStatus::Parked => "parked",
        ProcessStatus::Waking | ProcessStatus::Wakekill => "waking",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ProcessTable, Processes, parse_passwd};
    use std::time::{Duration, Instant};

    #[test]
    fn this_process_is_found_when_all_are_asked_for() {
        let list = ProcessTable::default().list(usize::MAX).unwrap();
        let own = list.top.iter().find(|process| process.pid == std::process::id()).unwrap();
        assert!(own.memory > 0 && !own.user.is_empty() && !own.command.is_empty());
        assert!(["running", "sleeping"].contains(&own.state.as_str()));
        assert!(usize::try_from(list.count).unwrap() >= list.top.len());
    }

    #[test]
    fn the_first_list_has_the_largest_only() {
        let mut table = ProcessTable::default();
        let top = table.list(3).unwrap().top;
        assert!(!top.is_empty() && top.len() <= 3);
        assert!(top.windows(2).all(|pair| pair[0].memory >= pair[1].memory));
    }

    #[tokio::test]
    async fn lists_are_spaced() {
        let mut processes = Processes::default();
        let start = Instant::now();
        for (second, lists) in [(0, 1), (0, 1), (1, 2), (3, 2), (6, 3), (10, 3), (11, 4)] {
            processes.begin(start + Duration::from_secs(second));
            let (list, unseen) = processes.list(Instant::now() + Duration::from_secs(30)).await;
            assert!(list.count > 0, "{unseen:?}");
            assert_eq!(processes.lists, lists, "after {second} s");
        }
    }

    #[test]
    fn users_come_with_any_shell() {
        let users = parse_passwd(
            "root:x:0:0::/root:/bin/bash\nmysql:x:106:113::/nonexistent:/bin/false\ntoor:x:0:0\nbad:x:y\n:\n",
        );
        assert_eq!(users.get(&0).map(String::as_str), Some("root"));
        assert_eq!(users.get(&106).map(String::as_str), Some("mysql"));
        assert_eq!(users.len(), 2);
    }

    proptest! {
        #[test]
        fn any_passwd_is_survived(text in "(\\PC{0,9}:?){0,20}\n") {
            parse_passwd(&text);
        }
    }
}
