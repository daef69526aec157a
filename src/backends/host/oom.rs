//! Kills for want of memory: counted by the kernel, named in its log.

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;

use crate::domain::host::{OomKill, OomKills};
use crate::domain::text::plain;
use crate::domain::time::Timestamp;

/// How long a kill is told of (FIELD INC-08: within 30 minutes).
const TOLD_MS: u64 = 30 * 60 * 1000;
/// Kills of a reading.
const MOST: usize = 10;
/// Records of the kernel's log that are read.
const RECORDS: usize = 50_000;

/// What is remembered of them.
#[derive(Debug, Default)]
pub(super) struct Kills {
    counted: Option<u64>,
    recent: Vec<OomKill>,
    victims_unseen: Option<String>,
}

impl Kills {
    /// Takes in the kernel's count; its log is read the first time, and when the count has grown.
    pub(super) fn look(&mut self, at: Timestamp, counted: Option<u64>, uptime_s: u64) -> OomKills {
        let before = self.counted;
        let grown = counted.map_or(0, |now| now.saturating_sub(before.unwrap_or(now)));
        self.counted = counted.or(before);
        let first = before.is_none() && counted.is_some_and(|count| count > 0);
        if first || grown > 0 {
            let booted = at.plus_secs(-i64::try_from(uptime_s).unwrap_or(0));
            match kernel_log() {
                Ok(text) => {
                    self.victims_unseen = None;
                    self.recent = parse_log(&text, booted);
                }
                Err(why) => self.victims_unseen = Some(why),
            }
            // What is not in its log (or not to be read) was counted all the same.
            if grown > 0 && !self.recent.iter().any(|kill| at.millis_since(kill.at) < 60_000) {
                self.recent.push(OomKill { at, count: grown, victim: None, group: None });
            }
        }
        self.recent.retain(|kill| at.millis_since(kill.at) <= TOLD_MS);
        self.recent.sort_by_key(|kill| std::cmp::Reverse(kill.at));
        self.recent.truncate(MOST);
        let unseen = self.victims_unseen.clone().filter(|_| !self.recent.is_empty());
        OomKills { recent: self.recent.clone(), victims_unseen: unseen }
    }
}

/// The kernel's log as it is now. Nothing is waited for.
fn kernel_log() -> Result<String, String> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg");
    let mut file = opened.map_err(|error| {
        format!("who was killed is in the kernel's log ({error}): run as root, or give this user CAP_SYSLOG")
    })?;
    let (mut text, mut record) = (String::new(), vec![0_u8; 8192]);
    for _ in 0..RECORDS {
        match file.read(&mut record) {
            Ok(0) => break,
            Ok(read) => {
                let line = String::from_utf8_lossy(record.get(..read).unwrap_or_default());
                // One record is one read; only those that matter are kept.
                if line.contains("oom-kill:") || line.contains("Killed process") {
                    text.push_str(line.lines().next().unwrap_or_default());
                    text.push('\n');
                }
            }
            // Overwritten while it was read: the next one follows.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(format!("the kernel's log can't be read: {error}")),
        }
    }
    Ok(text)
}

/// `6,1234,98765432,-;oom-kill:constraint=…,task_memcg=/system.slice/x.service,task=celery,pid=123,uid=5`, and kernels before
/// 5.0 with `Out of memory: Killed process 123 (celery)` alone.
fn parse_log(text: &str, booted: Timestamp) -> Vec<OomKill> {
    let mut out: Vec<OomKill> = Vec::new();
    for line in text.lines() {
        let Some((head, message)) = line.split_once(';') else { continue };
        let Some(micros) = head.split(',').nth(2).and_then(|micros| micros.parse::<i64>().ok()) else { continue };
        let at = booted.plus_millis(micros / 1000);
        if let Some(facts) = message.strip_prefix("oom-kill:") {
            let of = |name: &str| facts.split(',').find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='));
            let (Some(task), Some(pid)) = (of("task"), of("pid")) else { continue };
            let limited = of("constraint") == Some("CONSTRAINT_MEMCG");
            let group = of("oom_memcg").or_else(|| of("task_memcg")).filter(|_| limited);
            let group = group.map(|group| plain(group.trim_start_matches('/'), 120));
            out.push(OomKill { at, count: 1, victim: Some(plain(&format!("{pid} {task}"), 40)), group });
        } else if let Some((_, victim)) = message.split_once("Killed process ") {
            let mut words = victim.splitn(2, ' ');
            let (Some(pid), Some(rest)) = (words.next(), words.next()) else { continue };
            let name = rest.trim_start_matches('(').split(')').next().unwrap_or_default();
            let victim = plain(&format!("{pid} {name}"), 40);
            // The line above it told the same.
            if !out
                .iter()
                .any(|kill| kill.victim.as_deref() == Some(victim.as_str()) && at.millis_since(kill.at) < 60_000)
            {
                out.push(OomKill { at, count: 1, victim: Some(victim), group: None });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn victims_are_named_once() {
        let text = "4,900,60000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/pretix-worker.service,task_memcg=/system.slice/pretix-worker.service,task=celery,pid=123,uid=33\n\
                    3,901,60000100,-;Memory cgroup out of memory: Killed process 123 (celery) total-vm:1kB, anon-rss:2kB\n\
                    3,902,90000000,-;Out of memory: Killed process 77 (python3 -m x) total-vm:1kB\nbroken\n1,2;x\n";
        let told: Vec<_> = parse_log(text, Timestamp::from_millis(1_000))
            .into_iter()
            .map(|kill| (kill.at.as_millis(), kill.victim.unwrap(), kill.group))
            .collect();
        assert_eq!(
            told,
            [
                (61_000, "123 celery".to_owned(), Some("system.slice/pretix-worker.service".to_owned())),
                (91_000, "77 python3 -m x".to_owned(), None)
            ]
        );
    }

    #[test]
    fn a_growing_count_is_a_kill_and_is_forgotten_in_time() {
        let mut kills = Kills::default();
        let at = |secs| Timestamp::from_millis(1_795_250_200_000).plus_secs(secs);
        assert_eq!(kills.look(at(0), Some(3), 10).recent.len(), 0, "none of this boot's ten seconds");
        let seen = kills.look(at(15), Some(5), 25);
        assert_eq!(seen.recent.iter().map(|kill| (kill.at, kill.count)).collect::<Vec<_>>(), [(at(15), 2)]);
        assert_eq!(kills.look(at(30), Some(5), 40).recent.len(), 1);
        assert_eq!(kills.look(at(15 + 30 * 60 + 1), Some(5), 2_000).recent, []);
        assert_eq!(kills.look(at(4_000), None, 4_000).recent, []);
    }
}
