//! The access log of a server that writes it to its output, under systemd: asked of the journal now and then.
//!
//! A run of `journalctl` costs 10 to 20 ms, so it is asked every 10 s, for what came after the last entry that was seen.

use std::time::{Duration, Instant};

use super::super::program;

/// Between two questions.
const SPACING: Duration = Duration::from_secs(10);
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Entries read at once: of more only the newest.
const ENTRIES: &str = "20000";
/// Bytes read at once.
const BYTES: u64 = 8 << 20;
/// How far back the first question goes.
const SINCE: &str = "--since=-3h";

/// Follows one unit.
#[derive(Debug)]
pub(super) struct Journal {
    unit: String,
    cursor: Option<String>,
    asked: Option<Instant>,
}

impl Journal {
    pub(super) const fn new(unit: String) -> Self {
        Self { unit, cursor: None, asked: None }
    }

    /// Gives every line that has come since the last question to `take`, if it is time for one.
    pub(super) fn read(&mut self, mut take: impl FnMut(&str)) -> Result<(), String> {
        if self.asked.is_some_and(|asked| asked.elapsed() < SPACING) {
            return Ok(());
        }
        self.asked = Some(Instant::now());
        let unit = format!("--unit={}", self.unit);
        let from = self.cursor.as_ref().map_or_else(|| SINCE.to_owned(), |cursor| format!("--after-cursor={cursor}"));
        let words = ["--no-pager", "--quiet", "--output=cat", "--show-cursor", "--lines", ENTRIES, &from, &unit];
        let text = program::output("journalctl", &words, BYTES, LIMIT)
            .map_err(|why| format!("the journal of {} can't be read: {why}", self.unit))?;
        for line in text.lines() {
            match line.strip_prefix("-- cursor: ") {
                Some(cursor) => self.cursor = Some(cursor.trim().to_owned()),
                None => take(line),
            }
        }
        if self.cursor.is_none() {
            return Err(format!(
                "the journal shows this user nothing of {}; as root: usermod -aG systemd-journal USER, and log in again",
                self.unit
            ));
        }
        Ok(())
    }
}

/// The unit of a process, by its control group: `0::/system.slice/pretalx-web.service`.
pub(super) fn unit(cgroup: &str) -> Option<String> {
    // Of the two hierarchies only the one that systemd keeps names it.
    let name = cgroup.lines().find_map(|line| line.rsplit('/').find(|part| part.ends_with(".service")))?;
    // A user manager's own unit is not the one meant.
    (!name.starts_with("user@")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::unit;

    #[test]
    fn a_unit_is_found_in_a_control_group() {
        let of = |text: &str| unit(text);
        assert_eq!(of("0::/system.slice/pretalx-web.service\n").as_deref(), Some("pretalx-web.service"));
        assert_eq!(of("8:pids:/x\n1:name=systemd:/system.slice/a.service/sub\n").as_deref(), Some("a.service"));
        assert_eq!(of("9:name=systemd:/\n0::/box/system.slice/b.service\n").as_deref(), Some("b.service"));
        assert_eq!(of("0::/user.slice/user-1000.slice/session-2.scope\n"), None);
        assert_eq!(of(""), None);
    }
}
