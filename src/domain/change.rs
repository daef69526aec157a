//! What changed on a host: packages, versions, units, configuration, reboots.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Most changes that are told.
pub const MOST_CHANGES: usize = 200;
/// Changes older than this are not told, in seconds: 30 days.
pub const OLDEST_S: i64 = 30 * 86_400;

/// One look at what changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChangesReading {
    /// The newest changes, newest first; at most [`MOST_CHANGES`].
    pub changes: Vec<Change>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

impl ChangesReading {
    /// Newest first, each once, none older than [`OLDEST_S`], at most [`MOST_CHANGES`].
    pub fn tidy(&mut self, now: Timestamp) {
        let oldest = now.plus_secs(-OLDEST_S);
        self.changes.retain(|change| change.at >= oldest);
        self.changes.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.text.cmp(&b.text)).then(b.how.cmp(&a.how)));
        self.changes.dedup_by(|a, b| a.kind == b.kind && a.text == b.text && a.at.as_secs() == b.at.as_secs());
        self.changes.truncate(MOST_CHANGES);
    }
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// A package of the system.
    Package,
    /// The application itself.
    App,
    /// A unit file.
    Unit,
    /// A configuration file.
    Config,
    /// A service was started anew.
    Restart,
    /// The machine was started anew.
    Boot,
    /// A database migration.
    Migration,
    /// A crontab or timer.
    Schedule,
    /// A certificate.
    Certificate,
    /// Somebody logged in.
    Login,
    /// Somebody did something as root.
    Command,
    /// The kernel killed a process.
    Kill,
}

impl ChangeKind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::App => "app",
            Self::Unit => "unit",
            Self::Config => "config",
            Self::Restart => "restart",
            Self::Boot => "boot",
            Self::Migration => "migration",
            Self::Schedule => "schedule",
            Self::Certificate => "certificate",
            Self::Login => "login",
            Self::Command => "command",
            Self::Kill => "kill",
        }
    }
}

/// How a change is known: how far its time can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// From the time a file was last written: something was changed then, maybe before that too.
    #[default]
    File,
    /// From a log, or the kernel.
    Logged,
    /// It was seen to change, between two looks.
    Seen,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What kind.
    pub kind: ChangeKind,
    /// One line, secrets taken out: `apt: openssl 3.0.17 → 3.0.18`.
    pub text: String,
    /// Who, where that is known.
    pub who: Option<String>,
    /// How it is known.
    #[serde(default)]
    pub how: Known,
}

impl Change {
    /// A change by nobody known.
    pub const fn new(at: Timestamp, kind: ChangeKind, text: String, how: Known) -> Self {
        Self { at, kind, text, who: None, how }
    }

    /// The same by somebody.
    #[must_use]
    pub fn by(mut self, who: Option<String>) -> Self {
        self.who = who.filter(|who| !who.is_empty());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, ChangeKind, ChangesReading, Known, MOST_CHANGES, OLDEST_S};
    use crate::domain::time::Timestamp;

    #[test]
    fn the_newest_come_first_and_each_is_told_once() {
        let now = Timestamp::from_millis(1_795_230_000_000);
        let change =
            |ago: i64, text: &str| Change::new(now.plus_secs(-ago), ChangeKind::Config, text.to_owned(), Known::File);
        let mut reading = ChangesReading {
            changes: vec![change(50, "b"), change(10, "a"), change(50, "b"), change(OLDEST_S + 1, "old")],
            unseen: Vec::new(),
        };
        reading.changes.extend((0..300).map(|n| change(100 + n, &n.to_string())));
        reading.tidy(now);
        assert_eq!(reading.changes.len(), MOST_CHANGES);
        let texts: Vec<&str> = reading.changes.iter().take(3).map(|c| c.text.as_str()).collect();
        assert_eq!(texts, ["a", "b", "0"]);
    }
}
