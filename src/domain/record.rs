//! The incident record: what happened when, as midwatch saw it and as people said it, told apart. Append-only.
//!
//! Entries are made by [`ledger`] (what a poller sees) and by [`said`] (what a person types); [`incident`] and [`report`]
//! derive everything else from them.

pub mod incident;
pub mod ledger;
pub mod report;
pub mod said;

use serde::{Deserialize, Serialize};

use super::id::{Scope, SourceKind};
use super::level::Level;
use super::redact::redact;
use super::text::plain;
use super::time::Timestamp;

/// The longest title, note or reason in the record, in characters.
pub const LINE_MAX: usize = 500;
/// Lines of evidence kept of a finding.
const DETAILS_MAX: usize = 8;
/// The longest of them, in characters.
const DETAIL_MAX: usize = 240;

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the file, ascending; 0 as long as it is not kept.
    #[serde(default)]
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The site or host it is about; `None`: everything.
    pub scope: Option<Scope>,
    /// How bad.
    pub level: Level,
    /// Who says so.
    pub by: By,
    /// What happened.
    pub what: What,
}

/// Who says something: the two are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Observed by a midwatch.
    Midwatch,
    /// Said by a person. As sure as the login it is taken from: whoever may write the file may forge it.
    Person(Who),
}

/// A person, as the login says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Who {
    /// The login's name; behind `sudo` the one who called it.
    pub user: String,
    /// The user midwatch runs as, where that is another.
    pub acting_as: Option<String>,
    /// The address an SSH session comes from.
    pub from: Option<String>,
    /// The terminal: `pts/3`.
    pub tty: Option<String>,
}

impl Who {
    /// `rose (as root) from 192.0.2.7 on pts/3`.
    pub fn whole(&self) -> String {
        let mut out = self.user.clone();
        for (before, part, after) in
            [(" (as ", &self.acting_as, ")"), (" from ", &self.from, ""), (" on ", &self.tty, "")]
        {
            if let Some(part) = part {
                out.push_str(&[before, part, after].concat());
            }
        }
        out
    }
}

/// A finding, as the record keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The finding's identity: site, rule and subject.
    pub id: String,
    /// The rule's stable id.
    pub rule: String,
    /// What is wrong.
    pub title: String,
    /// The numbers behind it.
    pub evidence: String,
    /// Lines of evidence, where there are some.
    #[serde(default)]
    pub details: Vec<String>,
    /// How bad.
    pub level: Level,
    /// Since when.
    pub since: Timestamp,
    /// Whether the change itself was seen; else it began earlier than `since`.
    pub since_seen: bool,
    /// Where `since` is known from, where it was not watched: `log`, `unit`, `history`, `open`; empty: it was.
    #[serde(default)]
    pub since_from: String,
    /// The source that shows it.
    pub source: SourceKind,
    /// The identity of the finding it follows from, if it does.
    #[serde(default)]
    pub under: Option<String>,
}

/// The finding that somebody speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its identity.
    pub finding: String,
    /// What is wrong, in its words.
    pub title: String,
}

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It is read.
    Seen,
    /// Reading it fails.
    Failed,
    /// It can't be seen: no permission, not configured, off.
    Unseen,
}

impl SourceState {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seen => "read again",
            Self::Failed => "failed",
            Self::Unseen => "not seen",
        }
    }
}

/// Counters that only grow, and the pulse, at one moment; what is not known is absent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// Requests answered since the counters began.
    pub requests: Option<f64>,
    /// Of those, answered 5xx.
    pub request_errors: Option<f64>,
    /// Background tasks ended since the counters began.
    pub tasks: Option<f64>,
    /// Of those, ended in an unforeseen error.
    pub task_errors: Option<f64>,
    /// What the site lives of (paid orders, submissions): how many in the last hour or so per minute, as is usual.
    #[serde(default)]
    pub pulse_usual_per_min: Option<f64>,
    /// When the last of them came.
    #[serde(default)]
    pub pulse_last: Option<Timestamp>,
}

impl Numbers {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A finding came up.
    Opened(Case),
    /// A finding became worse or better.
    Changed {
        /// The finding's identity.
        id: String,
        /// What is wrong, now.
        title: String,
        /// How bad it was.
        from: Level,
    },
    /// A finding is gone.
    Closed {
        /// The finding's identity.
        id: String,
        /// What was wrong.
        title: String,
        /// Since when it was.
        since: Timestamp,
        /// Until when it was last known to hold, where nobody watched it going.
        #[serde(default)]
        last_known: Option<Timestamp>,
    },
    /// A source can no longer be read, or can again.
    Source {
        /// Which.
        source: SourceKind,
        /// How it stands.
        state: SourceState,
        /// Why.
        why: String,
    },
    /// Nobody watched, while something was wrong.
    Gap {
        /// From when.
        from: Timestamp,
    },
    /// Counters, taken while something is wrong.
    Numbers(Numbers),
    /// The incident's severity: 1 (worst) to 5; `None`: it is over.
    Severity {
        /// How severe.
        severity: Option<u8>,
        /// Worked out by a rule; a person has not confirmed it.
        suspected: bool,
        /// Why.
        text: String,
    },
    /// Somebody has taken notice of a finding.
    Acknowledged {
        /// The finding's identity.
        finding: String,
        /// What was wrong, in its words; empty in entries of an older midwatch.
        #[serde(default)]
        title: String,
        /// What they say.
        text: String,
        /// Until when it holds.
        until: Timestamp,
    },
    /// A note.
    Note {
        /// What it says.
        text: String,
    },
    /// Something to be done later.
    Todo {
        /// What.
        text: String,
    },
    /// Something that was to be done is done.
    Done {
        /// The id of the entry that asked for it.
        todo: i64,
        /// What they say.
        text: String,
    },
}

