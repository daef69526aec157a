//! What the kernel counts in a control group.

use std::fs;
use std::path::Path;

/// How often the kernel has killed in this control group for want of memory since it began: `memory.events` of version
/// 2, `memory.oom_control` of version 1.
pub(super) fn oom_kills(group: &str) -> Option<u64> {
    let group = group.trim_start_matches('/');
    if group.is_empty() || group.split('/').any(|part| part == "..") {
        return None;
    }
    let places = [
        ("/sys/fs/cgroup", "memory.events"),
        ("/sys/fs/cgroup/unified", "memory.events"),
        ("/sys/fs/cgroup/memory", "memory.oom_control"),
    ];
    places.iter().find_map(|(root, file)| count(&fs::read_to_string(Path::new(root).join(group).join(file)).ok()?))
}

/// The memory of a control group without what the kernel would give up at once: the rest of what is charged, less the
/// file pages nobody has used for a while (as Kubernetes counts it).
pub(super) fn used(group: &str) -> Option<u64> {
    let group = group.trim_start_matches('/');
    if group.is_empty() || group.split('/').any(|part| part == "..") {
        return None;
    }
    let places = [
        ("/sys/fs/cgroup", "memory.current", "inactive_file "),
        ("/sys/fs/cgroup/unified", "memory.current", "inactive_file "),
        ("/sys/fs/cgroup/memory", "memory.usage_in_bytes", "total_inactive_file "),
    ];
    places.iter().find_map(|(root, file, idle)| {
        let dir = Path::new(root).join(group);
        let used: u64 = fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()?;
        let stat = fs::read_to_string(dir.join("memory.stat")).ok()?;
        let idle: u64 = stat.lines().find_map(|line| line.strip_prefix(idle)?.trim().parse().ok())?;
        Some(used.saturating_sub(idle))
    })
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{count, oom_kills};

    #[test]
    fn both_versions_are_read() {
        assert_eq!(count("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(count("oom_kill_disable 0\n"), None);
        assert_eq!(oom_kills("/../../etc"), None);
    }
}
