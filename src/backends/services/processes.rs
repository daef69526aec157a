//! The processes of this machine, from one pass over `/proc`: who is whose child, in which state, with how much memory.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::domain::service::{Service, State, StuckHow};
use crate::domain::time::Timestamp;

/// More processes are not looked at.
const MOST: usize = 50_000;
/// More of a command line is not read.
const LINE: u64 = 16 * 1024;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Its id.
    pub(super) pid: u32,
    /// Its parent's.
    pub(super) parent: u32,
    /// Its state's letter.
    pub(super) state: char,
    /// When it began.
    pub(super) started: Timestamp,
    /// The same in clock ticks since boot: with the id, what tells it from any other.
    pub(super) ticks: u64,
    /// Resident memory in bytes.
    pub(super) memory: u64,
}

/// All processes at one moment.
#[derive(Debug, Default)]
pub(super) struct Processes {
    root: PathBuf,
    by_pid: HashMap<u32, Process>,
    children: HashMap<u32, Vec<u32>>,
}

/// What a tree of processes has together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tree {
    /// Processes below the main one.
    pub(super) children: u32,
    /// Memory of all, in bytes (shared pages counted in each).
    pub(super) memory: u64,
    /// How many of all are stuck, in the way most are.
    pub(super) stuck: Option<(StuckHow, u32)>,
    /// Whether the main one is among them.
    pub(super) main_stuck: bool,
}

impl Processes {
    /// Reads them all.
    pub(super) fn read(proc: &Path) -> Self {
        let mut out = Self { root: proc.to_owned(), ..Self::default() };
        let Some(boot) = boot_time(proc) else { return out };
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let Ok(dir) = fs::read_dir(proc) else { return out };
        let pids = dir.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        for pid in pids.take(MOST) {
            let Ok(stat) = fs::read(proc.join(pid.to_string()).join("stat")) else { continue };
            let Some(process) = parse(pid, &String::from_utf8_lossy(&stat), boot, ticks, page) else { continue };
            out.children.entry(process.parent).or_default().push(pid);
            out.by_pid.insert(pid, process);
        }
        out
    }

    /// The process with this id.
    pub(super) fn get(&self, pid: u32) -> Option<&Process> {
        self.by_pid.get(&pid)
    }

    /// A process and all below it.
    pub(super) fn family(&self, pid: u32) -> Vec<&Process> {
        let (mut out, mut seen, mut next) = (Vec::new(), HashSet::new(), vec![pid]);
        while let Some(pid) = next.pop() {
            if seen.insert(pid)
                && let Some(process) = self.by_pid.get(&pid)
            {
                out.push(process);
                next.extend(self.children.get(&pid).into_iter().flatten());
            }
        }
        out
    }

    /// What a process and all below it have together.
    pub(super) fn tree(&self, pid: u32) -> Tree {
        let family = self.family(pid);
        let mut tree = Tree::default();
        let mut counts: HashMap<char, u32> = HashMap::new();
        for process in &family {
            tree.memory = tree.memory.saturating_add(process.memory);
            if stuck(process.state).is_some() {
                *counts.entry(if process.state == 't' { 'T' } else { process.state }).or_default() += 1;
            }
        }
        tree.children = u32::try_from(family.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let most = counts.into_iter().max_by_key(|(letter, n)| (*n, *letter));
        tree.stuck = most.and_then(|(letter, n)| Some((stuck(letter)?, n)));
        tree.main_stuck = self.get(pid).is_some_and(|main| stuck(main.state).is_some());
        tree
    }

    /// Those whose command line has all of these words, and whose parent's has not: the oldest first.
    pub(super) fn masters(&self, words: &[String], uid: Option<u32>) -> Vec<u32> {
        let found: HashSet<u32> = self.by_pid.keys().copied().filter(|pid| self.runs(*pid, words, uid)).collect();
        let parent = |pid: &u32| self.by_pid.get(pid).map_or(0, |process| process.parent);
        let mut masters: Vec<u32> = found.iter().copied().filter(|pid| !found.contains(&parent(pid))).collect();
        masters.sort_by_key(|pid| (self.by_pid.get(pid).map(|p| p.ticks), *pid));
        masters
    }

    fn runs(&self, pid: u32, words: &[String], uid: Option<u32>) -> bool {
        // Ourselves and those who look for them carry the same words.
        if pid == std::process::id() {
            return false;
        }
        let line = self.command(pid).join(" ");
        if line.is_empty() || !words.iter().all(|word| line.contains(word.as_str())) {
            return false;
        }
        uid.is_none_or(|uid| fs::metadata(self.root.join(pid.to_string())).is_ok_and(|meta| meta.uid() == uid))
    }

    /// The command line of a process; empty where it has none or it can't be read.
    pub(super) fn command(&self, pid: u32) -> Vec<String> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        let file = fs::File::open(self.root.join(pid.to_string()).join("cmdline"));
        if file.and_then(|file| file.take(LINE).read_to_end(&mut bytes)).is_err() {
            return Vec::new();
        }
        let words = bytes.split(|b| *b == 0).filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    /// Whether a process is of that unit: an id that another namespace gave means another process here, or none.
    pub(super) fn is_of(&self, pid: u32, unit: &str) -> bool {
        let text = fs::read_to_string(self.root.join(pid.to_string()).join("cgroup")).unwrap_or_default();
        text.contains(unit)
    }

    /// The control group of a process: in the tree of version 2, else in that of memory.
    pub(super) fn control_group(&self, pid: u32) -> Option<String> {
        let text = fs::read_to_string(self.root.join(pid.to_string()).join("cgroup")).ok()?;
        let line = |wanted: fn(&str) -> bool| {
            text.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                (wanted(controllers) && path != "/").then(|| path.to_owned())
            })
        };
        line(|c| c.split(',').any(|c| c == "memory")).or_else(|| line(str::is_empty))
    }
}

