//! A drill: a backup is restored into a place of its own, looked at, and removed again.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillAct {
    /// Restores a backup, checks it, removes everything, and remembers what was found.
    Prove {
        /// The backup.
        backup: String,
        /// SHA-256 of what is proven.
        digest: String,
        /// Where it is restored.
        place: Place,
        /// Bytes that must be free there.
        room: u64,
        /// The state directory, where it is remembered.
        state: String,
        /// With what.
        engine: Box<DrillEngine>,
    },
    /// Ends what works in the place and removes it.
    Clear(Place),
}

/// A directory that is the drill's alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where.
    pub path: String,
    /// Whose it is, by number.
    pub uid: u32,
}

/// What a backup is restored with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillEngine {
    /// A server that lives as long as the drill.
    Postgres {
        /// The directory of `initdb`, `postgres`, `psql` and `pg_restore`.
        programs: String,
        /// The user they run as; `None`: the run's own.
        user: Option<String>,
        /// What is put before them, so that the host does not suffer.
        gently: Vec<String>,
        /// Whom the restored database belongs to: a role like that of the database in use.
        owner: String,
        /// Other roles that the backup may name.
        roles: Vec<String>,
        /// Whether the backup is SQL; else an archive of `pg_dump`.
        sql: bool,
        /// Whether it is packed once more.
        packed: bool,
        /// Whether it is a directory.
        directory: bool,
    },
    /// A server of MariaDB that lives as long as the drill.
    Maria {
        /// `mariadb-install-db`.
        install: String,
        /// `mariadbd`.
        server: String,
        /// `mariadb`.
        client: String,
        /// The user they run as; `None`: the run's own.
        user: Option<String>,
        /// What is put before them, so that the host does not suffer.
        gently: Vec<String>,
        /// Whether the backup is packed.
        packed: bool,
    },
    /// A copy of the file.
    Sqlite,
    /// An archive of files, unpacked.
    Files {
        /// How many files that are.
        files: u64,
        /// What is put before the program, so that the host does not suffer.
        gently: Vec<String>,
    },
}

/// Whether a drill has been remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillProbe {
    /// The state directory.
    pub state: String,
    /// SHA-256 of the backup.
    pub digest: String,
    /// Not before this moment.
    pub since: Timestamp,
}

impl DrillAct {
    /// What it does, in words.
    pub fn told(&self) -> String {
        match self {
            Self::Prove { backup, place, engine, .. } => engine.told(backup, &place.path),
            Self::Clear(place) => format!("ends what works in {} and removes it", place.path),
        }
    }
}

impl DrillEngine {
    fn told(&self, backup: &str, place: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "copies {backup} into {place}, unpacked, has SQLite check it, counts its rows, removes {place}, remembers \
                 the result"
            ),
            Self::Files { files, .. } => format!(
                "unpacks {backup} into {place}, counts what is there ({files} files), removes {place}, remembers the result"
            ),
            Self::Maria { server, client, user, .. } => {
                let user = user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
                format!(
                    "makes a server in {place} with {server}{user}, without network, restores {backup} into it with {client} \
                     as a user who may do nothing else, counts its rows, ends the server, removes {place}, remembers the \
                     result"
                )
            }
            Self::Postgres { programs, user, sql, owner, .. } => {
                let user = user.as_ref().map(|user| format!(" as {user}")).unwrap_or_default();
                let with = if *sql { "psql, one transaction" } else { "pg_restore --exit-on-error" };
                format!(
                    "makes a server in {place} with {programs}{user}, without network, restores {backup} into it in the \
                     role {owner} ({with}), counts its rows, ends the server, removes {place}, remembers the result"
                )
            }
        }
    }
}
