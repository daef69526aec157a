//! What is done with files: saved, made ready beside, exchanged, put back, released.

use serde::{Deserialize, Serialize};

/// Something done with files of a site. Nothing is ever written over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilesAct {
    /// Saves an SQLite database as it is at one moment, with writers at work; read to its end before it gets its name.
    SaveSqlite {
        /// The database.
        database: String,
        /// The backup it becomes.
        to: String,
    },
    /// Runs a program that writes a backup; read to its end before it gets its name.
    Save {
        /// The program, which writes to [`partial`] of `to`.
        argv: Vec<String>,
        /// The backup it becomes.
        to: String,
        /// Whether the program is given the database's password, in its environment.
        password: bool,
    },
    /// Copies a backup of an SQLite database beside the one in use, unpacked, checked, owned like that.
    Prepare(Source),
    /// Unpacks a backup of files beside the directory in use.
    Unpack {
        /// From where to where.
        source: Source,
        /// Which directory in the backup, as it is written there; empty: all of it.
        root: String,
        /// The files below that.
        files: u64,
    },
    /// Puts what was made ready in the place of what is in use; that is held under another name.
    Exchange(Exchange),
    /// The way back of it: what was in use before is in use again.
    PutBack(Exchange),
    /// Removes what was made ready and never used.
    Remove(String),
    /// Reads the backup that something is given up for to its end once more, right before.
    Reread {
        /// The backup.
        backup: String,
        /// What it was when the plan was made.
        was: String,
        /// SHA-256 of what was proven, in hexadecimal; `None`: it is no single file.
        digest: Option<String>,
    },
    /// Deletes a backup that its place's policy lets go.
    Rotate(Leaving),
    /// Deletes what was held.
    Release {
        /// Where it lies.
        path: String,
        /// Which it is: device and number of the file.
        was: String,
    },
}

/// A backup that is made ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The backup.
    pub backup: String,
    /// What it was when the plan was made.
    pub was: String,
    /// What is in use.
    pub live: String,
    /// Where it is made ready.
    pub to: String,
    /// Bytes that must be free there.
    pub room: u64,
}

/// Two files or directories that change places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// What is in use.
    pub live: String,
    /// What comes in its place.
    pub ready: String,
    /// Where the displaced one is held.
    pub held: String,
    /// Which is in use when the plan is made: device and number of the file.
    pub was: String,
    /// Whether it is an SQLite database, which has files beside it.
    pub database: bool,
}

/// A backup that goes, while others stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Which.
    pub path: String,
    /// Its state when it was seen: which file, its size, when it was changed.
    pub was: String,
    /// Size, time and proof, for people.
    pub told: String,
    /// Newer proven backups of the same, with their state: it goes only while they are there.
    pub stay: Vec<(String, String)>,
}

/// Something about files that holds or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilesProbe {
    /// It is there, whole: it gets this name last.
    There(String),
    /// It is not there.
    Gone(String),
    /// The exchange is done.
    Exchanged(Exchange),
}

/// Where something is written that is not whole yet.
pub fn partial(to: &str) -> String {
    format!("{to}.partial")
}

impl FilesAct {
    /// What it does, in words.
    pub fn told(&self) -> String {
        match self {
            Self::SaveSqlite { database, to } => {
                format!(
                    "saves {database} as it is at one moment (VACUUM INTO), reads the copy to its end, names it {to}"
                )
            }
            Self::Save { argv, to, .. } => {
                format!("$ {}   then reads what it wrote to its end, and names it {to}", argv.join(" "))
            }
            Self::Prepare(source) => {
                let Source { backup, live, to, .. } = source;
                format!("copies {backup} to {to}, unpacked, checks it, compares it with {live}")
            }
            Self::Unpack { source, root, files } => {
                let what = if root.is_empty() { "all" } else { root };
                format!("unpacks {what} of {} into {}: {files} files", source.backup, source.to)
            }
            Self::Exchange(Exchange { live, ready, held, .. }) => {
                format!("exchanges {live} and {ready} in one step; what was in use is held as {held}")
            }
            Self::PutBack(Exchange { live, held, .. }) => format!("puts what is held as {held} back as {live}"),
            Self::Rotate(Leaving { path, told, stay, .. }) => {
                let stay: Vec<_> = stay.iter().map(|(path, _)| path.as_str()).collect();
                format!(
                    "deletes {path} ({told}), if it is still that file, nobody has it open, and {} is unchanged",
                    stay.join(" and ")
                )
            }
            Self::Remove(path) => format!("removes {path}, which was never in use"),
            Self::Reread { backup, .. } => {
                format!("reads {backup} to its end again, and goes on only if it is whole and the one that was proven")
            }
            Self::Release { path, .. } => format!("deletes {path}"),
        }
    }
}

impl FilesProbe {
    /// What holds, in words.
    pub fn told(&self) -> String {
        match self {
            Self::There(path) => format!("{path} is there, whole"),
            Self::Gone(path) => format!("{path} is gone"),
            Self::Exchanged(x) => format!("{} is another than before, which is held as {}", x.live, x.held),
        }
    }
}