/// Lays what is seen of processes over a service: `masters` are those that are nobody's child among them.
pub(super) fn service(processes: &Processes, masters: &[u32], service: &mut Service) {
    let Some(main) = masters.first() else {
        service.state = State::Missing;
        "no such process runs".clone_into(&mut service.said);
        return;
    };
    let stopped = |pid: &u32| processes.get(*pid).is_some_and(|p| stuck(p.state) == Some(StuckHow::Stopped));
    service.state = if masters.iter().all(stopped) { State::Frozen } else { State::Running };
    let n = masters.len();
    service.said = if n == 1 { "runs".to_owned() } else { format!("{n} of them run") };
    service.pid = Some(*main);
    service.alike = u32::try_from(n.saturating_sub(1)).unwrap_or(u32::MAX);
    service.started = processes.get(*main).map(|p| p.started);
    service.since = service.started;
}

/// How a process with this state is stuck, if it is.
pub(super) const fn stuck(state: char) -> Option<StuckHow> {
    match state {
        'T' | 't' => Some(StuckHow::Stopped),
        'D' => Some(StuckHow::DiskSleep),
        'Z' => Some(StuckHow::Zombie),
        _ => None,
    }
}

fn boot_time(proc: &Path) -> Option<i64> {
    let stat = fs::read_to_string(proc.join("stat")).ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// `/proc/PID/stat` (proc(5)): the name in parentheses may hold anything.
fn parse(pid: u32, stat: &str, boot: i64, ticks_per_s: u64, page: u64) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ticks: u64 = fields.get(19)?.parse().ok()?;
    let since_boot = i64::try_from(ticks.saturating_mul(1000) / ticks_per_s).ok()?;
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        state: fields.first()?.chars().next()?,
        started: Timestamp::from_millis(boot.saturating_mul(1000).saturating_add(since_boot)),
        ticks,
        memory: fields.get(21)?.parse::<u64>().ok()?.saturating_mul(page),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant, SystemTime};

    use proptest::prelude::*;
    use rustix::process::{Pid, Signal, kill_process};

    use super::{Processes, parse};
    use crate::domain::service::StuckHow;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) R 1 2) S 3 7 7 0 -1 4194560 1 0 0 0 5 2 0 0 20 0 1 0 250 1000 12 18446744073709551615";
        let process = parse(7, stat, 1000, 100, 4096).unwrap();
        assert_eq!((process.parent, process.state, process.ticks, process.memory), (3, 'S', 250, 12 * 4096));
        assert_eq!(process.started.as_millis(), 1_002_500);
    }

    #[test]
    fn a_family_is_found_by_words_and_told_when_it_is_stopped() {
        let word = format!("midwatch-words-{}", std::process::id());
        let script = "sleep 600 & sleep 600 & wait";
        let mut shell = Command::new("sh").args(["-c", script, &word]).stdin(Stdio::null()).spawn().unwrap();
        let pid = shell.id();
        let begun = Instant::now();
        let table = loop {
            let table = Processes::read(Path::new("/proc"));
            if table.tree(pid).children == 2 {
                break table;
            }
            assert!(begun.elapsed() < Duration::from_secs(20));
        };
        assert_eq!(table.masters(std::slice::from_ref(&word), None), [pid]);
        assert_eq!(table.masters(&[word.clone(), "sleep 600".to_owned()], None), [pid]);
        assert_eq!(table.masters(&[word.clone(), "absent".to_owned()], None), [] as [u32; 0]);
        assert_eq!(table.masters(std::slice::from_ref(&word), Some(4_294_000_000)), [] as [u32; 0]);
        let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        assert!((now - table.get(pid).unwrap().started.as_millis()).abs() < 60_000);
        assert!(table.tree(pid).memory > 0 && table.tree(pid).stuck.is_none());

        kill_process(Pid::from_child(&shell), Signal::STOP).unwrap();
        let stuck = loop {
            let tree = Processes::read(Path::new("/proc")).tree(pid);
            if let Some(stuck) = tree.stuck {
                assert!(tree.main_stuck);
                break stuck;
            }
            assert!(begun.elapsed() < Duration::from_secs(20));
        };
        assert_eq!(stuck, (StuckHow::Stopped, 1));
        for process in Processes::read(Path::new("/proc")).family(pid) {
            let pid = Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
            kill_process(pid, Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
    }

    proptest! {
        #[test]
        fn any_stat_is_survived(text in "[0-9() A-Z-]{0,80}") {
            parse(1, &text, 0, 100, 4096);
        }
    }
}
