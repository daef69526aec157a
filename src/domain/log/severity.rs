//! How bad a line says it is.

use serde::{Deserialize, Serialize};

/// How bad a line says it is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For developers.
    Debug,
    /// Nothing to do; also what says nothing of itself.
    #[default]
    Info,
    /// Unusual, but meant to be.
    Notice,
    /// May become an error.
    Warning,
    /// Something failed.
    Error,
    /// Much failed: a process ended, data are at risk.
    Critical,
}

impl Severity {
    /// Every severity, the worst last.
    pub const ALL: [Self; 6] = [Self::Debug, Self::Info, Self::Notice, Self::Warning, Self::Error, Self::Critical];

    /// Its word on the screen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// From a word as programs write it: Python, gunicorn, Celery, PostgreSQL, nginx, `HAProxy`, JSON loggers. Case and
    /// brackets don't matter. PostgreSQL's `LOG` is information, its `FATAL` ends one session and is an error.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.trim_matches(|c: char| matches!(c, '[' | ']' | '(' | ')' | ':' | ',' | '<' | '>' | '*' | '"'));
        // The longest is "emergency"; most words of a line are none of these.
        let mut lower = [0_u8; 9];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        match &*lower {
            b"trace" | b"debug" | b"debug1" | b"debug2" | b"debug3" | b"debug4" | b"debug5" | b"verbose" => {
                Some(Self::Debug)
            }
            b"info" | b"information" | b"log" | b"i" => Some(Self::Info),
            b"notice" => Some(Self::Notice),
            b"warn" | b"warning" | b"w" => Some(Self::Warning),
            b"error" | b"err" | b"fatal" | b"severe" | b"e" => Some(Self::Error),
            b"critical" | b"crit" | b"alert" | b"emerg" | b"emergency" | b"panic" => Some(Self::Critical),
            _ => None,
        }
    }

    /// From a syslog priority (0 emergency … 7 debug), as journald has it.
    pub const fn from_priority(priority: u8) -> Self {
        match priority {
            0..=2 => Self::Critical,
            3 => Self::Error,
            4 => Self::Warning,
            5 => Self::Notice,
            6 => Self::Info,
            _ => Self::Debug,
        }
    }

    /// Whether it belongs into a group of equal messages.
    pub const fn is_grouped(self) -> bool {
        matches!(self, Self::Warning | Self::Error | Self::Critical)
    }

    /// Whether something failed.
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Error | Self::Critical)
    }
}

#[cfg(test)]
mod tests {
    use super::Severity;

    #[test]
    fn words_of_many_programs() {
        for (word, severity) in [
            ("WARNING", Some(Severity::Warning)),
            ("[CRITICAL]", Some(Severity::Critical)),
            ("ERROR:", Some(Severity::Error)),
            ("FATAL:", Some(Severity::Error)),
            ("PANIC:", Some(Severity::Critical)),
            ("LOG:", Some(Severity::Info)),
            ("[alert]", Some(Severity::Critical)),
            ("emergency", Some(Severity::Critical)),
            ("order", None),
            ("", None),
            ("errors-everywhere", None),
        ] {
            assert_eq!(Severity::from_word(word), severity, "{word}");
        }
    }

    #[test]
    fn each_has_its_own_word_and_finds_it_again() {
        for severity in Severity::ALL {
            assert_eq!(Severity::from_word(severity.word()), Some(severity));
        }
    }
}
