//! Sessions of the server: who they are, what they do, whom they block.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// A session that blocks others and itself waits for nobody (`pg_blocking_pids`).
pub type Blocker = Session;

/// A session of the server.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Session {
    /// Process id of the session in the server; 0 for a prepared transaction, which has none.
    pub pid: i64,
    /// The application name it gave.
    pub application: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// Seconds since its transaction began.
    pub transaction_s: f64,
    /// How many sessions wait for it, directly or behind others.
    pub blocks: u32,
    /// When it was opened: with the process id, what makes it this one and no other.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// The role or user.
    #[serde(default)]
    pub user: String,
    /// Where it comes from: an address, or empty for this host's socket.
    #[serde(default)]
    pub client: String,
    /// What it waits for: `Lock relation`, `Client ClientRead`; empty when it runs.
    #[serde(default)]
    pub wait: String,
    /// Seconds since it waits for a lock; for others, since its state changed.
    #[serde(default)]
    pub since_s: f64,
    /// Its last statement, constants taken out, cut; empty when this role may not see it.
    #[serde(default)]
    pub query: String,
    /// The page that it serves, from the statement's comment (`/* url=… */`); may be empty.
    #[serde(default)]
    pub page: String,
    /// Whether it was concluded, and not seen, that it blocks others.
    #[serde(default)]
    pub concluded: bool,
    /// Those that wait for it, each with those behind it.
    #[serde(default)]
    pub behind: Vec<Self>,
}

impl Session {
    /// Whether it waits for an advisory lock.
    pub fn waits_for_advisory(&self) -> bool {
        self.wait == "Lock advisory"
    }

    /// It and all behind it, each with its depth, in the order of a tree.
    pub fn tree(&self) -> Vec<(usize, &Self)> {
        let mut out = Vec::new();
        let mut ahead = vec![(0, self)];
        while let Some((depth, session)) = ahead.pop() {
            out.push((depth, session));
            ahead.extend(session.behind.iter().rev().map(|behind| (depth + 1, behind)));
        }
        out
    }
}

/// Sessions of one application in one state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Crowd {
    /// The application name they gave; may be empty.
    pub application: String,
    /// Their state: `idle`; `hidden` where this role may not see it.
    pub state: String,
    /// How many.
    pub count: u32,
    /// Seconds since the one that is longest in this state came into it.
    pub longest_s: u64,
}
