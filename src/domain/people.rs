//! Who else is on a host: logins, other midwatches, package managers at work.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Most of them that are told.
pub const MOST_PEOPLE: usize = 60;

/// One look at who is here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PeopleReading {
    /// Everyone and everything at work; at most [`MOST_PEOPLE`].
    pub people: Vec<Presence>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
}

/// What somebody's presence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresenceKind {
    /// Something that changes the machine or the database: a package manager, a migration, a restore.
    Change,
    /// Another midwatch.
    Midwatch,
    /// A person's client of a database.
    Client,
    /// A login.
    #[default]
    Login,
}

/// Somebody, or something at work on somebody's behalf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Who.
    pub who: String,
    /// What: `login on pts/1 from 192.0.2.7`, `midwatch 4711`, `apt upgrade`.
    pub what: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What it is.
    #[serde(default)]
    pub kind: PresenceKind,
    /// Its process, where it is one.
    #[serde(default)]
    pub pid: Option<u32>,
}

impl PeopleReading {
    /// What changes things first, then by time; not more than may be told.
    pub fn tidy(&mut self) {
        self.people.sort_by(|a, b| (a.kind, a.since, &a.who, &a.what).cmp(&(b.kind, b.since, &b.who, &b.what)));
        self.people.truncate(MOST_PEOPLE);
    }
}