impl What {
    /// The word for it, as in the file and in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Opened(_) => "opened",
            Self::Changed { .. } => "changed",
            Self::Closed { .. } => "closed",
            Self::Source { .. } => "source",
            Self::Gap { .. } => "gap",
            Self::Numbers(_) => "numbers",
            Self::Severity { .. } => "severity",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Note { .. } => "note",
            Self::Todo { .. } => "todo",
            Self::Done { .. } => "done",
        }
    }
}

impl Entry {
    /// One sentence that says it, without its time and who says it.
    pub fn text(&self) -> String {
        match &self.what {
            What::Opened(case) if case.evidence.is_empty() => case.title.clone(),
            What::Opened(case) => format!("{} ({})", case.title, case.evidence),
            What::Changed { title, from, .. } => format!("{title}: {} → {}", from.word(), self.level.word()),
            What::Closed { title, since, last_known, .. } => {
                let lasted = super::text::span(self.at.millis_since(*since));
                match last_known {
                    Some(_) => format!("gone when next looked at: {title} (at most {lasted})"),
                    None => format!("gone: {title} (after {lasted})"),
                }
            }
            What::Source { source, state, why } if why.is_empty() => format!("{}: {}", source.name(), state.word()),
            What::Source { source, state, why } => format!("{}: {}: {why}", source.name(), state.word()),
            What::Gap { from } => format!("nobody watched for {}", super::text::span(self.at.millis_since(*from))),
            What::Numbers(numbers) => counted(numbers),
            What::Severity { severity, suspected, text } => {
                let what = match (severity, suspected) {
                    (Some(n), true) => format!("suspected SEV-{n}"),
                    (Some(n), false) => format!("SEV-{n}"),
                    (None, _) => "resolved".to_owned(),
                };
                if text.is_empty() { what } else { format!("{what}: {text}") }
            }
            What::Acknowledged { finding, title, text, .. } => {
                let what = if title.is_empty() { finding } else { title };
                if text.is_empty() { format!("acknowledged: {what}") } else { format!("acknowledged: {what} ({text})") }
            }
            What::Note { text } => text.clone(),
            What::Todo { text } => format!("TODO: {text}"),
            What::Done { todo, text } if text.is_empty() => format!("done: #{todo}"),
            What::Done { todo, text } => format!("done: #{todo}: {text}"),
        }
    }

    /// Whether midwatch made it by itself. These are left out first when the record is too long.
    pub const fn automatic(&self) -> bool {
        matches!(self.by, By::Midwatch)
    }

    /// The entry as it may be kept and shown: every text without control characters and secrets, and of bounded length.
    #[must_use]
    pub fn clean(mut self) -> Self {
        if let By::Person(who) = &mut self.by {
            who.user = plain(&who.user, 64);
            for part in [&mut who.acting_as, &mut who.from, &mut who.tty].into_iter().flatten() {
                *part = plain(part, 64);
            }
        }
        if let Some(Scope::Site(super::id::SiteId(name)) | Scope::Host(super::id::HostId(name))) = &mut self.scope {
            *name = plain(name, 120);
        }
        match &mut self.what {
            What::Opened(case) => case.clean(),
            What::Changed { id, title, .. } | What::Closed { id, title, .. } => tidy([id, title]),
            What::Source { why, .. } => tidy([why]),
            What::Acknowledged { finding, title, text, .. } => tidy([finding, title, text]),
            What::Severity { text, severity, .. } => {
                *severity = severity.map(|n| n.clamp(1, 5));
                tidy([text]);
            }
            What::Note { text } | What::Todo { text } | What::Done { text, .. } => tidy([text]),
            What::Gap { .. } | What::Numbers(_) => {}
        }
        self
    }
}

impl Case {
    fn clean(&mut self) {
        tidy([&mut self.id, &mut self.rule, &mut self.title, &mut self.evidence]);
        self.details.truncate(DETAILS_MAX);
        for line in &mut self.details {
            *line = plain(&redact(line), DETAIL_MAX);
        }
    }
}

fn tidy<const N: usize>(texts: [&mut String; N]) {
    for text in texts {
        *text = plain(&redact(text), LINE_MAX);
    }
}

fn counted(numbers: &Numbers) -> String {
    let parts = [
        (numbers.requests, "requests"),
        (numbers.request_errors, "answered 5xx"),
        (numbers.tasks, "tasks"),
        (numbers.task_errors, "tasks failed"),
    ];
    let known: Vec<String> =
        parts.iter().filter_map(|(value, name)| value.map(|value| format!("{value:.0} {name}"))).collect();
    if known.is_empty() { "no counters can be read".to_owned() } else { format!("counters: {}", known.join(", ")) }
}

#[cfg(test)]
mod tests;
