//! Tasks that wait in the site's queues, put aside with the database whose rows they are about.

use serde::{Deserialize, Serialize};

/// What is done with them. `with` is the name under which that database is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TasksAct {
    /// Puts aside what waits, and what is in the hands of workers that are gone.
    Park {
        /// The held database.
        with: String,
        /// The lists the queues consist of.
        lists: Vec<String>,
    },
    /// Gives back what was put aside.
    GiveBack {
        /// The held database.
        with: String,
    },
    /// Removes what was put aside.
    Drop {
        /// The held database.
        with: String,
    },
}

/// The hash of messages that workers hold, and the times at which they took them.
pub const UNACKED: [&str; 2] = ["unacked", "unacked_index"];

/// Names everything that is put aside, by when that was done, in milliseconds since 1970: nobody has to search for it.
pub const PARKED: &str = "midwatch:parked";

/// The set that names what was put aside with a database; it is there once that was done, if nothing waited, too.
pub fn marker(with: &str) -> String {
    format!("{PARKED}:{with}")
}

/// Where a list is put aside.
pub fn aside(with: &str, list: &str) -> String {
    format!("{}:{list}", marker(with))
}

impl TasksAct {
    /// In a sentence.
    pub fn told(&self) -> String {
        match self {
            Self::Park { with, lists } => {
                // What stands between a queue and its priority can't be seen.
                let named: Vec<String> = lists.iter().map(|list| list.replace("\u{6}\u{16}", "~")).collect();
                format!(
                    "renames what waits in the broker's lists {} to {}, all at once; so with what dead workers hold, if no \
                     worker is connected",
                    named.join(", "),
                    aside(with, "…")
                )
            }
            Self::GiveBack { with } => {
                format!(
                    "puts what lies at {} back into the queues it was in, behind what waits there",
                    aside(with, "…")
                )
            }
            Self::Drop { with } => format!("removes what lies at {} from the broker", aside(with, "…")),
        }
    }
}
