//! Who else is on a host: logins, other midwatches, package managers at work.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One look at who is here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PeopleReading {
    /// Everyone and everything at work.
    pub people: Vec<Presence>,
    /// What could not be seen, with the grant that would open it, in sentences.
    pub unseen: Vec<String>,
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
}
